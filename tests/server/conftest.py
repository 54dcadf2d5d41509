"""Servers on each backend that keeps what it is given: a database of the test's own."""

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from redis import Redis
from tests.server.postgresql import environ
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import Valkey

from kobako.databases.postgresql import PostgreSQLDatabase

_numbers = itertools.count()

OF_SERVERS = 15
"""The database of Valkey that servers get; other tests keep to the first."""


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def backend(request: pytest.FixtureRequest) -> str:
    """The backend that the server of a test has."""
    name: str = request.param
    return name


@pytest.fixture
def variables(backend: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What `kobako start` is told of it, by environment; without a word it makes a file of SQLite."""
    if backend == "postgresql":
        yield environ(_database(request.getfixturevalue("postgresql")))
    elif backend == "redis":
        valkey: Valkey = request.getfixturevalue("valkey")
        yield environ(valkey.url(OF_SERVERS))
        with Redis.from_url(valkey.url(OF_SERVERS)) as server:
            server.flushdb()
    else:
        yield {}


def _database(server: PostgreSQL) -> str:
    name = f"served{next(_numbers)}"
    server.sql(f"CREATE DATABASE {name}")
    asyncio.run(PostgreSQLDatabase(server.url(name), lambda: 1).migrate())
    return server.url(name)
