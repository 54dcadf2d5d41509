"""Writers of one bucket at once, with its history. Source: reliability, S6 and 4.4."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.api.sharing import B, create, put, serving
from tests.plugins.test_history import HISTORY

from kobako import Transaction
from kobako.testing.client import Client

COLLECTIONS = [f"{B}/collections/c{n}" for n in range(8)]
WRITES = 8


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a server with history, and several collections in one bucket."""
    async with serving(includes=("history",)) as client:
        await create(client, B, *COLLECTIONS)
        yield client


async def write(client: Client, collection: str) -> list[int]:
    """Write records and the collection, one after the other, and return the statuses."""
    statuses = []
    for n in range(WRITES // 2):
        statuses.append((await client.put(f"{collection}/records/{n % 2}", {"n": n})).status)
        statuses.append((await client.patch(collection, {"n": n})).status)
    return statuses


async def poll(client: Client, until: asyncio.Event) -> dict[str, str]:
    """Follow the history by its ETags; return the URI of each entry that was seen, by id."""
    seen: dict[str, str] = {}
    etag = 0
    while True:
        is_over = until.is_set()
        answer = await client.get(f"{HISTORY}?_since={etag}")
        assert answer.status == 200, answer
        assert answer.etag >= etag
        seen.update((each["id"], each["uri"]) for each in answer.data)
        etag = answer.etag
        if is_over:
            return seen
        await asyncio.sleep(0)


async def test_s6_writers_of_different_collections_of_a_bucket_meet_no_error_and_no_entry_is_missed(
    client: Client,
) -> None:
    """S6."""
    over = asyncio.Event()
    poller = asyncio.create_task(poll(client, over))

    statuses = await asyncio.gather(*(write(client, each) for each in COLLECTIONS))
    over.set()

    assert {status for each in statuses for status in each} <= {200, 201}
    entries = (await client.get(f"{HISTORY}?_sort=last_modified")).data
    versions = [each["last_modified"] for each in entries]
    assert len(entries) == 1 + len(COLLECTIONS) * (1 + WRITES)
    assert versions == sorted(set(versions))
    for collection in COLLECTIONS:
        own = [each["target"]["data"] for each in entries if each["uri"] == f"{collection}/records/0"]
        assert [each["n"] for each in own] == [0, 2]
    assert await poller == {each["id"]: each["uri"] for each in entries}


async def test_batches_over_several_buckets_do_not_wait_for_each_other_in_a_circle(client: Client) -> None:
    """C14, of the lists of entries."""
    others = [f"/buckets/{name}" for name in "xyz"]
    await create(client, *others, *(f"{each}/collections/c{n}" for each in others for n in range(4)))

    def batch(n: int) -> list[dict[str, str]]:
        records = [put(f"{each}/collections/c{n}/records/r") for each in others]
        return records if n % 2 else records[::-1]

    answers = await asyncio.gather(*(client.batch(*batch(n % 4)) for n in range(12)))

    assert {part["status"] for each in answers for part in each.json["responses"]} <= {200, 201}
    for each in others:
        assert (await client.head(f"{each}/history?resource_name=record")).headers["Total-Objects"] == "12"


async def test_a_bucket_that_is_deleted_while_it_is_written_keeps_no_history(client: Client) -> None:
    """C9."""

    async def change() -> set[int]:
        answers = [await client.patch(B, {"n": n}) for n in range(4)]
        answers += [await client.put(f"{COLLECTIONS[0]}/records/{n}", {}) for n in range(4)]
        return {each.status for each in answers}

    *statuses, deleted = await asyncio.gather(*(change() for _ in range(4)), client.delete(B))

    assert deleted.status == 200
    assert set().union(*statuses) <= {200, 201, 403, 404}
    async with client.app.site.backends.begin() as tx:
        left = [each async for each in _left(tx)]
    assert left == []


async def _left(tx: Transaction) -> AsyncIterator[str]:
    """Yield what is still there of the bucket."""
    for state in await tx.storage.states():
        if state.place.parent.startswith(B) and (state.is_open or await tx.storage.list(state.place)):
            yield f"{state.place}"
    for uri in await tx.permission.acls():
        if uri.startswith(B):
            yield uri
