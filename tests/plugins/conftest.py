"""Plugins are tested on every backend, as the API is (tests/api/conftest.py)."""

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
