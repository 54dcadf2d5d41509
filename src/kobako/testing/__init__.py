"""The contracts as test classes, for kobako's own backends and for those of others.

A backend joins by giving a fixture: `database`, an opened and migrated Database that takes its time from the
fixture `clock`; or `cache`, a Cache likewise. A class runs every test of the contract; nobody skips one::

    class TestSQLite(DatabaseContract, StorageContract, PermissionContract):
        @pytest.fixture
        async def database(self, clock, tmp_path):
            database = SQLiteDatabase(tmp_path / "objects.db", clock)
            await database.open()
            await database.migrate()
            yield database
            await database.close()

What not every backend can promise is a contract of its own (`SharedCacheContract`). Needs pytest, and
pytest-asyncio in its automatic mode.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"kobako.testing.{name}" for name in ("cache", "cascades", "concurrency", "databases", "permission")),
    *(f"kobako.testing.{name}" for name in ("purges", "selections", "storage", "timestamps", "transfers")),
)

from kobako.testing.cache import CacheContract, SharedCacheContract  # noqa: E402
from kobako.testing.databases import DatabaseContract  # noqa: E402
from kobako.testing.fixtures import Clock  # noqa: E402
from kobako.testing.permission import PermissionContract  # noqa: E402
from kobako.testing.storage import StorageContract  # noqa: E402

__all__ = [
    "CacheContract",
    "Clock",
    "DatabaseContract",
    "PermissionContract",
    "SharedCacheContract",
    "StorageContract",
]
