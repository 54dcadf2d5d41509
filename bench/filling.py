"""Records in the database of a Kobako, many at a time, in the shape in which its API would have written them.

Buckets and collections are made through the API; here are their records only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kobako.app import milliseconds
from kobako.backends import of_url
from kobako.databases.base import Database
from kobako.storage.base import Place, as_text

AT_ONCE = 10_000
"""Records that are written in one unit of work."""


class Record(NamedTuple):
    """A record with its ACL."""

    id: str
    data: Mapping[str, Any]
    acl: Mapping[str, Sequence[str]]


async def fill(url: str, parts: Iterable[tuple[str, Sequence[Record]]]) -> None:
    """Add records to collections that are there, each named by its URI, in the database of a URL."""
    database = of_url("url", url, milliseconds)
    await database.open()
    try:
        for collection, records in parts:
            await _add(database, collection, records)
    finally:
        await database.close()


async def _add(database: Database, collection: str, records: Sequence[Record]) -> None:
    place = Place("record", collection)
    async with database.begin([place]) as unit:
        await unit.storage.put_all(place, [(each.id, as_text(dict(each.data))) for each in records])
        await unit.permission.grant({f"{collection}/records/{each.id}": each.acl for each in records})
