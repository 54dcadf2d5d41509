"""What pytest would run, told by pytest itself: `python -m pytest -p tests.collected --collect-only`.

A case of the reliability checklist (S1, C14) is held by the tests that name it: in their source, or the comment above.
"""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[1]

BACKENDS = ("memory", "sqlite", "postgresql", "redis", "split", "memcached")

BEGIN = "collected:"
"""What the line begins with that the plugin prints."""

CASE = re.compile(r"\b[SCPIO]\d{1,2}\b")


class Collected(msgspec.Struct, frozen=True):
    """A test: its name with its parameters, its class, where its function is written, and the cases it names.

    `backend` is what it runs on, where it says so: by a parameter, by its class, or by the name of its file.
    """

    name: str
    group: str
    module: str
    backend: str
    cases: tuple[str, ...]
    may_be_skipped: bool


def collect(*paths: str) -> list[Collected]:
    """Return the tests that pytest finds in these files or folders."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.collected",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True)
    told = [line.removeprefix(BEGIN) for line in done.stdout.splitlines() if line.startswith(BEGIN)]
    assert len(told) == 1, done.stdout[-2000:] + done.stderr
    return msgspec.json.decode(told[0], type=list[Collected])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print what was found."""
    found = [_told(each) for each in session.items if isinstance(each, pytest.Function)]
    print(f"\n{BEGIN}{msgspec.json.encode(found).decode()}")


def _told(item: pytest.Function) -> Collected:
    return Collected(
        name=item.name,
        group=item.cls.__name__ if item.cls else "",
        module=item.function.__module__,
        backend=_backend(item),
        cases=tuple(sorted({*CASE.findall(_text(item))})),
        may_be_skipped=any(each.name in ("skip", "skipif", "xfail") for each in item.iter_markers()),
    )


def _backend(item: pytest.Function) -> str:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if isinstance(parameters.get("backend"), str):
        return str(parameters["backend"])
    where = f"{item.path.stem} {item.cls.__name__ if item.cls else ''}".lower()
    return next((each for each in BACKENDS if each in where), "")


def _text(item: pytest.Function) -> str:
    """Return the source of a test, with the comment and the decorators above it, and its name as cases are written."""
    lines, start = inspect.findsource(item.function)
    first = start
    while first and lines[first - 1].lstrip().startswith(("#", "@")):
        first -= 1
    named = item.function.__name__.upper().replace("_", " ")
    return named + "".join(lines[first:start]) + inspect.getsource(item.function)
