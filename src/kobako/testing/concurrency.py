"""The contract of databases between units of work that run at once: nothing is lost, missed, or half seen.

Readers may wait for a writer, see the state before it, or have to try again; the tests allow these, and nothing else.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from kobako.databases.base import Database, attempts
from kobako.protocol import jsontext
from kobako.protocol.selection import Filter, Operator, Selection, Sort
from kobako.storage.base import Stored
from kobako.testing.fixtures import (
    HOUR,
    OTHERS,
    RECORDS,
    Clock,
    Refused,
    WithClock,
    get,
    ids,
    open_list,
    put,
    read,
    refused,
    timestamp,
)

T = TypeVar("T")
OLDEST_FIRST = (Sort("last_modified"),)


async def give_time(*tasks: "asyncio.Task[Any]") -> None:
    """Let other tasks run for a while: to their end, or to where they wait for us."""
    await asyncio.wait(tasks, timeout=0.05)


async def together(*steps: Awaitable[T]) -> list[T]:
    """Run everything at once and return the results in order."""
    return list(await asyncio.gather(*steps))


async def poll(database: Database, since: int) -> tuple[int, Sequence[Stored]]:
    """Return the timestamp of the list and its changes after `since`, as a client would get them."""
    newer = (Filter("last_modified", Operator.GT, since),)
    for attempt in attempts():
        async with attempt, database.begin() as unit:
            etag = await unit.storage.timestamp(RECORDS) or await unit.storage.epoch()
            changes = await unit.storage.list(RECORDS, Selection(filters=newer, tombstones=True, sort=OLDEST_FIRST))
    return etag, changes


class IsolationContract:
    """What a unit sees of another."""

    async def test_a_reader_never_sees_what_is_not_committed(self, database: Database) -> None:
        before = await put(database, "r1", {"n": 1})

        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", '{"n":2}')
                await unit.storage.put(RECORDS, "r2", "{}")
                reader = asyncio.create_task(read(database))
                asking = asyncio.create_task(timestamp(database))
                await give_time(reader, asking)
                raise Refused

        assert await reader == [before]
        assert await asking == before.last_modified

    async def test_a_reader_sees_all_of_a_unit_or_nothing(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit:
            first = await unit.storage.put(RECORDS, "r1", "{}")
            reader = asyncio.create_task(read(database))
            await give_time(reader)
            second = await unit.storage.put(RECORDS, "r2", "{}")

        assert await reader in ([], [second, first])

    async def test_what_a_reader_reads_does_not_change_under_it(self, database: Database) -> None:
        await put(database, "r1")

        for attempt in attempts():
            async with attempt, database.begin() as unit:
                before = await unit.storage.list(RECORDS), await unit.storage.timestamp(RECORDS)
                writer = asyncio.create_task(put(database, "r2"))
                await give_time(writer)
                assert (await unit.storage.list(RECORDS), await unit.storage.timestamp(RECORDS)) == before

        written = await writer
        assert (await read(database))[0] == written

    async def test_a_reader_that_begins_after_a_commit_sees_it(self, database: Database) -> None:
        for n in range(20):
            written = await put(database, "r1", {"n": n})
            found = await together(*(get(database, "r1") for _ in range(3)))

            assert found == [written] * 3


class WriterContract:
    """Writers of one list, one after the other."""

    async def test_no_update_is_lost(self, database: Database) -> None:
        await put(database, "counter", {"n": 0})

        async def increment() -> None:
            async with database.begin([RECORDS]) as unit:
                found = await unit.storage.get(RECORDS, "counter")
                assert found is not None
                # Gives way where a careless backend would let another writer in.
                await asyncio.sleep(0)
                await unit.storage.put(RECORDS, "counter", jsontext.encode({"n": found.data()["n"] + 1}))

        await together(*(increment() for _ in range(50)))

        counter = await get(database, "counter")
        assert counter is not None
        assert counter.data()["n"] == 50

    async def test_of_many_creators_of_an_id_one_finds_it_free(self, database: Database) -> None:
        async def create(n: int) -> bool:
            async with database.begin([RECORDS]) as unit:
                if await unit.storage.get(RECORDS, "r1"):
                    return False
                await asyncio.sleep(0)
                await unit.storage.put(RECORDS, "r1", jsontext.encode({"n": n}))
                return True

        created = await together(*(create(n) for n in range(20)))

        assert created.count(True) == 1

    async def test_of_many_deleters_of_an_object_one_gets_the_tombstone(self, database: Database) -> None:
        await put(database, "r1")

        async def remove() -> int:
            async with database.begin([RECORDS]) as unit:
                return len(await unit.storage.delete(RECORDS, ["r1"]))

        assert sorted(await together(*(remove() for _ in range(10)))) == [0] * 9 + [1]

    async def test_s5_writers_within_one_millisecond_get_distinct_versions(self, database: Database) -> None:
        """S5."""
        await open_list(database)

        written = await together(*(put(database, f"r{n}") for n in range(40)))

        versions = sorted(each.last_modified for each in written)
        assert versions == list(range(versions[0], versions[0] + 40))
        assert await timestamp(database) == versions[-1]

    async def test_versions_grow_in_the_order_of_commits(self, database: Database) -> None:
        committed: list[int] = []

        async def write(n: int) -> None:
            async with database.begin([RECORDS]) as unit:
                written = await unit.storage.put(RECORDS, f"r{n % 7}", "{}")
                await asyncio.sleep(0)
                # With the list locked, nobody else can be between this and the commit.
                committed.append(written.last_modified)

        await together(*(write(n) for n in range(40)))

        assert committed == sorted(set(committed))

    async def test_s3_a_writer_that_waited_gets_a_later_version(self, database: Database, clock: Clock) -> None:
        """S3."""
        async with database.begin([RECORDS]) as unit:
            waiting = asyncio.create_task(put(database, "r1"))
            await give_time(waiting)
            clock.now += 1000
            first = await unit.storage.put(RECORDS, "r2", "{}")
            assert not waiting.done()

        assert (await waiting).last_modified > first.last_modified

    async def test_s12_versions_go_on_by_one_when_the_clock_goes_back(self, database: Database, clock: Clock) -> None:
        """S12."""
        last = (await put(database, "r0")).last_modified
        clock.now -= HOUR

        written = await together(*(put(database, f"r{n}") for n in range(20)))

        assert sorted(each.last_modified for each in written) == list(range(last + 1, last + 21))

    async def test_lists_have_versions_of_their_own(self, database: Database, clock: Clock) -> None:
        for place in (RECORDS, OTHERS):
            await open_list(database, place)
        clock.now += 1000

        written = await together(put(database, "r1"), put(database, "r1", place=OTHERS))

        assert [each.last_modified for each in written] == [clock.now, clock.now]

    async def test_writers_of_lists_in_opposite_order_do_not_block_each_other(self, database: Database) -> None:
        async def write_both(first_is_records: bool) -> None:
            places = [RECORDS, OTHERS] if first_is_records else [OTHERS, RECORDS]
            async with database.begin(places) as unit:
                for place in places:
                    await unit.storage.put(place, "r1", "{}")
                    await asyncio.sleep(0)

        await asyncio.wait_for(together(*(write_both(n % 2 == 0) for n in range(20))), 60)


class PollerContract:
    """Reliability, section 4.1: who polls from timestamp to timestamp misses nothing."""

    async def test_s1_a_write_that_commits_late_is_not_missed(self, database: Database, clock: Clock) -> None:
        """S1."""
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            clock.now += 1000
            other = asyncio.create_task(put(database, "r2"))
            polling = asyncio.create_task(poll(database, 0))
            await give_time(other, polling)

        etag, seen = await polling
        await other
        _, later = await poll(database, etag)

        assert {*ids(seen), *ids(later)} == {"r1", "r2"}

    async def test_pollers_end_with_what_is_stored_whatever_the_concurrency(
        self, database: Database, clock: Clock
    ) -> None:
        replica: dict[str, Stored] = {}
        writing = True

        async def write(writer: int) -> None:
            for n in range(12):
                clock.now += (n * 7 + writer) % 3 - 1
                for attempt in attempts():
                    async with attempt, database.begin([RECORDS]) as unit:
                        await unit.storage.put(RECORDS, f"r{(n * 5 + writer) % 9}", f'{{"n":{n}}}')
                        await asyncio.sleep(0.001 * (writer % 2))
                        if n % 4 == 3:
                            await unit.storage.delete(RECORDS, [f"r{n % 9}"])

        async def follow() -> None:
            etag, more = 0, True
            while more:
                # The state is asked for before the poll: one more poll follows the last write.
                more = writing
                before = etag
                etag, changes = await poll(database, before)
                replica.update((each.id, each) for each in changes)
                assert etag >= before
                assert all(before < each.last_modified <= etag for each in changes)
                await asyncio.sleep(0)

        following = asyncio.create_task(follow())
        await together(*(write(n) for n in range(5)))
        writing = False
        await following

        assert replica == {each.id: each for each in await read(database, tombstones=True)}


class ConcurrencyContract(IsolationContract, WriterContract, PollerContract, WithClock):
    """What every database does for units that run at once."""
