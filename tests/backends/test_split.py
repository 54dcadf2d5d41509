"""Objects in one database and permissions in another: the contracts, and what no single database has."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kobako.databases.base import BackendUnavailable, TryAgain
from kobako.databases.memory import MemoryDatabase, MemoryUnit
from kobako.databases.split import SplitDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.testing import Clock, DatabaseContract, PermissionContract, StorageContract
from kobako.testing.fixtures import RECORDS, get

ACL = {"read": ["basicauth:alice"]}
URI = "/buckets/b"


class TestSplitDatabase(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock, tmp_path: Path) -> AsyncIterator[SplitDatabase]:
        database = SplitDatabase(SQLiteDatabase(tmp_path / "objects.db", clock), MemoryDatabase(clock))
        await database.migrate()
        await database.open()
        yield database
        await database.close()


class Failing(MemoryDatabase):
    """A database whose next commit fails."""

    failure: Exception | None = None

    def begin(self, *_: object) -> "FailingUnit":
        return FailingUnit(self)


class FailingUnit(MemoryUnit):
    async def __aexit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        failure = self._database.failure if kind is None else None
        await super().__aexit__(type(failure) if failure else kind, *rest)
        if failure:
            raise failure


@pytest.fixture
def objects(clock: Clock) -> Failing:
    return Failing(clock)


@pytest.fixture
def permissions(clock: Clock) -> Failing:
    return Failing(clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(objects: Failing, permissions: Failing) -> SplitDatabase:
    return SplitDatabase(objects, permissions)


async def write(database: SplitDatabase) -> None:
    async with database.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, "r1", "{}")
        await unit.permission.replace(URI, ACL)


async def acl(database: SplitDatabase) -> dict[str, list[str]]:
    async with database.begin() as unit:
        return await unit.permission.acl(URI)


@pytest.mark.parametrize("failure", [BackendUnavailable, TryAgain])
async def test_nothing_is_kept_when_the_permissions_are_not(
    database: SplitDatabase, permissions: Failing, failure: type[Exception]
) -> None:
    permissions.failure = failure("the commit failed")

    with pytest.raises(failure):
        await write(database)

    permissions.failure = None
    assert await get(database, "r1") is None
    assert await acl(database) == {}


async def test_permissions_are_ahead_when_the_objects_are_not_kept(database: SplitDatabase, objects: Failing) -> None:
    objects.failure = BackendUnavailable("the commit failed")

    with pytest.raises(BackendUnavailable):
        await write(database)

    objects.failure = None
    assert await get(database, "r1") is None
    assert await acl(database) == ACL
    await write(database)
    assert await get(database, "r1")


async def test_a_unit_that_can_not_begin_in_both_begins_in_none(database: SplitDatabase, objects: Failing) -> None:
    with pytest.raises(RuntimeError):
        # In memory, a second unit of one task would wait for itself.
        async with database._permissions.begin(), database.begin():
            pass

    await write(database)
