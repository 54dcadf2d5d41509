"""The names of all keys in Redis: one hash tag for all of them, so that in a cluster one node has them all.

A script sees the keys of one node only, and a unit of work may span buckets: it could not be all or nothing else.

| key | type | what is in it |
|---|---|---|
| `meta` | hash | `epoch`, `layout` |
| `lists` | hash | list -> its state |
| `names` | sorted set, all of score 0 | every list that was ever opened, to find those under a URI |
| `live:<list>` | sorted set | id -> version, of objects |
| `dead:<list>` | sorted set | id -> version, of tombstones |
| `text:<list>` | hash | id -> JSON text, of objects |
| `acls` | hash | URI -> JSON text of its ACL |
| `uris` | sorted set, all of score 0 | the URIs that have an ACL, to find those under a URI |
| `held` | sorted set, all of score 0 | principal, URI, permission: the ACLs turned round |
| `groups` | hash | user -> JSON array of the principals given |
| `members` | sorted set, all of score 0 | principal, user: the groups turned round |
| `lease:<list>` | string, expires | who writes the list at this moment |
| `next:<list>` | string, expires | who is next |
| `heartbeat` | string, expires | nothing: that it could be written is the point |
"""

from kobako.storage.base import Place

SEPARATOR = "\0"
"""Between the parts of a name. No string that a client gives has one."""

Command = tuple[str, ...]
"""A command as Redis takes it: its name, a key, and so on."""


class Keys:
    """The keys of one database; `prefix` tells it from others on the same server."""

    def __init__(self, prefix: str) -> None:
        tag = f"{{{prefix}kobako}}:"
        self.meta, self.heartbeat = f"{tag}meta", f"{tag}heartbeat"
        self.lists, self.names = f"{tag}lists", f"{tag}names"
        self.acls, self.uris, self.held = f"{tag}acls", f"{tag}uris", f"{tag}held"
        self.groups, self.members = f"{tag}groups", f"{tag}members"
        self.live, self.dead, self.text = f"{tag}live:", f"{tag}dead:", f"{tag}text:"
        self.lease, self.next = f"{tag}lease:", f"{tag}next:"


def list_name(place: Place) -> str:
    """Return the name of a list: it begins with the URI of what the list is in."""
    return f"{place.parent}{SEPARATOR}{place.resource}"


def place_of(name: str) -> Place:
    """Return the list of a name."""
    parent, _, resource = name.partition(SEPARATOR)
    return Place(resource, parent)


def of(key: str, first: str) -> Command:
    """Return the command for the names that have this for their first part."""
    return ("ZRANGE", key, f"[{first}{SEPARATOR}", f"({first}\1", "BYLEX")


def below(key: str, uri: str, first: str = "") -> Command:
    """Return the command for the names that begin with `uri/`, after a first part perhaps."""
    # '0' is what comes after '/'.
    return ("ZRANGE", key, f"[{first}{uri}/", f"({first}{uri}0", "BYLEX")
