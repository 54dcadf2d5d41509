"""The cache of `examples/folder_cache.py` keeps the contract of caches; backends of one's own are named in settings."""

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from examples.file_database import FileDatabase
from examples.folder_cache import FolderCache
from tests.conftest import SETTINGS

from kobako import App, UnfitDatabase
from kobako.databases.memory import MemoryDatabase
from kobako.resources import RESOURCES
from kobako.settings import SettingsError, read_settings
from kobako.testing import (
    CacheContract,
    Clock,
    DatabaseContract,
    PermissionContract,
    SharedCacheContract,
    StorageContract,
)
from kobako.testing.client import Client


class TestFileDatabase(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, tmp_path: Path, clock: Clock) -> AsyncIterator[FileDatabase]:
        database = FileDatabase(tmp_path / "all.json", clock)
        await database.migrate()
        await database.open()
        yield database
        await database.close()


async def test_a_server_keeps_its_objects_in_a_database_of_ones_own(tmp_path: Path) -> None:
    lines = f"kobako.storage_backend = examples.file_database.open_database\nkobako.storage_url = {tmp_path}/all.json"
    app = App(read(tmp_path, lines), RESOURCES)
    with pytest.raises(UnfitDatabase, match="run kobako migrate"):
        await app.__aenter__()
    assert await app.migrate() == [f"made {tmp_path}/all.json"]
    async with Client(app) as client:
        made = await client.put("/buckets/b", data={"size": 3})
        with pytest.raises(UnfitDatabase, match="in use by another process"):
            await App(app.settings, RESOURCES).__aenter__()

    async with Client(App(app.settings, RESOURCES)) as client:
        assert app.settings.cache_backend == "memory"
        assert (await client.get("/buckets/b")).json == made.json
        assert (await client.as_user("bob").get("/buckets/b")).status == 403


async def test_permissions_alone_are_kept_in_a_database_of_ones_own(tmp_path: Path) -> None:
    lines = (
        "kobako.storage_backend = memory\nkobako.cache_backend = memory\n"
        "kobako.permission_backend = examples.file_database.open_database\n"
        f"kobako.permission_url = {tmp_path}/permissions.json"
    )
    async with Client(App(read(tmp_path, lines), RESOURCES)) as client:
        await client.put("/buckets/b", data={"secret": 3}, permissions={"read": ["system.Everyone"]})

        assert (await client.anonymous().get("/buckets/b")).data["secret"] == 3
    assert "/buckets/b" in (text := (tmp_path / "permissions.json").read_text())
    assert "secret" not in text


class TestFolderCache(CacheContract, SharedCacheContract):
    @pytest.fixture
    def cache(self, tmp_path: Path, clock: Clock) -> FolderCache:
        return FolderCache(tmp_path, "a_b:", clock)

    @pytest.fixture
    def neighbour(self, tmp_path: Path, clock: Clock) -> FolderCache:
        return FolderCache(tmp_path, "axb:", clock)


def read(tmp_path: Path, lines: str) -> Any:
    ini = tmp_path / "kobako.ini"
    ini.write_text(f"[app:main]\n{lines}\nkobako.userid_hmac_secret = abc\nmultiauth.policies = basicauth\n")
    return read_settings(ini, {})


async def test_a_cache_of_ones_own_is_named_in_the_settings(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        "kobako.storage_backend = memory\n"
        f"kobako.cache_backend = examples.folder_cache.open_cache\nkobako.cache_url = {tmp_path}/cache",
    )
    async with Client(App(settings, RESOURCES)) as client:
        heartbeat = await client.get("/__heartbeat__")
        app = client.app
        await app.site.backends.cache.set("a", 1, 10)

    assert heartbeat.json == {"storage": True, "permission": True, "cache": True}
    assert len([*(tmp_path / "cache").rglob("*")]) == 2


async def test_a_database_of_ones_own_is_one_for_objects_and_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, made = ModuleType("mine"), []

    def database(url: str, settings: Any, clock: Any) -> MemoryDatabase:
        made.append(url)
        return MemoryDatabase(clock)

    module.__dict__["database"] = database
    monkeypatch.setitem(sys.modules, "mine", module)
    settings = read(
        tmp_path,
        "kobako.storage_backend = mine.database\nkobako.storage_url = mine://host\nkobako.cache_backend = memory",
    )
    async with Client(App(settings, RESOURCES)) as client:
        assert (await client.put("/buckets/b")).status == 201

    assert made == ["mine://host"]


@pytest.mark.parametrize("name", ["mine.not_there", "examples.folder_cache.nothing"])
def test_a_backend_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=rf"'kobako.storage_backend' is '{name}': it does not exist\.$"):
        read(tmp_path, f"kobako.storage_backend = {name}")


def test_a_backend_that_fails_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mine")

    def fail(url: str, settings: Any, clock: Any) -> None:
        raise ValueError(f"no server at {url}")

    module.__dict__["fail"] = fail
    monkeypatch.setitem(sys.modules, "mine", module)
    settings = replace(SETTINGS, cache_backend="mine.fail", cache_url="mine://me:s3cret@host")

    with pytest.raises(
        SettingsError, match=r"'cache_backend' is 'mine.fail': it failed: ValueError: no server"
    ) as told:
        App(settings, RESOURCES)

    assert "s3cret" not in str(told.value)
