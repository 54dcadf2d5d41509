"""The tests of the API run on every backend: an app that asks for memory gets a file of its own on SQLite, ..."""

import asyncio
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers.postgresql import PostgreSQL, empty

from kobako.databases.base import Clock
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.settings import Settings


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its schema, to copy: quicker than to make each anew. It is older than any clock of a test."""
    path = tmp_path_factory.mktemp("migrated") / "kobako.db"
    asyncio.run(SQLiteDatabase(path, lambda: 1).migrate())
    return path


class EmptyDatabase(PostgreSQLDatabase):
    """A database that has served other tests: it is emptied where it would be made."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url, clock)
        self.url = url

    async def migrate(self) -> list[str]:
        await empty(self.url, epoch=1)
        return []


@pytest.fixture
def databases(request: pytest.FixtureRequest) -> Callable[[Clock], EmptyDatabase]:
    """Return a function that gives each app of a test a database on PostgreSQL; the next test gets the same ones."""
    server: PostgreSQL = request.getfixturevalue("postgresql")
    numbers = itertools.count()

    def next_one(clock: Clock) -> EmptyDatabase:
        name = f"app{next(numbers)}"
        if name not in server.databases:
            server.sql(f"CREATE DATABASE {name} TEMPLATE kobako")
            server.databases.add(name)
        return EmptyDatabase(server.url(name), clock)

    return next_one


@pytest.fixture(autouse=True, params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def backend(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend of every app of a test."""
    numbers = itertools.count()

    def on_sqlite(settings: Settings, clock: Clock) -> SQLiteDatabase:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(migrated, path)
        return SQLiteDatabase(path, clock)

    if request.param == "sqlite":
        monkeypatch.setattr("kobako.app.open_database", on_sqlite)
    if request.param == "postgresql":
        databases = request.getfixturevalue("databases")
        monkeypatch.setattr("kobako.app.open_database", lambda settings, clock: databases(clock))
    name: str = request.param
    return name


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
"""Topics in which backends play no part: the quick checks take them on memory only, and nothing on PostgreSQL."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _backend(item) == "postgresql" and item.path.stem in ABOUT_HTTP]
    for item in items:
        if _backend(item) == "sqlite" and item.path.stem in ABOUT_HTTP:
            item.add_marker(pytest.mark.slow)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _backend(item: pytest.Item) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("backend") if callspec else None
