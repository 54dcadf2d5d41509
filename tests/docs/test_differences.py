"""Every difference from Kinto names a test, and the test exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`([\w./]+\.py)::(\w+)` \|$", (ROOT / "docs/differences.md").read_text(), re.MULTILINE)
ROWS = [
    line
    for line in (ROOT / "docs/differences.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| Kinto ")
]


def test_every_row_names_a_test() -> None:
    assert len(NAMED) == len(ROWS) > 30


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_of_a_difference_exists(file: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / "tests" / "api" / file).read_text()
