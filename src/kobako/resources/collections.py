"""Collections of records. Source: objects, 5."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from kobako import (
    NAME,
    Change,
    JsonObject,
    React,
    Resource,
    Stored,
    Target,
    Transaction,
    declare_indexes,
    declared_indexes,
    indexes,
    invalid,
)
from kobako.resources import schemas
from kobako.resources.buckets import BUCKET

MAX_SECONDS: Final = 10**300 - 1
"""Integers of more digits are refused in JSON: made of `1e300`, one could be stored, and not be read again."""


def validated(data: JsonObject, path: str) -> JsonObject:
    """Return the data of a collection, its `cache_expires` as an integer. Raises InvalidParameters."""
    schemas.check_schemas(data, path, schemas.OF_COLLECTION)
    if problem := indexes.problem(declared_indexes(data)):
        raise invalid("body", f"{path}indexes", problem)
    if data.get("cache_expires") is None:
        return {name: value for name, value in data.items() if name != "cache_expires"}
    return {**data, "cache_expires": _seconds(data["cache_expires"], f"{path}cache_expires")}


def own_indexes(target: Target, collection: Stored) -> Sequence[str]:
    """Return the fields that a collection declares."""
    # Most have none, and need not be decoded to know it.
    return declared_indexes(collection.data()) if '"indexes"' in collection.text else ()


def updating(indexes_of: Callable[[Target, Stored], Sequence[str]]) -> React:
    """Return what has the records of a collection the indexes that are declared for it."""

    async def update_indexes(tx: Transaction, target: Target, change: Change) -> None:
        # Those of a deleted collection have gone with its records.
        if change.new.deleted:
            return
        fields = indexes_of(target, change.new)
        if fields != (indexes_of(target, change.old) if change.old else ()):
            await declare_indexes(tx, target, fields)

    return update_indexes


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
    react=updating(own_indexes),
)
