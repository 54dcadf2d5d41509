"""Several processes on one server, and a server that is killed: nothing lost, nothing halved, nobody starved."""

import asyncio
import multiprocessing
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import NamedTuple

import pytest
from tests.servers.valkey import DURABLE, Valkey

from kobako.databases.base import BackendUnavailable
from kobako.databases.redis import RedisDatabase
from kobako.storage.base import Place, Stored
from kobako.testing.concurrency import poll
from kobako.testing.fixtures import RECORDS, ids, put, read

pytestmark = pytest.mark.server

PROCESSES = 2
WRITERS = 4
WRITES = 250

spawn = multiprocessing.get_context("spawn")


class Target(NamedTuple):
    """Where a process finds the database."""

    url: str
    prefix: str

    def database(self) -> RedisDatabase:
        return RedisDatabase(self.url, now_ms, prefix=self.prefix)


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def target(valkey: Valkey) -> Target:
    return Target(valkey.url(), f"{uuid.uuid4()}:")


@pytest.fixture
async def database(target: Target) -> AsyncIterator[RedisDatabase]:
    database = target.database()
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def processes() -> Iterator[list[BaseProcess]]:
    """Processes that a test starts, and that end with it."""
    started: list[BaseProcess] = []
    yield started
    for each in started:
        each.kill()
        each.join()


# What the other processes do.


async def write_many(target: Target, name: str) -> dict[str, int]:
    database = target.database()
    await database.open()
    written: dict[str, int] = {}

    async def write(writer: int) -> None:
        for n in range(WRITES):
            stored = await put(database, f"{name}-{writer}-{n}")
            written[stored.id] = stored.last_modified

    await asyncio.gather(*map(write, range(WRITERS)))
    await database.close()
    return written


def run_writers(target: Target, name: str) -> dict[str, int]:
    return asyncio.run(write_many(target, name))


async def write_and_stall(target: Target, told: "Queue[bool]", go_on: "Queue[bool]") -> None:
    database = target.database()
    await database.open()
    async with database.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, "stalled", "{}")
        told.put(True)
        await asyncio.to_thread(go_on.get)


def run_and_stall(target: Target, told: "Queue[bool]", go_on: "Queue[bool]") -> None:
    asyncio.run(write_and_stall(target, told, go_on))


# What must hold.


async def test_writers_of_several_processes_lose_nothing_and_a_poller_misses_nothing(
    database: RedisDatabase, target: Target, record_property: Callable[[str, object], None]
) -> None:
    replica: dict[str, Stored] = {}
    loop, began = asyncio.get_running_loop(), time.monotonic()
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        running = [loop.run_in_executor(pool, run_writers, target, f"p{n}") for n in range(PROCESSES)]
        etag, more, polls = 0, True, 0
        while more:
            more = not all(each.done() for each in running)
            before = etag
            etag, changes = await poll(database, before)
            assert all(before < each.last_modified <= etag for each in changes)
            replica.update((each.id, each) for each in changes)
            polls += 1
        written = {id: version for each in running for id, version in (await each).items()}

    assert len(set(written.values())) == len(written) == PROCESSES * WRITERS * WRITES
    assert written == {id: each.last_modified for id, each in replica.items()}
    record_property("figures", f"{len(written)} writes, {polls} polls in {time.monotonic() - began:.1f} s")


async def stalled(target: Target, processes: list[BaseProcess]) -> "tuple[BaseProcess, Queue[bool]]":
    """Return a process that has written an object, and commits when it is told to."""
    told, go_on = spawn.Queue(), spawn.Queue()
    process = spawn.Process(target=run_and_stall, args=(target, told, go_on))
    process.start()
    processes.append(process)
    assert await asyncio.to_thread(told.get, timeout=30)
    return process, go_on


async def test_s2_a_write_that_commits_late_in_another_process_is_not_missed(
    database: RedisDatabase, target: Target, processes: list[BaseProcess]
) -> None:
    """S2."""
    _, go_on = await stalled(target, processes)
    writing = asyncio.create_task(put(database, "r2"))
    await asyncio.sleep(0.05)
    etag, seen = await poll(database, 0)

    go_on.put(True)

    await writing
    _, later = await poll(database, etag)
    assert seen == []
    assert ids(later) == ["stalled", "r2"]


async def test_c24_a_process_killed_in_the_middle_of_a_unit_leaves_nothing_of_it(
    database: RedisDatabase, target: Target, processes: list[BaseProcess]
) -> None:
    """C24: and others write again once its turn has run out."""
    process, _ = await stalled(target, processes)
    waiting = asyncio.create_task(put(database, "r1"))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    process.kill()

    written = await asyncio.wait_for(waiting, 30)
    assert await read(database, tombstones=True) == [written]


KILLS = 4


class Writer:
    """Writes pairs of objects, with an ACL, until it is told to stop; notes what it was answered for."""

    def __init__(self, database: RedisDatabase, name: str) -> None:
        self.database = database
        self.name = name
        self.begun: list[str] = []
        self.acknowledged: dict[str, int] = {}

    async def run(self) -> None:
        while True:
            id = f"{self.name}-{len(self.begun)}"
            self.begun.append(id)
            try:
                await self._write(id)
            except BackendUnavailable:
                await asyncio.sleep(0.02)

    async def _write(self, id: str) -> None:
        async with self.database.begin([RECORDS, Place("other", RECORDS.parent)]) as unit:
            first = await unit.storage.put(RECORDS, id, "{}")
            await unit.storage.put(Place("other", RECORDS.parent), id, "{}")
            await unit.permission.replace(f"/{id}", {"read": [id]})
        self.acknowledged[id] = first.last_modified


async def test_c24_c25_a_server_that_is_killed_keeps_what_it_answered_for_and_halves_nothing() -> None:
    """C24, C25, with `appendfsync always`."""
    server = Valkey(*DURABLE)
    database = RedisDatabase(server.url(), now_ms)
    try:
        server.start()
        await database.open()
        writers = [Writer(database, f"w{n}") for n in range(4)]
        tasks = [asyncio.create_task(each.run()) for each in writers]
        for _ in range(KILLS):
            await more_acknowledged(writers, 60)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await more_acknowledged(writers, 20)
        while pending := [each for each in tasks if not each.done()]:
            # In Python 3.11 `wait_for` loses a cancellation that comes together with its result.
            for each in pending:
                each.cancel()
            await asyncio.wait(pending, timeout=0.1)

        stored = {each.id: each.last_modified for each in await read(database)}
        for writer in writers:
            assert writer.acknowledged.items() <= stored.items()
            await check_whole(database, writer, set(stored))
        assert len(set(stored.values())) == len(stored)
        assert await everything_fits(database, len(stored))
    finally:
        await database.close()
        server.remove()


async def more_acknowledged(writers: list[Writer], number: int) -> None:
    """Return once so many more writes were answered."""
    wanted = number + sum(len(each.acknowledged) for each in writers)
    for _ in range(6000):
        if sum(len(each.acknowledged) for each in writers) >= wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("writers do not go on")


async def check_whole(database: RedisDatabase, writer: Writer, stored: set[str]) -> None:
    """Expect all of a unit of work, or nothing of it."""
    async with database.begin() as unit:
        there = {each.id for each in await unit.storage.list(Place("other", RECORDS.parent))}
        for id in writer.begun:
            is_there = id in stored
            assert (id in there) == is_there
            assert await unit.permission.acl(f"/{id}") == ({"read": [id]} if is_there else {})
            assert await unit.permission.held([id]) == ({(f"/{id}", "read")} if is_there else set())


async def everything_fits(database: RedisDatabase, size: int) -> bool:
    """Tell whether the list has the timestamp of its newest object, and as many versions as texts."""
    async with database.begin() as unit:
        newest = (await unit.storage.list(RECORDS))[0]
        return (await unit.storage.timestamp(RECORDS), await unit.storage.count(RECORDS)) == (
            newest.last_modified,
            size,
        )
