"""The limit on PostgreSQL: prepared statements on a few connections that are never reset. LIMIT_URL says where."""

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench import dataset
from bench.limit.asgi import application, many, one
from bench.limit.sqlite import merged

CONNECTIONS = 10

SCHEMA = """
    CREATE TABLE lists (id text COLLATE "C" PRIMARY KEY, last_modified bigint NOT NULL) WITH (fillfactor = 50);
    CREATE TABLE objects (
        list text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, last_modified bigint NOT NULL,
        data text NOT NULL, fields jsonb NOT NULL, PRIMARY KEY (list, id), UNIQUE (list, last_modified));
    CREATE INDEX topics ON objects ((fields ->> 'topic')) WHERE list = 'items';
    CREATE TABLE readers (reader text NOT NULL, id text NOT NULL, PRIMARY KEY (reader, id));
    """
STATEMENTS = {
    "get": "SELECT id, last_modified, data FROM objects WHERE list = $1 AND id = $2",
    "newest": "SELECT id, last_modified, data FROM objects WHERE list = $1 ORDER BY last_modified DESC LIMIT $2",
    "equal": """
        SELECT id, last_modified, data FROM objects WHERE list = 'items' AND fields ->> 'kind' = $1
        ORDER BY last_modified DESC""",
    "indexed": """
        SELECT id, last_modified, data FROM objects WHERE list = 'items' AND fields ->> 'topic' = $1
        ORDER BY last_modified DESC""",
    "since": """
        SELECT id, last_modified, data FROM objects WHERE list = 'items' AND last_modified > $1
        ORDER BY last_modified DESC""",
    "before": """
        SELECT id, last_modified, data FROM objects WHERE list = 'big' AND last_modified < $1
        ORDER BY last_modified DESC LIMIT 1000""",
    "shared": """
        SELECT o.id, o.last_modified, o.data FROM objects AS o JOIN readers AS r ON r.id = o.id
        WHERE o.list = 'shared' AND r.reader = $1 ORDER BY o.last_modified DESC LIMIT 100""",
    "lock": "SELECT last_modified FROM lists WHERE id = $1 FOR UPDATE",
    "put": """
        WITH next AS (
            UPDATE lists SET last_modified = greatest(last_modified + 1, $3) WHERE id = $1 RETURNING last_modified)
        INSERT INTO objects (list, id, last_modified, data, fields)
        SELECT $1, $2, last_modified, $4::text, $4::jsonb FROM next
        ON CONFLICT (list, id) DO UPDATE SET
            last_modified = excluded.last_modified, data = excluded.data, fields = excluded.fields
        RETURNING last_modified""",
}

Prepared = dict[str, Any]


class Store:
    """A write is one statement, which is its own transaction; PATCH reads under the lock of the list first."""

    async def open(self) -> None:
        self._free: asyncio.LifoQueue[Prepared] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(os.environ["LIMIT_URL"])
            prepared = {name: await connection.prepare(sql) for name, sql in STATEMENTS.items()}
            self._free.put_nowait({**prepared, "connection": connection})

    async def one(self, id: str) -> str:
        return one((await self._rows("get", "items", id))[0])

    async def page(self, size: str) -> str:
        return many(await self._rows("newest", "items", int(size)))

    async def equal(self, kind: str) -> str:
        return many(await self._rows("equal", kind))

    async def indexed(self, topic: str) -> str:
        return many(await self._rows("indexed", topic))

    async def since(self, timestamp: str) -> str:
        return many(await self._rows("since", int(timestamp)))

    async def shared(self, reader: str) -> str:
        return many(await self._rows("shared", reader))

    async def sync(self, timestamp: str) -> str:
        return many(await self._rows("before", int(timestamp)))

    async def posts(self, _: str, text: str) -> str:
        return await self.writes(str(uuid.uuid4()), text, "posts")

    async def writes(self, id: str, text: str, name: str = "writes") -> str:
        async with self._prepared() as prepared:
            return await self._put(prepared, name, id, text)

    async def patches(self, id: str, text: str) -> str:
        async with self._prepared() as prepared, prepared["connection"].transaction():
            await prepared["lock"].fetch("writes")
            stored = (await prepared["get"].fetch("writes", id))[0]["data"]
            return await self._put(prepared, "writes", id, merged(stored, text))

    async def _put(self, prepared: Prepared, name: str, id: str, text: str) -> str:
        rows = await prepared["put"].fetch(name, id, int(time.time() * 1000), text)
        return one((id, rows[0][0], text))

    async def _rows(self, statement: str, *values: Any) -> Any:
        async with self._prepared() as prepared:
            return await prepared[statement].fetch(*values)

    @asynccontextmanager
    async def _prepared(self) -> AsyncIterator[Prepared]:
        prepared = await self._free.get()
        try:
            yield prepared
        finally:
            self._free.put_nowait(prepared)


async def fill(url: str, objects: Iterable[tuple[str, str, int, str]], readable: Iterable[str]) -> None:
    """Make the tables, with these objects: list, id, timestamp, text."""
    connection = await asyncpg.connect(url)
    await connection.execute(SCHEMA)
    rows = [(*each, each[-1]) for each in objects]
    await connection.copy_records_to_table("objects", records=rows)
    await connection.copy_records_to_table("lists", records=[(name, 0) for name in dataset.SIZES])
    await connection.copy_records_to_table("readers", records=[(dataset.READER, id) for id in readable])
    await connection.close()


app = application(Store())
