"""No request that the server's description calls for, or rules out, ends in a defect or in what is not documented.

Source: reliability, section 3, C.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fuzz.runs import run

pytestmark = pytest.mark.server


def test_no_request_ends_in_a_5xx_or_in_what_is_not_documented(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    report = run(tmp_path, requests=2000, seed=20261122, examples=30)
    record_property("figures", str(report))

    assert report.findings == []
    assert report.requests >= 2000
    missed = [operation for operation, successes in report.operations.items() if not successes]
    assert missed == [], "no request was served of"
