"""The poller oracle on each backend: no missed change, no lost write, through kills (S1 to S28, C1 to C25, O2, O5, O6).

`make test` does a short run; `python -m tests.consistency` a long one. Source: reliability, section 3, A, B, E, G, M.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.consistency.backends import BACKENDS
from tests.consistency.runs import Plan, run

pytestmark = pytest.mark.server

OPERATIONS = 20_000
KILLS = 20


# A minute or two, and more on a machine that does other things.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_nothing_is_missed_or_lost(
    backend: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    plan = Plan(backend=BACKENDS[backend], operations=OPERATIONS, kills=KILLS, seed=1)

    report = await run(plan, tmp_path)

    record_property("figures", str(report))
    assert report.findings == [], f"{report}; {report.history}"
    assert report.operations == OPERATIONS
    assert report.polls > OPERATIONS // 100
