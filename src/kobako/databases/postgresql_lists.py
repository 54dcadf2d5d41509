"""The rows of lists that a unit of work has locked: one after the other, in one order for all units, to the commit.

Between the lock and the commit a row is the unit's own, so what it says is kept here and not read again. A list that
was never written has no row: a closed one is made, so that of two who want to be the first one waits. Units that take
locks in one order do not wait for each other in a circle; where one learns too late of a list, PostgreSQL ends it,
and it is tried again.

Source: reliability, 4.4 step 3.
"""

import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from kobako.databases.postgresql_session import Session
from kobako.databases.shards import shard
from kobako.storage.base import Place

THIS = "bucket = $1 AND parent = $2 AND resource = $3"

# What is under a URI is between it with '/' and it with '0', the next character.
UNDER = "bucket = $1 AND (parent = $2 OR (parent > $2 || '/' AND parent < $2 || '0'))"

STATE = f"SELECT last_modified, open, indexes, purged_before FROM lists WHERE {THIS}"
LOCK = f"{STATE} FOR UPDATE"

# A statement of the connection itself, that goes with the begin of a transaction, in one journey. That takes no
# parameters: so it is for names only in which nothing has a meaning in SQL.
PREPARE_LOCK = f"PREPARE lock_list (text, text, text) AS SELECT 1 FROM lists WHERE {THIS} FOR UPDATE"
PLAIN = re.compile(r"[\w/:.@+-]+", re.ASCII)
LOCKED = "SELECT 1"
"""What the server says when there was a row to lock."""

MAKE = """
    INSERT INTO lists (bucket, parent, resource, last_modified, open)
    VALUES ($1, $2, $3, (SELECT value FROM metadata WHERE key = 'epoch'), false)
    ON CONFLICT (bucket, parent, resource) DO NOTHING RETURNING last_modified, open, indexes, purged_before"""

# The arithmetic of `versions.following`.
OPEN = """
    INSERT INTO lists (bucket, parent, resource, last_modified, open)
    SELECT $1, $2, $3, greatest(value + 1, $4::bigint), true FROM metadata WHERE key = 'epoch'
    ON CONFLICT (bucket, parent, resource) DO UPDATE SET open = true, last_modified =
        CASE WHEN lists.open THEN lists.last_modified ELSE greatest(lists.last_modified + 1, $4::bigint) END
    RETURNING last_modified, open, indexes, purged_before"""

NAMES_UNDER = f"SELECT parent, resource FROM lists WHERE {UNDER}"

REMOVE = f"DELETE FROM lists WHERE {THIS} AND NOT open"


LAST = ("quota", "history", "history-note")
"""The kinds of lists that are written by listeners, when all the others of a unit are locked."""


class State(msgspec.Struct, frozen=True):
    """What the row of a list says."""

    last_modified: int
    is_open: bool
    indexes: Sequence[str] = ()
    purged_before: int = 0


Known = tuple[dict[Place, State], set[Place], set[str]]


class Lists:
    """The lists of one unit of work: those it has locked, if it writes; any, if it reads."""

    __slots__ = ("_is_snapshot", "_made", "_session", "_states", "written")

    def __init__(self, session: Session, *, is_snapshot: bool) -> None:
        self._session = session
        self._is_snapshot = is_snapshot
        self._states: dict[Place, State] = {}
        self._made: set[Place] = set()
        self.written: set[str] = set()
        """The parents of lists whose rows were written: whoever knows the version of such a list finds another one."""

    async def state(self, place: Place) -> State | None:
        """Return the state of a list, None if it was never opened."""
        if known := self._states.get(place):
            return known
        rows = await self._session.run(STATE, *_key(place))
        state = State(*rows[0]) if rows else None
        if state and self._is_snapshot:
            self._states[place] = state
        return state

    async def indexes(self, place: Place) -> Sequence[str]:
        """Return the fields that a list declares: those that are sure to stay the same until the next statement."""
        if not self._is_snapshot and place not in self._states:
            return ()
        state = await self.state(place)
        return state.indexes if state else ()

    async def lock(self, place: Place) -> State:
        """Lock a list, and return its state."""
        key = _key(place)
        while place not in self._states:
            if rows := await self._session.run(LOCK, *key):
                self._states[place] = State(*rows[0])
            elif rows := await self._session.run(MAKE, *key):
                self._states[place] = State(*rows[0])
                self._made.add(place)
        return self._states[place]

    async def lock_all(self, places: Iterable[Place], emptied: Collection[str]) -> None:
        """Lock lists, and those under each URI of `emptied`, in the order for all."""
        under = [each for uri in emptied for each in await self._under(uri)]
        await self._lock_in_order({*places, *under})
        for uri in emptied:
            await self.lock_under(uri)

    async def lock_under(self, uri: str) -> Sequence[Place]:
        """Lock the lists under a URI; return all of them. None appears there once the list of the object is locked."""
        places = await self._under(uri)
        await self._lock_in_order(places)
        return places

    async def open(self, place: Place, now: int) -> int:
        """Lock a list, open it if need be, and return its timestamp."""
        known = self._states.get(place)
        if not known or not known.is_open:
            rows = await self._session.run(OPEN, *_key(place), now)
            known = State(*rows[0])
            self.set(place, known)
        return known.last_modified

    def set(self, place: Place, state: State) -> None:
        """Note what the row of a locked list says from now on, as it was written."""
        self.learn(place, state)
        self._made.discard(place)
        if place.resource not in LAST:
            self.written.add(place.parent)

    def learn(self, place: Place, state: State) -> None:
        """Note what the row of a list says that stays as it is."""
        self._states[place] = state

    def last(self, place: Place) -> State:
        """Return what was noted last of a list of which something was."""
        return self._states[place]

    def known(self) -> Known:
        """Return what is known, to go back to it when a part is undone: locks taken meanwhile are gone, too."""
        return self._states.copy(), self._made.copy(), self.written.copy()

    def forget_since(self, known: Known) -> None:
        """Go back to what was known."""
        self._states, self._made, self.written = known

    async def remove_unused(self) -> None:
        """Remove the rows that were made for lists that stay as if never opened: anybody may ask to write any list."""
        for place in self._made:
            if not self._states[place].is_open:
                await self._session.run(REMOVE, *_key(place))

    async def _under(self, uri: str) -> Sequence[Place]:
        rows = await self._session.run(NAMES_UNDER, shard(uri), uri)
        return [Place(resource, parent) for parent, resource in rows]

    async def _lock_in_order(self, places: Iterable[Place]) -> None:
        for place in sorted(places, key=_turn):
            await self.lock(place)


def lock_at_once(place: Place) -> str | None:
    """Return the statement that locks a list, on a connection that has it prepared; None for a name that is not plain.

    >>> lock_at_once(Place("record", "/buckets/b/collections/c"))
    "EXECUTE lock_list('b', '/buckets/b/collections/c', 'record')"
    """
    key = _key(place)
    return "EXECUTE lock_list('{}', '{}', '{}')".format(*key) if all(map(PLAIN.fullmatch, key)) else None


def _key(place: Place) -> tuple[str, str, str]:
    return shard(place.parent), place.parent, place.resource


def _turn(place: Place) -> tuple[bool, int, str, str]:
    """Return when a list is locked: what is deeper first, so records before collections before buckets.

    Last are those that listeners write: there, many requests wait for each other that have nothing else in common.
    """
    return place.resource in LAST, -place.parent.count("/"), place.parent, place.resource
