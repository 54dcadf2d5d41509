"""Two requests at once that exclude each other. Source: reliability, C7."""

import asyncio

from tests.api.sharing import B, C, R, create

from kobako.testing.client import Client


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
