"""The tests of the API run on every backend: an app that asks for memory gets a database of its own on another."""

import asyncio
import itertools
import shutil
import uuid
from pathlib import Path

import pytest

from kobako.databases.base import Clock
from kobako.databases.redis import RedisDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.settings import Settings


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its schema, to copy: quicker than to make each anew. It is older than any clock of a test."""
    path = tmp_path_factory.mktemp("migrated") / "kobako.db"
    asyncio.run(SQLiteDatabase(path, lambda: 1).migrate())
    return path


@pytest.fixture(autouse=True, params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.server)])
def backend(request: pytest.FixtureRequest, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend of every app of a test."""
    numbers = itertools.count()

    def on_sqlite(settings: Settings, clock: Clock) -> SQLiteDatabase:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(migrated, path)
        return SQLiteDatabase(path, clock)

    def on_redis(settings: Settings, clock: Clock) -> RedisDatabase:
        return RedisDatabase(request.getfixturevalue("valkey").url(), clock, prefix=f"{uuid.uuid4()}:")

    if request.param == "redis":
        monkeypatch.setattr("kobako.app.open_database", on_redis)
    if request.param == "sqlite":
        monkeypatch.setattr("kobako.app.open_database", on_sqlite)
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
        "preconditions",
        "refusals",
        "request_log",
        "urls",
        "utilities",
    )
}
"""Topics in which backends play no part: the quick checks take them on memory only."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        if item.path.stem in ABOUT_HTTP and callspec and callspec.params.get("backend") == "sqlite":
            item.add_marker(pytest.mark.slow)
