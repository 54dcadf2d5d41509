"""Who may do what, as the tables of the specification say it. Source: objects, 2.1, 2.2, 2.5, 2.6 and 11.5."""

PERMISSIONS = {
    "bucket": ("read", "write", "group:create", "collection:create"),
    "group": ("read", "write"),
    "collection": ("read", "write", "record:create"),
    "record": ("read", "write"),
    "account": ("read", "write"),
}

# Section 2.2: what grants a permission, by the kind of the object (or of the objects of the list) that is asked for.
# `whole` is reading all of a list, `clear` deleting all of it, `missing` knowing that an object is not there.
ACES = {
    "bucket": {
        "read": "B.write B.read B.collection:create B.group:create",
        "write": "B.write",
        "create": "",
        "whole": "",
        "clear": "",
        "missing": "",
    },
    "group": {
        "read": "B.write B.read G.write G.read",
        "write": "B.write G.write",
        "create": "B.write B.group:create",
        "whole": "B.write B.read",
        "clear": "B.write",
        "missing": "B.write B.read",
    },
    "collection": {
        "read": "B.write B.read C.write C.read C.record:create",
        "write": "B.write C.write",
        "create": "B.write B.collection:create",
        "whole": "B.write B.read",
        "clear": "B.write",
        "missing": "B.write B.read",
    },
    "record": {
        "read": "B.write B.read C.write C.read R.write R.read",
        "write": "B.write C.write R.write",
        "create": "B.write C.write C.record:create",
        "whole": "B.write B.read C.write C.read",
        "clear": "B.write C.write",
        "missing": "B.write B.read C.write C.read",
    },
    # Section 11.5.
    "history": {
        "read": "B.write B.read H.read",
        "write": "B.write",
        "create": "",
        "whole": "B.write B.read",
        "clear": "B.write",
        "missing": "B.write B.read",
    },
}

# Section 2.6: which settings grant the same. A write setting opens neither the list of buckets nor their creation.
_BUCKET = {"read": "read write", "write": "write", "create": "create", "whole": "read", "clear": "write"}
_OTHER = {"read": "read write", "write": "write", "create": "create write", "whole": "read write", "clear": "write"}
SETTINGS = {
    "bucket": {**_BUCKET, "missing": "read write"},
    "group": {**_OTHER, "missing": "read write"},
    "collection": {**_OTHER, "missing": "read write"},
    "record": {**_OTHER, "missing": "read write"},
    "history": {**_OTHER, "missing": "read write"},
}

# Section 2.5: a permission on an object of a list that lets it be seen, or deleted, in that list.
SHARED = {
    "bucket": {"whole": ("read", "write", "collection:create", "group:create"), "clear": ("write",)},
    "group": {"whole": ("read", "write"), "clear": ("write",)},
    "collection": {"whole": ("read", "write", "record:create"), "clear": ("write",)},
    "record": {"whole": ("read", "write"), "clear": ("write",)},
    "history": {"whole": ("read",), "clear": ()},
    "account": {"whole": ("read", "write"), "clear": ("write",)},
}
