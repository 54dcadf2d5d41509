"""Objects in PostgreSQL. Everything happens in one unit of work, which has locked the lists that it writes.

Source: storage contract, objects 21; reliability 4.4.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import asyncpg
import msgspec

from kobako.databases.base import Clock
from kobako.databases.postgresql_lists import THIS, UNDER, Lists, State
from kobako.databases.postgresql_session import Rows, Session, Statement, Write
from kobako.databases.shards import shard
from kobako.protocol import filters, ordering, versions
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import EVERYTHING, Selection
from kobako.storage import keys, sql
from kobako.storage.base import PURGED_AT_ONCE, TOMBSTONE, DuplicateTimestamp, ListState, Place, Stored, Total
from kobako.storage.postgresql_columns import DIALECT, comparable, is_exact, is_ordered

EPOCH = "SELECT value FROM metadata WHERE key = 'epoch'"

GET = f"SELECT id, last_modified, data FROM objects WHERE {THIS} AND id = $4 AND NOT deleted"

KNOWN = f"SELECT 1 FROM objects WHERE {THIS} AND id = $4"

_KEYS = ", ".join(keys.COLUMNS)

_PUT_LIST = f"list AS (UPDATE lists SET last_modified = $6, open = true WHERE {THIS}%s RETURNING xmin::text AS mark)"

_PUT = """
    INSERT INTO objects (bucket, parent, resource, id, last_modified, deleted, data, fields)
    SELECT $1, $2, $3, $4::text, $5::bigint, false, $7::text, coalesce($8::text, $7)::jsonb FROM list
    ON CONFLICT (bucket, parent, resource, id) DO UPDATE SET
        last_modified = excluded.last_modified, deleted = false, data = excluded.data, fields = excluded.fields"""

# Where no index is declared these columns stay as they are: nobody pays for them.
_PUT_WITH_KEYS = _PUT.replace("fields)\n", f"fields, {_KEYS})\n").replace(
    "::jsonb FROM", "::jsonb, $9::bytea, $10::bytea, $11::bytea, $12::bytea, $13::bytea FROM"
) + "".join(f", {each} = excluded.{each}" for each in keys.COLUMNS)

PUT, PUT_WITH_KEYS = Statement(_PUT_LIST % "", _PUT), Statement(_PUT_LIST % "", _PUT_WITH_KEYS)

_PUT_ALL_LIST = _PUT_LIST.replace("$6", "$4")

_PUT_ALL = """
    INSERT INTO objects (bucket, parent, resource, id, last_modified, deleted, data, fields)
    SELECT $1, $2, $3, id, version, false, data, coalesce(fields, data)::jsonb
    FROM list, unnest($5::text[], $6::bigint[], $7::text[], $8::text[]) AS o (id, version, data, fields)
    ON CONFLICT (bucket, parent, resource, id) DO UPDATE SET
        last_modified = excluded.last_modified, deleted = false, data = excluded.data, fields = excluded.fields"""

_PUT_ALL_WITH_KEYS = (
    _PUT_ALL.replace("fields)\n", f"fields, {_KEYS})\n")
    .replace("::jsonb", f"::jsonb, {_KEYS}")
    .replace("$8::text[])", "$8::text[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[])")
) + "".join(f", {each} = excluded.{each}" for each in keys.COLUMNS)

PUT_ALL = Statement(_PUT_ALL_LIST % "", _PUT_ALL)
PUT_ALL_WITH_KEYS = Statement(_PUT_ALL_LIST % "", _PUT_ALL_WITH_KEYS)

_IF_SAME = " AND xmin::text = ${}"

PUT_IF_SAME = {
    PUT: Statement(_PUT_LIST % _IF_SAME.format(9), _PUT),
    PUT_WITH_KEYS: Statement(_PUT_LIST % _IF_SAME.format(14), _PUT_WITH_KEYS),
    PUT_ALL: Statement(_PUT_ALL_LIST % _IF_SAME.format(9), _PUT_ALL),
    PUT_ALL_WITH_KEYS: Statement(_PUT_ALL_LIST % _IF_SAME.format(14), _PUT_ALL_WITH_KEYS),
}
"""The same, for a list that nobody has locked: done if nobody has written it since it had the mark that is added."""

LIVE = f"SELECT id FROM objects WHERE {THIS} AND id = ANY($4::text[]) AND NOT deleted"

UNKEYED = ", ".join(f"{each} = NULL" for each in keys.COLUMNS)

BURIED = f"deleted = true, data = '{TOMBSTONE}', fields = '{TOMBSTONE}', {UNKEYED}"

BURY = f"""
    WITH list AS (UPDATE lists SET last_modified = $4 WHERE {THIS})
    UPDATE objects AS o SET last_modified = gone.version, {BURIED}
    FROM unnest($5::text[], $6::bigint[]) AS gone (id, version) WHERE {THIS} AND o.id = gone.id"""

# Of one list the versions follow each other, from where the list stands.
BURY_UNDER = f"""
    UPDATE objects AS o SET last_modified = gone.version, {BURIED} FROM (
        SELECT bucket, parent, resource, id, greatest(l.last_modified, $3::bigint - 1) + row_number() OVER (
            PARTITION BY parent, resource ORDER BY o.last_modified) AS version
        FROM lists AS l JOIN objects AS o USING (bucket, parent, resource) WHERE {UNDER} AND NOT deleted
    ) AS gone
    WHERE (o.bucket, o.parent, o.resource, o.id) = (gone.bucket, gone.parent, gone.resource, gone.id)"""

CLOSE_UNDER = f"""
    UPDATE lists AS l SET open = false, indexes = '{{}}', last_modified = greatest(l.last_modified, (
        SELECT max(o.last_modified) FROM objects AS o
        WHERE (o.bucket, o.parent, o.resource) = (l.bucket, l.parent, l.resource)))
    WHERE {UNDER} RETURNING resource, parent, last_modified, purged_before"""

REMOVE_UNDER = f"DELETE FROM objects WHERE {UNDER}"

# Whoever polls from a timestamp given out so far has missed deletions, and can be told.
PURGE_UNDER = f"""
    UPDATE lists SET open = false, indexes = '{{}}', last_modified = greatest(last_modified + 1, $3::bigint),
        purged_before = greatest(last_modified + 1, $3::bigint)
    WHERE {UNDER} RETURNING resource, parent, last_modified, purged_before"""

# A range of versions, and no join: it is planned well also for a table of which PostgreSQL knows nothing yet.
PURGE = f"""
    DELETE FROM objects WHERE {THIS} AND deleted AND last_modified <= (SELECT max(last_modified) FROM (
        SELECT last_modified FROM objects WHERE {THIS} AND deleted AND last_modified < $4 AND last_modified <= (
            SELECT last_modified FROM objects WHERE {THIS} AND deleted ORDER BY last_modified DESC LIMIT 1 OFFSET $5)
        ORDER BY last_modified LIMIT {PURGED_AT_ONCE}) AS oldest)
    RETURNING last_modified"""

PURGED = f"UPDATE lists SET purged_before = $4 WHERE {THIS}"

TOTALS = """
    SELECT resource, count(*) FILTER (WHERE NOT deleted), count(*) FILTER (WHERE deleted) FROM objects
    GROUP BY resource"""

STATES = """
    SELECT parent, resource, last_modified, open, purged_before FROM lists
    WHERE (parent, resource) > ($1, $2) ORDER BY parent, resource LIMIT $3"""

SET_STATE = f"UPDATE lists SET last_modified = $4, open = $5, purged_before = $6 WHERE {THIS}"

RESTORE = f"""
    INSERT INTO objects (bucket, parent, resource, id, last_modified, deleted, data, fields, {_KEYS})
    SELECT $1, $2, $3, id, version, deleted, data, coalesce(fields, data)::jsonb, {_KEYS}
    FROM unnest($4::text[], $5::bigint[], $6::boolean[], $7::text[], $8::text[],
        $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[])
        AS o (id, version, deleted, data, fields, {_KEYS})"""

INDEX = f"UPDATE lists SET indexes = $4 WHERE {THIS}"

_RECOMPUTED = ", ".join(f"{each} = found.{each}" for each in keys.COLUMNS)
RECOMPUTE = f"""
    UPDATE objects AS o SET {_RECOMPUTED}
    FROM unnest($4::text[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[]) AS found (id, {_KEYS})
    WHERE {THIS} AND o.id = found.id"""


class Put(msgspec.Struct, frozen=True):
    """An object to put, where its list stands then, and what the list has indexes on."""

    place: Place
    stored: Stored
    of_list: int
    indexes: Sequence[str]


def to_put(puts: Sequence[Put]) -> list[Write]:
    """Return what puts objects: those of a list in one statement, of several with one id the last."""
    by_list: dict[Place, dict[str, Put]] = {}
    for put in puts:
        by_list.setdefault(put.place, {})[put.stored.id] = put
    return [_to_put(place, list(found.values())) for place, found in by_list.items()]


def _to_put(place: Place, puts: Sequence[Put]) -> Write:
    if len(puts) == 1:
        return _to_put_one(puts[0])
    latest = max(puts, key=lambda put: put.of_list)
    return _to_put_all(place, [put.stored for put in puts], latest.of_list, latest.indexes)


def _to_put_one(put: Put) -> Write:
    stored = put.stored
    values = (stored.id, stored.last_modified, put.of_list, stored.text, comparable(stored.text))
    if put.indexes:
        return PUT_WITH_KEYS, (*_key(put.place), *values, *keys.of_object(stored.text, put.indexes))
    return PUT, (*_key(put.place), *values)


def _to_put_all(place: Place, found: Sequence[Stored], of_list: int, indexes: Sequence[str]) -> Write:
    columns = [each.id for each in found], [each.last_modified for each in found], *_texts(found)
    if indexes:
        indexed = _columns([keys.of_object(each.text, indexes) for each in found])
        return PUT_ALL_WITH_KEYS, (*_key(place), of_list, *columns, *indexed)
    return PUT_ALL, (*_key(place), of_list, *columns)


class PostgreSQLStorage:
    """The storage of one unit of work."""

    __slots__ = ("_clock", "_lists", "_run", "_session")

    def __init__(self, session: Session, lists: Lists, clock: Clock) -> None:
        self._session = session
        self._run = session.run
        self._lists = lists
        self._clock = clock

    async def epoch(self) -> int:
        """When the database was created, or emptied."""
        rows = await self._run(EPOCH)
        return int(rows[0][0])

    async def timestamp(self, place: Place) -> int | None:
        """Return the timestamp of a list, None if it is not open."""
        state = await self._lists.state(place)
        return state.last_modified if state and state.is_open else None

    async def open(self, place: Place) -> int:
        """Open a list and return its timestamp."""
        return await self._lists.open(place, self._clock())

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return a live object."""
        rows = await self._run(GET, *_key(place), id)
        return Stored(*rows[0]) if rows else None

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        """Return the objects selected, in their order."""
        if is_exact(selection):
            statement, values = await self._compiled(sql.page, place, selection)
            found = _objects(await self._run(statement, *values))
            if is_ordered(selection, found):
                return found
        return await self._select(place, selection)

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        """Return how many objects pass."""
        if not is_exact(msgspec.structs.replace(selection, after=None)):
            return sum([1 async for _ in self._passing(place, selection)])
        statement, values = await self._compiled(sql.count, place, selection)
        rows = await self._run(statement, *values)
        return int(rows[0][0])

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        """Create an object or replace all of it. Raises DuplicateTimestamp."""
        state = await self._lists.lock(place)
        assigned = await self._assign(place, state, id, last_modified)
        written = Stored(id, assigned.of_object, text)
        put = Put(place, written, assigned.of_list, state.indexes)
        if self._session.pending is not None and assigned.of_object > state.last_modified:
            # Nobody has this timestamp: what is made of it is known.
            self._session.pending.add(to_put, put)
        else:
            try:
                await self._write(_to_put_one(put))
            except asyncpg.UniqueViolationError as error:
                taken = f"{assigned.of_object} is the timestamp of another object of {place.parent}"
                raise DuplicateTimestamp(taken) from error
        self._lists.set(place, msgspec.structs.replace(state, last_modified=assigned.of_list, is_open=True))
        return written

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        """Put objects, each with its own timestamp, in one statement."""
        if not objects:
            return []
        state = await self._lists.lock(place)
        now = self._clock()
        current = state.last_modified if state.is_open else versions.following(state.last_modified, now)
        found = []
        for id, text in objects:
            current = versions.following(current, now)
            found.append(Stored(id, current, text))
        await self._write(_to_put_all(place, found, current, state.indexes))
        self._lists.set(place, State(current, True, state.indexes))
        return found

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        """Delete objects and return their tombstones."""
        state = await self._lists.lock(place)
        live = {id for (id,) in await self._run(LIVE, *_key(place), ids)}
        if not live:
            return []
        current, tombstones = state.last_modified, []
        # Each once, in the order given.
        for id in filter(live.__contains__, dict.fromkeys(ids)):
            version, current = versions.assign(current, self._clock(), last_modified)
            tombstones.append(Stored(id, version, TOMBSTONE, True))
        gone = [each.id for each in tombstones], [each.last_modified for each in tombstones]
        await self._run(BURY, *_key(place), current, *gone)
        self._lists.set(place, msgspec.structs.replace(state, last_modified=current))
        return tombstones

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        """Delete the objects of every list under an object, and close those lists."""
        await self._lists.lock_under(uri)
        under = (shard(uri), uri)
        if tombstones:
            await self._run(BURY_UNDER, *under, self._clock())
            closed = await self._run(CLOSE_UNDER, *under)
        else:
            await self._run(REMOVE_UNDER, *under)
            closed = await self._run(PURGE_UNDER, *under, self._clock())
        for resource, parent, version, purged in closed:
            self._lists.set(Place(resource, parent), State(version, False, purged_before=purged))

    async def purge(self, place: Place, before: int, keep: int = 0) -> int:
        """Remove old tombstones, and return how many."""
        state = await self._lists.lock(place)
        gone = [version for (version,) in await self._run(PURGE, *_key(place), before, keep)]
        if gone:
            purged = max(state.purged_before, *gone)
            await self._run(PURGED, *_key(place), purged)
            self._lists.set(place, msgspec.structs.replace(state, purged_before=purged))
        return len(gone)

    async def purged_before(self, place: Place) -> int:
        """Return up to where deletions can no longer be told."""
        state = await self._lists.state(place)
        return state.purged_before if state else 0

    async def index(self, place: Place, fields: Sequence[str]) -> None:
        """Declare which fields have an index; the keys of what is there are computed."""
        state = await self._lists.lock(place)
        if not state.is_open or list(state.indexes) == list(fields):
            return
        await self._run(INDEX, *_key(place), fields)
        self._lists.set(place, msgspec.structs.replace(state, indexes=fields))
        statement, values = sql.page(DIALECT, place.parent, place.resource, Selection(sort=()))
        async for rows in self._session.stream(statement, *values):
            objects = _objects(rows)
            found = _columns([keys.of_object(each.text, fields) for each in objects])
            await self._run(RECOMPUTE, *_key(place), [each.id for each in objects], *found)

    async def totals(self) -> Mapping[str, Total]:
        """Return how many objects and tombstones there are of each kind."""
        return {kind: Total(live, gone) for kind, live, gone in await self._run(TOTALS)}

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        """Return lists that were ever opened, by parent and resource."""
        last = (after.parent, after.resource) if after else ("", "")
        return [
            ListState(Place(resource, parent), timestamp, is_open, purged)
            for parent, resource, timestamp, is_open, purged in await self._run(STATES, *last, limit)
        ]

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        """Take a list over from another database."""
        key = _key(state.place)
        await self._lists.open(state.place, state.timestamp)
        indexes = await self._lists.indexes(state.place)
        await self._run(SET_STATE, *key, state.timestamp, state.is_open, state.purged_before)
        self._lists.set(state.place, State(state.timestamp, state.is_open, indexes, state.purged_before))
        columns = ([each.id for each in objects], [each.last_modified for each in objects])
        found = [keys.NONE if each.deleted else keys.of_object(each.text, indexes) for each in objects]
        await self._run(RESTORE, *key, *columns, [each.deleted for each in objects], *_texts(objects), *_columns(found))

    async def set_epoch(self, epoch: int) -> None:
        """Take over the epoch of another database."""
        await self._run("UPDATE metadata SET value = $1 WHERE key = 'epoch'", epoch)

    async def _write(self, write: Write) -> None:
        statement, values = write
        await self._run(statement.sql, *values)

    async def _assign(self, place: Place, state: State, id: str, wanted: int | None) -> versions.Assigned:
        """Return the timestamps for a write of an object, and for its list, which it opens."""
        now = self._clock()
        current = state.last_modified if state.is_open else versions.following(state.last_modified, now)
        # Whether the id was used matters to the past only.
        known = wanted is None or wanted >= current or bool(await self._run(KNOWN, *_key(place), id))
        return versions.assign(current, now, wanted, known=known)

    async def _compiled(
        self, compiled: Callable[..., sql.Statement], place: Place, selection: Selection
    ) -> sql.Statement:
        indexes = await self._lists.indexes(place) if sql.uses_indexes(selection) else ()
        return compiled(DIALECT, place.parent, place.resource, selection, indexes)

    async def _select(self, place: Place, selection: Selection) -> Sequence[Stored]:
        """Return the objects selected, where PostgreSQL alone can not tell which, or in which order."""
        best: list[JsonObject] = []
        objects: dict[str, Stored] = {}
        async for stored, data in self._passing(place, selection):
            if selection.after is None or ordering.is_after(data, selection.after, selection.sort):
                best.append(data)
                objects[stored.id] = stored
            if selection.limit is not None and len(best) > 1000 + 2 * selection.limit:
                best = ordering.in_order(best, selection.sort)[: selection.limit]
                objects = {data["id"]: objects[data["id"]] for data in best}
        return [objects[data["id"]] for data in ordering.in_order(best, selection.sort)[: selection.limit]]

    async def _passing(self, place: Place, selection: Selection) -> AsyncIterator[tuple[Stored, JsonObject]]:
        """Yield the objects that pass the filters, in no order; of them PostgreSQL has let through some more."""
        tests = [filters.prepare(each) for each in selection.filters]
        candidates = msgspec.structs.replace(selection, sort=(), after=None, limit=None)
        statement, values = await self._compiled(sql.page, place, candidates)
        async for rows in self._session.stream(statement, *values):
            for stored in _objects(rows):
                data = stored.data()
                if all(test(data) for test in tests):
                    yield stored, data


def _key(place: Place) -> tuple[str, str, str]:
    return shard(place.parent), place.parent, place.resource


def _texts(objects: Sequence[Stored]) -> tuple[list[str], list[str | None]]:
    """Return the texts of objects, and what of them is compared, where that is something else."""
    return [each.text for each in objects], [comparable(each.text) for each in objects]


def _columns(found: Sequence[tuple[bytes | None, ...]]) -> list[list[bytes | None]]:
    """Return the keys of objects, as a list for each column."""
    return [[each[n] for each in found] for n in range(len(keys.COLUMNS))]


def _objects(rows: Rows) -> list[Stored]:
    return [Stored(*row) for row in rows]
