"""Uploads into a folder (objects, 17.1 to 17.6; reliability, A1 to A6 and A10)."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import SETTINGS
from tests.plugins.attaching import RECORD, URL, file, text, upload

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

BASE_URL = "https://cdn.example/files"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def options() -> dict[str, str]:
    """What a test sets besides the folder."""
    return {}


@pytest.fixture
def settings(folder: Path, options: dict[str, str]) -> Settings:
    given = {f"attachment.{name}": value for name, value in options.items()}
    given = {"attachment.base_path": str(folder), **given}
    return replace(SETTINGS, includes=("attachments",), plugin_options=given)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    async with Client(App(settings, RESOURCES)) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c")
        yield client


def stored(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


async def test_a_file_makes_a_record_that_tells_of_it(client: Client, folder: Path) -> None:
    response = await upload(client, file("photo.JPG", b"123", "text/html"))

    assert response.status == 201
    about = response.json
    [(path, content)] = stored(folder).items()
    assert about == {
        "filename": "photo.JPG",
        "location": path,
        "hash": hashlib.sha256(b"123").hexdigest(),
        "mimetype": "image/jpeg",
        "size": 3,
    }
    assert (path[:4], path[-4:], content) == ("b/c/", ".jpg", b"123")
    record = await client.get(RECORD)
    assert record.data["attachment"] == about
    assert response.headers["Location"] == f"http://localhost/v1{RECORD}"
    assert response.etag == record.data["last_modified"]
    assert len(record.json["permissions"]["write"]) == 1


async def test_a_file_is_put_into_a_record_that_is_there(client: Client) -> None:
    await client.put(RECORD, {"title": "old", "size": 1}, {"read": ["system.Everyone"]})

    parts = [file(), text("data", {"title": "new"}), text("permissions", {"write": ["account:bob"]})]
    response = await upload(client, *parts)

    assert response.status == 200
    record = await client.get(RECORD)
    assert (record.data["title"], record.data["size"]) == ("new", 1)
    assert record.json["permissions"]["read"] == ["system.Everyone"]
    assert "account:bob" in record.json["permissions"]["write"]


async def test_parts_come_in_any_order_and_parameters_are_ignored(client: Client) -> None:
    parts = [text("permissions", {"read": ["account:bob"]}), file(), text("data", {"a": 1})]
    response = await upload(client, *parts, url=f"{URL}?gzipped=true")

    assert response.status == 201
    assert (await client.get(RECORD)).data["a"] == 1


async def test_a_new_file_takes_the_place_of_the_old_one(client: Client, folder: Path) -> None:
    await upload(client, file(content=b"old"))
    await upload(client, file(content=b"new"))

    assert list(stored(folder).values()) == [b"new"]
