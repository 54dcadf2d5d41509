"""Real database servers for the contracts: one for each process of pytest."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest
from tests.servers.postgresql import QUICK, PostgreSQL

from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.testing.fixtures import START


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server with a migrated database, `kobako`. It is older than any clock of a test."""
    server = PostgreSQL(*QUICK)
    try:
        server.start()
        server.sql("CREATE DATABASE kobako")
        asyncio.run(PostgreSQLDatabase(server.url("kobako"), lambda: 1).migrate())
        yield server
    finally:
        server.remove()


@pytest.fixture
async def emptied(postgresql: PostgreSQL) -> str:
    """The URL of an empty database: that of the test before, which takes no time."""
    url = postgresql.url("kobako")
    connection = await asyncpg.connect(url)
    await connection.execute(
        "DELETE FROM objects; DELETE FROM lists; DELETE FROM aces; DELETE FROM members;"
        f"UPDATE metadata SET value = {START} WHERE key = 'epoch'"
    )
    await connection.close()
    return url
