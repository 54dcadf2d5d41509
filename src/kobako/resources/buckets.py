"""Buckets: what collections and groups live in. Source: objects, 3."""

from typing import Final

from kobako import NAME, Resource

BUCKET: Final = Resource(
    name="bucket",
    path="/buckets",
    permissions=("read", "write", "group:create", "collection:create"),
    ids=NAME,
)
