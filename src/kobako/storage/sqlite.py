"""Objects in SQLite. Everything happens in one unit of work, which has the lock of the file when it writes.

Source: storage contract, objects 21; reliability 4.5.
"""

from collections.abc import Sequence
from typing import Any

import apsw

from kobako.databases.base import Clock
from kobako.databases.sqlite_session import Rows, Session
from kobako.protocol import jsontext, versions
from kobako.protocol.selection import EVERYTHING, Operator, Selection
from kobako.storage import sql
from kobako.storage.base import TOMBSTONE, DuplicateTimestamp, ListState, Place, Stored
from kobako.storage.sqlite_columns import DIALECT

MANY = 500
"""From so many rows on a statement leaves the event loop: a change of threads costs as much as these."""

LONGEST_PAGE = 1000

FEW_FILTERS = 10
"""With more of them a statement may take long on few rows, too: a query string has room for a thousand."""

LIST = "SELECT id FROM lists WHERE parent = ?1 AND resource = ?2"

GET = f"SELECT id, last_modified, data FROM objects WHERE list = ({LIST}) AND id = ?3 AND deleted = 0"

SIZE = f"SELECT count(*) FROM (SELECT 1 FROM objects WHERE list = ({LIST}) LIMIT {MANY})"

KNOWN = f"SELECT 1 FROM objects WHERE list = ({LIST}) AND id = ?3"

# The arithmetic of `versions.following`, here for the most frequent write: one statement less.
NEXT_VERSION = """
    UPDATE lists SET last_modified = max(last_modified + 1, ?3), open = 1 WHERE parent = ?1 AND resource = ?2
    RETURNING id, last_modified"""

OPEN = """
    INSERT INTO lists (parent, resource, last_modified, open) VALUES (?1, ?2, ?3, 1)
    ON CONFLICT (parent, resource) DO UPDATE SET last_modified = ?3, open = 1"""

PUT = """
    INSERT INTO objects (list, id, last_modified, deleted, data) VALUES (?, ?, ?, 0, ?)
    ON CONFLICT (list, id) DO UPDATE SET last_modified = excluded.last_modified, deleted = 0, data = excluded.data"""

LIVE = """
    SELECT o.id, o.list, l.last_modified FROM lists AS l JOIN objects AS o ON o.list = l.id
    WHERE l.parent = ?1 AND l.resource = ?2 AND o.deleted = 0 AND o.id IN (SELECT value FROM json_each(?3))"""

BURY = f"UPDATE objects SET last_modified = ?, deleted = 1, data = '{TOMBSTONE}' WHERE list = ? AND id = ?"

# `uri` itself and all under it: '0' is what comes after '/'.
UNDER = "(parent = ?1 OR (parent > ?1 || '/' AND parent < ?1 || '0'))"

BURY_UNDER = f"""
    UPDATE objects SET last_modified = gone.version, deleted = 1, data = '{TOMBSTONE}' FROM (
        SELECT o.rowid AS row, max(l.last_modified, ?2 - 1) + row_number() OVER (
            PARTITION BY o.list ORDER BY o.last_modified) AS version
        FROM lists AS l JOIN objects AS o ON o.list = l.id WHERE {UNDER} AND o.deleted = 0
    ) AS gone WHERE objects.rowid = gone.row"""

CLOSE_UNDER = f"""
    UPDATE lists SET open = 0, last_modified = max(
        last_modified, ifnull((SELECT max(o.last_modified) FROM objects AS o WHERE o.list = lists.id), 0))
    WHERE {UNDER}"""

SIZE_UNDER = f"""
    SELECT count(*) FROM (
        SELECT 1 FROM objects WHERE list IN (SELECT id FROM lists WHERE {UNDER}) LIMIT {MANY})"""

REMOVE_UNDER = f"DELETE FROM objects WHERE list IN (SELECT id FROM lists WHERE {UNDER})"

# Whoever polls from a timestamp given out so far has missed deletions, and can be told.
PURGE_UNDER = f"""
    UPDATE lists SET open = 0, last_modified = max(last_modified + 1, ?2),
        purged_before = max(last_modified + 1, ?2) WHERE {UNDER}"""


STATES = """
    SELECT parent, resource, last_modified, open, purged_before FROM lists
    WHERE (parent, resource) > (?1, ?2) ORDER BY parent, resource LIMIT ?3"""

RESTORE = """
    INSERT INTO lists (parent, resource, last_modified, open, purged_before) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (parent, resource) DO UPDATE SET last_modified = ?3, open = ?4, purged_before = ?5 RETURNING id"""


class SQLiteStorage:
    """The storage of one unit of work."""

    __slots__ = ("_clock", "_run", "_session")

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._run = session.run
        self._clock = clock

    async def epoch(self) -> int:
        """When the database was created, or emptied."""
        return self._epoch()

    def _epoch(self) -> int:
        return int(self._run("SELECT value FROM metadata WHERE key = 'epoch'")[0][0])

    async def timestamp(self, place: Place) -> int | None:
        """Return the timestamp of a list, None if it is not open."""
        state = self._state(place)
        return state[0] if state and state[1] else None

    async def open(self, place: Place) -> int:
        """Open a list and return its timestamp."""
        state = self._state(place)
        if state and state[1]:
            return state[0]
        version = versions.following(state[0] if state else self._epoch(), self._clock())
        self._run(OPEN, (place.parent, place.resource, version))
        return version

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return a live object."""
        rows = self._run(GET, (place.parent, place.resource, id))
        return Stored(*rows[0]) if rows else None

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        """Return the objects selected, in their order."""
        rows = await self._read(place, selection, *sql.page(DIALECT, place.parent, place.resource, selection))
        return [Stored(id, version, text, deleted == 1) for id, version, text, deleted in rows]

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        """Return how many objects pass."""
        rows = await self._read(place, selection, *sql.count(DIALECT, place.parent, place.resource, selection))
        return int(rows[0][0])

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        """Create an object or replace all of it. Raises DuplicateTimestamp."""
        list_id, version = await self._next_version(place, id, last_modified)
        try:
            self._run(PUT, (list_id, id, version, text))
        except apsw.ConstraintError as error:
            raise DuplicateTimestamp(f"{version} is the timestamp of another object of {place.parent}") from error
        return Stored(id, version, text)

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        """Delete objects and return their tombstones."""
        if len(ids) < MANY:
            return self._delete(place, ids, last_modified)
        return await self._session.aside(self._delete, place, ids, last_modified)

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        """Delete the objects of every list under an object, and close those lists."""
        if self._run(SIZE_UNDER, (uri,))[0][0] < MANY:
            self._close_under(uri, tombstones)
        else:
            await self._session.aside(self._close_under, uri, tombstones)

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        """Return lists that were ever opened, by parent and resource."""
        last = (after.parent, after.resource) if after else ("", "")
        return [
            ListState(Place(resource, parent), timestamp, is_open == 1, purged)
            for parent, resource, timestamp, is_open, purged in self._run(STATES, (*last, limit))
        ]

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        """Take a list over from another database."""
        await self._session.aside(self._restore, state, objects)

    async def set_epoch(self, epoch: int) -> None:
        """Take over the epoch of another database."""
        self._run("UPDATE metadata SET value = ? WHERE key = 'epoch'", (epoch,))

    def _restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        name = (state.place.parent, state.place.resource)
        rows = self._run(RESTORE, (*name, state.timestamp, state.is_open, state.purged_before))
        insert = "INSERT INTO objects (list, id, last_modified, deleted, data) VALUES (?, ?, ?, ?, ?)"
        self._session.run_many(
            insert, ((rows[0][0], each.id, each.last_modified, each.deleted, each.text) for each in objects)
        )

    def _state(self, place: Place) -> tuple[int, int] | None:
        """Return the timestamp of a list that was ever opened, and whether it is open."""
        rows = self._run(
            "SELECT last_modified, open FROM lists WHERE parent = ? AND resource = ?",
            (place.parent, place.resource),
        )
        return rows[0] if rows else None

    async def _read(self, place: Place, selection: Selection, statement: str, values: Sequence[Any]) -> Rows:
        """Run a statement, in a thread if it goes through many objects, or looks at each many times."""
        few = len(selection.filters) <= FEW_FILTERS
        if few and (_is_short(selection) or self._run(SIZE, (place.parent, place.resource))[0][0] < MANY):
            return self._run(statement, values)
        return await self._session.read_aside(statement, values)

    async def _next_version(self, place: Place, id: str, wanted: int | None) -> tuple[int, int]:
        """Set the timestamp of a list, opened if need be, for a write; return the list and the object's timestamp."""
        name = (place.parent, place.resource)
        if wanted is None:
            rows = self._run(NEXT_VERSION, (*name, self._clock()))
            if rows:
                return rows[0]
        current = await self.open(place)
        assigned = versions.assign(current, self._clock(), wanted, known=bool(self._run(KNOWN, (*name, id))))
        rows = self._run(f"{NEXT_VERSION}".replace("max(last_modified + 1, ?3)", "?3"), (*name, assigned.of_list))
        return rows[0][0], assigned.of_object

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


def _is_short(selection: Selection) -> bool:
    """Tell whether an index leads to the objects selected, and only few come."""
    if selection.ids is not None and len(selection.ids) < MANY:
        return True
    if selection.limit is None or selection.limit > LONGEST_PAGE:
        return False
    fields = {each.field for each in selection.sort} | {each.field for each in selection.filters}
    return fields <= {"last_modified"} and not any(each.operator is Operator.LIKE for each in selection.filters)
