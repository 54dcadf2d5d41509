"""The cache in PostgreSQL: one table, seen by all processes of all machines.

Each operation is one statement and a transaction by itself: it locks one key at most, so there is no order of locks
to keep, and a pooler may give every statement another session. The table is not logged: writes are cheap, and after
a crash of the database server it is empty, which is what a cache may be. It is made when it is missed, for the cache
may have a database of its own; Kinto's is called `cache`, and may be in the same database.

Source: cache contract, objects 23; reliability C19.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import asyncpg

from kobako.cache.values import Entry, encode, expiry, round_trip
from kobako.databases.base import BackendUnavailable, TryAgain, UnfitDatabase, attempts

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

MOST_CONNECTIONS = 10
LONGEST_WAIT_S = 5.0
LONGEST_FLUSH_S = 60.0

SWEEP_EVERY_MS = 60_000
MOST_SWEPT = 1000
"""What has expired goes in small parts: a write that sweeps is not to be felt."""

# The key in bytes: any text fits, U+0000 too, and no collation takes two for the same.
TABLE = """
    CREATE UNLOGGED TABLE IF NOT EXISTS kobako_cache
        (key bytea PRIMARY KEY, value text NOT NULL, expires bigint NOT NULL);
    CREATE INDEX IF NOT EXISTS kobako_cache_expires ON kobako_cache (expires)"""

GET = "SELECT expires, value FROM kobako_cache WHERE key = $1 AND expires > $2"

SET = """
    INSERT INTO kobako_cache (key, value, expires) VALUES ($1, $2, $3)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires"""

DELETE = "DELETE FROM kobako_cache WHERE key = $1 RETURNING expires, value"

EXPIRE = "UPDATE kobako_cache SET expires = $3 WHERE key = $1 AND expires > $2"

# What locks many keys waits for none of them, or takes them in their order: no two wait for each other (C19).
SWEEP = f"""
    DELETE FROM kobako_cache WHERE key IN (
        SELECT key FROM kobako_cache WHERE expires <= $1 LIMIT {MOST_SWEPT} FOR UPDATE SKIP LOCKED)
    RETURNING 1"""

FLUSH = """
    DELETE FROM kobako_cache WHERE key IN (
        SELECT key FROM kobako_cache WHERE substring(key FROM 1 FOR length($1::bytea)) = $1 ORDER BY key FOR UPDATE)"""

# Errors that are no defect of ours: the server, the way to it, who we are to it. Others go through as they are.
UNAVAILABLE = (
    OSError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)

HOSTS = re.compile(r"(?:(?:\[[^\]]*\]|[^:,\[\]]*)(?::\d+)?(?:,|$))*")
"""Hosts with their ports; the one in use is the one that serves."""

MADE_BY_ANOTHER = (asyncpg.DuplicateObjectError, asyncpg.DuplicateTableError, asyncpg.UniqueViolationError)


class PostgreSQLCache:
    """Keys in a table. `clock` returns milliseconds since the epoch. Raises UnfitDatabase for a bad URL.

    `?pooler=transaction` in the URL says that the sessions behind it change from one transaction to the next.
    """

    def __init__(self, url: str, prefix: str, clock: Callable[[], int]) -> None:
        self._pool = Pool(url)
        self._prefix = prefix
        self._clock = clock
        self._sweep_at = 0

    async def get(self, key: str) -> Any:
        """Return the value of a key, None if it is unknown or has expired."""
        entry = await self._find(GET, self._key(key), self._clock())
        return entry.value if entry else None

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        """Set a value for so many seconds. Raises TypeError if it is not JSON."""
        await self._run(SET, self._key(key), encode(value), expiry(self._clock(), ttl_s))
        await self._sweep()

    async def delete(self, key: str) -> Any:
        """Remove a key and return the value it had."""
        entry = await self._find(DELETE, self._key(key))
        return entry.value if entry and entry.expires > self._clock() else None

    async def ttl(self, key: str) -> float:
        """Return the seconds a key has left, a negative number if it is unknown."""
        now = self._clock()
        entry = await self._find(GET, self._key(key), now)
        return entry.left_s(now) if entry else -1

    async def expire(self, key: str, ttl_s: float) -> None:
        """Give a key that exists another time to live."""
        now = self._clock()
        await self._run(EXPIRE, self._key(key), now, expiry(now, ttl_s))

    async def flush(self) -> None:
        """Remove every key under this prefix."""
        await self._run(FLUSH, self._key(""), longest_s=LONGEST_FLUSH_S)

    async def check(self) -> bool:
        """Tell whether a value can be written and read back."""
        return await round_trip(self)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._pool.close()

    def _key(self, key: str) -> bytes:
        return (self._prefix + key).encode()

    async def _find(self, statement: str, *values: Any) -> Entry | None:
        rows = await self._run(statement, *values)
        return Entry(rows[0][0], rows[0][1]) if rows else None

    async def _sweep(self) -> None:
        now = self._clock()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_MS
            if len(await self._run(SWEEP, now)) == MOST_SWEPT:
                self._sweep_at = now

    async def _run(self, statement: str, *values: Any, longest_s: float = LONGEST_WAIT_S) -> list[asyncpg.Record]:
        """Run a statement, a transaction by itself. Raises BackendUnavailable."""
        try:
            return await self._fetch(statement, values, longest_s)
        except asyncpg.UndefinedTableError:
            await self._make_table()
            return await self._fetch(statement, values, longest_s)

    async def _fetch(self, statement: str, values: Sequence[Any], longest_s: float) -> list[asyncpg.Record]:
        rows = []
        for attempt in attempts():
            async with attempt, self._pool.connection() as connection:
                rows = await connection.fetch(statement, *values, timeout=longest_s)
        return rows

    async def _make_table(self) -> None:
        # IF NOT EXISTS does not see what another worker is making at the same moment.
        with suppress(*MADE_BY_ANOTHER):
            async with self._pool.connection() as connection:
                await connection.execute(TABLE)


class StatelessConnection(asyncpg.Connection):
    """A session in which nothing is left behind: it goes back to the pool as it is, not by way of the server."""

    def get_reset_query(self) -> str:
        return ""


class Pool:
    """Connections to a database, opened when they are first needed."""

    def __init__(self, url: str) -> None:
        self._url, self._is_behind_pooler = read_url(url)
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """Lend a connection for one statement. Raises BackendUnavailable, TryAgain if the statement met others."""
        try:
            pool = await self._open()
            async with pool.acquire(timeout=LONGEST_WAIT_S) as connection:
                yield connection
        except asyncpg.TransactionRollbackError as error:
            raise TryAgain(f"PostgreSQL: {error}") from error
        except UNAVAILABLE as error:
            raise BackendUnavailable(f"PostgreSQL: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        """Let go of all connections."""
        pool, self._pool = self._pool, None
        if pool:
            await pool.close()

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url, min_size=0, max_size=MOST_CONNECTIONS, connection_class=StatelessConnection,
                    timeout=LONGEST_WAIT_S, command_timeout=LONGEST_WAIT_S,
                    # A prepared statement stays in a session, which behind a pooler is another's a moment later.
                    statement_cache_size=0 if self._is_behind_pooler else 100,
                )  # fmt: skip
            return self._pool


def read_url(url: str) -> tuple[str, bool]:
    """Return a URL as the driver takes it, and whether a pooler of transactions is behind it. Raises UnfitDatabase.

    >>> read_url("postgresql://me@db:6432/cache?pooler=transaction&sslmode=require")
    ('postgresql://me@db:6432/cache?sslmode=require', True)
    """
    base, _, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    if scheme not in ("postgresql", "postgres") or not HOSTS.fullmatch(rest.partition("/")[0].rpartition("@")[2]):
        # What is wrong with it is kept back: of a URL that is mistaken it may be a part of the password.
        raise UnfitDatabase(
            "The URL of the cache is no URL of PostgreSQL: it is postgresql://[user[:password]@]host[:port]/database, "
            "special characters in the password as %XX."
        )
    options = dict(parse_qsl(query))
    pooler = options.pop("pooler", "")
    if pooler not in ("", "transaction"):
        raise UnfitDatabase(f"pooler={pooler} in the URL of the cache: only pooler=transaction is known.")
    return f"{base}?{urlencode(options)}".rstrip("?"), pooler == "transaction"
