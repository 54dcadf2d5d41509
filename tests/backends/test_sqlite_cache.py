"""The cache in SQLite: the contracts, and what only it has."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import apsw
import pytest
from tests.backends.server_caches import ROUNDS, TASKS, WORKERS, hammer

from kobako.cache import sqlite
from kobako.cache.sqlite import SQLiteCache
from kobako.databases.base import BackendUnavailable
from kobako.testing import CacheContract, Clock, SharedCacheContract


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(path: Path, clock: Clock) -> AsyncIterator[SQLiteCache]:
    cache = SQLiteCache(path, "a_b:", clock)
    yield cache
    await cache.close()


@pytest.fixture
async def neighbour(path: Path, clock: Clock) -> AsyncIterator[SQLiteCache]:
    neighbour = SQLiteCache(path, "axb:", clock)
    yield neighbour
    await neighbour.close()


class TestSQLiteCache(CacheContract, SharedCacheContract):
    pass


async def rows(path: Path) -> int:
    connection = apsw.Connection(str(path))
    return int(connection.execute("SELECT count(*) FROM cache").fetchall()[0][0])


async def test_workers_see_what_others_set(path: Path, clock: Clock, cache: SQLiteCache) -> None:
    other = SQLiteCache(path, "a_b:", clock)
    await cache.set("key", 1, 60)

    assert await other.get("key") == 1
    assert await other.delete("key") == 1
    assert await cache.get("key") is None
    await other.close()


async def test_what_was_set_is_there_after_a_restart(path: Path, clock: Clock, cache: SQLiteCache) -> None:
    await cache.set("key", 1, 60)
    await cache.close()

    assert await cache.get("key") == 1


async def test_what_has_expired_is_swept(path: Path, clock: Clock, cache: SQLiteCache) -> None:
    for n in range(20):
        await cache.set(f"key{n}", n, 1)
    assert await rows(path) == 20

    clock.now += sqlite.SWEEP_EVERY_MS
    await cache.set("key", 1, 60)

    assert await rows(path) == 1


async def test_a_locked_file_is_waited_for_with_the_loop_free(path: Path, cache: SQLiteCache) -> None:
    await cache.set("key", 1, 60)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    setting = asyncio.create_task(cache.set("key", 2, 60))
    await asyncio.sleep(0.02)
    assert not setting.done()
    assert await cache.get("key") == 1

    other.execute("ROLLBACK")

    await setting
    assert await cache.get("key") == 2


async def test_a_file_locked_for_too_long_is_unavailable(
    path: Path, cache: SQLiteCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LONGEST_WAIT_S", 0.05)
    await cache.set("key", 1, 60)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(BackendUnavailable, match="locked"):
        await cache.set("key", 2, 60)

    assert not await cache.check()
    other.execute("ROLLBACK")
    assert await cache.check()


@pytest.mark.slow
async def test_c19_many_workers_write_and_expire_the_same_keys(path: Path) -> None:
    """C19."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as workers:
        ends = [loop.run_in_executor(workers, hammer, partial(SQLiteCache, path, "a_b:"), n) for n in range(WORKERS)]

        assert await asyncio.gather(*ends) == [TASKS * ROUNDS] * WORKERS
