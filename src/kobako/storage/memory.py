"""Objects in memory: one dict a list, read and written in a unit of work that has everything to itself.

Filters and order are worked out in Python, in `selecting.py`.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from kobako.databases.journal import Journal
from kobako.protocol import versions
from kobako.protocol.selection import EVERYTHING, Selection
from kobako.storage.base import PURGED_AT_ONCE, TOMBSTONE, DuplicateTimestamp, ListState, Place, Stored, Total
from kobako.storage.selecting import passing, select


class Contents(msgspec.Struct, frozen=True):
    """What is in a list, tombstones among it, by id; and which id has which timestamp."""

    by_id: dict[str, Stored] = {}
    by_version: dict[int, str] = {}


class MemoryStorage:
    """All objects of a database. Whoever calls has the lock of the database."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._clock = clock
        self._states: dict[Place, ListState] = {}
        self._contents: dict[Place, Contents] = {}
        self._epoch = clock()

    def clear(self) -> None:
        """Remove all lists. Timestamps start anew above all there were."""
        former = max([self._epoch, *(state.timestamp for state in self._states.values())])
        self._epoch = versions.following(former, self._clock())
        self._states.clear()
        self._contents.clear()

    async def epoch(self) -> int:
        return self._epoch

    async def timestamp(self, place: Place) -> int | None:
        state = self._states.get(place)
        return state.timestamp if state and state.is_open else None

    async def open(self, place: Place) -> int:
        return self._open(place)

    async def get(self, place: Place, id: str) -> Stored | None:
        found = self._in(place).by_id.get(id)
        return None if found is None or found.deleted else found

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        return select(self._in(place).by_id.values(), selection)

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        return sum(1 for _ in passing(self._in(place).by_id.values(), selection))

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        current = self._open(place)
        contents = self._in(place)
        assigned = versions.assign(current, self._clock(), last_modified, known=id in contents.by_id)
        if contents.by_version.get(assigned.of_object, id) != id:
            raise DuplicateTimestamp(f"{assigned.of_object} is the timestamp of another object of {place}")
        return self._write(place, Stored(id, assigned.of_object, text), assigned.of_list)

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        return [await self.put(place, id, text) for id, text in objects]

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        objects = self._in(place).by_id
        tombstones = []
        for id in ids:
            if id in objects and not objects[id].deleted:
                tombstones.append(self._bury(place, id, last_modified))
        return tombstones

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        below = f"{uri}/"
        places = [each for each in self._states if each.parent == uri or each.parent.startswith(below)]
        for place in places:
            if tombstones:
                await self.delete(place, [*self._in(place).by_id])
                self._set(msgspec.structs.replace(self._states[place], is_open=False))
            else:
                self._journal.remove(self._contents, place)
                # Whoever polls from a timestamp given out so far has missed deletions, and can be told.
                purged = versions.following(self._states[place].timestamp, self._clock())
                self._set(ListState(place, purged, False, purged))

    async def purge(self, place: Place, before: int, keep: int = 0) -> int:
        contents = self._in(place)
        tombstones = sorted((each for each in contents.by_id.values() if each.deleted), key=_by_version)
        old = [each for each in tombstones[: max(len(tombstones) - keep, 0)] if each.last_modified < before]
        gone = old[:PURGED_AT_ONCE]
        for each in gone:
            self._journal.remove(contents.by_id, each.id)
            self._journal.remove(contents.by_version, each.last_modified)
        if gone:
            state = self._states[place]
            purged = max(state.purged_before, gone[-1].last_modified)
            self._set(msgspec.structs.replace(state, purged_before=purged))
        return len(gone)

    async def purged_before(self, place: Place) -> int:
        state = self._states.get(place)
        return state.purged_before if state else 0

    async def index(self, place: Place, fields: Sequence[str]) -> None:
        # There is no use for them here.
        pass

    async def totals(self) -> Mapping[str, Total]:
        found: dict[str, Total] = {}
        for place, contents in self._contents.items():
            known, gone = found.get(place.resource, Total(0, 0)), sum(each.deleted for each in contents.by_id.values())
            found[place.resource] = Total(known.objects + len(contents.by_id) - gone, known.tombstones + gone)
        return found

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        behind = [each for each in self._states if after is None or _by_parent(each) > _by_parent(after)]
        return [self._states[each] for each in sorted(behind, key=_by_parent)[:limit]]

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        self._set(state)
        for each in objects:
            self._write(state.place, each, state.timestamp)

    async def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def _in(self, place: Place) -> Contents:
        """Return what is in a list, for reading."""
        return self._contents.get(place) or Contents()

    def _open(self, place: Place) -> int:
        state = self._states.get(place)
        if state and state.is_open:
            return state.timestamp
        # A list that was never opened has the epoch for a timestamp, and clients may have been told.
        opened = versions.following(state.timestamp if state else self._epoch, self._clock())
        self._set(ListState(place, opened, True, state.purged_before if state else 0))
        return opened

    def _bury(self, place: Place, id: str, wanted: int | None) -> Stored:
        """Put a tombstone in the place of an object, and return it."""
        state = self._states[place]
        assigned = versions.assign(state.timestamp, self._clock(), wanted)
        return self._write(place, Stored(id, assigned.of_object, TOMBSTONE, deleted=True), assigned.of_list)

    def _write(self, place: Place, new: Stored, timestamp: int) -> Stored:
        """Put an object or tombstone in the place of what has its id, and move the list."""
        if place not in self._contents:
            self._journal.set(self._contents, place, Contents())
        contents = self._contents[place]
        if new.id in contents.by_id:
            self._journal.remove(contents.by_version, contents.by_id[new.id].last_modified)
        self._journal.set(contents.by_id, new.id, new)
        self._journal.set(contents.by_version, new.last_modified, new.id)
        self._set(msgspec.structs.replace(self._states[place], timestamp=timestamp))
        return new

    def _set(self, state: ListState) -> None:
        self._journal.set(self._states, state.place, state)


def _by_parent(place: Place) -> tuple[str, str]:
    return place.parent, place.resource


def _by_version(stored: Stored) -> int:
    return stored.last_modified
