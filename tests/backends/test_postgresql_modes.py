"""PostgreSQL as clusters and services have it: behind PgBouncer, in partitions, serializable.

`make test-postgresql` runs the tests of the API in each; here is what takes seconds.

Source: design, "One file to a cluster"; reliability, S2.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from tests.servers import modes
from tests.servers.modes import MODES, Served
from tests.servers.postgresql import empty

from kobako.app import App
from kobako.cache.postgresql import PostgreSQLCache
from kobako.databases.base import attempts
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing import CacheContract, Clock, PermissionContract
from kobako.testing.cascades import CascadeContract
from kobako.testing.client import Client
from kobako.testing.concurrency import give_time, poll
from kobako.testing.databases import UnitContract
from kobako.testing.fixtures import RECORDS, ids, put

pytestmark = pytest.mark.server

TABLES = {"lists", "objects", "aces", "members"}


@pytest.fixture(scope="module", params=MODES[1:])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with modes.served(request.param) as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(clock: Clock, served: Served) -> AsyncIterator[PostgreSQLDatabase]:
    await empty(served.server.url("kobako"))
    database = PostgreSQLDatabase(served.url(), clock)
    await database.open()
    yield database
    await database.close()


async def ask(url: str, question: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [str(row[0]) for row in await connection.fetch(question)]
    finally:
        await connection.close()


async def write(database: PostgreSQLDatabase, id: str) -> None:
    """Store an object as a request does: again, where it meets others in its way."""
    for attempt in attempts():
        async with attempt:
            await put(database, id)


class TestInEachMode(UnitContract, CascadeContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock, served: Served) -> AsyncIterator[PostgreSQLDatabase]:
        await empty(served.server.url("kobako"))
        database = PostgreSQLDatabase(served.url(), clock)
        await database.open()
        yield database
        await database.close()

    async def test_the_mode_is_what_it_says(self, served: Served, database: PostgreSQLDatabase) -> None:
        url = served.server.url("kobako")

        assert (
            served.pooler is not None
            or await ask(url, "SHOW default_transaction_isolation") == ["serializable"]
            or set(await ask(url, "SELECT partrelid::regclass::text FROM pg_partitioned_table")) == TABLES
        )

    async def test_s2_a_write_that_commits_late_is_not_missed(
        self, served: Served, database: PostgreSQLDatabase, clock: Clock
    ) -> None:
        """S2."""
        other = PostgreSQLDatabase(served.url(), clock)
        await other.open()
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            clock.now += 1000
            writing = asyncio.create_task(write(other, "r2"))
            await give_time(writing)
            etag, seen = await poll(other, 0)

        await writing
        _, later = await poll(other, etag)
        await other.close()
        assert seen == []
        assert ids(later) == ["r1", "r2"]

    async def test_the_api_is_served(self, served: Served) -> None:
        await empty(served.server.url("kobako"))
        of_both = {"storage_url": served.url(), "permission_url": served.url()}
        backends = {"storage_backend": "postgresql", "permission_backend": "postgresql", "cache_backend": "memory"}
        settings = Settings(**of_both, **backends, userid_hmac_secret="abc")
        async with Client(App(settings, RESOURCES)) as client:
            await client.put("/buckets/b")
            await client.put("/buckets/b/collections/c")
            await client.put("/buckets/b/groups/g", {"members": ["basicauth:a"]})
            paths = [f"/buckets/b/collections/c/records/r{n}" for n in range(9)]
            batch = await client.batch(*({"method": "PUT", "path": each} for each in paths))
            listed = await client.get("/buckets/b/collections/c/records?_limit=5")
            deleted = await client.delete("/buckets/b")

        assert [each["status"] for each in batch.json["responses"]] == [201] * 9
        assert (len(listed.data), "Next-Page" in listed.headers) == (5, True)
        assert deleted.status == 200


class TestCache(CacheContract):
    """The cache in each of the modes: with PgBouncer, of whose sessions none is ours."""

    @pytest.fixture
    async def cache(self, clock: Clock, served: Served) -> AsyncIterator[PostgreSQLCache]:
        cache = PostgreSQLCache(served.url(), "a_b:", clock)
        await cache.flush()
        yield cache
        await cache.close()
