"""Databases for the contracts, which nobody skips."""

from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest
from tests.servers.postgresql import PostgreSQL, empty

from kobako import testing
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_session import Session
from kobako.testing import Clock


@pytest.fixture
async def emptied(postgresql: PostgreSQL) -> str:
    """The URL of an empty database: that of the test before, which takes no time."""
    url = postgresql.url("kobako")
    await empty(url)
    return url


@pytest.fixture
def clock() -> Clock:
    """What servers go by."""
    return Clock()


@pytest.fixture
async def other(emptied: str, clock: Clock) -> AsyncIterator[PostgreSQLDatabase]:
    """The same database, as another process has it."""
    database = PostgreSQLDatabase(emptied, clock)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that PostgreSQL is sent."""
    found, run = list[str](), Session.run

    async def noted(self: Session, sql: str, *values: Any) -> Any:
        found.append(sql)
        return await run(self, sql, *values)

    monkeypatch.setattr(Session, "run", noted)
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test of a contract that was skipped, whatever the reason."""
    report = yield
    if report.skipped and isinstance(item, pytest.Function) and item.function.__module__.startswith(testing.__name__):
        report.outcome, report.longrepr = "failed", "A test of a contract was skipped."
    return report
