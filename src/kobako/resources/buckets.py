"""Buckets: what collections and groups live in. Source: objects, 3."""

from typing import Final

from kobako import NAME, JsonObject, Resource
from kobako.resources import schemas


def validated(data: JsonObject, path: str) -> JsonObject:
    """Return the data of a bucket. Raises InvalidParameters for schemas that are none."""
    schemas.check_schemas(data, path, schemas.OF_BUCKET)
    return data


BUCKET: Final = Resource(
    name="bucket",
    path="/buckets",
    permissions=("read", "write", "group:create", "collection:create"),
    ids=NAME,
    validate=validated,
)
