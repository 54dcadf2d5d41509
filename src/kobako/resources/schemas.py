"""JSON schemas of records, collections and groups: who has one, whom it judges.

A collection's `schema` judges its records; a bucket's `record:schema`, `collection:schema` and `group:schema` judge all
of that kind in the bucket. That they are schemas is always checked. Objects are judged by them only in a server with
`experimental_collection_schema_validation`: its resources are those that `with_schemas` returns, so that a server
without it never reads a parent for a write.

Source: objects, 9.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from kobako import JsonObject, Prepare, Resource, Stored, Target, Transaction
from kobako.resources.schema_rules import RulesCache, check_schema

OF_BUCKET: Final = ("record:schema", "collection:schema", "group:schema")
OF_COLLECTION: Final = ("schema",)

CAPABILITY: Final = {
    "description": "Validates collection records with JSON schemas.",
    "url": "https://kinto.readthedocs.io/en/latest/api/1.x/collections.html#collection-json-schema",
}


def check_schemas(data: JsonObject, path: str, names: Iterable[str]) -> None:
    """Raise InvalidParameters if one of these fields holds what is no schema."""
    for name in names:
        if name in data:
            check_schema(data[name], path + name)


def with_schemas(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Return resources whose objects have to pass the schemas of their collection and bucket."""
    cache = RulesCache()
    preparations = {
        "record": _records(cache),
        "collection": _children(cache, "collection:schema"),
        "group": _children(cache, "group:schema"),
    }
    return tuple(msgspec.structs.replace(each, prepare=preparations.get(each.name)) for each in resources)


def _records(cache: RulesCache) -> Prepare:
    async def prepare(tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
        """Return a record that passes, with the version of the schema of its collection."""
        collection = target.parent()
        stored = await _find(tx, collection)
        bucket = await _find(tx, collection and collection.parent())
        assert target.id is not None
        ignored = ("last_modified", "schema")
        has_schema = stored is not None and _judge(cache, stored, "schema", ignored, target.id, data)
        if bucket:
            _judge(cache, bucket, "record:schema", ignored, target.id, data)
        return {**data, "schema": stored.last_modified} if stored and has_schema else data

    return prepare


def _children(cache: RulesCache, field: str) -> Prepare:
    async def prepare(tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
        """Return an object that passes the schema in a field of its bucket."""
        bucket = await _find(tx, target.parent())
        assert target.id is not None
        if bucket:
            _judge(cache, bucket, field, ("last_modified",), target.id, data)
        return data

    return prepare


async def _find(tx: Transaction, target: Target | None) -> Stored | None:
    return await tx.storage.get(target.place, target.id) if target and target.id else None


def _judge(cache: RulesCache, holder: Stored, field: str, ignored: tuple[str, ...], id: str, data: JsonObject) -> bool:
    """Check an object by the schema in a field, and tell whether there is one. Raises InvalidParameters."""
    # Most have none, and need not be decoded to know it.
    if f'"{field}"' not in holder.text:
        return False
    schema = holder.data().get(field)
    if not isinstance(schema, dict):
        return False
    cache.rules(schema, ignored).check(id, data)
    return True
