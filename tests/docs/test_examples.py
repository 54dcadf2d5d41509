"""The examples are written with public names, and typed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_uses_public_names_only(path: Path) -> None:
    modules = [line.split()[1] for line in path.read_text().splitlines() if re.match(r"\s*(from|import) kobako", line)]

    assert {*modules} <= {"kobako"}


def test_the_examples_are_typed() -> None:
    program = [sys.executable, "-m", "mypy", "--strict", *EXAMPLES]

    checked = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout
    assert f"{len(EXAMPLES)} source files" in checked.stdout
