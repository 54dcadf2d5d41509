"""Objects in SQLite. Everything happens in one unit of work, which has the lock of the file when it writes.

Source: storage contract, objects 21; reliability 4.5.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import apsw
import msgspec

from kobako.databases.base import Clock
from kobako.databases.sqlite_changes import EVERYWHERE
from kobako.databases.sqlite_session import Rows, Session
from kobako.protocol import jsontext, versions
from kobako.protocol.selection import EVERYTHING, Operator, Selection
from kobako.storage import keys, sql
from kobako.storage.base import PURGED_AT_ONCE, TOMBSTONE, DuplicateTimestamp, ListState, Place, Stored, Total
from kobako.storage.sqlite_columns import DIALECT

MANY = 500
"""From so many rows on a statement leaves the event loop: a change of threads costs as much as these."""

LONGEST_PAGE = 1001
"""Objects that a page of 1,000 asks for: one more tells whether another page follows."""

FEW_FILTERS = 10
"""With more of them a statement may take long on few rows, too: a query string has room for a thousand."""

LIST = "SELECT id FROM lists WHERE parent = ?1 AND resource = ?2"

GET = f"SELECT id, last_modified, data FROM objects WHERE list = ({LIST}) AND id = ?3 AND deleted = 0"

KNOWN = f"SELECT 1 FROM objects WHERE list = ({LIST}) AND id = ?3"

# The arithmetic of `versions.following`, here for the most frequent write: one statement less.
NEXT_VERSION = """
    UPDATE lists SET last_modified = max(last_modified + 1, ?3), open = 1 WHERE parent = ?1 AND resource = ?2
    RETURNING id, last_modified, indexes"""

OPEN = """
    INSERT INTO lists (parent, resource, last_modified, open) VALUES (?1, ?2, ?3, 1)
    ON CONFLICT (parent, resource) DO UPDATE SET last_modified = ?3, open = 1"""

PUT = """
    INSERT INTO objects (list, id, last_modified, deleted, data) VALUES (?, ?, ?, 0, ?)
    ON CONFLICT (list, id) DO UPDATE SET last_modified = excluded.last_modified, deleted = 0, data = excluded.data"""

_KEYS = ", ".join(keys.COLUMNS)

# Where no index is declared these columns stay as they are: nobody pays for them.
PUT_WITH_KEYS = PUT.replace(
    "data) VALUES (?, ?, ?, 0, ?)", f"data, {_KEYS}) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?)"
) + "".join(f", {each} = excluded.{each}" for each in keys.COLUMNS)

# As it is moved: tombstones, too.
INSERT = f"""
    INSERT INTO objects (list, id, last_modified, deleted, data, {_KEYS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

NO_INDEXES = "[]"

UNKEYED = ", ".join(f"{each} = NULL" for each in keys.COLUMNS)

STATE = "SELECT last_modified, open, indexes, purged_before FROM lists WHERE parent = ?1 AND resource = ?2"

INDEX = """
    UPDATE lists SET indexes = ?3 WHERE parent = ?1 AND resource = ?2 AND open = 1 AND indexes != ?3 RETURNING id"""

_RECOMPUTED = ", ".join(f"{each} = kobako_key(data, ?{n})" for n, each in enumerate(keys.COLUMNS, 2))
RECOMPUTE = f"UPDATE objects SET {_RECOMPUTED} WHERE list = ?1 AND deleted = 0"

LIVE = """
    SELECT o.id, o.list, l.last_modified FROM lists AS l JOIN objects AS o ON o.list = l.id
    WHERE l.parent = ?1 AND l.resource = ?2 AND o.deleted = 0 AND o.id IN (SELECT value FROM json_each(?3))"""

BURIED = f"deleted = 1, data = '{TOMBSTONE}', {UNKEYED}"

BURY = f"UPDATE objects SET last_modified = ?, {BURIED} WHERE list = ? AND id = ?"

# `uri` itself and all under it: '0' is what comes after '/'.
UNDER = "(parent = ?1 OR (parent > ?1 || '/' AND parent < ?1 || '0'))"

BURY_UNDER = f"""
    UPDATE objects SET last_modified = gone.version, {BURIED} FROM (
        SELECT o.rowid AS row, max(l.last_modified, ?2 - 1) + row_number() OVER (
            PARTITION BY o.list ORDER BY o.last_modified) AS version
        FROM lists AS l JOIN objects AS o ON o.list = l.id WHERE {UNDER} AND o.deleted = 0
    ) AS gone WHERE objects.rowid = gone.row"""

CLOSE_UNDER = f"""
    UPDATE lists SET open = 0, indexes = '[]', last_modified = max(
        last_modified, ifnull((SELECT max(o.last_modified) FROM objects AS o WHERE o.list = lists.id), 0))
    WHERE {UNDER}"""

SIZE_UNDER = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM objects WHERE list IN (SELECT id FROM lists WHERE {UNDER}) LIMIT {MANY})"""

REMOVE_UNDER = f"DELETE FROM objects WHERE list IN (SELECT id FROM lists WHERE {UNDER})"

# Whoever polls from a timestamp given out so far has missed deletions, and can be told.
PURGE_UNDER = f"""
    UPDATE lists SET open = 0, indexes = '[]', last_modified = max(last_modified + 1, ?2),
        purged_before = max(last_modified + 1, ?2) WHERE {UNDER}"""

TOMBSTONES = f"list = ({LIST}) AND deleted = 1"

PURGE = f"""
    DELETE FROM objects WHERE {TOMBSTONES} AND last_modified <= (SELECT max(last_modified) FROM (
        SELECT last_modified FROM objects WHERE {TOMBSTONES} AND last_modified < ?3 AND last_modified <= (
            SELECT last_modified FROM objects WHERE {TOMBSTONES} ORDER BY last_modified DESC LIMIT 1 OFFSET ?4)
        ORDER BY last_modified LIMIT {PURGED_AT_ONCE}))
    RETURNING last_modified"""

PURGED = "UPDATE lists SET purged_before = max(purged_before, ?3) WHERE parent = ?1 AND resource = ?2"

# All of the table, in its own order: by list, each row would have to be looked for.
TOTALS = """
    SELECT resource, count(*) - sum(deleted), sum(deleted) FROM objects CROSS JOIN lists ON lists.id = list
    GROUP BY resource"""

STATES = """
    SELECT parent, resource, last_modified, open, purged_before FROM lists
    WHERE (parent, resource) > (?1, ?2) ORDER BY parent, resource LIMIT ?3"""

RESTORE = """
    INSERT INTO lists (parent, resource, last_modified, open, purged_before) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (parent, resource) DO UPDATE SET last_modified = ?3, open = ?4, purged_before = ?5
    RETURNING id, indexes"""


class State(msgspec.Struct, frozen=True):
    """What the row of a list says; the indexes as JSON text."""

    last_modified: int
    is_open: int
    indexes: str
    purged_before: int


class SQLiteStorage:
    """The storage of one unit of work."""

    __slots__ = ("_clock", "_run", "_session", "_states")

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._run = session.run
        self._clock = clock
        # Of a unit that only reads: lists stay as they are.
        self._states: dict[Place, State | None] = {}

    async def epoch(self) -> int:
        """When the database was created, or emptied."""
        return self._epoch()

    def _epoch(self) -> int:
        return int(self._run("SELECT value FROM metadata WHERE key = 'epoch'")[0][0])

    async def timestamp(self, place: Place) -> int | None:
        """Return the timestamp of a list, None if it is not open."""
        state = self._state(place)
        return state.last_modified if state and state.is_open else None

    async def open(self, place: Place) -> int:
        """Open a list and return its timestamp."""
        state = self._state(place)
        if state and state.is_open:
            return state.last_modified
        version = versions.following(state.last_modified if state else self._epoch(), self._clock())
        self._session.note(place.parent)
        self._run(OPEN, (place.parent, place.resource, version))
        return version

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return a live object."""
        rows = self._run(GET, (place.parent, place.resource, id))
        return Stored(*rows[0]) if rows else None

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        """Return the objects selected, in their order."""
        if _is_direct(selection):
            statement = sql.page(DIALECT, place.parent, place.resource, selection, ())
            rows = await self._session.read_in_turns(*statement)
        else:
            rows = await self._read(place, selection, sql.page)
        return [Stored(id, version, text, deleted == 1) for id, version, text, deleted in rows]

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        """Return how many objects pass."""
        rows = await self._read(place, selection, sql.count)
        return int(rows[0][0])

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        """Create an object or replace all of it. Raises DuplicateTimestamp."""
        list_id, version, indexes = await self._next_version(place, id, last_modified)
        try:
            self._put(list_id, id, version, text, indexes)
        except apsw.ConstraintError as error:
            raise DuplicateTimestamp(f"{version} is the timestamp of another object of {place.parent}") from error
        return Stored(id, version, text)

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        """Put objects, each with its own timestamp."""
        self._session.note(place.parent)
        if objects:
            await self.open(place)
        if len(objects) < MANY:
            return self._put_all(place, objects)
        return await self._session.aside(self._put_all, place, objects)

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        """Delete objects and return their tombstones."""
        self._session.note(place.parent)
        if len(ids) < MANY:
            return self._delete(place, ids, last_modified)
        return await self._session.aside(self._delete, place, ids, last_modified)

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        """Delete the objects of every list under an object, and close those lists."""
        self._session.note(EVERYWHERE)
        if self._run(SIZE_UNDER, (uri,))[0][0] < MANY:
            self._close_under(uri, tombstones)
        else:
            await self._session.aside(self._close_under, uri, tombstones)

    async def purge(self, place: Place, before: int, keep: int = 0) -> int:
        """Remove old tombstones, and return how many."""
        self._session.note(place.parent)
        name = (place.parent, place.resource)
        gone = [version for (version,) in await self._session.aside(self._run, PURGE, (*name, before, keep))]
        if gone:
            self._run(PURGED, (*name, max(gone)))
        return len(gone)

    async def purged_before(self, place: Place) -> int:
        """Return up to where deletions can no longer be told."""
        state = self._state(place)
        return state.purged_before if state else 0

    async def index(self, place: Place, fields: Sequence[str]) -> None:
        """Declare which fields have an index; the keys of what is there are computed."""
        self._session.note(place.parent)
        declared = (place.parent, place.resource, jsontext.encode(list(fields)))
        if rows := self._run(INDEX, declared):
            columns = [*fields, *keys.NONE[len(fields) :]]
            await self._session.aside(self._run, RECOMPUTE, (rows[0][0], *columns))

    async def totals(self) -> Mapping[str, Total]:
        """Return how many objects and tombstones there are of each kind."""
        return {kind: Total(live, gone) for kind, live, gone in await self._session.read_aside(TOTALS, ())}

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        """Return lists that were ever opened, by parent and resource."""
        last = (after.parent, after.resource) if after else ("", "")
        return [
            ListState(Place(resource, parent), timestamp, is_open == 1, purged)
            for parent, resource, timestamp, is_open, purged in self._run(STATES, (*last, limit))
        ]

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        """Take a list over from another database."""
        self._session.note(state.place.parent)
        await self._session.aside(self._restore, state, objects)

    async def set_epoch(self, epoch: int) -> None:
        """Take over the epoch of another database."""
        self._session.note(EVERYWHERE)
        self._run("UPDATE metadata SET value = ? WHERE key = 'epoch'", (epoch,))

    def _restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        name = (state.place.parent, state.place.resource)
        rows = self._run(RESTORE, (*name, state.timestamp, state.is_open, state.purged_before))
        list_id, indexes = rows[0][0], _declared(rows[0][1])
        self._session.run_many(INSERT, (_row(list_id, each, indexes) for each in objects))

    def _state(self, place: Place) -> State | None:
        """Return the state of a list, None if it was never opened."""
        if place in self._states:
            return self._states[place]
        rows = self._run(STATE, (place.parent, place.resource))
        state = State(*rows[0]) if rows else None
        if not self._session.writes:
            self._states[place] = state
        return state

    async def _read(self, place: Place, selection: Selection, compiled: Callable[..., sql.Statement]) -> Rows:
        """Run a statement, in a thread if it goes through many objects, or looks at each many times."""
        name = (place.parent, place.resource)
        state = self._state(place) if sql.uses_indexes(selection) else None
        indexes: Sequence[str] = _declared(state.indexes) if state else ()
        if sql.is_led_to(selection, indexes) and len(selection.filters) <= FEW_FILTERS:
            # Mostly few have a value.
            found = self._session.run_short(*compiled(DIALECT, *name, selection, indexes))
            if found is not None:
                return found
        is_light = _is_few(selection) or self._effort(name, selection, indexes) < MANY
        if not is_light and _is_page(selection) and not sql.is_ordered_by_index(selection, indexes):
            # Where many have a value, a page of them is found sooner in the order of the list.
            indexes = ()
        statement = compiled(DIALECT, *name, selection, indexes)
        if is_light and len(selection.filters) <= FEW_FILTERS:
            return self._run(*statement)
        return await self._session.read_aside(*statement)

    def _effort(self, name: tuple[str, str], selection: Selection, indexes: Sequence[str]) -> int:
        return int(self._run(*sql.effort(DIALECT, *name, selection, indexes, MANY))[0][0])

    async def _next_version(self, place: Place, id: str, wanted: int | None) -> tuple[int, int, str]:
        """Set the timestamp of a list, opened if need be, for a write.

        Return the list, the object's timestamp, and the indexes of the list as JSON text.
        """
        name = (place.parent, place.resource)
        self._session.note(place.parent)
        if wanted is None:
            rows = self._run(NEXT_VERSION, (*name, self._clock()))
            if rows:
                return rows[0]
        current = await self.open(place)
        assigned = versions.assign(current, self._clock(), wanted, known=bool(self._run(KNOWN, (*name, id))))
        rows = self._run(f"{NEXT_VERSION}".replace("max(last_modified + 1, ?3)", "?3"), (*name, assigned.of_list))
        return rows[0][0], assigned.of_object, rows[0][2]

    def _put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        """Put objects in a list that is open."""
        found = []
        for id, text in objects:
            [(list_id, version, indexes)] = self._run(NEXT_VERSION, (place.parent, place.resource, self._clock()))
            self._put(list_id, id, version, text, indexes)
            found.append(Stored(id, version, text))
        return found

    def _put(self, list_id: int, id: str, version: int, text: str, indexes: str) -> None:
        if indexes == NO_INDEXES:
            self._run(PUT, (list_id, id, version, text))
        else:
            found = keys.of_object(text, _declared(indexes))
            self._run(PUT_WITH_KEYS, (list_id, id, version, text, *found))

    def _delete(self, place: Place, ids: Sequence[str], wanted: int | None) -> Sequence[Stored]:
        rows = self._run(LIVE, (place.parent, place.resource, jsontext.encode(list(ids))))
        if not rows:
            return []
        _, list_id, current = rows[0]
        live = {id for id, _, _ in rows}
        tombstones = []
        # Each once, in the order given.
        for id in filter(live.__contains__, dict.fromkeys(ids)):
            version, current = versions.assign(current, self._clock(), wanted)
            self._run(BURY, (version, list_id, id))
            tombstones.append(Stored(id, version, TOMBSTONE, True))
        self._run("UPDATE lists SET last_modified = ? WHERE id = ?", (current, list_id))
        return tombstones

    def _close_under(self, uri: str, tombstones: bool) -> None:
        if tombstones:
            self._run(BURY_UNDER, (uri, self._clock()))
            self._run(CLOSE_UNDER, (uri,))
        else:
            self._run(REMOVE_UNDER, (uri,))
            self._run(PURGE_UNDER, (uri, self._clock()))


@lru_cache(256)
def _declared(indexes: str) -> tuple[str, ...]:
    return tuple(jsontext.decode_kept(indexes))


def _row(list_id: int, stored: Stored, indexes: Sequence[str]) -> tuple[Any, ...]:
    found = keys.NONE if stored.deleted else keys.of_object(stored.text, indexes)
    return (list_id, stored.id, stored.last_modified, stored.deleted, stored.text, *found)


def _is_page(selection: Selection) -> bool:
    return selection.limit is not None and selection.limit <= LONGEST_PAGE


def _is_few(selection: Selection) -> bool:
    return selection.ids is not None and len(selection.ids) < MANY


def _is_direct(selection: Selection) -> bool:
    """Tell whether an index leads from each object selected to the next."""
    if selection.ids is not None or len(selection.filters) > FEW_FILTERS:
        return False
    fields = {each.field for each in selection.sort} | {each.field for each in selection.filters}
    return fields <= {"last_modified"} and not any(each.operator is Operator.LIKE for each in selection.filters)
