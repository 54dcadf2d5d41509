"""What `breaks.py` replaces in the storages: the same on each, as each is made."""

from contextvars import ContextVar
from typing import Any, Final

import msgspec

from kobako.databases.postgresql_lists import UNDER as POSTGRESQL_UNDER
from kobako.databases.postgresql_lists import State
from kobako.databases.shards import shard
from kobako.protocol import versions
from kobako.storage.base import Place, Stored
from kobako.storage.postgresql import REMOVE_UNDER, PostgreSQLStorage
from kobako.storage.redis import RedisStorage
from kobako.storage.sqlite import LIST, UNDER, SQLiteStorage

TAKEN: Final[ContextVar[dict[Place, int]]] = ContextVar("taken")
"""The versions that a unit has taken before it had the lists."""


def use_taken_versions() -> None:
    """Write the versions that were taken, wherever the lists are by now."""
    _in_sqlite()
    _in_postgresql()
    _in_redis()


def close_and_delete_nothing() -> None:
    """Close the lists under an object, and leave what is in them."""

    async def in_sqlite(self: Any, uri: str, *, tombstones: bool) -> None:
        self._run(f"UPDATE lists SET open = 0 WHERE {UNDER}", (uri,))

    async def in_postgresql(self: Any, uri: str, *, tombstones: bool) -> None:
        await _closed_in_postgresql(self, uri, "open = false")

    async def in_redis(self: Any, uri: str, *, tombstones: bool) -> None:
        await _closed_in_redis(self, uri)

    SQLiteStorage.close_under, PostgreSQLStorage.close_under = in_sqlite, in_postgresql
    RedisStorage.close_under = in_redis


def close_and_forget() -> None:
    """Close the lists under an object, and forget what was in them and where they stood."""
    in_sqlite, in_postgresql = SQLiteStorage._close_under, PostgreSQLStorage.close_under
    in_redis = RedisStorage.close_under

    def forgotten_in_sqlite(self: Any, uri: str, tombstones: bool) -> None:
        in_sqlite(self, uri, tombstones)
        self._run(f"DELETE FROM objects WHERE list IN (SELECT id FROM lists WHERE {UNDER})", (uri,))
        self._run(f"DELETE FROM lists WHERE {UNDER}", (uri,))

    async def forgotten_in_postgresql(self: Any, uri: str, *, tombstones: bool) -> None:
        await in_postgresql(self, uri, tombstones=tombstones)
        await self._run(REMOVE_UNDER, shard(uri), uri)
        await _closed_in_postgresql(self, uri, "open = false, last_modified = 0")

    async def forgotten_in_redis(self: Any, uri: str, *, tombstones: bool) -> None:
        await in_redis(self, uri, tombstones=False)
        await _closed_in_redis(self, uri, timestamp=0)

    SQLiteStorage._close_under, PostgreSQLStorage.close_under = forgotten_in_sqlite, forgotten_in_postgresql
    RedisStorage.close_under = forgotten_in_redis


async def _closed_in_postgresql(storage: Any, uri: str, change: str) -> None:
    await storage._lists.lock_under(uri)
    statement = f"UPDATE lists SET {change} WHERE {POSTGRESQL_UNDER} RETURNING resource, parent, last_modified"
    for resource, parent, version in await storage._run(statement, shard(uri), uri):
        storage._lists.set(Place(resource, parent), State(version, False))


async def _closed_in_redis(storage: Any, uri: str, **changes: int) -> None:
    for place in await storage._places_under(uri):
        state = await storage._known(place)
        closed = msgspec.structs.replace(state, is_open=False, **changes)
        storage._journal.set(storage._states, place, closed)


def _in_sqlite() -> None:
    next_version = SQLiteStorage._next_version

    async def assigned(self: Any, place: Place, id: str, wanted: int | None) -> tuple[int, int, str]:
        version = TAKEN.get().get(place)
        if version is None or wanted is not None:
            return await next_version(self, place, id, wanted)
        await self.open(place)
        name = (place.parent, place.resource)
        while self._run(f"SELECT 1 FROM objects WHERE list = ({LIST}) AND last_modified = ?3", (*name, version)):
            version += 1
        moved = (
            "UPDATE lists SET last_modified = max(last_modified, ?3) WHERE parent = ?1 AND resource = ?2"
            " RETURNING id, indexes"
        )
        list_id, indexes = self._run(moved, (*name, version))[0]
        return list_id, version, indexes

    SQLiteStorage._next_version = assigned


def _in_postgresql() -> None:
    assign = PostgreSQLStorage._assign
    taken = "SELECT 1 FROM objects WHERE bucket = $1 AND parent = $2 AND resource = $3 AND last_modified = $4"

    async def assigned(self: Any, place: Place, state: State, id: str, wanted: int | None) -> versions.Assigned:
        version = TAKEN.get().get(place)
        if version is None or wanted is not None:
            return await assign(self, place, state, id, wanted)
        while await self._run(taken, shard(place.parent), place.parent, place.resource, version):
            version += 1
        return versions.Assigned(version, max(state.last_modified, version))

    PostgreSQLStorage._assign = assigned


def _in_redis() -> None:
    put = RedisStorage.put

    async def written(self: Any, place: Place, id: str, text: str, wanted: int | None = None) -> Stored:
        version = TAKEN.get().get(place)
        if version is None or wanted is not None:
            return await put(self, place, id, text, wanted)
        state = await self._opened(place)
        while await self._is_taken(place, version):
            version += 1
        return self._write(place, state, Stored(id, version, text), max(state.timestamp, version))

    RedisStorage.put = written
