"""Collections of records. Source: objects, 5."""

from collections.abc import Sequence
from typing import Any, Final

from kobako import (
    INDEXED_FIELDS,
    NAME,
    Change,
    JsonObject,
    Resource,
    Stored,
    Target,
    Transaction,
    declare_indexes,
    declared_indexes,
    invalid,
)
from kobako.resources import schemas
from kobako.resources.buckets import BUCKET

MAX_SECONDS: Final = 10**300 - 1
"""Integers of more digits are refused in JSON: made of `1e300`, one could be stored, and not be read again."""

MAX_FIELD: Final = 200
"""How long the path of a field with an index may be."""


def validated(data: JsonObject, path: str) -> JsonObject:
    """Return the data of a collection, its `cache_expires` as an integer. Raises InvalidParameters."""
    schemas.check_schemas(data, path, schemas.OF_COLLECTION)
    _check_indexes(declared_indexes(data), f"{path}indexes")
    if data.get("cache_expires") is None:
        return {name: value for name, value in data.items() if name != "cache_expires"}
    return {**data, "cache_expires": _seconds(data["cache_expires"], f"{path}cache_expires")}


async def update_indexes(tx: Transaction, target: Target, change: Change) -> None:
    """Have the records of a collection the indexes that it declares. Those of a deleted one have gone with them."""
    if change.new.deleted:
        return
    fields = _declared(change.new)
    if fields != (_declared(change.old) if change.old else ()):
        await declare_indexes(tx, target, fields)


def _declared(stored: Stored) -> Sequence[str]:
    # Most have none, and need not be decoded to know it.
    return declared_indexes(stored.data()) if '"indexes"' in stored.text else ()


def _check_indexes(fields: Sequence[str], name: str) -> None:
    if len(fields) > INDEXED_FIELDS:
        raise invalid("body", name, f"{len(fields)} fields are more than maximum value {INDEXED_FIELDS}")
    for field in fields:
        if field in ("id", "last_modified"):
            raise invalid("body", name, f'"{field}" has an index already')
        if not field or field.startswith("_") or len(field) > MAX_FIELD:
            raise invalid("body", name, f'"{field[:MAX_FIELD]}" is no field that a filter can name')
    if len(set(fields)) < len(fields):
        raise invalid("body", name, "a field is named twice")


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
            "cache_expires": {"type": "integer", "minimum": 0, "description": "Seconds anonymous readers may keep it."},
            "indexes": {"description": "Fields of the records that have an index: a list of names."},
        }
    },
    react=update_indexes,
)
