"""PostgreSQL: the contracts, and what only this backend has. Failures are in test_postgresql_failures.py."""

from collections.abc import AsyncIterator

import pytest

from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.testing import Clock, DatabaseContract, PermissionContract, StorageContract

pytestmark = pytest.mark.server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(clock: Clock, emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, clock)
    await database.migrate()
    await database.open()
    yield database
    await database.close()


class TestPostgreSQL(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock, emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
        database = PostgreSQLDatabase(emptied, clock)
        await database.migrate()
        await database.open()
        yield database
        await database.close()
