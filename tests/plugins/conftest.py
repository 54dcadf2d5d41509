"""Plugins are tested on every backend, as the API is (tests/api/conftest.py)."""

from tests.api.conftest import (
    backend,
    migrated,
    postgresql_databases,
    pytest_collection_modifyitems,
    redis_databases,
    sqlite_databases,
)

__all__ = [
    "backend",
    "migrated",
    "postgresql_databases",
    "pytest_collection_modifyitems",
    "redis_databases",
    "sqlite_databases",
]
