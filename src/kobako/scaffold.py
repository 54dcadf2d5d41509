"""`kobako new NAME`: a project of one's own, with one kind of object, a configuration and tests that pass.

It is a package with a plugin for the stock server; NAME stands for its name in the texts below.
"""

import keyword
import re
import secrets
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = '''\
"""NAME: notes, of which each user has their own."""

from typing import Annotated

import msgspec

from kobako import Plugin, Resource, Settings


class Note(msgspec.Struct):
    """What a note has. What it has no field for is not kept."""

    title: Annotated[str, msgspec.Meta(min_length=1)]
    text: str = ""
    done: bool = False


NOTE = Resource(name="note", path="/notes", owned=True, unique=("title",), schema=Note)


def plugin(settings: Settings) -> Plugin:
    """Return what a server with `includes = NAME` has besides."""
    return Plugin(
        name="NAME",
        resources=[NOTE],
        capabilities={"NAME": {"description": "Keeps notes.", "url": ""}},
    )
'''

TESTS: Final = '''\
"""What NAME does."""

from collections.abc import AsyncIterator

import NAME
import pytest

from kobako import App, Settings
from kobako.testing.client import Client

MEMORY = {f"{part}_{what}": value for part in ("storage", "permission", "cache")
          for what, value in (("backend", "memory"), ("url", ""))}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    settings = Settings(userid_hmac_secret="of the tests", **MEMORY)
    async with Client(App(settings, [], plugins=[NAME.plugin(settings)])) as client:
        yield client


async def test_a_note_is_kept(client: Client) -> None:
    made = await client.post("/notes", data={"title": "Milk"})

    assert made.status == 201
    assert (await client.get(f"/notes/{made.data['id']}")).data == made.data


async def test_a_note_needs_a_title_that_no_other_has(client: Client) -> None:
    await client.post("/notes", data={"title": "Milk"})

    assert (await client.post("/notes", data={})).status == 400
    assert (await client.post("/notes", data={"title": "Milk"})).status == 409


async def test_nobody_sees_the_notes_of_others(client: Client) -> None:
    await client.post("/notes", data={"title": "Milk"})

    assert (await client.as_user("bob").get("/notes")).data == []
    assert (await client.anonymous().get("/notes")).status == 401
'''

PROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "NAME"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["kobako"]

[project.optional-dependencies]
dev = ["pytest", "pytest-asyncio"]

[project.entry-points."kobako.plugins"]
NAME = "NAME:plugin"

[tool.pytest.ini_options]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
pythonpath = ["."]
testpaths = ["tests"]
"""

CONFIGURATION: Final = """\
[app:main]
kobako.includes = NAME
kobako.storage_url = sqlite:///NAME.db
kobako.cache_url = sqlite:///NAME-cache.db
kobako.userid_hmac_secret = SECRET
multiauth.policies = basicauth
"""

MAKEFILE: Final = """\
# The Python that has Kobako; PYTHON=python3.12 chooses another.
PYTHON ?= INTERPRETER

.PHONY: test serve

test:
\t@"$(PYTHON)" -c "import pytest, pytest_asyncio" 2> /dev/null || "$(PYTHON)" -m pip install pytest pytest-asyncio
\t"$(PYTHON)" -m pytest

serve:
\t"$(PYTHON)" -m kobako start
"""

README: Final = """\
# NAME

    make test
    make serve          # reads kobako.ini
    curl -u alice:secret http://127.0.0.1:8888/v1/notes --json '{"data": {"title": "Milk"}}'

`pip install -e .` makes it a package that any server in the same environment finds by `kobako.includes = NAME`.
"""


class BadName(ValueError):
    """A project cannot have this name, or not here."""


def create(folder: Path, name: str) -> Path:
    """Write a project into a new folder of its name, and return that. Raises BadName; OSError."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or name in ("kobako", "tests", "test"):
        raise BadName(f"'{name}' is no name of a Python package: small letters, digits and _, a letter first.")
    root = folder / name
    if root.exists():
        raise BadName(f"{root} already exists.")
    for path, text in {
        "pyproject.toml": PROJECT,
        "README.md": README,
        "Makefile": MAKEFILE.replace("INTERPRETER", sys.executable.replace("$", "$$")),
        f"{name}/__init__.py": PACKAGE,
        f"tests/test_{name}.py": TESTS,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text.replace("NAME", name))
    configuration = root / "kobako.ini"
    configuration.touch(0o600)
    configuration.write_text(CONFIGURATION.replace("NAME", name).replace("SECRET", secrets.token_hex(32)))
    return root
