"""Databases for the contracts, which nobody skips."""

from collections.abc import Generator

import pytest
from tests.servers.postgresql import PostgreSQL, empty

from kobako import testing


@pytest.fixture
async def emptied(postgresql: PostgreSQL) -> str:
    """The URL of an empty database: that of the test before, which takes no time."""
    url = postgresql.url("kobako")
    await empty(url)
    return url


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test of a contract that was skipped, whatever the reason."""
    report = yield
    if report.skipped and isinstance(item, pytest.Function) and item.function.__module__.startswith(testing.__name__):
        report.outcome, report.longrepr = "failed", "A test of a contract was skipped."
    return report
