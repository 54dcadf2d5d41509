"""Objects in Redis: what is stored, `redis_stored.py`, and over it what a unit of work has changed.

`commands` makes one of the other at its end. A list changes as a whole: its state has a count of changes, so whoever
knows the state knows what is in the list.

Source: storage contract, objects 21; reliability, 4.6.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from kobako.databases.base import Clock, TryAgain
from kobako.databases.redis_keys import Command, below, list_name, of, place_of
from kobako.databases.redis_session import CHUNK, Session, chunks
from kobako.protocol import versions
from kobako.protocol.selection import EVERYTHING, Selection
from kobako.storage import redis_range
from kobako.storage.base import PURGED_AT_ONCE, TOMBSTONE, DuplicateTimestamp, ListState, Place, Stored, Total
from kobako.storage.redis_range import Range
from kobako.storage.redis_stored import StoredList
from kobako.storage.selecting import passing, select


class State(msgspec.Struct, frozen=True):
    """Where a list stands. A closed one keeps its timestamp, to go on above it when it is opened again.

    Tombstones were removed up to `purged_before`: whoever polls from before that has missed deletions. `changes`
    is how many units have changed the list.
    """

    timestamp: int
    is_open: bool = True
    purged_before: int = 0
    changes: int = 0

    def text(self) -> str:
        """Return the state as it is stored."""
        return f"{self.timestamp} {self.is_open:d} {self.purged_before} {self.changes}"


class RedisStorage:
    """The storage of one unit of work."""

    __slots__ = ("_changed", "_clock", "_emptied", "_epoch", "_journal", "_keys", "_purged", "_session", "_states")

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._journal = session.journal
        self._keys = session.keys
        self._clock = clock
        self._states: dict[Place, State] = {}
        self._changed: dict[Place, dict[str, Stored]] = {}
        # Lists of which nothing stored counts any more.
        self._emptied: dict[Place, bool] = {}
        self._purged: dict[Place, Sequence[str]] = {}
        self._epoch: int | None = None

    async def epoch(self) -> int:
        """When the database was created, or emptied."""
        epoch = await self._session.fact(("HGET", self._keys.meta, "epoch"))
        if epoch is None:
            raise TryAgain("Redis has lost all data, and begins anew")
        return int(epoch)

    async def timestamp(self, place: Place) -> int | None:
        """Return the timestamp of a list, None if it is not open."""
        state = await self._state(place)
        return state.timestamp if state and state.is_open else None

    async def open(self, place: Place) -> int:
        """Open a list and return its timestamp."""
        return (await self._opened(place)).timestamp

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return a live object."""
        found = (await self._find(place, [id])).get(id)
        return None if found is None or found.deleted else found

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        """Return the objects selected, in their order."""
        found: list[Stored] = []
        async for part in self._candidates(place, selection):
            found += select(part, selection)
        return select(found, selection)

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        """Return how many objects pass."""
        if not selection.filters and selection.ids is None and place not in self._states:
            return await self._stored(place).size(tombstones=selection.tombstones)
        everywhere = msgspec.structs.replace(selection, after=None, limit=None)
        total = 0
        async for part in self._candidates(place, everywhere):
            total += sum(1 for _ in passing(part, everywhere))
        return total

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        """Create an object or replace all of it. Raises DuplicateTimestamp."""
        state = await self._opened(place)
        known = last_modified is None or id in await self._find(place, [id], tombstones=True)
        assigned = versions.assign(state.timestamp, self._clock(), last_modified, known=known)
        if assigned.of_object <= state.timestamp and await self._is_taken(place, assigned.of_object):
            raise DuplicateTimestamp(f"{assigned.of_object} is the timestamp of another object of {place}")
        return self._write(place, state, Stored(id, assigned.of_object, text), assigned.of_list)

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        """Put objects, one after the other."""
        return [await self.put(place, id, text) for id, text in objects]

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        """Delete objects and return their tombstones."""
        found = await self._find(place, ids)
        live = [id for id in dict.fromkeys(ids) if id in found and not found[id].deleted]
        return await self._bury(place, live, last_modified)

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        """Delete the objects of every list under an object, and close those lists."""
        for place in await self._places_under(uri):
            if tombstones:
                await self._bury(place, await self._live_ids(place))
                self._journal.set(self._states, place, msgspec.structs.replace(await self._known(place), is_open=False))
            else:
                await self._empty(place)

    async def purge(self, place: Place, before: int, keep: int = 0) -> int:
        """Remove old tombstones, and return how many; until the end of the unit it sees them yet."""
        gone = await self._stored(place).old_tombstones(before, keep, PURGED_AT_ONCE)
        if gone:
            state = await self._known(place)
            purged = max(state.purged_before, gone[-1].last_modified)
            self._journal.set(self._purged, place, [each.id for each in gone])
            self._journal.set(self._states, place, msgspec.structs.replace(state, purged_before=purged))
        return len(gone)

    async def purged_before(self, place: Place) -> int:
        """Return up to where deletions can no longer be told."""
        state = await self._state(place)
        return state.purged_before if state else 0

    async def index(self, place: Place, fields: Sequence[str]) -> None:
        """Declare indexes: there is no use for them here."""

    async def totals(self) -> Mapping[str, Total]:
        """Return how many objects and tombstones there are of each kind: as the database has them."""
        found: dict[str, Total] = {}
        async for places in self._all_places():
            sizes = await self._session.ask(*(each for place in places for each in self._stored(place).sizes()))
            for place, live, dead in zip(places, sizes[::2], sizes[1::2], strict=True):
                known = found.get(place.resource, Total(0, 0))
                found[place.resource] = Total(known.objects + live, known.tombstones + dead)
        return {kind: total for kind, total in found.items() if total != Total(0, 0)}

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        """Return lists that were ever opened, by parent and resource: as the database has them."""
        first = f"({list_name(after)}" if after else "-"
        [names] = await self._session.ask(("ZRANGE", self._keys.names, first, "+", "BYLEX", "LIMIT", "0", str(limit)))
        places = [place_of(name) for name in names]
        await self._session.ask(given=[self._stored(place).state for place in places])
        known = [(place, await self._known(place)) for place in places]
        return [ListState(place, each.timestamp, each.is_open, each.purged_before) for place, each in known]

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        """Take a list over from another database."""
        known = await self._state(state.place) or State(0)
        taken = State(state.timestamp, state.is_open, state.purged_before, known.changes)
        self._journal.set(self._states, state.place, taken)
        for each in objects:
            self._write(state.place, taken, each, state.timestamp)

    async def set_epoch(self, epoch: int) -> None:
        """Take over the epoch of another database."""
        self._epoch = epoch

    def written(self) -> Collection[Place]:
        """Return the lists that the unit changes."""
        return self._states

    def commands(self) -> Iterator[Command]:
        """Return what makes the changes of the unit those of the database."""
        if self._epoch is not None:
            yield ("HSET", self._keys.meta, "epoch", str(self._epoch))
        for place, state in self._states.items():
            yield from self._commands(place, state)

    # What is known of a list.

    def _stored(self, place: Place) -> StoredList:
        return StoredList(self._session, place)

    async def _state(self, place: Place) -> State | None:
        if place in self._states:
            return self._states[place]
        return _state_of(await self._session.fact(self._stored(place).state))

    async def _known(self, place: Place) -> State:
        """Return the state of a list that was opened before."""
        state = await self._state(place)
        assert state is not None, f"{place} was never opened"
        return state

    async def _opened(self, place: Place) -> State:
        state = await self._state(place)
        if state and state.is_open:
            return state
        # A list that was never opened has the epoch for a timestamp, and clients may have been told.
        timestamp = versions.following(state.timestamp if state else await self.epoch(), self._clock())
        opened = msgspec.structs.replace(state or State(0), timestamp=timestamp, is_open=True)
        self._journal.set(self._states, place, opened)
        return opened

    async def _all_places(self) -> AsyncIterator[Sequence[Place]]:
        """Return the lists that were ever opened, in parts: as the database has them."""
        first, names = "-", [""] * CHUNK
        while len(names) == CHUNK:
            [names] = await self._session.ask(
                ("ZRANGE", self._keys.names, first, "+", "BYLEX", "LIMIT", "0", str(CHUNK))
            )
            yield [place_of(name) for name in names]
            first = f"({names[-1]}" if names else "-"

    async def _places_under(self, uri: str) -> set[Place]:
        """Return the lists under an object that were ever opened, by this unit too."""
        names = self._keys.names
        stored = [of(names, uri), below(names, uri)]
        await self._session.ask(given=stored)
        found = {place_of(name) for command in stored for name in self._session.facts[command]}
        found.update(each for each in self._states if each.parent == uri or each.parent.startswith(f"{uri}/"))
        await self._session.ask(given=[self._stored(place).state for place in found])
        return found

    # What is in a list: what this unit changed, over what is stored.

    async def _candidates(self, place: Place, selection: Selection) -> AsyncIterator[Iterable[Stored]]:
        """Return, in parts, objects and tombstones among which are all that a selection may mean."""
        if selection.ids is not None:
            for ids in chunks([*selection.ids]):
                yield (await self._find(place, ids, tombstones=selection.tombstones)).values()
            return
        changed = self._changed.get(place, {})
        yield changed.values()
        if place not in self._emptied:
            range = redis_range.of(selection, len(changed))
            async for part in self._stored(place).read(range, tombstones=selection.tombstones):
                yield [each for each in part if each.id not in changed]

    async def _find(self, place: Place, ids: Sequence[str], *, tombstones: bool = False) -> dict[str, Stored]:
        """Return the objects, and tombstones if asked for, of these ids."""
        changed = self._changed.get(place, {})
        found = {id: changed[id] for id in ids if id in changed}
        if place not in self._emptied:
            for some in chunks([id for id in ids if id not in changed]):
                stored = await self._stored(place).find(some, tombstones=tombstones)
                found.update((each.id, each) for each in stored)
        return found

    async def _live_ids(self, place: Place) -> Sequence[str]:
        changed = self._changed.get(place, {})
        stored = [] if place in self._emptied else await self._stored(place).live_ids()
        live = [each.id for each in changed.values() if not each.deleted]
        return [*(id for id in stored if id not in changed), *live]

    async def _is_taken(self, place: Place, version: int) -> bool:
        """Tell whether an object or tombstone of a list has this version."""
        changed = self._changed.get(place, {})
        if any(each.last_modified == version for each in changed.values()):
            return True
        only = Range(version, version)
        stored = self._stored(place).read(only, tombstones=True)
        return any([each.id not in changed async for part in stored for each in part])

    # Changes.

    async def _bury(self, place: Place, ids: Sequence[str], wanted: int | None = None) -> Sequence[Stored]:
        """Put tombstones in the place of live objects, and return them."""
        tombstones = []
        for id in ids:
            state = await self._known(place)
            assigned = versions.assign(state.timestamp, self._clock(), wanted)
            tombstone = Stored(id, assigned.of_object, TOMBSTONE, deleted=True)
            tombstones.append(self._write(place, state, tombstone, assigned.of_list))
        return tombstones

    async def _empty(self, place: Place) -> None:
        state = await self._known(place)
        moved = versions.following(state.timestamp, self._clock())
        self._journal.set(self._emptied, place, True)
        self._journal.remove(self._changed, place)
        closed = msgspec.structs.replace(state, timestamp=moved, is_open=False, purged_before=moved)
        self._journal.set(self._states, place, closed)

    def _write(self, place: Place, state: State, new: Stored, timestamp: int) -> Stored:
        """Put an object or tombstone in the place of what has its id, and move the list."""
        if place not in self._changed:
            self._journal.set(self._changed, place, {})
        self._journal.set(self._changed[place], new.id, new)
        self._journal.set(self._states, place, msgspec.structs.replace(state, timestamp=timestamp))
        return new

    def _commands(self, place: Place, state: State) -> Iterator[Command]:
        stored = self._stored(place)
        yield ("HSET", self._keys.lists, stored.name, msgspec.structs.replace(state, changes=state.changes + 1).text())
        if self._session.facts[stored.state] is None:
            yield ("ZADD", self._keys.names, "0", stored.name)
        if place in self._emptied:
            yield from stored.emptying()
        yield from stored.putting([*self._changed.get(place, {}).values()])
        yield from stored.forgetting(self._purged.get(place, ()))


def _state_of(text: str | None) -> State | None:
    if text is None:
        return None
    timestamp, is_open, purged_before, changes = map(int, text.split())
    return State(timestamp, bool(is_open), purged_before, changes)
