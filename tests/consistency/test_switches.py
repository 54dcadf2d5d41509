"""The oracle can fail: each way to break a real server is seen within seconds, and by a case that tells of it.

`make test` breaks all that can be broken on SQLite, and the lock on PostgreSQL; `make switches` everything on each.

Source: reliability, 3.1 ("Test the tests").
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.consistency.backends import BACKENDS
from tests.consistency.breaks import SWITCHES
from tests.consistency.runs import Plan, run

pytestmark = pytest.mark.server

OPERATIONS = 1500

EVERYTHING = os.environ.get("KOBAKO_TEST_SWITCHES") == "all"

CAUGHT_BY = {
    "versions_are_taken_before_the_lock": "S1",
    "etags_are_read_after_the_list": "S28",
    "pages_answer_the_etag_of_their_moment": "S7",
    "commits_follow_the_answer": "S10",
    "if_match_is_checked_outside_the_lock": "C1 C4",
    "tombstones_are_dropped": "S9",
    "batches_are_not_checked": "P18",
    "parts_of_batches_are_committed_alone": "C11",
    "patches_read_before_the_lock": "C5",
    "puts_read_before_the_lock": "C1 C2 C3 C22",
    "records_outlive_their_collection": "C9",
    "timestamps_are_forgotten_with_their_list": "S1 S3 S19",
    "answers_are_kept_for_a_while": "S10",
}
"""The cases, of which one is enough."""

BROKEN = [
    (backend, switch)
    for backend in BACKENDS
    for switch in SWITCHES
    if EVERYTHING or backend == "sqlite" or (backend, switch) == ("postgresql", "versions_are_taken_before_the_lock")
]


def test_every_switch_has_its_case() -> None:
    assert CAUGHT_BY.keys() == SWITCHES.keys()


@pytest.mark.parametrize(("backend", "switch"), BROKEN)
async def test_the_oracle_sees_that(
    backend: str, switch: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    plan = Plan(backend=BACKENDS[backend], operations=OPERATIONS, kills=0, seed=1, broken=switch)

    report = await run(plan, tmp_path)

    cases = sorted({each.case for each in report.findings})
    record_property("figures", f"{report.seconds:.0f} s, seen as {', '.join(cases)}")
    assert {*CAUGHT_BY[switch].split()} & {*cases}
    # Not by breaking altogether.
    assert not {500, 0} & report.statuses.keys(), report.statuses
