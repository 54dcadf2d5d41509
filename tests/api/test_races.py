"""Requests at once that exclude each other. Source: reliability, C7 and C14."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.api.sharing import B, C, R, create
from tests.servers.modes import in_nobodys_way

from kobako.storage.base import Place
from kobako.testing.client import Client

PAIRS = 10_000
LISTS = 4


async def test_a_deletion_that_races_a_put_leaves_an_object_or_a_tombstone(client: Client) -> None:
    """C7: never both, never neither."""
    await create(client, B, C)

    for _ in range(20):
        await client.put(R, data={"n": 0})
        put, deleted = await asyncio.gather(client.put(R, data={"n": 1}), client.delete(R))
        listed = (await client.get(f"{C}/records?_since=0")).data
        found = await client.get(R)

        assert (put.status, deleted.status) in [(200, 200), (201, 200)]
        assert [each["id"] for each in listed] == ["r"]
        assert listed[0].get("deleted", False) == (found.status == 404)


@pytest.mark.slow
async def test_c14_units_over_two_lists_in_opposite_orders_are_in_nobodys_way(client: Client) -> None:
    """C14: 10,000 pairs of what batches do, and none of them has to try again."""
    backends = client.app.site.backends

    async def write(places: Sequence[Place], id: str) -> None:
        for _ in range(PAIRS // LISTS):
            with in_nobodys_way():
                async with backends.begin(places) as tx:
                    for each in places:
                        await tx.storage.put(each, id, "{}")

    pairs = [(Place("record", f"{B}/collections/a{n}"), Place("record", f"{B}/collections/b{n}")) for n in range(LISTS)]
    await asyncio.gather(*(write(each, "r1") for each in pairs), *(write(each[::-1], "r2") for each in pairs))
