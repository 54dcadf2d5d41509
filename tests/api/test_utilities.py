"""Hello, heartbeats, version: what the server tells about itself (HTTP API, 6.1 to 6.4)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

MAT = "basicauth:b992239a97c257bb42eb1286deb33bf6daf8eb65e91e2d99aa00d73d0e870b1c"


def served(settings: Settings, **changes: Any) -> Client:
    """Return a client of a server with other settings."""
    return Client(App(replace(settings, **changes), RESOURCES))


# Hello


async def test_hello_tells_what_the_server_is_and_can_do(settings: Settings) -> None:
    changes = {"project_name": "mushrooms", "project_version": "1.2.3", "project_docs": "https://docs.example.org"}
    async with served(settings, **changes) as client:
        response = await client.anonymous().get("/")

    assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
    assert response.json == {
        "project_name": "mushrooms",
        "project_version": "1.2.3",
        "http_api_version": "1.23",
        "project_docs": "https://docs.example.org",
        "url": "http://localhost/v1/",
        "config": None,
        "settings": {"batch_max_requests": 25, "readonly": False, "explicit_permissions": True},
        "capabilities": {
            "basicauth": {
                "description": "Very basic authentication sessions. Not for production use.",
                "url": "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html",
            }
        },
    }
    assert not {"Cache-Control", "Expires", "ETag"} & set(response.headers)


async def test_hello_tells_who_calls(client: Client) -> None:
    """19.4: kinto-admin takes a missing `user` for a login that failed."""
    user = (await client.get("/")).json["user"]

    assert user["id"] == user["principals"][0] == MAT
    assert sorted(user["principals"]) == [MAT, "system.Authenticated", "system.Everyone"]


@pytest.mark.parametrize(
    "credentials", ["Basic !", "Basic bWF0", "Basic OnNlY3JldA==", "Bearer abc", "Basic", "", "basic\xff\xfe"]
)
async def test_hello_answers_whoever_is_not_recognized(client: Client, credentials: str) -> None:
    response = await client.get("/", headers={"Authorization": credentials})

    assert response.status == 200
    assert "user" not in response.json


async def test_hello_of_a_readonly_server_may_be_kept(settings: Settings) -> None:
    async with served(settings, readonly=True, cache_expires={"root": 60}) as client:
        response = await client.get("/")

    assert response.json["settings"]["readonly"] is True
    assert response.headers["Cache-Control"] == "max-age=60"
    assert "Expires" in response.headers


@pytest.mark.parametrize("limit", [None, 0, 100])
async def test_hello_tells_how_large_a_batch_may_be(settings: Settings, limit: int | None) -> None:
    async with served(settings, batch_max_requests=limit, explicit_permissions=False) as client:
        told = (await client.get("/")).json["settings"]

    assert told == {"batch_max_requests": limit, "readonly": False, "explicit_permissions": False}


async def test_without_authentication_there_are_no_capabilities_and_no_challenge(settings: Settings) -> None:
    async with served(settings, policies=()) as client:
        assert (await client.get("/")).json["capabilities"] == {}
        refused = await client.get("/buckets")

    assert refused.status == 401
    assert "WWW-Authenticate" not in refused.headers


# Heartbeats


async def up() -> bool:
    return True


async def down() -> bool:
    return False


async def nothing() -> None:
    return None


async def crashing() -> bool:
    raise ConnectionError("no route to host")


async def late() -> bool:
    await asyncio.sleep(60)
    return True


Check = Callable[[], Awaitable[bool | None]]


def with_checks(settings: Settings, checks: dict[str, Check]) -> Client:
    """Return a client of a server with these checks, each given a moment."""
    app = App(replace(settings, heartbeat_timeout_seconds=0.05), RESOURCES)
    app.site = msgspec.structs.replace(app.site, heartbeats=checks)
    return Client(app)


async def test_the_heart_beats(client: Client) -> None:
    response = await client.anonymous().get("/__heartbeat__")

    assert (response.status, response.json) == (200, {"storage": True, "permission": True, "cache": True})


@pytest.mark.parametrize(
    ("checks", "status", "expected"),
    [
        ({"a": up, "b": nothing}, 200, {"a": True, "b": None}),
        ({"a": up, "b": down}, 503, {"a": True, "b": False}),
        ({"a": crashing, "b": up}, 503, {"a": False, "b": True}),
        ({"a": late, "b": late, "c": up}, 503, {"a": False, "b": False, "c": True}),
        ({}, 200, {}),
    ],
)
async def test_a_check_that_fails_crashes_or_is_late_makes_a_503(
    settings: Settings, checks: dict[str, Check], status: int, expected: dict[str, Any]
) -> None:
    async with with_checks(settings, checks) as client:
        response = await client.get("/__heartbeat__")

        assert (response.status, response.json) == (status, expected)
        assert "Retry-After" not in response.headers
        assert (await client.get("/__lbheartbeat__")).status == 200


async def test_heartbeats_leave_nothing_behind(client: Client) -> None:
    """S24."""
    before = (await client.get("/buckets")).etag

    responses = await asyncio.gather(*[client.get("/__heartbeat__") for _ in range(100)])

    assert {each.status for each in responses} == {200}
    after = await client.get("/buckets?_since=0")
    assert (after.data, after.etag) == ([], before)


async def test_heartbeats_and_writers_do_not_wait_for_each_other(client: Client) -> None:
    """C17: no lock is kept, and a list has what was written, no more."""
    writes = [client.put(f"/buckets/b{number}", {}) for number in range(30)]

    responses = await asyncio.gather(*writes, *[client.get("/__heartbeat__") for _ in range(100)])

    assert [each.status for each in responses] == [201] * 30 + [200] * 100
    assert len((await client.get("/buckets?_since=0")).data) == 30
    assert (await client.put("/buckets/after")).status == 201


async def test_a_load_balancer_is_answered_without_asking_backends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(client.app.site.backends.database), "begin", crashing)

    response = await client.anonymous().get("/__lbheartbeat__")

    assert (response.status, response.json) == (200, {})


# Version


async def test_the_version_is_that_of_the_file(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "version.json"
    path.write_text(json.dumps({"version": "1.0", "commit": "é"}))
    async with served(settings, version_json_path=str(path)) as client:
        first = await client.get("/__version__")
        path.unlink()
        second = await client.get("/__version__")

    assert first.json == second.json == {"version": "1.0", "commit": "é"}


@pytest.mark.parametrize("place", [0, 1])
async def test_a_version_file_in_the_package_serves_where_the_settings_have_none(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    files = [tmp_path / "package.json", tmp_path / "config.json"]
    files[place].write_text('{"version": "2.0"}')
    monkeypatch.setattr("kobako.assembly.VERSION_FILES", files)
    async with served(settings, version_json_path=str(tmp_path / "missing.json")) as client:
        response = await client.get("/__version__")

    assert response.json == {"version": "2.0"}


@pytest.mark.parametrize("content", [None, "{", "\xff"])
async def test_without_a_version_file_there_is_a_defect(
    settings: Settings, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "version.json"
    if content is not None:
        path.write_text(content, encoding="latin-1")
    async with served(settings, version_json_path=str(path)) as client:
        response = await client.get("/__version__")

    assert (response.status, response.json["errno"]) == (500, 999)


@pytest.mark.parametrize("path", ["/", "/__heartbeat__", "/__lbheartbeat__"])
async def test_what_tells_about_the_server_asks_for_nothing(client: Client, path: str) -> None:
    odd = {"Accept": "text/html", "Content-Type": "text/html", "If-Match": "x", "If-None-Match": "*"}
    for method in ("GET", "HEAD"):
        assert (await client.anonymous().request(method, path + "?_limit=x", headers=odd)).status == 200
