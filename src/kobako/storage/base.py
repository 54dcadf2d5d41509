"""The contract of storages: objects in lists, each list with its own ever increasing timestamp.

A list is named by its Place. Objects and tombstones of a list have distinct timestamps, milliseconds since the
epoch; the timestamp of the list is never less than any of them, and never goes back, whatever happens: rollback,
clock, restart, deletion and recreation. `kobako.testing.StorageContract` is this contract in tests, and decides.

Objects travel as JSON text, not decoded: a storage keeps the text of an object's own fields, and its id and
timestamp beside it.

Source: storage contract, objects 21; reliability 4.1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from kobako.protocol import jsontext
from kobako.protocol.indexes import INDEXED_FIELDS as INDEXED_FIELDS
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import EVERYTHING, Selection

TOMBSTONE = '{"deleted":true}'
"""The text of a tombstone's own fields."""


PURGED_AT_ONCE = 10_000
"""How many tombstones are removed in one unit of work: who writes the list waits for its end."""


class Place(msgspec.Struct, frozen=True):
    """Where objects live, the name of a list: the kind of objects, and the URI of what they belong to."""

    resource: str
    parent: str


class Stored(msgspec.Struct, frozen=True):
    """An object as it is kept: `text` is a JSON object, `id` and `last_modified` are not in it."""

    id: str
    last_modified: int
    text: str
    deleted: bool = False

    def json(self) -> str:
        """Return the whole object as JSON text; nothing is decoded for it.

        >>> Stored("r1", 12, '{"size":3}').json()
        '{"id":"r1","last_modified":12,"size":3}'
        """
        # Ids are checked against patterns without quotes or escapes before anything is stored under them.
        separator = "," if len(self.text) > 2 else ""
        return f'{{"id":"{self.id}","last_modified":{self.last_modified}{separator}{self.text[1:]}'

    def data(self) -> JsonObject:
        """Return the whole object, decoded: a new dict at each call."""
        data: JsonObject = {"id": self.id, "last_modified": self.last_modified}
        data.update(jsontext.decode_kept(self.text))
        return data


def jsons(objects: Iterable[Stored]) -> str:
    """Return whole objects as JSON texts between commas: what `Stored.json` says, without a call for each.

    >>> jsons([Stored("r1", 12, '{"size":3}'), Stored("r2", 13, "{}")])
    '{"id":"r1","last_modified":12,"size":3},{"id":"r2","last_modified":13}'
    """
    return ",".join(
        [
            f'{{"id":"{each.id}","last_modified":{each.last_modified},{text[1:]}'
            if len(text := each.text) > 2
            else each.json()
            for each in objects
        ]
    )


class ListState(msgspec.Struct, frozen=True):
    """Where a list stands. A closed one keeps its timestamp, to go on above it when it is opened again.

    Changes up to `purged_before` can no longer be told: their tombstones are gone.
    """

    place: Place
    timestamp: int
    is_open: bool
    purged_before: int = 0


class Total(msgspec.Struct, frozen=True):
    """How many there are of one kind, in all lists."""

    objects: int
    tombstones: int


class DuplicateTimestamp(Exception):
    """Another object of the list has the timestamp that a client asked for (a past one; others are never given)."""


class Storage(Protocol):
    """Objects, in one unit of work: see `databases.base`. Nothing here is visible to others before its commit."""

    async def epoch(self) -> int:
        """When the database was created: the timestamp of a list that was never opened."""
        ...

    async def timestamp(self, place: Place) -> int | None:
        """Return the timestamp of a list, None if it is not open."""
        ...

    async def open(self, place: Place) -> int:
        """Open a list and return its timestamp: greater than any it ever had, now at least; unmoved if it is open."""
        ...

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return an object; None if there is none, or only its tombstone."""
        ...

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        """Return the objects selected, in their order."""
        ...

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        """Return how many objects pass; order, place and limit of the selection play no part."""
        ...

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        """Create an object or replace all of it, and open its list if need be; a tombstone of this id disappears.

        Its timestamp is the one `versions.assign` gives for `last_modified`, the client's wish.
        Raises DuplicateTimestamp when that one is taken.
        """
        ...

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        """Put objects, each an id and its text, no id twice: as one after the other, each with its own timestamp."""
        ...

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        """Delete objects and return their tombstones, in the order given: each with its own, increasing timestamp.

        Ids of no live object are passed over. `last_modified`, for one id, is used if greater than the list's.
        """
        ...

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        """Delete the objects of every list under an object, `uri` itself and `uri/...`, and close those lists.

        With `tombstones` each object leaves one, and earlier ones stay; without, both go. Timestamps do not go back.
        """
        ...

    async def purge(self, place: Place, before: int, keep: int = 0) -> int:
        """Remove tombstones of a list that are older than `before`, but for the newest `keep` of the list.

        At most PURGED_AT_ONCE, the oldest first; return how many. `purged_before` becomes the timestamp of the newest
        one removed; that of the list does not move. The unit of work does nothing else with the list.
        """
        ...

    async def purged_before(self, place: Place) -> int:
        """Return the timestamp up to which deletions can no longer be told, 0 if all can: see ListState."""
        ...

    async def index(self, place: Place, fields: Sequence[str]) -> None:
        """Declare which fields of an open list have an index: these, and no others; at most INDEXED_FIELDS.

        What is found is the same with and without. A storage may have no use for it.
        """
        ...

    async def totals(self) -> Mapping[str, Total]:
        """Return how many objects and tombstones there are of each kind: as the database has them."""
        ...

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        """Return lists that were ever opened, by parent and resource, those behind `after`."""
        ...

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        """Take a list over from another database: objects and tombstones as they are, and its state.

        Called again for more of its objects. Neither may be there already.
        """
        ...

    async def set_epoch(self, epoch: int) -> None:
        """Take over the epoch of another database, whose clients go on with this one."""
        ...


def as_text(data: dict[str, Any]) -> str:
    """Return the JSON text that is stored for an object: `id` and `last_modified` are kept beside it."""
    return jsontext.encode({key: value for key, value in data.items() if key not in ("id", "last_modified")})


def declared_indexes(data: JsonObject) -> Sequence[str]:
    """Return the fields that the data of a collection declares; what is no list of strings declares none.

    >>> declared_indexes({"indexes": ["size"]}), declared_indexes({"indexes": {"of": "another client"}})
    (('size',), ())
    """
    found = data.get("indexes")
    return tuple(found) if isinstance(found, list) and all(isinstance(each, str) for each in found) else ()
