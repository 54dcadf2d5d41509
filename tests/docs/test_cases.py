"""Each case of sync and of concurrency (S1 to S29, C1 to C25) is tested by its name on SQLite and on PostgreSQL."""

from collections import defaultdict

import pytest
from tests.collected import collect
from tests.docs.coverage import rows

# Pytest collects in a process of its own, for some seconds.
pytestmark = pytest.mark.slow

EVERYWHERE = {"sqlite", "postgresql"}

# A copy that lags behind is a standby of PostgreSQL; the command line refuses workers that share no memory.
OF_ONE = ("S26", "C23")


@pytest.fixture(scope="module")
def tested() -> dict[str, set[str]]:
    """The backends that each case is tested on."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in collect("tests"):
        for case in each.cases:
            found[case].add(each.backend)
    return found


@pytest.mark.parametrize("case", [each.number for each in rows() if each.number[0] in "SC" and not each.is_open])
def test_a_case_is_tested_on_each_backend(case: str, tested: dict[str, set[str]]) -> None:
    assert tested[case]
    assert case in OF_ONE or tested[case] >= EVERYWHERE
