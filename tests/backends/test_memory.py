"""The memory backends: the contracts, and what only they have."""

import asyncio

import pytest

from kobako.cache.memory import MemoryCache
from kobako.databases.memory import MemoryDatabase
from kobako.testing import (
    CacheContract,
    Clock,
    DatabaseContract,
    PermissionContract,
    SharedCacheContract,
    StorageContract,
)
from kobako.testing.fixtures import RECORDS, Refused, put, read, refused

MAX_BYTES = 10_000


class TestMemoryDatabase(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock) -> MemoryDatabase:
        return MemoryDatabase(clock)

    async def test_a_unit_begun_inside_another_of_its_task_is_refused(self, database: MemoryDatabase) -> None:
        with pytest.raises(RuntimeError, match="inside another"):
            async with database.begin(), database.begin():
                pass

        await put(database, "r1")
        assert len(await read(database)) == 1

    async def test_units_begin_in_the_order_of_arrival(self, database: MemoryDatabase) -> None:
        order: list[int] = []

        async def work(n: int) -> None:
            async with database.begin([RECORDS] if n % 2 else []):
                await asyncio.sleep(0)
                order.append(n)

        await asyncio.gather(*(work(n) for n in range(10)))

        assert order == list(range(10))

    async def test_closing_waits_for_the_unit_at_work(self, database: MemoryDatabase) -> None:
        async with database.begin([RECORDS]) as unit:
            closing = asyncio.create_task(database.close())
            await asyncio.sleep(0)
            await unit.storage.put(RECORDS, "r1", "{}")
            assert not closing.done()

        await closing

    async def test_nothing_is_kept_of_units_that_are_over(self, database: MemoryDatabase) -> None:
        await put(database, "r1")
        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r2", "{}")
                raise Refused

        assert len(database.journal) == 0

    async def test_databases_do_not_share_anything(self, database: MemoryDatabase, clock: Clock) -> None:
        other = MemoryDatabase(clock)

        await put(database, "r1")

        assert await read(other) == []


class TestMemoryCache(CacheContract, SharedCacheContract):
    @pytest.fixture
    def cache(self, clock: Clock) -> MemoryCache:
        return MemoryCache("a_b:", MAX_BYTES, clock)

    @pytest.fixture
    def neighbour(self, clock: Clock) -> MemoryCache:
        return MemoryCache("axb:", MAX_BYTES, clock)

    async def test_a_full_cache_drops_the_oldest_down_to_80_percent(self, cache: MemoryCache) -> None:
        # With the prefix, the key and the quotes of JSON, each takes 100 bytes.
        for n in range(100):
            await cache.set(f"{n:03}", "x" * 91, 60)
        assert await cache.get("000") is not None

        await cache.set("100", "x" * 91, 60)

        kept = [n for n in range(101) if await cache.get(f"{n:03}") is not None]
        assert kept == list(range(21, 101))

    async def test_a_key_set_again_is_not_old_any_more(self, cache: MemoryCache) -> None:
        for n in range(100):
            await cache.set(f"{n:03}", "x" * 91, 60)
        await cache.set("000", "y" * 91, 60)

        await cache.set("100", "x" * 91, 60)

        assert await cache.get("000") == "y" * 91
        assert await cache.get("001") is None

    async def test_what_goes_leaves_its_room(self, cache: MemoryCache, clock: Clock) -> None:
        for n in range(1000):
            await cache.set(f"{n}", "x" * 100, 60)
            await cache.delete(f"{n}")
        await cache.set("kept", "x" * 8000, 60)
        await cache.set("kept", "y" * 8000, 60)

        assert await cache.get("kept") == "y" * 8000

    async def test_expired_values_go_before_older_ones_that_count(self, cache: MemoryCache, clock: Clock) -> None:
        await cache.set("old", "x", 60)
        for n in range(99):
            await cache.set(f"{n:03}", "x" * 91, 1)
        clock.now += 1000

        await cache.set("new", "x" * 1000, 60)

        assert await cache.get("old") == "x"
        assert await cache.get("new") == "x" * 1000

    async def test_sizes_are_counted_in_bytes(self, cache: MemoryCache) -> None:
        await cache.set("old", "x", 60)

        await cache.set("new", "é" * 4900, 60)
        await cache.set("newer", "é" * 100, 60)

        assert await cache.get("old") is None

    async def test_a_value_larger_than_the_cache_is_not_kept(self, cache: MemoryCache) -> None:
        await cache.set("huge", "x" * MAX_BYTES, 60)

        assert await cache.get("huge") is None
        await cache.set("small", 1, 60)
        assert await cache.get("small") == 1


@pytest.mark.parametrize("joined", [TestMemoryDatabase, TestMemoryCache])
def test_no_contract_hides_a_test_of_another(joined: type) -> None:
    names = [name for each in joined.__mro__ for name in vars(each) if name.startswith("test_")]

    assert sorted(names) == sorted(set(names))
