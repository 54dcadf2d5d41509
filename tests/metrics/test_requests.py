"""What is told of requests, and of what they are made of. Source: HTTP API, 15.5; objects, 16.2; reliability, P25."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import SETTINGS
from tests.metrics.reading import labels, names, page, values

from kobako.app import App
from kobako.cache.memory import MemoryCache
from kobako.databases.memory import MemoryDatabase
from kobako.model.listeners import Listener
from kobako.protocol.messages import Request
from kobako.resources import RESOURCES
from kobako.settings import EventListener, Settings
from kobako.testing.client import Client

METRICS = replace(SETTINGS, includes=("prometheus",), prometheus_prefix="")
R = "/buckets/b/collections/c/records/r"
IDS = {"bucket_id": "b", "collection_id": "c", "group_id": "", "record_id": "r"}


@pytest.fixture
def settings() -> Settings:
    return METRICS


async def fill(client: Client) -> None:
    """Make a bucket, a collection and a record."""
    for url in ("/buckets/b", "/buckets/b/collections/c", R):
        assert (await client.put(url)).status == 201


async def test_each_metric_of_the_specification_is_told(client: Client) -> None:
    await fill(client)
    await client.app.site.backends.cache.get("nothing")
    await client.app.site.backends.cache.set("something", 1, 60)
    await client.app.site.backends.cache.get("something")

    assert names(await page(client.app)) >= {
        "request_summary",
        "request_duration_seconds",
        "request_size",
        "users",
        "authentication",
        "authentication_basicauth_seconds",
        "backend_storage_seconds",
        "backend_permission_seconds",
        "backend_cache_seconds",
        "cache_hits",
        "cache_misses",
    }


async def test_a_request_is_counted_with_its_method_endpoint_ids_and_status(client: Client) -> None:
    await fill(client)
    await client.get(R)
    await client.get(R)

    told = await page(client.app)

    assert labels(told, "request_summary_total")[-1] == {
        "method": "get",
        "endpoint": "record-object",
        "status": "200",
        **IDS,
    }
    assert values(told, "request_summary_total") == {
        "b bucket-object put 201": 1,
        "b c collection-object put 201": 1,
        "b c record-object put r 201": 1,
        "b c record-object get r 200": 2,
    }


async def test_an_answer_without_a_body_has_no_size(client: Client) -> None:
    await client.head("/")

    told = await page(client.app)

    assert (values(told, "request_size_count"), values(told, "request_size_sum")) == (
        {"hello head": 1},
        {"hello head": 0},
    )


async def test_time_and_size_have_no_status(client: Client) -> None:
    await fill(client)
    size = len((await client.app.answer(Request(method="GET", path=f"/v1{R}", headers=client.headers))).body)

    told = await page(client.app)

    where = {"method": "get", "endpoint": "record-object", **IDS}
    assert labels(told, "request_duration_seconds_count")[-1] == labels(told, "request_size_count")[-1] == where
    assert values(told, "request_size_sum")["b c record-object get r"] == size
    assert 0 < values(told, "request_duration_seconds_sum")["b c record-object get r"] < 60


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        pytest.param("GET", "/", "hello get 200", id="utility"),
        pytest.param("GET", "/buckets", "bucket-plural get 200", id="list"),
        pytest.param("POST", "/buckets/b/groups", "b group-plural post 201", id="list of something"),
        pytest.param("POST", "/batch", "batch post 400", id="batch"),
        pytest.param("GET", "/buckets/b/", "unknown get 307", id="redirection"),
        pytest.param("GET", "/nowhere", "unknown get 404", id="unknown URL"),
        pytest.param("GET", "/buckets/b/collections/other", "collection-object get 404", id="no such object"),
        pytest.param("PUT", "/buckets/not%20one", "bucket-object put 400", id="invalid id"),
        pytest.param("TRACE", R, "record-object unknown 405", id="unknown method"),
        pytest.param("BREW", "/nowhere", "unknown unknown 404", id="unknown method and URL"),
        pytest.param("HEAD", R, "b c record-object head r 200", id="HEAD"),
    ],
)
async def test_a_request_belongs_to_an_endpoint(client: Client, method: str, url: str, expected: str) -> None:
    await fill(client)

    await client.request(method, url)

    assert values(await page(client.app), "request_summary_total")[expected] == 1


async def test_a_preflight_tells_no_ids(client: Client) -> None:
    headers = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    assert (await client.request("OPTIONS", R, headers=headers)).status == 200

    assert values(await page(client.app), "request_summary_total") == {"record-object options 200": 1}


async def test_p25_nobody_makes_series_by_asking(client: Client) -> None:
    async def ask(suffix: str) -> None:
        for url in (f"/{suffix}", f"/buckets/{suffix}", f"/buckets/{suffix}/collections/{suffix}/records/{suffix}"):
            for method in ("GET", "DELETE", "OPTIONS", f"X{suffix}"):
                await client.anonymous().request(method, url, headers={"Origin": f"http://{suffix}"})
            await client.get(f"{url}/")
            await client.get(f"{url}?_since={suffix}")

    await ask("first")
    before = (await page(client.app)).count("\n")
    for number in range(20):
        await ask(f"x{number}")

    # The text itself is one more endpoint than before.
    told = await page(client.app)
    metrics = [line for line in told.splitlines() if 'endpoint="metrics"' in line or "_created" in line]
    assert told.count("\n") - len(metrics) <= before


@pytest.mark.parametrize("fields", [(), ("bucket_id",), ("bucket_id", "shelf_id")])
async def test_only_the_ids_that_the_settings_name_are_told(fields: tuple[str, ...]) -> None:
    async with Client(App(replace(METRICS, metrics_matchdict_fields=fields), RESOURCES)) as client:
        await fill(client)

        told = labels(await page(client.app), "request_summary_total")[-1]

    ids = {name: IDS.get(name, "") for name in fields}
    assert told == {"method": "put", "endpoint": "record-object", "status": "201", **ids}


async def test_users_are_counted_by_how_they_were_recognized(client: Client) -> None:
    hello = await client.get("/")
    await client.get("/")
    await client.as_user("alice").get("/")
    await client.anonymous().get("/")

    told = await page(client.app)

    kind, _, user = hello.json["user"]["id"].partition(":")
    assert {"auth": kind, "userid": user} in labels(told, "users_total")
    assert sorted(values(told, "users_total").values()) == [1, 2]
    assert values(told, "authentication_total") == {"basicauth": 3}


async def test_a_batch_is_one_request(client: Client) -> None:
    part = {"method": "PUT", "path": "/buckets/b"}

    await client.batch(part, part, part)

    told = await page(client.app)
    assert values(told, "request_summary_total") == {"batch post 200": 1}
    assert values(told, "authentication_total") == {"basicauth": 1}
    assert values(told, "backend_storage_seconds_count")["begin"] == 1


async def test_backends_are_timed_by_the_function_that_was_called(client: Client) -> None:
    await fill(client)
    before = values(await page(client.app), "backend_storage_seconds_count")

    await client.get(R)

    after = values(await page(client.app), "backend_storage_seconds_count")
    assert {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)} == {
        "begin": 1,
        "get": 1,
        "commit": 1,
    }
    permission = values(await page(client.app), "backend_permission_seconds_count")
    assert {"groups", "granted", "acl"} <= permission.keys()


async def test_what_is_undone_is_timed_as_such(client: Client) -> None:
    await client.get("/buckets/none")

    assert values(await page(client.app), "backend_storage_seconds_count")["rollback"] == 1


async def test_the_cache_counts_what_it_knew(client: Client) -> None:
    cache = client.app.site.backends.cache

    await cache.set("known", {"a": 1}, 60)
    assert (await cache.get("known"), await cache.get("known"), await cache.get("unknown")) == ({"a": 1},) * 2 + (None,)

    told = await page(client.app)
    assert (values(told, "cache_hits_total"), values(told, "cache_misses_total")) == ({"": 2}, {"": 1})
    assert values(told, "backend_cache_seconds_count") == {"set": 1, "get": 3}


async def test_an_authenticator_is_timed_under_the_name_of_its_policy(client: Client) -> None:
    await client.get("/")

    assert values(await page(client.app), "authentication_basicauth_seconds_count") == {"authenticate": 1}


def audit(options: dict[str, str]) -> Any:
    """Return a listener that is no coroutine, as a factory for the settings."""
    return lambda tx, event: None


async def test_listeners_are_timed_under_their_aliases() -> None:
    async def wait(tx: Any, event: Any) -> None:
        pass

    named = EventListener("plain", f"{__name__}.audit")
    settings = replace(METRICS, event_listeners=(named,))
    others = [Listener(wait, name="waiting"), Listener(wait, after_commit=True, name="late"), Listener(wait)]
    async with Client(App(settings, RESOURCES, listeners=others)) as client:
        await client.put("/buckets/b")

        told = await page(client.app)

    for alias in ("plain", "waiting", "late"):
        assert values(told, f"listeners_{alias}_seconds_count") == {"": 1}
    assert len([name for name in names(told) if name.startswith("listeners_")]) == 3


async def test_a_listener_of_a_plugin_is_timed_under_the_name_of_the_plugin() -> None:
    async with Client(App(replace(METRICS, includes=(*METRICS.includes, "history")), RESOURCES)) as client:
        await client.put("/buckets/b")

        told = await page(client.app)

    assert values(told, "plugins_history_seconds_count") == {"": 1}


async def test_requests_are_measured_also_where_they_are_not_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "request.summary")

    await client.batch({"method": "GET", "path": "/"})

    assert values(await page(client.app), "request_summary_total") == {"batch post 200": 1}
    assert caplog.records == []


async def test_without_metrics_nothing_stands_in_between() -> None:
    async with Client(App(SETTINGS, RESOURCES)) as client:
        backends = client.app.site.backends
        assert (type(backends.database), type(backends.cache)) == (MemoryDatabase, MemoryCache)
        assert [each.authenticate.__qualname__ for each in client.app.site.authenticators] == [
            "basic.<locals>.authenticate"
        ]
        assert client.app.site.metrics is None

        assert (await client.get("/__metrics__")).status == 404
        assert "prometheus" not in (await client.get("/")).json["capabilities"]
