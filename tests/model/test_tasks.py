"""What runs beside the requests: started with the app, started again when it fails, ended with the app."""

import asyncio

import pytest
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.model import tasks
from kobako.resources import RESOURCES


async def test_a_task_runs_from_the_opening_of_an_app_to_its_closing() -> None:
    told: list[str] = []

    async def run(app: App) -> None:
        told.append(f"started, open: {await app.site.backends.database.check()}")
        try:
            await asyncio.Event().wait()
        finally:
            told.append(f"ended, open: {await app.site.backends.database.check()}")

    async with App(SETTINGS, RESOURCES, tasks=[run]):
        await asyncio.sleep(0.01)
        assert told == ["started, open: True"]

    assert told == ["started, open: True", "ended, open: True"]


async def test_a_task_that_fails_is_logged_and_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "PAUSE_S", 0.001)
    done = asyncio.Event()
    goes = 0

    async def run(_: App) -> None:
        nonlocal goes
        goes += 1
        if goes < 3:
            raise ValueError("not yet")
        done.set()

    async with App(SETTINGS, RESOURCES, tasks=[run]):
        await asyncio.wait_for(done.wait(), 10)

    assert goes == 3
    assert [each.exc_info[0] for each in caplog.records if each.exc_info] == [ValueError, ValueError]
