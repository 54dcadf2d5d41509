"""The tests of the API run on every backend: an app that asks for memory gets a database of its own on another."""

import asyncio
import itertools
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.everything import with_every_plugin
from tests.servers.modes import Served
from tests.servers.postgresql import empty
from tests.servers.sqlite import QuickSQLite
from tests.servers.valkey import Valkey

from kobako.app import App
from kobako.databases.base import Clock, Database
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.redis import RedisDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.settings import Settings

ON_SERVERS = ("postgresql", "redis")

Make = Callable[[Clock], Database]
"""Return an empty database with this clock."""


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its schema, to copy: quicker than to make each anew. It is older than any clock of a test."""
    path = tmp_path_factory.mktemp("migrated") / "kobako.db"
    asyncio.run(SQLiteDatabase(path, lambda: 1).migrate())
    return path


@pytest.fixture
def sqlite_databases(migrated: Path, tmp_path: Path) -> Make:
    numbers = itertools.count()

    def make(clock: Clock) -> QuickSQLite:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(migrated, path)
        return QuickSQLite(path, clock)

    return make


class EmptyDatabase(PostgreSQLDatabase):
    """A database that has served other tests: it is emptied where it would be made."""

    def __init__(self, served: Served, name: str, clock: Clock) -> None:
        super().__init__(served.url(name), clock)
        self._own_url = served.server.url(name)

    async def migrate(self) -> list[str]:
        await empty(self._own_url, epoch=1)
        return []


@pytest.fixture
def postgresql_databases(served: Served) -> Make:
    """Each app of a test has one of its own; the next test gets the same ones."""
    numbers = itertools.count()

    def make(clock: Clock) -> EmptyDatabase:
        name = f"app{next(numbers)}"
        if name not in served.server.databases:
            served.server.sql(f"CREATE DATABASE {name} TEMPLATE kobako")
            served.server.databases.add(name)
        return EmptyDatabase(served, name, clock)

    return make


@pytest.fixture
def redis_databases(valkey: Valkey) -> Make:
    return lambda clock: RedisDatabase(valkey.url(), clock, prefix=f"{uuid.uuid4()}:")


@pytest.fixture(
    autouse=True, params=["memory", "sqlite", *(pytest.param(each, marks=pytest.mark.server) for each in ON_SERVERS)]
)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend of every app of a test."""
    name: str = request.param
    if name != "memory":
        make: Make = request.getfixturevalue(f"{name}_databases")
        monkeypatch.setattr("kobako.app.open_database", lambda settings, clock: make(clock))
    return name


@pytest.fixture(autouse=True)
def every_plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bool:
    """Whether every plugin is on in each app of a test, whatever its settings include."""
    is_on: bool = getattr(request, "param", False)
    if is_on:
        make = App.__init__

        def make_with_every_plugin(app: App, settings: Settings, *arguments: Any, **options: Any) -> None:
            make(app, with_every_plugin(settings, tmp_path / "files"), *arguments, **options)

        monkeypatch.setattr(App, "__init__", make_with_every_plugin)
    return is_on


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the cases of permissions (P1 to P25) with every plugin on besides: in their names, or their first lines."""
    named = metafunc.function.__name__.upper().replace("_", " ")
    if re.search(r"\bP\d", f"{named} {metafunc.function.__doc__}"):
        metafunc.parametrize("every_plugin", [False, True], indirect=True, ids=["alone", "every_plugin"])


ABOUT_HTTP = {
    f"test_{topic}"
    for topic in (
        "about",
        "acl_bodies",
        "authentication",
        "batch_paths",
        "cors",
        "edge",
        "end_of_service",
        "errors",
        "fxa",
        "oauth",
        "openapi",
        "permissions",
        "startup",
        "preconditions",
        "refusals",
        "request_log",
        "urls",
        "utilities",
    )
}
"""Topics in which backends play no part: the quick checks take them on memory only, and nobody on a server.

But for the cases of the checklist that stand among them (S22, C17): those are tested on every backend.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [
        item for item in items if _backend(item) in ON_SERVERS and (_is_about_http(item) or _has_every_plugin(item))
    ]
    for item in items:
        if _has_every_plugin(item) or (_backend(item) == "sqlite" and _is_about_http(item)):
            item.add_marker(pytest.mark.slow)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_about_http(item: pytest.Item) -> bool:
    about = item.function.__doc__ or "" if isinstance(item, pytest.Function) else ""
    return item.path.stem in ABOUT_HTTP and not re.search(r"\b[SC]\d", about)


def _has_every_plugin(item: pytest.Item) -> bool:
    return bool(_parameter(item, "every_plugin"))


def _backend(item: pytest.Item) -> object:
    return _parameter(item, "backend")


def _parameter(item: pytest.Item, name: str) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(name) if callspec else None
