"""The limit on SQLite: prepared statements on one connection. LIMIT_FILE, LIMIT_SYNCHRONOUS say which and how safe."""

import os
import time
import uuid
from collections.abc import Iterable
from typing import Any

import apsw
import msgspec

from bench import dataset
from bench.limit.asgi import application, many, one

SCHEMA = """
    CREATE TABLE lists (id TEXT PRIMARY KEY, last_modified INTEGER NOT NULL);
    CREATE TABLE objects (
        list TEXT NOT NULL, id TEXT NOT NULL, last_modified INTEGER NOT NULL, data TEXT NOT NULL,
        UNIQUE (list, id), UNIQUE (list, last_modified));
    CREATE INDEX topics ON objects (json_extract(data, '$.topic')) WHERE list = 'items';
    CREATE TABLE readers (reader TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (reader, id)) WITHOUT ROWID;
    """
GET = "SELECT id, last_modified, data FROM objects WHERE list = ? AND id = ?"
NEWEST = "SELECT id, last_modified, data FROM objects WHERE list = ? ORDER BY last_modified DESC LIMIT ?"
EQUAL = """
    SELECT id, last_modified, data FROM objects WHERE list = 'items' AND json_extract(data, '$.kind') = ?
    ORDER BY last_modified DESC"""
INDEXED = EQUAL.replace("kind", "topic")
SINCE = """
    SELECT id, last_modified, data FROM objects WHERE list = 'items' AND last_modified > ?
    ORDER BY last_modified DESC"""
BEFORE = """
    SELECT id, last_modified, data FROM objects WHERE list = 'big' AND last_modified < ?
    ORDER BY last_modified DESC LIMIT 1000"""
SHARED = """
    SELECT o.id, o.last_modified, o.data FROM objects AS o JOIN readers AS r ON r.id = o.id
    WHERE o.list = 'shared' AND r.reader = ? ORDER BY o.last_modified DESC LIMIT 100"""
NEXT_VERSION = "UPDATE lists SET last_modified = max(last_modified + 1, ?) WHERE id = ? RETURNING last_modified"
PUT = """
    INSERT INTO objects (list, id, last_modified, data) VALUES (?, ?, ?, ?)
    ON CONFLICT (list, id) DO UPDATE SET last_modified = excluded.last_modified, data = excluded.data"""


class Store:
    """Everything runs in the event loop, as in Kobako."""

    async def open(self) -> None:
        self._connection = apsw.Connection(os.environ["LIMIT_FILE"], statementcachesize=100)
        self._connection.execute(f"PRAGMA synchronous = {os.environ['LIMIT_SYNCHRONOUS']}")
        self._run: Any = self._connection.execute

    async def one(self, id: str) -> str:
        return one(self._run(GET, ("items", id)).fetchall()[0])

    async def page(self, size: str) -> str:
        return many(self._run(NEWEST, ("items", int(size))).fetchall())

    async def equal(self, kind: str) -> str:
        return many(self._run(EQUAL, (kind,)).fetchall())

    async def indexed(self, topic: str) -> str:
        return many(self._run(INDEXED, (topic,)).fetchall())

    async def since(self, timestamp: str) -> str:
        return many(self._run(SINCE, (int(timestamp),)).fetchall())

    async def shared(self, reader: str) -> str:
        return many(self._run(SHARED, (reader,)).fetchall())

    async def sync(self, timestamp: str) -> str:
        return many(self._run(BEFORE, (int(timestamp),)).fetchall())

    async def posts(self, _: str, text: str) -> str:
        return self._write("posts", str(uuid.uuid4()), lambda: text)

    async def writes(self, id: str, text: str) -> str:
        return self._write("writes", id, lambda: text)

    async def patches(self, id: str, text: str) -> str:
        return self._write("writes", id, lambda: merged(self._run(GET, ("writes", id)).fetchall()[0][2], text))

    def _write(self, name: str, id: str, text: Any) -> str:
        self._run("BEGIN IMMEDIATE")
        data = text()
        version = self._run(NEXT_VERSION, (int(time.time() * 1000), name)).fetchall()[0][0]
        self._run(PUT, (name, id, version, data))
        self._run("COMMIT")
        return one((id, version, data))


def merged(stored: str, changes: str) -> str:
    """Return a JSON object with some fields replaced."""
    return msgspec.json.encode({**msgspec.json.decode(stored), **msgspec.json.decode(changes)}).decode()


def fill(path: str, objects: Iterable[tuple[str, str, int, str]], readable: Iterable[str]) -> None:
    """Make the database, with these objects: list, id, timestamp, text."""
    connection = apsw.Connection(path)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute(SCHEMA)
        connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?)", objects)
        connection.executemany("INSERT INTO lists VALUES (?, 0)", [(name,) for name in dataset.SIZES])
        connection.executemany("INSERT INTO readers VALUES (?, ?)", [(dataset.READER, id) for id in readable])
        connection.execute("ANALYZE")
    connection.close()


app = application(Store())
