"""Profiles of requests, read as one would read them. Source: HTTP API, 16.12."""

import asyncio
import pstats
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.process import running

from kobako import monitoring
from kobako.monitoring.profiler import name_of
from kobako.settings import Settings, SettingsError


def functions(file: Path) -> set[str]:
    """Return the names of the functions in a profile."""
    stats: Any = pstats.Stats(str(file))
    return {name for _, _, name in stats.stats}


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kobako")


@pytest.mark.server
def test_a_server_writes_a_profile_of_each_request(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    environ = {"KOBAKO_PROFILER_ENABLED": "true", "KOBAKO_PROFILER_DIR": str(folder)}
    with running(tmp_path, environ=environ) as server:
        connection = server.connect()
        for method, path in (("GET", "/v1/"), ("GET", "/v1/buckets/none"), ("POST", "/v1/batch")):
            connection.request(method, path)
            connection.getresponse().read()
        assert server.stop() == 0

    # Those of who asked whether it serves already are written when they are done.
    asked = (each for each in folder.iterdir() if "heartbeat" not in each.name)
    files = sorted(asked, key=lambda file: file.name)
    forms = [re.sub(r"\d+ms\.\d+(\.\d+)?\.prof", "_", file.name) for file in files]
    assert forms == ["GET.v1._", "GET.v1.buckets.none._", "POST.v1.batch._"]
    assert "hello" in functions(files[0])
    assert "get_object" in functions(files[1])


async def test_a_profile_is_of_one_request_however_many_come(tmp_path: Path) -> None:
    running_now = most = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0)
        running_now -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    profiled = monitoring.install_middlewares(app, Settings(profiler_enabled=True, profiler_dir=str(tmp_path)))
    async with client(profiled) as http:
        answers = await asyncio.gather(*(http.get("/same") for _ in range(10)))

    assert [each.status_code for each in answers] == [200] * 10
    profiles = list(tmp_path.iterdir())  # noqa: ASYNC240
    assert most == 1
    assert len(profiles) == 10


async def test_a_profile_that_cannot_be_written_fails_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gone = tmp_path / "gone"
    profiled = monitoring.install_middlewares(app, Settings(profiler_enabled=True, profiler_dir=str(gone)))
    async with client(profiled) as http:
        assert (await http.get("/")).status_code == 200

    assert [record.name for record in caplog.records if record.name.startswith("kobako")] == ["kobako.profiler"]
    assert str(gone) in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", "GET.root"),
        ("PUT", "/v1/buckets/a-b/collections/c_d", "PUT.v1.buckets.a-b.collections.c_d"),
        ("GET", "/../../etc/passwd", "GET.etc.passwd"),
        ("GET", "/a\x00b\udcff\n/é", "GET.a.b"),
        ("../GET", "/x", "GET.x"),
        ("GET", "/" + "x" * 5000, "GET." + "x" * 150),
    ],
)
def test_a_name_is_one_of_a_file_whatever_the_path(method: str, path: str, expected: str) -> None:
    assert name_of(method, path) == expected


def test_nothing_is_put_around_an_app_unless_a_setting_asks_for_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert monitoring.install_middlewares(app, Settings()) is app


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"^Setting 'profiler_dir' is '.*/file/profiles': Not a directory\.$"):
        monitoring.check(Settings(profiler_enabled=True, profiler_dir=str(tmp_path / "file/profiles")))


@pytest.mark.parametrize(
    ("extra", "library", "settings"),
    [
        ("sentry", "sentry_sdk", Settings(sentry_dsn="http://key@127.0.0.1/1")),
        ("newrelic", "newrelic.agent", Settings(newrelic_config="newrelic.ini")),
    ],
)
def test_a_library_that_is_missing_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, extra: str, library: str, settings: Settings
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(SettingsError, match=rf"needs a library that is missing: pip install 'kobako\[{extra}\]'\.$"):
        monitoring.check(settings)
