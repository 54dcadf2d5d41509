"""Databases for the contracts."""

import pytest
from tests.servers.postgresql import PostgreSQL, empty


@pytest.fixture
async def emptied(postgresql: PostgreSQL) -> str:
    """The URL of an empty database: that of the test before, which takes no time."""
    url = postgresql.url("kobako")
    await empty(url)
    return url
