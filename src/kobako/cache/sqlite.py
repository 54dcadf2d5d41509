"""The cache in SQLite: a file of its own, seen by all processes of one machine.

Not in the file of the objects: a request that holds that one's lock must be able to write here. Commits do not wait
for the disk; a loss of power takes the latest entries, which is what a cache may do, and leaves the file whole.

Source: cache contract, objects 23.
"""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from kobako.cache.values import encode, round_trip
from kobako.databases import sqlite_fitness
from kobako.databases.base import BackendUnavailable
from kobako.databases.sqlite_migrations import use_wal
from kobako.databases.sqlite_session import UNAVAILABLE, Rows, unavailable

LONGEST_WAIT_S = 2.0

SWEEP_EVERY_MS = 60_000
MOST_SWEPT = 1000
"""What has expired goes in small parts: a write that sweeps is not to be felt."""

SCHEMA = """
    CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS cache_expires ON cache (expires)"""

SET = "INSERT INTO cache VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET value = ?2, expires = ?3"

SWEEP = f"DELETE FROM cache WHERE key IN (SELECT key FROM cache WHERE expires <= ? LIMIT {MOST_SWEPT}) RETURNING 1"


class SQLiteCache:
    """Keys in a file, which is made when it is first used. `clock` returns milliseconds since the epoch."""

    def __init__(self, path: str | Path, prefix: str, clock: Callable[[], int]) -> None:
        self._path = Path(path).absolute()
        self._prefix = prefix
        self._clock = clock
        self._sweep_at = 0
        self._process: int | None = None
        self._connection: apsw.Connection

    async def get(self, key: str) -> Any:
        """Return the value of a key, None if it is unknown or has expired."""
        return _value(
            await self._run("SELECT value, expires FROM cache WHERE key = ?", self._prefix + key), self._clock()
        )

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        """Set a value for so many seconds. Raises TypeError if it is not JSON."""
        text = encode(value)
        await self._run(SET, self._prefix + key, text, self._clock() + ttl_s * 1000)
        await self._sweep()

    async def delete(self, key: str) -> Any:
        """Remove a key and return the value it had."""
        rows = await self._run("DELETE FROM cache WHERE key = ? RETURNING value, expires", self._prefix + key)
        return _value(rows, self._clock())

    async def ttl(self, key: str) -> float:
        """Return the seconds a key has left, a negative number if it is unknown."""
        rows = await self._run("SELECT expires FROM cache WHERE key = ?", self._prefix + key)
        left_ms = rows[0][0] - self._clock() if rows else 0
        return float(left_ms) / 1000 if left_ms > 0 else -1

    async def expire(self, key: str, ttl_s: float) -> None:
        """Give a key that exists another time to live."""
        now = self._clock()
        statement = "UPDATE cache SET expires = ? WHERE key = ? AND expires > ?"
        await self._run(statement, now + ttl_s * 1000, self._prefix + key, now)

    async def flush(self) -> None:
        """Remove every key under this prefix."""
        await self._run("DELETE FROM cache WHERE substr(key, 1, length(?1)) = ?1", self._prefix)

    async def check(self) -> bool:
        """Tell whether a value can be written and read back."""
        return await round_trip(self)

    async def close(self) -> None:
        """Let go of the file."""
        if self._process == os.getpid():
            self._process = None
            self._connection.close(True)

    async def _run(self, statement: str, *values: Any) -> Rows:
        """Run a statement, a transaction by itself. Raises BackendUnavailable."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST_WAIT_S
        while True:
            try:
                if self._process != os.getpid():
                    self._connect()
                return self._connection.execute(statement, values).fetchall()
            except apsw.BusyError as error:
                if loop.time() > deadline:
                    raise unavailable(error) from error
            except UNAVAILABLE as error:
                raise unavailable(error) from error
            await asyncio.sleep(0.001)

    async def _sweep(self) -> None:
        now = self._clock()
        if now >= self._sweep_at:
            swept = await self._run(SWEEP, now)
            self._sweep_at = now + (0 if len(swept) == MOST_SWEPT else SWEEP_EVERY_MS)

    def _connect(self) -> None:
        if self._process is not None:
            raise BackendUnavailable(f"{self._path} was opened before this process was forked")
        sqlite_fitness.check(self._path)
        connection = apsw.Connection(str(self._path))
        use_wal(connection, LONGEST_WAIT_S)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(SCHEMA)
        self._connection, self._process = connection, os.getpid()


def _value(rows: Rows, now: int) -> Any:
    """Return the value of a row (JSON text, when it expires), if it still counts."""
    return json.loads(rows[0][0]) if rows and rows[0][1] > now else None
