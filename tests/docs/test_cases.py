"""Each case of sync and of concurrency (S1 to S29, C1 to C25) is tested by its name on SQLite and on PostgreSQL.

Each case of permissions (P1 to P25) is tested with every plugin on, on both embedded backends. Each section about
plugins is tested on all four.
"""

from collections import defaultdict
from collections.abc import Iterable

import pytest
from tests.collected import Collected, collect
from tests.docs.coverage import Row, rows

# Pytest collects in a process of its own, for some seconds.
pytestmark = pytest.mark.slow

EVERYWHERE = {"sqlite", "postgresql"}

# A copy that lags behind is a standby of PostgreSQL; the command line refuses workers that share no memory.
OF_ONE = ("S26", "C23")


SECTIONS = ("10", "11", "12", "13", "14", "15.3", "17", "28")
"""Of plugins."""

# What stops the start is read from settings, before there is a database.
OF_NO_BACKEND = ("14.1", "17.7")

# What is switched on only where it is wanted is not on with everything.
OF_NO_PLUGIN = ("P25",)


def _is_of_plugins(row: Row) -> bool:
    is_one = row.number in SECTIONS or row.number.partition(".")[0] in SECTIONS
    return row.table == "Objects" and is_one and row.number not in OF_NO_BACKEND


@pytest.fixture(scope="module")
def collected() -> list[Collected]:
    return collect("tests")


@pytest.fixture(scope="module")
def backends(collected: list[Collected]) -> dict[tuple[str, str], set[str]]:
    """The backends that each test is run on, and each file (with an empty name)."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in collected:
        file = each.module.replace(".", "/") + ".py"
        for name in ("", each.name.partition("[")[0]):
            found[file, name].add(each.backend)
    return found


@pytest.fixture(scope="module")
def tested(collected: list[Collected]) -> dict[str, set[str]]:
    """The backends that each case is tested on."""
    return _backends(collected)


@pytest.fixture(scope="module")
def tested_with_plugins(collected: list[Collected]) -> dict[str, set[str]]:
    """The same, with every plugin on."""
    return _backends(each for each in collected if "every_plugin" in each.name)


def _backends(tests: Iterable[Collected]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for each in tests:
        for case in each.cases:
            found[case].add(each.backend)
    return found


@pytest.mark.parametrize("case", [each.number for each in rows() if each.number[0] in "SC" and not each.is_open])
def test_a_case_is_tested_on_each_backend(case: str, tested: dict[str, set[str]]) -> None:
    assert tested[case]
    assert case in OF_ONE or tested[case] >= EVERYWHERE


@pytest.mark.parametrize(
    "case", [each.number for each in rows() if each.number[0] == "P" and each.number not in OF_NO_PLUGIN]
)
def test_a_case_of_permissions_is_tested_with_every_plugin(case: str, tested_with_plugins: dict[str, set[str]]) -> None:
    assert tested_with_plugins[case] >= {"memory", "sqlite"}


@pytest.mark.parametrize(
    "row", [each for each in rows() if _is_of_plugins(each)], ids=lambda row: f"Objects {row.number}"
)
def test_a_section_of_plugins_is_tested_on_each_backend(row: Row, backends: dict[tuple[str, str], set[str]]) -> None:
    assert {each for named in row.named for each in backends[named]} >= {"memory", "sqlite", "postgresql", "redis"}
