"""A server with attachments in a folder; a test says which settings it has besides."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client


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
