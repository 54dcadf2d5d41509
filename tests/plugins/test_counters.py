"""`GET /__counters__`: how many objects there are. Source: objects, 13.1."""

from dataclasses import replace

import pytest
from tests.conftest import SETTINGS

from kobako import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client


@pytest.fixture
def settings() -> Settings:
    return replace(SETTINGS, includes=("counters",))


async def test_an_empty_server_has_nothing_to_count(client: Client) -> None:
    answer = await client.anonymous().get("/__counters__")

    assert (answer.status, answer.json) == (200, {"objects": {}, "tombstones": {}})
    assert "counters_endpoint" in (await client.get("/")).json["capabilities"]


async def test_objects_and_tombstones_are_counted_over_all_parents(client: Client) -> None:
    for bucket in ("a", "b"):
        await client.put(f"/buckets/{bucket}")
        for collection in ("x", "y"):
            await client.put(f"/buckets/{bucket}/collections/{collection}")
            for n in range(3):
                await client.put(f"/buckets/{bucket}/collections/{collection}/records/r{n}")
    await client.delete("/buckets/a/collections/x/records/r1")
    await client.delete("/buckets/b/collections/y")
    await client.put("/buckets/a/groups/g", {"members": []})

    answer = await client.get("/__counters__")

    assert answer.json == {
        "objects": {"bucket": 2, "collection": 3, "group": 1, "record": 8},
        "tombstones": {"collection": 1, "record": 4},
    }


async def test_what_is_the_servers_own_is_not_counted(client: Client) -> None:
    await client.put("/buckets/a", {}, headers={"Idempotency-Key": "one"})

    assert (await client.get("/__counters__")).json["objects"] == {"bucket": 1}


async def test_it_is_not_there_unless_it_is_included() -> None:
    async with Client(App(SETTINGS, RESOURCES)) as client:
        assert (await client.get("/__counters__")).status == 404
