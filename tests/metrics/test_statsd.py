"""Metrics for StatsD, as a server of StatsD gets them. Source: HTTP API, 15.5 and 16.12; objects, 16.2."""

import asyncio
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.metrics.statsd import StatsD
from kobako.resources import RESOURCES
from kobako.settings import SettingsError
from kobako.testing.client import Client

R = "/buckets/b/collections/c/records/r"


class Receiver:
    """A socket that StatsD packets come to."""

    def __init__(self, family: int = socket.AF_INET, host: str = "127.0.0.1") -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.url = f"udp://{f'[{host}]' if ':' in host else host}:{self.port}"

    def take(self) -> list[str]:
        """Return the values that have come since the last time. On one machine what was sent has come."""
        found = []
        while True:
            try:
                found += self.socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.socket.close()


def serving(url: str, **settings: Any) -> Client:
    return Client(App(replace(SETTINGS, statsd_url=url, **settings), RESOURCES))


async def test_each_metric_of_a_request_is_a_packet(receiver: Receiver) -> None:
    async with serving(receiver.url, includes=("statsd",)) as client:
        user = (await client.get("/")).json["user"]["id"].replace(":", "")
        await asyncio.sleep(0)
        receiver.take()

        response = await client.put("/buckets/b")

    found = receiver.take()
    where = "method.put.endpoint.bucket-object.bucket_id.b"
    assert response.status == 201
    assert f"kobako.request_summary:{where}.status.201|s" in found
    assert f"kobako.users:auth.basicauth.userid.{user.removeprefix('basicauth')}|s" in found
    assert "kobako.authentication:type.basicauth|s" in found
    for timer in (
        f"request_duration_seconds.{where}",
        "authentication.basicauth.seconds.method.authenticate",
        "backend.storage.seconds.method.put",
        "backend.storage.seconds.method.commit",
        "backend.permission.seconds.method.replace",
    ):
        assert len([each for each in found if re.fullmatch(rf"kobako\.{re.escape(timer)}:\d+\.\d+\|ms", each)]) == 1
    assert [each for each in found if re.fullmatch(r"kobako\.request_size:\d+\|g", each)]


async def test_a_request_is_told_once_it_is_answered_and_in_few_packets(receiver: Receiver) -> None:
    async with serving(receiver.url) as client:
        await client.put("/buckets/b")
        await asyncio.sleep(0)

        packets = [receiver.socket.recv(65536)]
        while b"request_size" not in packets[-1]:
            packets.append(receiver.socket.recv(65536))

    assert len(packets) < sum(len(each.split(b"\n")) for each in packets) / 3
    assert max(len(each) for each in packets) <= 512


async def test_what_has_no_labels_is_a_counter(receiver: Receiver) -> None:
    async with serving(receiver.url) as client:
        await client.app.site.backends.cache.get("nothing")

    assert "kobako.cache_misses:1|c" in receiver.take()


@pytest.mark.parametrize(
    ("settings", "prefix"),
    [
        ({}, "kobako."),
        ({"project_name": "shop"}, "shop."),
        ({"project_name": "shop", "statsd_prefix": "other"}, "shop."),
        ({"project_name": ""}, "kinto.core."),
        ({"project_name": "", "statsd_prefix": "kinto-attic"}, "kinto-attic."),
        ({"project_name": "", "statsd_prefix": ""}, ""),
    ],
)
async def test_the_prefix_is_the_name_of_the_project_or_else_that_of_the_settings(
    receiver: Receiver, settings: dict[str, str], prefix: str
) -> None:
    async with serving(receiver.url, **settings) as client:
        await client.get("/__lbheartbeat__")

    assert f"{prefix}request_summary:method.get.endpoint.lbheartbeat.status.200|s" in receiver.take()


async def test_the_address_alone_switches_it_on_and_no_capability_says_so(receiver: Receiver) -> None:
    async with serving(receiver.url) as client:
        capabilities = (await client.get("/")).json["capabilities"]

        assert (await client.get("/__metrics__")).status == 404
    assert receiver.take()
    assert {"statsd", "prometheus"}.isdisjoint(capabilities)


async def test_with_prometheus_included_nothing_is_sent(receiver: Receiver) -> None:
    async with serving(receiver.url, includes=("prometheus",)) as client:
        await client.get("/")

    assert receiver.take() == []


async def test_nobody_listening_harms_no_request(receiver: Receiver) -> None:
    receiver.socket.close()

    async with serving(receiver.url) as client:
        statuses = [(await client.put(f"/buckets/b{number}")).status for number in range(20)]

    assert statuses == [201] * 20


@pytest.mark.parametrize(
    ("value", "packet"),
    [
        pytest.param("a:b", "users:userid.ab|s", id="colon"),
        pytest.param("x|c\nforged:1|c", "users:userid.xcforged1c|s", id="another packet"),
        pytest.param("zoé☃", "users:userid.zo|s", id="not ASCII"),
        pytest.param("alice@shop.example", "users:userid.alice@shop.example|s", id="address"),
    ],
)
def test_what_clients_say_forges_no_packet(receiver: Receiver, value: str, packet: str) -> None:
    StatsD(receiver.url, "").count("users", {"userid": value})

    assert receiver.take() == [packet]


def test_an_address_may_be_of_ipv6() -> None:
    receiver = Receiver(socket.AF_INET6, "::1")

    StatsD(receiver.url, "p").observe("size", 3)

    assert receiver.take() == ["p.size:3|g"]
    receiver.socket.close()


def test_statsd_without_an_address_stops_the_start() -> None:
    with pytest.raises(
        SettingsError, match=r"^Setting 'includes' has statsd: 'statsd_url' has to say where to, as udp"
    ):
        serving("", includes=("statsd",))


def test_an_address_that_does_not_exist_stops_the_start() -> None:
    with pytest.raises(SettingsError, match=r"^Setting 'statsd_url' is 'udp://nowhere\.invalid:8125': \w"):
        serving("udp://nowhere.invalid:8125")
