"""The steps of the start: what a list without one of them turns off, steps of one's own; disabled backends.

Source: HTTP API, sections 16.6 and 16.14.
"""

import logging
import sys
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from tests.api.sharing import B, C, create, put, serving
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.model.listeners import Listener
from kobako.resources import RESOURCES
from kobako.settings import EventListener, Feature, Settings, SettingsError
from kobako.testing.client import Answer

HOST = "http://localhost"


def without(*features: Feature) -> tuple[str, ...]:
    """Return the list of all steps but those of some features."""
    return tuple(f"kobako.initialization.{each}" for each in Feature if each not in features)


async def ask(feature: Feature, method: str, url: str, **changes: Any) -> tuple[Answer, Answer]:
    """Return the answers of a server with all steps, and of one without the one of a feature."""
    answers = []
    for sequence in ((), without(feature)):
        async with serving(initialization_sequence=sequence, **changes) as client:
            answers.append(await client.request(method, HOST + url, headers={"Host": "localhost"}))
    return answers[0], answers[1]


@pytest.mark.parametrize(
    ("feature", "url", "changes", "header"),
    [
        (Feature.CSP_HEADERS, "/v1/", {}, "Content-Security-Policy"),
        (Feature.BACKOFF, "/v1/", {"backoff": 10}, "Backoff"),
        (Feature.DEPRECATION, "/v1/", {"eos": datetime(2000, 1, 1, tzinfo=UTC)}, "Alert"),
        (Feature.VERSION_REDIRECTION, "/buckets", {}, "Location"),
    ],
)
async def test_a_header_comes_with_its_step(feature: Feature, url: str, changes: dict[str, Any], header: str) -> None:
    done, left_out = await ask(feature, "GET", url, **changes)

    assert header in done.headers
    assert header not in left_out.headers
    assert left_out.headers["X-Content-Type-Options"] == "nosniff"


async def test_without_the_step_of_versions_there_is_no_redirection() -> None:
    done, left_out = await ask(Feature.VERSION_REDIRECTION, "GET", "/buckets")

    assert (done.status, left_out.status, left_out.json["errno"]) == (307, 404, 116)


async def test_slashes_are_redirected_as_a_list_of_cliquet_says() -> None:
    for names, status in ((["setup_cache"], 404), (["setup_trailing_slash_redirection"], 307)):
        sequence = tuple(f"cliquet.initialization.{each}" for each in names)
        async with serving(initialization_sequence=sequence) as client:
            assert (await client.get("/__lbheartbeat__/")).status == status


async def test_without_the_step_of_deprecation_the_service_does_not_end() -> None:
    done, left_out = await ask(Feature.DEPRECATION, "GET", "/v1/", eos=datetime(2000, 1, 1, tzinfo=UTC))

    assert (done.status, left_out.status) == (410, 200)
    assert "eos" not in left_out.json


async def test_without_the_step_of_authentication_nobody_is_recognized() -> None:
    done, left_out = await ask(Feature.AUTHENTICATION, "GET", "/v1/")

    assert (done.json["user"]["id"].partition(":")[0], "basicauth" in done.json["capabilities"]) == ("basicauth", True)
    assert ("user" in left_out.json, left_out.json["capabilities"]) == (False, {})


async def test_without_its_step_a_readonly_server_still_writes_no_object() -> None:
    async with serving(readonly=True, initialization_sequence=without(Feature.READONLY)) as client:
        batch = await client.batch(put(B))
        again = await client.request("POST", "/batch", json={"requests": []}, headers={"Idempotency-Key": "k"})
        listed = await client.get("/buckets")
        unknown = await client.post("/unknown")

        assert [each["status"] for each in batch.json["responses"]] == [405]
        assert (await client.put(B)).status == 405
        assert (listed.data, again.status, unknown.status) == ([], 200, 404)


async def test_without_the_step_of_logging_no_request_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for sequence, expected in (((), ["request.summary"]), (without(Feature.LOGGING), [])):
            async with serving(initialization_sequence=sequence) as client:
                caplog.clear()
                await client.get("/")

                assert [each.name for each in caplog.records] == expected


async def test_without_the_step_of_listeners_none_of_the_settings_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module, told = ModuleType("mine"), []
    module.__dict__["listener"] = lambda options: lambda tx, event: told.append(event.action)
    monkeypatch.setitem(sys.modules, "mine", module)
    for sequence, expected in (((), ["create"]), (without(Feature.LISTENERS), [])):
        async with serving(
            event_listeners=(EventListener("mine", "mine"),), initialization_sequence=sequence
        ) as client:
            await create(client, B)

            assert told == expected
            told.clear()


async def test_without_the_transaction_hook_nobody_is_told_after_the_commit() -> None:
    told = []
    listeners = [
        Listener(lambda tx, event: told.append("before")),
        Listener(lambda tx, event: told.append("after"), after_commit=True),
    ]
    async with serving(listeners=listeners, initialization_sequence=without(Feature.TRANSACTION_HOOK)) as client:
        await create(client, B)

    assert told == ["before"]


def test_without_the_step_of_schemes_urls_are_those_of_the_request() -> None:
    settings = Settings(http_scheme="https", http_host="a.b", initialization_sequence=without(Feature.REQUESTS_SCHEME))

    assert (settings.http_scheme, settings.http_host) == (None, None)


# Steps of one's own


def step_of_ones_own(monkeypatch: pytest.MonkeyPatch, run: Any) -> tuple[str, ...]:
    """Return a list of all steps and one more."""
    module = ModuleType("mycompany_steps")
    module.__dict__["setup"] = run
    monkeypatch.setitem(sys.modules, "mycompany_steps", module)
    return (*without(), "mycompany_steps.setup")


async def test_a_step_of_ones_own_is_called_with_the_settings_before_the_first_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[Settings] = []
    sequence = step_of_ones_own(monkeypatch, called.append)

    async with serving(initialization_sequence=sequence, project_name="shop") as client:
        assert [each.project_name for each in called] == ["shop"]
        assert (await client.get("/")).status == 200
    assert len(called) == 1


async def test_a_step_of_ones_own_that_fails_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: Settings) -> None:
        raise ValueError("no key")

    sequence = step_of_ones_own(monkeypatch, fail)

    with pytest.raises(
        SettingsError, match=r"^Setting 'initialization_sequence' has 'mycompany_steps.setup', .*no key"
    ):
        async with serving(initialization_sequence=sequence):
            pass


# Backends that are disabled


def disabled(*parts: str) -> dict[str, str]:
    """Return the settings that disable these backends."""
    return {f"{part}_{name}": "" for part in parts for name in ("backend", "url")}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (disabled("cache"), {"storage", "permission"}),
        (disabled("storage"), {"permission", "cache"}),
        (disabled("storage", "permission", "cache"), set()),
        ({"initialization_sequence": without(Feature.CACHE)}, {"storage", "permission"}),
        ({"initialization_sequence": without(Feature.STORAGE, Feature.PERMISSION)}, {"cache"}),
    ],
)
async def test_a_disabled_backend_has_no_heartbeat(changes: dict[str, Any], expected: set[str]) -> None:
    async with serving(**changes) as client:
        response = await client.get("/__heartbeat__")

        assert (response.status, response.json) == (200, dict.fromkeys(expected, True))


async def test_without_a_storage_there_are_no_objects() -> None:
    async with serving(**disabled("storage", "permission"), experimental_permissions_endpoint=True) as client:
        for path in ("/buckets", B, C, "/permissions"):
            for method in ("GET", "PUT", "OPTIONS"):
                response = await client.request(method, path)
                assert (response.status, response.json["errno"]) == (404, 111)
        hello = await client.get("/")
        assert (hello.status, "user" in hello.json) == (200, True)
        assert "permissions_endpoint" not in hello.json["capabilities"]
        assert "/buckets" not in (await client.get("/__api__")).json["paths"]
        batch = await client.batch({"path": "/"}, {"path": B})
        assert [each["status"] for each in batch.json["responses"]] == [200, 404]


async def test_without_a_cache_a_deletion_still_goes_on_page_by_page() -> None:
    async with serving(**disabled("cache")) as client:
        await create(client, *[f"/buckets/{number}" for number in range(3)])

        first = await client.delete("/buckets?_limit=2")
        second = await client.delete(first.headers["Next-Page"])

        assert (len(first.data), len(second.data)) == (2, 1)
        assert (await client.get("/buckets")).data == []


def test_a_storage_needs_permissions() -> None:
    for changes in (disabled("permission"), {"initialization_sequence": without(Feature.PERMISSION)}):
        with pytest.raises(
            SettingsError, match=r"^Setting 'permission_backend' is empty, .*: objects need permissions\."
        ):
            App(replace(SETTINGS, **changes), RESOURCES)


async def test_without_the_step_of_metrics_there_are_none() -> None:
    done, left_out = await ask(Feature.METRICS, "GET", "/v1/__metrics__", includes=("prometheus",))

    assert (done.status, left_out.status) == (200, 404)


def test_without_the_step_of_sentry_nothing_is_sent() -> None:
    settings = replace(SETTINGS, sentry_dsn="https://key@localhost/1", initialization_sequence=without(Feature.SENTRY))

    assert settings.sentry_dsn is None
