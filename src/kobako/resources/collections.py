"""Collections of records. Source: objects, 5."""

from typing import Any, Final

from kobako import NAME, JsonObject, Resource, invalid
from kobako.resources import schemas
from kobako.resources.buckets import BUCKET

MAX_SECONDS: Final = 10**300 - 1
"""Integers of more digits are refused in JSON: made of `1e300`, one could be stored, and not be read again."""


def validated(data: JsonObject, path: str) -> JsonObject:
    """Return the data of a collection, its `cache_expires` as an integer. Raises InvalidParameters."""
    schemas.check_schemas(data, path, schemas.OF_COLLECTION)
    if data.get("cache_expires") is None:
        return {name: value for name, value in data.items() if name != "cache_expires"}
    return {**data, "cache_expires": _seconds(data["cache_expires"], f"{path}cache_expires")}


def _seconds(value: Any, name: str) -> int:
    try:
        seconds = int(float(value)) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        seconds = None
    if seconds is None:
        raise invalid("body", name, f'"{str(value)[:100]}" is not a number')
    if seconds < 0:
        raise invalid("body", name, f"{seconds} is less than minimum value 0")
    if seconds > MAX_SECONDS:
        raise invalid("body", name, f"{str(value)[:100]} is greater than maximum value 1e300")
    return seconds


COLLECTION: Final = Resource(
    name="collection",
    path="/buckets/{bucket_id}/collections",
    parent=BUCKET,
    permissions=("read", "write", "record:create"),
    ids=NAME,
    validate=validated,
    data_schema={
        "properties": {
            "cache_expires": {"type": "integer", "minimum": 0, "description": "Seconds anonymous readers may keep it."}
        }
    },
)
