"""The cache in PostgreSQL: the contracts, and what only it has."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import asyncpg
import pytest
from tests.backends.server_caches import Make, ServerCacheContract
from tests.servers.daemon import free_port
from tests.servers.postgresql import QUICK, PostgreSQL

from kobako.cache import postgresql
from kobako.cache.postgresql import PostgreSQLCache
from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.testing import CacheContract, Clock, SharedCacheContract

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    server = PostgreSQL(*QUICK)
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def connection(server: PostgreSQL) -> AsyncIterator[asyncpg.Connection]:
    """A session of an operator, in a database without the table."""
    connection = await asyncpg.connect(server.url())
    await connection.execute("DROP TABLE IF EXISTS kobako_cache")
    yield connection
    await connection.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(server: PostgreSQL, connection: asyncpg.Connection, clock: Clock) -> AsyncIterator[PostgreSQLCache]:
    cache = PostgreSQLCache(server.url(), "a_b:", clock)
    yield cache
    await cache.close()


@pytest.fixture
async def neighbour(server: PostgreSQL, clock: Clock) -> AsyncIterator[PostgreSQLCache]:
    neighbour = PostgreSQLCache(server.url(), "axb:", clock)
    yield neighbour
    await neighbour.close()


class TestPostgreSQLCache(CacheContract, SharedCacheContract, ServerCacheContract):
    @pytest.fixture
    def make(self, server: PostgreSQL) -> Make:
        return partial(PostgreSQLCache, server.url(), "a_b:")


class TestForAPooler(CacheContract):
    """Without prepared statements."""

    @pytest.fixture
    async def cache(
        self, server: PostgreSQL, connection: asyncpg.Connection, clock: Clock
    ) -> AsyncIterator[PostgreSQLCache]:
        cache = PostgreSQLCache(f"{server.url()}?pooler=transaction", "a_b:", clock)
        yield cache
        await cache.close()

    async def test_nothing_stays_in_a_session(self, cache: PostgreSQLCache) -> None:
        await cache.set("key", 1, 60)
        await cache.get("key")

        async with cache._pool.connection() as session:
            assert not session.is_in_transaction()
            assert await session.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''") == 0


async def rows(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM kobako_cache"))


async def test_many_workers_make_the_table_at_once(
    server: PostgreSQL, connection: asyncpg.Connection, clock: Clock
) -> None:
    workers = [PostgreSQLCache(server.url(), "", clock) for _ in range(8)]
    for _ in range(10):
        await connection.execute("DROP TABLE IF EXISTS kobako_cache")

        await asyncio.gather(*(each.set(f"key{n}", n, 60) for n, each in enumerate(workers)))

        assert await rows(connection) == 8
    for each in workers:
        await each.close()


async def test_the_table_has_its_index_and_is_not_logged(
    connection: asyncpg.Connection, cache: PostgreSQLCache
) -> None:
    await cache.set("key", 1, 60)

    kinds = await connection.fetch("SELECT relname, relpersistence FROM pg_class WHERE relname LIKE 'kobako_cache%'")

    assert {name: bytes(kind) for name, kind in kinds} == {
        "kobako_cache": b"u",
        "kobako_cache_expires": b"u",
        "kobako_cache_pkey": b"u",
    }


async def test_what_was_set_is_there_after_a_restart(server: PostgreSQL, cache: PostgreSQLCache) -> None:
    await cache.set("key", 1, 60)
    await cache.close()

    server.restart()

    assert await cache.get("key") == 1


async def test_after_a_crash_the_cache_is_empty_and_serves(server: PostgreSQL, cache: PostgreSQLCache) -> None:
    await cache.set("key", 1, 60)
    await cache.close()

    server.kill()
    server.start()

    assert await cache.get("key") is None
    await cache.set("key", 2, 60)
    assert await cache.get("key") == 2


async def test_what_has_expired_is_swept_in_small_parts(
    connection: asyncpg.Connection, cache: PostgreSQLCache, clock: Clock
) -> None:
    await cache.set("key", 1, 3600)
    await connection.execute(
        "INSERT INTO kobako_cache SELECT n::text::bytea, '1', $1 FROM generate_series(1, $2) n",
        clock.now,
        postgresql.MOST_SWEPT + 10,
    )
    await cache.set("key", 1, 3600)
    assert await rows(connection) == postgresql.MOST_SWEPT + 11

    clock.now += postgresql.SWEEP_EVERY_MS
    await cache.set("key", 1, 3600)
    assert await rows(connection) == 11
    await cache.set("key", 1, 3600)

    assert await rows(connection) == 1


async def test_a_sweep_waits_for_nobody(connection: asyncpg.Connection, cache: PostgreSQLCache, clock: Clock) -> None:
    for n in range(3):
        await cache.set(f"key{n}", n, 10)
    clock.now += postgresql.SWEEP_EVERY_MS

    async with connection.transaction():
        await connection.execute("SELECT FROM kobako_cache WHERE value = '1' FOR UPDATE")
        await cache.set("key", 1, 60)
        assert await rows(connection) == 2


async def test_a_statement_that_takes_too_long_is_unavailable(
    connection: asyncpg.Connection, cache: PostgreSQLCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.set("key", 1, 60)

    async with connection.transaction():
        await connection.execute("SELECT FROM kobako_cache FOR UPDATE")
        monkeypatch.setattr(postgresql, "LONGEST_FLUSH_S", 0.05)
        with pytest.raises(BackendUnavailable, match="PostgreSQL: TimeoutError"):
            await cache.flush()

    assert await cache.get("key") == 1


async def test_a_key_may_be_any_text(cache: PostgreSQLCache) -> None:
    for n, key in enumerate(("a\0b", "a", "\\x61")):
        await cache.set(key, n, 60)

    assert [await cache.get(key) for key in ("a\0b", "a", "\\x61")] == [0, 1, 2]


async def test_a_user_who_may_not_make_the_table_is_told_so(server: PostgreSQL, connection: asyncpg.Connection) -> None:
    await connection.execute("DROP ROLE IF EXISTS guest")
    await connection.execute("CREATE ROLE guest LOGIN")
    cache = PostgreSQLCache(server.url().replace("kobako@", "guest@"), "", Clock())

    with pytest.raises(BackendUnavailable, match="permission denied for schema public"):
        await cache.get("key")

    assert not await cache.check()
    await cache.close()


async def test_statements_that_meet_under_a_stricter_isolation_are_tried_again(
    server: PostgreSQL, connection: asyncpg.Connection
) -> None:
    await connection.execute("CREATE ROLE strict LOGIN SUPERUSER")
    await connection.execute("ALTER ROLE strict SET default_transaction_isolation = 'repeatable read'")
    cache = PostgreSQLCache(server.url().replace("kobako@", "strict@"), "", Clock())
    await cache.set("key", 0, 60)

    async with connection.transaction():
        await connection.execute("UPDATE kobako_cache SET expires = expires + 1")
        setting = asyncio.create_task(cache.set("key", 1, 60))
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
            assert not setting.done()

    await setting
    assert await cache.get("key") == 1
    await cache.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://me:sesame@127.0.0.1/cache",
        "postgresql://me:x7y/sesame@127.0.0.1/cache",
        "postgresql://me:sesame@127.0.0.1:port/cache",
        "postgresql://me:sesame@[127.0.0.1/cache",
        "postgresql://me:sesame@127.0.0.1/cache?pooler=session",
        "",
    ],
)
def test_a_url_that_is_none_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(UnfitDatabase, match="URL of the cache") as refusal:
        PostgreSQLCache(url, "", Clock())

    assert "x7y" not in str(refusal.value)
    assert "sesame" not in str(refusal.value)


async def test_a_server_that_was_never_there_is_unavailable_and_the_password_not_told() -> None:
    cache = PostgreSQLCache(f"postgresql://me:sesame@127.0.0.1:{free_port()}/cache", "", Clock())

    with pytest.raises(BackendUnavailable, match="PostgreSQL: ") as refusal:
        await cache.get("key")

    assert "sesame" not in str(refusal.value)
    await cache.close()
