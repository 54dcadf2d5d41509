"""Counting anew: what `kobako rebuild-quotas` does, says and refuses. Source: objects, 12.2 and 26.2."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.api.sharing import B, C, G, R, create, put, serving
from tests.plugins.test_quotas import RECORDS, counted, limited, restarted, there

from kobako import Database
from kobako.plugins.quotas import rebuild, usage
from kobako.plugins.quotas.commands import count_anew
from kobako.plugins.quotas.usage import NOTHING
from kobako.testing.client import Client


def database_of(client: Client) -> Database:
    """Return the database of a client's app."""
    return client.app.site.backends.database


# Counting, on every backend


async def test_what_was_stored_before_is_counted_from_then_on() -> None:
    async with serving() as before:
        await create(before, B, C, G, R, f"{B}/collections/empty")
        client = restarted(before, bucket_max_items=1)
        told = await count_anew(database_of(client), "b")

        assert told == await counted(client) == await there(client)
        assert (await client.put(f"{RECORDS}/s", data={})).status == 507


async def test_what_was_counted_wrong_is_put_right_and_what_is_gone_goes() -> None:
    async with limited() as client:
        await create(client, B, C, R)
        place = usage.list_of("b")
        wrong = {usage.OF_BUCKET: NOTHING, f"{usage.OF_COLLECTION}gone": usage.Usage(5, 1, 2)}
        async with database_of(client).begin([place]) as unit:
            await usage.write(unit.storage, place, {}, wrong)
        await count_anew(database_of(client), "b")

        assert await counted(client) == await there(client)


async def test_a_dry_run_tells_and_writes_nothing() -> None:
    async with serving() as before:
        await create(before, B, C, R)
        client = restarted(before)

        assert await count_anew(database_of(client), "b", dry_run=True) == await there(client)
        assert await counted(client) == {}


async def test_a_bucket_that_is_gone_has_no_counters() -> None:
    async with limited() as client:
        await create(client, B)
        await client.delete(B)

        assert await count_anew(database_of(client), "b") == {}
        assert await counted(client) == {}


async def test_more_objects_than_a_page_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "PAGE", 3)
    async with limited() as client:
        await create(client, B, C, *(f"{RECORDS}/r{n}" for n in range(7)))

        assert await there(client) == await counted(client)


async def between(client: Client, work: Callable[[], Awaitable[None]]) -> None:
    """Count anew, and do some work after all was looked at, before the counters are corrected."""
    database, place = database_of(client), usage.list_of("b")
    async with database.begin() as unit:
        seen = await rebuild.look(unit.storage, "b")
    await work()
    async with database.begin([place]) as unit:
        await rebuild.correct(unit.storage, "b", seen)


MEANWHILE = {
    "records come, change and go": [
        put(f"{RECORDS}/new"),
        put(R, n=12_345),
        {"method": "DELETE", "path": f"{RECORDS}/s"},
    ],
    "a group comes": [put(f"{B}/groups/new")],
    "a collection comes": [put(f"{B}/collections/new"), put(f"{B}/collections/new/records/r")],
    "a collection goes": [{"method": "DELETE", "path": C}],
    "a collection goes and comes again": [{"method": "DELETE", "path": C}, put(C), put(R)],
    "the bucket goes": [{"method": "DELETE", "path": B}],
    "the bucket goes and comes again": [{"method": "DELETE", "path": B}, put(B), put(C), put(R)],
}


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE.keys())
async def test_what_others_write_meanwhile_is_counted_too(meanwhile: list[dict[str, object]]) -> None:
    async with serving() as before:
        await create(before, B, C, R, f"{RECORDS}/s")
        client = restarted(before)

        async def write() -> None:
            for each in meanwhile:
                assert (await client.request(str(each["method"]), str(each["path"]), **_body(each))).status < 300

        await between(client, write)

        assert await counted(client) == await there(client)


def _body(part: dict[str, object]) -> dict[str, object]:
    return {"json": part["body"]} if "body" in part else {}


async def test_writers_and_countings_do_not_get_in_each_others_way() -> None:
    async with serving() as before:
        await create(before, B, C, f"{B}/collections/d")
        client = restarted(before)

        async def write(collection: str) -> None:
            for n in range(15):
                uri = f"{B}/collections/{collection}/records/r{n % 4}"
                answer = await (client.delete(uri) if n % 3 == 2 else client.put(uri, data={"n": 10**n}))
                assert answer.status in (200, 201, 404), answer

        async def count() -> None:
            for _ in range(5):
                await count_anew(database_of(client), "b")

        await asyncio.gather(write("c"), write("d"), count())

        assert await counted(client) == await there(client)
