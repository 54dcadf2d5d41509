"""Every command that the README shows runs as written, and prints what it says.

Where the machine has no curl, a stand-in with the few options that the README uses serves instead.
"""

import doctest
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server.process import running

README = Path(__file__).parents[2] / "README.md"
STAND_IN = Path(__file__).parent / "curl.py"

pytestmark = pytest.mark.server


def examples(page: Path = README) -> list[tuple[str, str]]:
    """Return the commands of the console blocks, each with what it should print."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, expected = example.partition("\n")
            found.append((command, expected))
    return found


def run(command: str, folder: Path, *, stand_in: bool) -> str:
    """Return what a command prints, as a person would see it in a terminal."""
    bin = folder / "bin"
    bin.mkdir(exist_ok=True)
    if stand_in:
        (bin / "curl").write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
        (bin / "curl").chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f'PATH="{bin}:$PATH"; {command}'], cwd=folder, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\r\n", "\n").rstrip("\n") + "\n"


@pytest.mark.parametrize("stand_in", [pytest.param(not shutil.which("curl"), id="curl"), True])
def test_the_readme_shows_what_happens(tmp_path: Path, stand_in: bool) -> None:
    checker = doctest.OutputChecker()
    shown = examples()
    with running(tmp_path) as server:
        for command, expected in shown:
            printed = run(command.replace(":8888/", f":{server.port}/"), tmp_path, stand_in=stand_in)

            # "..." stands for what differs from run to run, as in doctests.
            assert checker.check_output(expected, printed, doctest.ELLIPSIS), f"{command}\nprinted {printed}"
    assert len(shown) > 10
