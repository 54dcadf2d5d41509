"""`POST /__flush__`: everything is removed, and whoever knew something notices.

Source: objects, 13.2, 20.1 and 29.2.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako import App, Listener, ServerFlushed
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

WITH_FLUSH = replace(SETTINGS, includes=("flush",))
RECORDS = "/buckets/b/collections/c/records"


@pytest.fixture
def settings() -> Settings:
    return WITH_FLUSH


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
async def client(settings: Settings, told: list[Any]) -> AsyncIterator[Client]:
    listener = Listener(
        lambda tx, event: told.append(event), actions=["flush"], resources=["record"], after_commit=True
    )
    async with Client(App(settings, RESOURCES, listeners=[listener])) as client:
        yield client


async def make_records(client: Client, count: int = 1) -> int:
    """Make a collection with some records, and return its timestamp."""
    for path in ("/buckets/b", "/buckets/b/groups/g", "/buckets/b/collections/c"):
        assert (await client.put(path, {"members": []})).status == 201
    for n in range(count):
        await client.post(RECORDS, {"n": n})
    return (await client.get(RECORDS)).etag


async def test_everything_is_gone(client: Client) -> None:
    await make_records(client)
    cache = client.app.site.backends.cache
    await cache.set("known", 1, 60)

    answer = await client.anonymous().request("POST", "/__flush__")

    assert (answer.status, answer.json) == (202, {})
    assert (await client.get("/buckets")).data == []
    assert (await client.get(RECORDS)).status == 403
    assert await cache.get("known") is None
    assert "flush_endpoint" in (await client.get("/")).json["capabilities"]


async def test_a_client_notices_by_an_empty_answer_with_a_newer_timestamp(client: Client) -> None:
    known = await make_records(client, count=3)
    await client.request("POST", "/__flush__")
    await make_records(client, count=0)

    poll = await client.get(f"{RECORDS}?_since={known}")

    assert (poll.status, poll.data) == (200, [])
    assert poll.etag > known


async def test_a_timestamp_ahead_of_the_clock_is_older_than_what_follows(client: Client) -> None:
    await make_records(client, count=0)
    ahead = client.app.site.backends.clock() + 3_600_000
    known = await client.post(RECORDS, {"last_modified": ahead})
    await client.request("POST", "/__flush__")

    await make_records(client, count=0)

    assert known.data["last_modified"] == ahead
    assert (await client.get(RECORDS)).etag > ahead


async def test_the_server_goes_on(client: Client) -> None:
    for _ in range(2):
        await make_records(client, count=2)
        assert (await client.request("POST", "/__flush__")).status == 202

    await make_records(client, count=2)

    assert len((await client.get(RECORDS)).data) == 2


async def test_listeners_are_told_once_it_has_happened(client: Client, told: list[Any]) -> None:
    known = await make_records(client)

    await client.request("POST", "/__flush__")

    [event] = told
    assert isinstance(event, ServerFlushed)
    assert event.timestamp > known
    assert event.payload() == {
        "timestamp": event.timestamp,
        "action": "flush",
        "uri": "/__flush__",
        "user_id": None,
        "resource_name": "",
    }


def test_a_listener_to_a_flush_listens_after_it() -> None:
    with pytest.raises(ValueError, match="a listener to 'flush' is told after_commit"):
        Listener(print, actions=["flush"])


async def test_it_is_no_part_of_a_batch(client: Client) -> None:
    await make_records(client)

    answer = await client.batch({"method": "POST", "path": "/__flush__"}, {"path": RECORDS})

    refused, listed = answer.json["responses"]
    assert (refused["status"], refused["body"]["errno"]) == (400, 107)
    assert refused["body"]["message"] == "POST /v1/__flush__ has to be sent by itself, not in a batch."
    assert len(listed["body"]["data"]) == 1


@pytest.mark.parametrize(
    ("changes", "method", "status"),
    [
        pytest.param({"includes": ()}, "POST", 404, id="not included"),
        pytest.param({"includes": (), "flush_endpoint_enabled": True}, "POST", 202, id="by its older setting"),
        pytest.param({"readonly": True}, "POST", 405, id="readonly"),
        pytest.param({}, "GET", 405, id="another method"),
    ],
)
async def test_it_answers_where_it_is_switched_on(changes: dict[str, Any], method: str, status: int) -> None:
    async with Client(App(replace(WITH_FLUSH, **changes), RESOURCES)) as client:
        assert (await client.request(method, "/__flush__")).status == status


async def test_it_describes_itself(client: Client) -> None:
    paths = (await client.get("/__api__")).json["paths"]

    assert paths["/__flush__"]["post"]["summary"] == "Remove everything"
    assert "202" in paths["/__flush__"]["post"]["responses"]
