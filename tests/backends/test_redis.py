"""The contracts on Redis, and what only it has."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.servers.valkey import Valkey

from kobako.databases.redis import RedisDatabase
from kobako.testing import Clock, DatabaseContract, PermissionContract, StorageContract

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def database(clock: Clock, valkey: Valkey) -> AsyncIterator[RedisDatabase]:
    database = RedisDatabase(valkey.url(), clock, prefix=f"{uuid.uuid4()}:")
    await database.open()
    yield database
    await database.close()


class TestRedisDatabase(DatabaseContract, StorageContract, PermissionContract):
    """The contracts."""
