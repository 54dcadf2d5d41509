"""Plugins are tested on every backend, as the API is (tests/api/conftest.py); some with its cache as well."""

import itertools
import uuid
from pathlib import Path

import pytest
from tests.api.conftest import (
    backend,
    every_plugin,
    migrated,
    postgresql_databases,
    pytest_collection_modifyitems,
    pytest_generate_tests,
    redis_databases,
    sqlite_databases,
)
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import Valkey

from kobako import backends
from kobako.cache.base import Cache
from kobako.cache.postgresql import PostgreSQLCache
from kobako.cache.redis import RedisCache
from kobako.cache.sqlite import SQLiteCache
from kobako.databases.base import Clock
from kobako.settings import Settings

__all__ = [
    "backend",
    "every_plugin",
    "migrated",
    "postgresql_databases",
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "redis_databases",
    "sqlite_databases",
]


@pytest.fixture
def cache_of_the_backend(
    request: pytest.FixtureRequest, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that asks for a cache in memory gets one of its own on the backend of the test."""
    numbers = itertools.count()

    def make(settings: Settings, clock: Clock) -> Cache:
        if settings.cache_backend != "memory" or backend == "memory":
            return backends.open_cache(settings, clock)
        if backend == "sqlite":
            return SQLiteCache(tmp_path / f"cache{next(numbers)}.db", "", clock)
        if backend == "redis":
            valkey: Valkey = request.getfixturevalue("valkey")
            return RedisCache(valkey.url(), f"{uuid.uuid4()}:", clock)
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return PostgreSQLCache(server.url("caches"), f"{uuid.uuid4()}:", clock)

    if backend == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        if "caches" not in server.databases:
            server.sql("CREATE DATABASE caches")
            server.databases.add("caches")
    monkeypatch.setattr("kobako.app.open_cache", make)
