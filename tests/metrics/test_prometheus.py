"""Metrics for Prometheus, read as Prometheus reads them. Source: HTTP API, 15.5 and 16.12; objects, 16.2 and 28."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import SETTINGS
from tests.metrics.reading import labels, names, page, values

from kobako.app import App
from kobako.metrics.prometheus import MAX_SERIES, Prometheus
from kobako.resources import RESOURCES
from kobako.testing.client import Client


def serving(**settings: Any) -> Client:
    return Client(App(replace(SETTINGS, **{"includes": ("prometheus",), **settings}), RESOURCES))


async def test_metrics_are_served_to_anybody() -> None:
    async with serving() as client:
        await client.get("/")

        told = await page(client.app)

        assert "# TYPE kobako_request_summary_total counter\n" in told
        assert "# TYPE kobako_request_duration_seconds histogram\n" in told
        assert "# TYPE kobako_request_size summary\n" in told
        assert values(told, "kobako_request_summary_total") == {"hello get 200": 1}


async def test_the_page_of_metrics_is_an_endpoint_like_others() -> None:
    async with serving() as client:
        await page(client.app)

        assert values(await page(client.app), "kobako_request_summary_total") == {"metrics get 200": 1}
        assert (await client.request("POST", "/__metrics__")).status == 405
        operations = (await client.get("/__api__")).json["paths"]["/__metrics__"]
        assert operations["get"]["operationId"] == "__metrics__"


async def test_the_capability_says_how_metrics_are_named() -> None:
    async with serving(project_name="My Shop", prometheus_disabled_metrics=("users",)) as client:
        capability = (await client.get("/")).json["capabilities"]["prometheus"]

    assert (capability["prefix"], capability["disabled_metrics"]) == ("myshop_", ["users"])
    assert capability["description"] == "Prometheus metrics."
    assert capability["url"].startswith("https://")


@pytest.mark.parametrize(
    ("project_name", "prometheus_prefix", "expected"),
    [
        ("kinto", None, "kinto_"),
        ("Remote-Settings v1.0_writer", None, "remotesettingsv10writer_"),
        ("Café", None, "caf_"),
        ("3 boxes", None, "boxes_"),
        ("", None, ""),
        ("kinto", "Kinto-Prod", "kintoprod_"),
        ("kinto", "", ""),
    ],
)
async def test_names_begin_with_the_name_of_the_project_or_what_is_set(
    project_name: str, prometheus_prefix: str | None, expected: str
) -> None:
    async with serving(project_name=project_name, prometheus_prefix=prometheus_prefix) as client:
        await client.get("/")
        told = names(await page(client.app))

    assert f"{expected}request_summary" in told
    assert {name.startswith(expected) for name in told} == {True}


@pytest.mark.parametrize(
    "spelling", ["backend.storage.seconds", "backend_storage_seconds", "shop_backend_storage_seconds"]
)
async def test_a_metric_that_is_disabled_is_not_told(spelling: str) -> None:
    async with serving(project_name="shop", prometheus_disabled_metrics=(spelling, "users")) as client:
        await client.get("/")
        told = names(await page(client.app))

    assert {"shop_request_summary", "shop_authentication", "shop_backend_permission_seconds"} <= told
    assert {"shop_users", "shop_backend_storage_seconds"}.isdisjoint(told)


@pytest.mark.parametrize(
    ("settings", "bounds"),
    [
        ({}, ["0.01", "0.05", "0.1", "0.5", "1.0", "3.0", "6.0", "+Inf"]),
        ({"prometheus_histogram_buckets": (0.5, 2.0)}, ["0.5", "2.0", "+Inf"]),
    ],
)
async def test_durations_are_put_into_the_buckets_of_the_settings(settings: dict[str, Any], bounds: list[str]) -> None:
    async with serving(**settings) as client:
        await client.get("/")
        told = labels(await page(client.app), "kobako_authentication_basicauth_seconds_bucket")

    assert [each["le"] for each in told] == bounds


@pytest.mark.parametrize("enabled", [True, False])
async def test_the_times_of_creation_are_told_or_not(enabled: bool) -> None:
    async with serving(prometheus_created_metrics_enabled=enabled) as client:
        await client.get("/")
        told = await page(client.app)

    for sample in ("request_summary_created", "request_size_created", "request_duration_seconds_created"):
        assert bool(values(told, f"kobako_{sample}")) == enabled


async def test_two_apps_of_one_process_count_apart() -> None:
    async with serving() as one, serving() as other:
        await one.get("/")
        await one.get("/")
        await other.get("/")

        assert values(await page(one.app), "kobako_request_summary_total") == {"hello get 200": 2}
        assert values(await page(other.app), "kobako_request_summary_total") == {"hello get 200": 1}


def test_a_name_has_one_kind() -> None:
    metrics = Prometheus()
    metrics.count("some.thing")

    with pytest.raises(TypeError, match=r"^some\.thing is a Counter, and was used as a Histogram$"):
        metrics.time("some.thing", 1)


def test_values_of_labels_may_have_any_characters() -> None:
    metrics = Prometheus(open_labels=["userid"])
    odd = 'a"b\\c\nd} 1 é\x00'

    metrics.count("users", {"auth": "account", "userid": odd})

    assert labels(metrics.exposition().decode(), "users_total") == [{"auth": "account", "userid": odd}]


def test_p25_a_metric_has_so_many_series_and_then_ids_are_left_empty(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Prometheus(open_labels=["record_id"])
    caplog.set_level(logging.WARNING, "kobako.metrics")

    for number in range(MAX_SERIES + 50):
        for method in ("get", "put"):
            metrics.count("reads", {"method": method, "record_id": str(number)})

    told = values(metrics.exposition().decode(), "reads_total")
    assert len(told) == MAX_SERIES + 2
    assert sum(told.values()) == 2 * (MAX_SERIES + 50)
    assert told["get"] == told["put"] == MAX_SERIES / 2 + 50
    assert [record.getMessage() for record in caplog.records] == [
        f"counter:reads has {MAX_SERIES} series: others are told without ids. "
        "'metrics_matchdict_fields' chooses which there are."
    ]
