"""What the contracts share: a clock that tests set, lists to write, and units of work of one step."""

from collections.abc import Sequence
from typing import Any

import pytest

from kobako.databases.base import Database
from kobako.protocol import jsontext
from kobako.protocol.selection import Selection
from kobako.storage.base import Place, Stored

RECORDS = Place("record", "/buckets/b/collections/c")
OTHERS = Place("record", "/buckets/b/collections/d")

HOUR = 3_600_000
START = 1_700_000_000_000


class Refused(Exception):
    """What a listener or an endpoint might raise inside a unit of work."""


def refused() -> "pytest.RaisesExc[Refused]":
    """Expect that Refused comes out of a unit of work, or of a savepoint."""
    return pytest.raises(Refused)


class Clock:
    """A clock that stands still until a test sets `now`, in milliseconds since the epoch."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class WithClock:
    """The fixture that every contract hands to the backend."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()


async def put(
    database: Database, id: str, data: Any = None, wanted: int | None = None, place: Place = RECORDS
) -> Stored:
    """Store an object in a unit of work of its own."""
    async with database.begin([place]) as unit:
        return await unit.storage.put(place, id, jsontext.encode(data or {}), wanted)


async def delete(database: Database, *ids: str, wanted: int | None = None, place: Place = RECORDS) -> Sequence[Stored]:
    """Delete objects in a unit of work of its own."""
    async with database.begin([place]) as unit:
        return await unit.storage.delete(place, ids, wanted)


async def get(database: Database, id: str, place: Place = RECORDS) -> Stored | None:
    """Read an object in a unit of work of its own."""
    async with database.begin() as unit:
        return await unit.storage.get(place, id)


async def read(database: Database, place: Place = RECORDS, **selection: Any) -> Sequence[Stored]:
    """Read a list in a unit of work of its own; the keywords are those of Selection."""
    async with database.begin() as unit:
        return await unit.storage.list(place, Selection(**selection))


async def timestamp(database: Database, place: Place = RECORDS) -> int:
    """Return the timestamp of a list, which has to be open."""
    async with database.begin() as unit:
        found = await unit.storage.timestamp(place)
    assert found is not None, f"{place} is not open"
    return found


async def open_list(database: Database, place: Place = RECORDS) -> int:
    """Open a list in a unit of work of its own."""
    async with database.begin([place]) as unit:
        return await unit.storage.open(place)


def ids(objects: Sequence[Stored]) -> list[str]:
    """Return the ids of objects, in their order."""
    return [each.id for each in objects]


def by_id(objects: Sequence[Stored]) -> dict[str, Stored]:
    """Return objects under their ids, for lists whose order is not the point."""
    return {each.id: each for each in objects}
