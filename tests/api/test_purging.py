"""Tombstones are purged, and whoever may have missed a deletion by it is told: reliability, S20; objects, 26.2."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from tests.api.sharing import B, C, create

from kobako.app import App
from kobako.databases.base import Database
from kobako.model import objects, purging
from kobako.model.tasks import Tasks
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.storage.base import Place
from kobako.testing.client import Answer, Client
from kobako.testing.fixtures import Clock

RECORDS = f"{C}/records"
OTHERS = f"{B}/collections/d/records"


@pytest.fixture
async def client(client: Client) -> Client:
    """The client, with two collections."""
    await create(client, B, C, f"{B}/collections/d")
    return client


def database(client: Client) -> Database:
    return client.app.site.backends.database


async def deleted(client: Client, *names: str, records: str = RECORDS) -> int:
    """Make records and delete them; return the timestamp of the list before the last deletion."""
    before = 0
    for name in names:
        before = (await client.put(f"{records}/{name}")).etag
        await client.delete(f"{records}/{name}")
    return before


async def tombstones(client: Client, uri: str) -> list[str]:
    return sorted(each["id"] for each in (await client.get(f"{uri}?_since=0&deleted=true")).data)


# What a poller is told


async def test_s20_a_poller_that_may_have_missed_a_deletion_is_told(client: Client) -> None:
    """S20: whatever it asks for besides."""
    await client.put(f"{RECORDS}/live")
    since = await deleted(client, "r1")
    purged = (await client.get(RECORDS)).etag

    await purging.purge(database(client))

    for query in ("", "&_limit=1", "&_sort=last_modified", "&_fields=id", "&n=1"):
        answer = await client.get(f"{RECORDS}?_since={since}{query}")
        assert answer.status == 410
        assert answer.json == {
            "code": 410,
            "errno": 118,
            "error": "Gone",
            "message": f"What changed since {since} is not known any more: deletions up to {purged} were purged. "
            "Read the whole list anew.",
            "details": {"purged_before": purged},
        }
        assert "ETag" not in answer.headers
    assert (await client.request("HEAD", f'{RECORDS}?_since="{since}"')).status == 410
    [part] = (await client.batch({"path": f"{RECORDS}?_since={since}"})).json["responses"]
    assert part["status"] == 410


async def test_s20_a_purge_in_the_middle_of_a_batch_is_told_or_comes_too_late(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S20: a batch that writes elsewhere does not hold still the lists that it reads."""
    await client.put(f"{RECORDS}/live")
    since = await deleted(client, "r1")
    page, purges = objects.page, list[asyncio.Task[Any]]()

    async def after_a_purge(*arguments: Any, **more: Any) -> objects.Page:
        purges.append(asyncio.create_task(purging.purge(database(client))))
        # Where the whole database is locked it has to wait for the batch.
        await asyncio.wait(purges, timeout=0.3)
        return await page(*arguments, **more)

    monkeypatch.setattr(objects, "page", after_a_purge)
    answer = await client.batch({"method": "PUT", "path": f"{OTHERS}/o"}, {"path": f"{RECORDS}?_since={since}"})
    await asyncio.gather(*purges)

    [_, polled] = answer.json["responses"]
    assert polled["status"] == 410 or [each["id"] for each in polled["body"]["data"]] == ["r1"]


async def test_s20_who_has_heard_of_all_deletions_goes_on(client: Client) -> None:
    """S20."""
    await client.put(f"{RECORDS}/live")
    await deleted(client, "r1")
    known = (await client.get(RECORDS)).etag
    await purging.purge(database(client))

    written = await client.put(f"{RECORDS}/r2")

    assert (await client.get(f"{RECORDS}?_since={known}")).data == [written.data]
    assert (await client.get(f"{RECORDS}?_since={written.etag}")).data == []


async def test_who_knows_nothing_misses_nothing(client: Client) -> None:
    await client.put(f"{RECORDS}/live")
    since = await deleted(client, "r1")
    current = (await client.get(RECORDS)).headers["ETag"]
    await purging.purge(database(client))

    for query in ("", "?_since=0", f"?gt_last_modified={since}", "?_since=null"):
        assert (await client.get(f"{RECORDS}{query}")).status == 200
    unchanged = await client.get(f"{RECORDS}?_since={since}", headers={"If-None-Match": current})
    assert unchanged.status == 304


async def test_s20_who_reads_changes_page_by_page_is_told_on_the_page_where_it_may_miss_one(client: Client) -> None:
    """S20."""
    since = (await client.get(RECORDS)).etag
    for n in range(3):
        await client.put(f"{RECORDS}/live{n}")
    await deleted(client, "r1")
    page = await client.get(f"{RECORDS}?_since={since}&_limit=2")

    await purging.purge(database(client))

    assert (await client.get(page.headers["Next-Page"])).status == 410


async def test_s20_a_bucket_made_anew_is_told_as_a_flush_while_it_is_empty_and_else_as_a_purge(client: Client) -> None:
    """S20; objects, 29.2."""
    since = (await client.put(f"{RECORDS}/r1")).etag
    await client.delete(B)
    await create(client, B, C)

    empty = await client.get(f"{RECORDS}?_since={since}")
    await client.put(f"{RECORDS}/r2")
    filled = await client.get(f"{RECORDS}?_since={since}")

    assert (empty.status, empty.data, empty.etag > since) == (200, [], True)
    assert filled.status == 410
    assert (await client.get(f"{RECORDS}?_since={empty.etag}")).status == 200


# What is purged


async def test_only_kinds_that_are_named_are_purged_in_all_lists(client: Client) -> None:
    await deleted(client, "r1", "r2")
    await deleted(client, "r3", records=OTHERS)
    await client.put(f"{B}/groups/g", {"members": []})
    await client.delete(f"{B}/groups/g")

    assert await purging.purge(database(client), ["record"]) == 3

    assert [await tombstones(client, each) for each in (RECORDS, OTHERS, f"{B}/groups")] == [[], [], ["g"]]
    assert await purging.purge(database(client)) == 1


async def test_so_many_are_kept_of_each_list(client: Client) -> None:
    await deleted(client, "r1", "r2", "r3")
    await deleted(client, "r4", records=OTHERS)

    assert await purging.purge(database(client), ["record", "collection"], keep=2) == 1

    assert [await tombstones(client, each) for each in (RECORDS, OTHERS)] == [["r2", "r3"], ["r4"]]


async def test_what_was_purged_moves_no_etag(client: Client) -> None:
    await deleted(client, "r1")
    before = [(await client.get(each)).etag for each in (RECORDS, f"{B}/collections", "/buckets")]

    await purging.purge(database(client))

    assert [(await client.get(each)).etag for each in (RECORDS, f"{B}/collections", "/buckets")] == before


# By schedule


async def purging_until(holds: Callable[[], Any], *apps: App) -> None:
    """Run the task in each app until something holds."""
    tasks = Tasks(partial(purging.keep_purging, each.site.backends, 60) for each in apps)
    tasks.start()
    try:
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    finally:
        await tasks.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_what_is_older_than_the_setting_says_is_purged(clock: Clock, settings: Settings) -> None:
    async with Client(App(settings, RESOURCES, clock=clock)) as client:
        await create(client, B, C)
        await deleted(client, "old")
        clock.now += 61_000
        await deleted(client, "young")

        async def is_purged() -> bool:
            return await tombstones(client, RECORDS) == ["young"]

        await purging_until(is_purged, client.app)


async def test_one_process_purges_at_a_time(clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "LOOK_S", 0.001)
    monkeypatch.setattr(purging, "EVERY_MS", 0)
    at_work = most = runs = 0
    purge = purging.purge

    async def noted(*arguments: Any, **options: Any) -> int:
        nonlocal at_work, most, runs
        at_work, runs = at_work + 1, runs + 1
        most = max(most, at_work)
        try:
            await asyncio.sleep(0.002)
            return await purge(*arguments, **options)
        finally:
            # Also where others were in its way too often.
            at_work -= 1

    monkeypatch.setattr(purging, "purge", noted)
    async with Client(App(settings, RESOURCES, clock=clock)) as client:

        async def is_enough() -> bool:
            return runs > 5

        await purging_until(is_enough, client.app, client.app, client.app)

        assert most == 1
        async with client.app.site.backends.begin() as tx:
            assert await tx.storage.timestamp(purging.LEASE) is None


@pytest.mark.parametrize(("changes", "tasks"), [({}, 0), ({"purge_deleted_after": 60}, 1)])
def test_nothing_is_purged_by_itself_unless_the_setting_says_so(
    settings: Settings, changes: dict[str, Any], tasks: int
) -> None:
    assert len(App(replace(settings, **changes), RESOURCES)._tasks._runs) == tasks


def test_p19_a_readonly_server_purges_nothing(settings: Settings) -> None:
    """P19."""
    assert App(replace(settings, purge_deleted_after=60, readonly=True), RESOURCES)._tasks._runs == []


# While others write and poll


class Poller:
    """A replica that knows nothing but its ETag, and begins anew when it is told to."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self.records: dict[str, Any] = {}
        self.etag = 0
        self.restarts = 0

    async def poll(self) -> None:
        """Learn what has changed, or all there is."""
        since = f"&_since={self.etag}" if self.etag else ""
        pages = [await self._client.get(f"{RECORDS}?_limit={self._random.randint(1, 9)}{since}")]
        while pages[-1].status == 200 and "Next-Page" in pages[-1].headers:
            await asyncio.sleep(0)
            pages.append(await self._client.get(pages[-1].headers["Next-Page"]))
        if pages[-1].status == 410 or self._is_flush(pages):
            self.records, self.etag, self.restarts = {}, 0, self.restarts + 1
            return await self.poll()
        for change in [each for page in reversed(pages) for each in reversed(page.data)]:
            self.records[change["id"]] = change
        self.etag = pages[0].etag
        return None

    def _is_flush(self, pages: list[Answer]) -> bool:
        """Tell whether the list was emptied altogether: objects, 29.2."""
        return 0 < self.etag < pages[0].etag and not any(page.data for page in pages)

    def live(self) -> dict[str, Any]:
        return {id: each for id, each in self.records.items() if not each.get("deleted")}


@pytest.mark.parametrize("seed", range(2))
async def test_s20_no_poller_keeps_what_was_deleted_and_purged_while_it_was_away(client: Client, seed: int) -> None:
    """S20: writers, pollers that come now and then, and purges, all at once."""
    chance = random.Random(seed)
    pollers = [Poller(client, seed * 10 + n) for n in range(3)]

    async def write() -> None:
        for _ in range(60):
            uri = f"{RECORDS}/r{chance.randrange(12)}"
            await (client.delete(uri) if chance.random() < 0.5 else client.put(uri, {"n": chance.random()}))

    async def look(poller: Poller) -> None:
        for _ in range(6):
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            await poller.poll()

    async def purge() -> None:
        for _ in range(8):
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            await purging.purge(database(client), ["record"], keep=chance.choice((0, 0, 2)))

    for _ in range(4):
        await asyncio.gather(write(), write(), purge(), *map(look, pollers))
        for each in pollers[1:]:
            await each.poll()
        stored = {each["id"]: each for each in (await client.get(RECORDS)).data}
        assert [each.live() for each in pollers[1:]] == [stored, stored]

    await pollers[0].poll()
    assert pollers[0].live() == {each["id"]: each for each in (await client.get(RECORDS)).data}
    assert sum(each.restarts for each in pollers) > 0


async def test_a_purge_waits_for_a_unit_that_writes_the_list(client: Client) -> None:
    await deleted(client, "r1")
    async with client.app.site.backends.begin([Place("record", C)]) as tx:
        await tx.storage.put(Place("record", C), "r2", "{}")
        running = asyncio.create_task(purging.purge(database(client), ["record"]))
        await asyncio.sleep(0.01)
        assert not running.done()

    assert await running == 1
    assert (await client.get(f"{RECORDS}/r2")).status == 200
