"""What docs/queries.md warns of is so."""

from pathlib import Path

from kobako.testing.client import Client

PAGE = (Path(__file__).parents[2] / "docs/queries.md").read_text()
COLLECTIONS = "/buckets/b/collections"


async def test_the_etag_of_another_list_is_no_cursor_as_the_page_warns(client: Client) -> None:
    """S29: a client that copied the timestamps of A asks B by them, and never sees what came to B before."""
    await client.put("/buckets/b")
    for collection in "AB":
        await client.put(f"{COLLECTIONS}/{collection}")
    missed = await client.put(f"{COLLECTIONS}/B/records/r")
    of_a = (await client.put(f"{COLLECTIONS}/A/records/r", {"last_modified": missed.etag + 1})).etag

    by_a = await client.get(f"{COLLECTIONS}/B/records?_since={of_a}")
    by_b = await client.get(f"{COLLECTIONS}/B/records?_since={missed.etag - 1}")

    assert (by_a.status, by_a.data) == (200, [])
    assert by_b.data == [missed.data]
    assert "The ETag of a list is a cursor for that list alone: used on another one, it skips changes." in " ".join(
        PAGE.split()
    )
