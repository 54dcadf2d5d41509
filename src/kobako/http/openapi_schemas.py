"""JSON Schemas of what the API takes and answers, for its description: those of any resource, and those they share.

A schema is a plain dict, as it stands in the document; `ref` points at one of the shared ones by its name.

Source: HTTP API, sections 2, 7.1, 9.4, 10.5 and 11.
"""

from collections.abc import Iterable
from typing import Any, Final

from kobako.http.inputs import JSON, JSON_PATCH, MERGE_PATCH
from kobako.model.resource import Resource
from kobako.protocol.ids import MAX_LENGTH, IdGenerator
from kobako.protocol.patching import MAX_OPERATIONS

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
PRECONDITION: Final = r'^(\*|"[0-9]{1,19}")$'
"""What If-Match and If-None-Match hold."""


def ref(name: str) -> Schema:
    """Return a reference to a shared schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(required: dict[str, Any], **optional: Any) -> Schema:
    """Return the schema of an object that has these members and no others."""
    properties = {**required, **optional}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def array(items: Any, **rules: Any) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items, **rules}


SHARED: Final[dict[str, Schema]] = {
    "Timestamp": {
        "type": "integer",
        "minimum": 0,
        "description": "Milliseconds since the epoch; the version of an object or of a list.",
    },
    "TimestampParameter": {
        "type": "string",
        "pattern": '^([0-9]{1,15}|"[0-9]{1,15}")$',
        "description": "A timestamp, or an ETag as it was received.",
    },
    "Principal": {
        "type": "string",
        "minLength": 1,
        "description": "A user id, the URI of a group, `system.Everyone` or `system.Authenticated`.",
    },
    "Tombstone": closed({"id": TEXT, "last_modified": ref("Timestamp"), "deleted": {"const": True}}),
    "Deletion": closed({"data": ref("Tombstone")}),
    "Deletions": closed({"data": array(ref("Tombstone"))}),
    "Problem": closed(
        {
            "location": {"enum": ["body", "querystring", "header", "path", "url", "cookies", "method"]},
            "name": {"type": ["string", "integer", "null"]},
            "description": TEXT,
        },
        request={"type": "integer", "description": "Which request of an atomic batch, from 0 on."},
    ),
    "Error": closed(
        {"code": {"type": "integer"}, "errno": {"type": "integer"}, "error": TEXT},
        message=TEXT,
        info=TEXT,
        details={"anyOf": [array(ref("Problem")), {"type": "object"}]},
    ),
    "JsonPatch": array(
        closed(
            {
                "op": {"enum": ["test", "add", "remove", "replace", "move", "copy"]},
                "path": {"type": "string", "pattern": "^/"},
            },
            **{"from": {"type": "string", "pattern": "^/"}, "value": {}},
        ),
        maxItems=MAX_OPERATIONS,
    ),
}


def id_of(ids: IdGenerator) -> Schema:
    """Return the schema of the ids that a resource accepts."""
    return {"type": "string", "pattern": f"^{ids.pattern.pattern}$", "minLength": 1, "maxLength": MAX_LENGTH}


def title(resource: Resource) -> str:
    """Return the name that a resource's schemas begin with: `Bucket`."""
    return "".join(part.capitalize() for part in resource.name.split("_"))


def of_resources(resources: Iterable[Resource]) -> dict[str, Schema]:
    """Return the schemas of several kinds of objects."""
    return {name: schema for each in resources for name, schema in of_resource(each).items()}


def of_resource(resource: Resource) -> dict[str, Schema]:
    """Return the schemas of one kind of object: its fields, an object with its ACL, a page, and what is written."""
    name, permissions = title(resource), resource.permissions
    fields = dict(resource.data_schema.get("properties", {}))
    managed = {"id": id_of(resource.ids), "last_modified": ref("Timestamp")}
    stored = {**resource.data_schema, "type": "object", "properties": {**fields, **managed}}
    partial = {key: value for key, value in stored.items() if key != "required"}
    acl = {each: array(ref("Principal"), minItems=1) for each in permissions}
    shown = {"permissions": ref(f"{name}Acl")} if permissions else {}
    given_acl = {each: {"type": ["array", "null"], "items": ref("Principal")} for each in permissions}
    return {
        f"{name}Fields": partial,
        f"{name}Data": {**partial, "required": ["id", "last_modified"]},
        f"{name}Acl": closed({}, **acl),
        f"{name}": closed({"data": ref(f"{name}Data"), **shown}),
        f"{name}View": closed({"data": ref(f"{name}Data")}, **shown),
        f"{name}Patched": closed({"data": ref(f"{name}Fields")}, **shown),
        f"{name}Page": closed({"data": array({"anyOf": [ref(f"{name}Data"), ref("Tombstone")]})}),
        f"{name}Given": closed({}, data=stored, permissions=closed({}, **given_acl)),
        f"{name}Patch": {
            **closed({}, data=partial, permissions=closed({}, **given_acl)),
            "minProperties": 1,
        },
        f"{name}MergePatch": {
            **closed({}, data={"type": "object"}, permissions=closed({}, **given_acl)),
            "minProperties": 1,
        },
    }


def patches(resource: Resource) -> dict[str, Schema]:
    """Return the three dialects of a patch, by media type."""
    name = title(resource)
    return {JSON: ref(f"{name}Patch"), MERGE_PATCH: ref(f"{name}MergePatch"), JSON_PATCH: ref("JsonPatch")}
