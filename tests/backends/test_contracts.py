"""The contracts are one for all backends: each runs all of their tests, and skips none."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from tests.collected import Collected, collect

from kobako import testing

# Pytest collects in a process of its own, for some seconds.
pytestmark = pytest.mark.slow

DATABASES = ("TestMemoryDatabase", "TestSQLite", "TestPostgreSQL", "TestRedisDatabase", "TestSplitDatabase")
CACHES = ("TestMemoryCache", "TestSQLiteCache", "TestPostgreSQLCache", "TestRedisCache", "TestMemcachedCache")


@pytest.fixture(scope="module")
def contract_tests() -> dict[str, list[Collected]]:
    """The tests of the contracts, by the class that has joined them."""
    found: dict[str, list[Collected]] = defaultdict(list)
    for each in collect("tests/backends"):
        if each.module.startswith(f"{testing.__name__}."):
            found[each.group].append(each)
    return found


@pytest.mark.parametrize("classes", [DATABASES, CACHES], ids=["databases", "caches"])
def test_every_backend_has_the_same_tests_and_none_may_be_skipped(
    classes: tuple[str, ...],
    contract_tests: dict[str, list[Collected]],
    record_property: Callable[[str, Any], None],
) -> None:
    names = {each: sorted(test.name for test in contract_tests[each]) for each in classes}

    record_property("figures", ", ".join(f"{each} {len(found)}" for each, found in names.items()))
    assert names[classes[0]]
    assert {each: names[each] for each in classes} == dict.fromkeys(classes, names[classes[0]])
    assert [test for each in classes for test in contract_tests[each] if test.may_be_skipped] == []
