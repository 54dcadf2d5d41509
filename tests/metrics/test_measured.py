"""A backend that is timed is the backend that it was: it keeps its contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.metrics.reading import values

from kobako.cache.base import Cache
from kobako.cache.memory import MemoryCache
from kobako.databases.base import Database
from kobako.databases.memory import MemoryDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.metrics.measured import MeasuredCache, MeasuredDatabase, timed
from kobako.metrics.prometheus import Prometheus
from kobako.testing import CacheContract, Clock, DatabaseContract, PermissionContract, StorageContract


class TestMeasuredMemory(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock) -> Database:
        return MeasuredDatabase(MemoryDatabase(clock), Prometheus())


class TestMeasuredSQLite(DatabaseContract):
    @pytest.fixture
    async def database(self, clock: Clock, tmp_path: Path) -> AsyncIterator[Database]:
        database = SQLiteDatabase(tmp_path / "kobako.db", clock)
        await database.migrate()
        await database.open()
        yield MeasuredDatabase(database, Prometheus())
        await database.close()


class TestMeasuredCache(CacheContract):
    @pytest.fixture
    def cache(self, clock: Clock) -> Cache:
        return MeasuredCache(MemoryCache("", 10_000, clock), Prometheus())


async def test_what_fails_is_timed_too() -> None:
    metrics = Prometheus()

    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await timed(fail, metrics, "some.seconds", {"method": "fail"})()

    assert values(metrics.exposition().decode(), "some_seconds_count") == {"fail": 1}
