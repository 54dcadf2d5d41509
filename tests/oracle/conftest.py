"""The databases of the tests of the oracle on each backend."""

import uuid

import pytest
from tests.api.conftest import EmptyDatabase
from tests.oracle.backends import Make
from tests.servers.modes import Served
from tests.servers.valkey import Valkey

from kobako.databases.redis import RedisDatabase


@pytest.fixture
def make(backend: str, request: pytest.FixtureRequest) -> Make | None:
    """What makes the databases of the backend of a test, None where that is embedded. One world follows another."""
    if backend == "postgresql":
        served: Served = request.getfixturevalue("served")
        if "oracle" not in served.server.databases:
            served.server.sql("CREATE DATABASE oracle TEMPLATE kobako")
            served.server.databases.add("oracle")
        return lambda clock: EmptyDatabase(served, "oracle", clock)
    if backend == "redis":
        valkey: Valkey = request.getfixturevalue("valkey")
        return lambda clock: RedisDatabase(valkey.url(), clock, prefix=f"{uuid.uuid4()}:")
    return None
