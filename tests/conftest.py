"""What all tests share: clients of an app on the memory backend, or on any other that a test names."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.servers import modes
from tests.servers.modes import Served
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import Valkey

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

SETTINGS = Settings(
    storage_backend="memory",
    storage_url="",
    permission_backend="memory",
    permission_url="",
    cache_backend="memory",
    cache_url="",
    userid_hmac_secret="abc",
)


@pytest.fixture
def settings() -> Settings:
    """The settings of the `client`; a test module overrides it to change one."""
    return SETTINGS


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client with a user, of an empty server."""
    async with Client(App(settings, RESOURCES)) as client:
        yield client


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """A server for each process of pytest, in the mode of this run, with a migrated database, `kobako`."""
    with modes.served(modes.chosen()) as served:
        yield served


@pytest.fixture(scope="session")
def postgresql(served: Served) -> PostgreSQL:
    """The same, for tests that ask it themselves."""
    return served.server


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """A server for those who kill nothing: each test takes keys of its own."""
    server = Valkey()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests record: how much was tried."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(f"{report.nodeid}: {value}")
