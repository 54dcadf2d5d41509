"""The contract of databases, in tests: units of work are all or nothing, and a database survives failures.

What happens between units that run at once is in `concurrency.py`.
"""

import asyncio

import pytest

from kobako.databases.base import Database
from kobako.storage.base import DuplicateTimestamp
from kobako.testing.concurrency import ConcurrencyContract
from kobako.testing.fixtures import RECORDS, Clock, Refused, get, put, read, refused, timestamp

GROUP = "/buckets/b/groups/g"
URI = "/buckets/b/collections/c"


class UnitContract:
    """Commit and rollback."""

    async def test_what_a_unit_wrote_is_there_after_it(self, database: Database) -> None:
        written = await put(database, "r1", {"size": 3})

        assert await get(database, "r1") == written

    async def test_a_unit_reads_what_it_wrote_itself(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit:
            written = await unit.storage.put(RECORDS, "r1", '{"size":3}')

            assert await unit.storage.get(RECORDS, "r1") == written
            assert await unit.storage.list(RECORDS) == [written]
            assert await unit.storage.timestamp(RECORDS) == written.last_modified

    async def test_an_exception_undoes_the_whole_unit_and_goes_through(self, database: Database) -> None:
        kept = await put(database, "r1", {"size": 3})
        await put(database, "r2")

        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", '{"size":4}')
                await unit.storage.delete(RECORDS, ["r2"])
                await unit.storage.put(RECORDS, "r3", "{}")
                await unit.permission.replace(URI, {"write": ["basicauth:alice"]})
                await unit.permission.join(GROUP, ["basicauth:alice"])
                raise Refused

        assert await get(database, "r1") == kept
        assert [each.id for each in await read(database, tombstones=True)] == ["r2", "r1"]
        async with database.begin() as unit:
            assert await unit.permission.acl(URI) == {}
            assert await unit.permission.groups("basicauth:alice") == frozenset()

    async def test_an_undone_unit_brings_back_what_it_deleted_with_its_permissions(self, database: Database) -> None:
        kept = await put(database, "r1", {"size": 3})
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(GROUP, {"read": [GROUP]})
            await unit.permission.join(GROUP, ["basicauth:alice"])

        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.close_under("/buckets/b", tombstones=False)
                await unit.permission.forget(["/buckets/b"])
                raise Refused

        assert await get(database, "r1") == kept
        assert await timestamp(database) == kept.last_modified
        async with database.begin() as unit:
            assert await unit.permission.acl(GROUP) == {"read": [GROUP]}
            assert await unit.permission.groups("basicauth:alice") == {GROUP}

    async def test_s4_a_rolled_back_write_gives_its_version_back(self, database: Database, clock: Clock) -> None:
        """S4."""
        before = (await put(database, "r1")).last_modified
        clock.now += 1000

        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r2", "{}", clock.now + 5000)
                raise Refused

        assert await timestamp(database) == before
        assert (await put(database, "r3")).last_modified == clock.now

    async def test_a_list_opened_by_a_unit_that_fails_is_not_open(self, database: Database) -> None:
        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.open(RECORDS)
                raise Refused

        async with database.begin() as unit:
            assert await unit.storage.timestamp(RECORDS) is None

    async def test_a_failed_unit_leaves_the_database_usable(self, database: Database, clock: Clock) -> None:
        taken = await put(database, "r1")
        clock.now += 1000
        await put(database, "r2")

        for _ in range(20):
            with pytest.raises(DuplicateTimestamp):
                await put(database, "r3", wanted=taken.last_modified)
            with refused():
                async with database.begin():
                    raise Refused

        assert await put(database, "r3") == await get(database, "r3")

    async def test_a_cancelled_unit_is_undone_and_leaves_the_database_usable(self, database: Database) -> None:
        written = asyncio.Event()

        async def write_and_stall() -> None:
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", "{}")
                written.set()
                await asyncio.sleep(3600)

        task = asyncio.create_task(write_and_stall())
        await written.wait()
        waiting = asyncio.create_task(put(database, "r2"))
        await asyncio.sleep(0.01)

        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)

        assert await read(database, tombstones=True) == []
        assert await put(database, "r3") == await get(database, "r3")


class SavepointContract:
    """Parts of a unit that fail alone."""

    async def test_a_savepoint_undoes_what_was_done_inside_it_only(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit:
            first = await unit.storage.put(RECORDS, "r1", '{"n":1}')
            await unit.permission.replace(URI, {"read": ["a"]})
            with refused():
                async with unit.savepoint():
                    await unit.storage.put(RECORDS, "r1", '{"n":2}')
                    await unit.storage.put(RECORDS, "r2", "{}")
                    await unit.permission.replace(URI, {"read": ["b"], "write": ["b"]})
                    raise Refused

            assert await unit.storage.list(RECORDS) == [first]
            assert await unit.storage.timestamp(RECORDS) == first.last_modified
            assert await unit.permission.acl(URI) == {"read": ["a"]}
            third = await unit.storage.put(RECORDS, "r3", "{}")

        assert await read(database) == [third, first]

    async def test_a_savepoint_left_cleanly_is_kept(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit, unit.savepoint():
            written = await unit.storage.put(RECORDS, "r1", "{}")

        assert await read(database) == [written]

    async def test_a_savepoint_left_cleanly_goes_with_its_unit(self, database: Database) -> None:
        with refused():
            async with database.begin([RECORDS]) as unit:
                async with unit.savepoint():
                    await unit.storage.put(RECORDS, "r1", "{}")
                raise Refused

        assert await read(database) == []

    async def test_an_inner_savepoint_fails_alone(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit, unit.savepoint():
            outer = await unit.storage.put(RECORDS, "outer", "{}")
            with refused():
                async with unit.savepoint():
                    await unit.storage.put(RECORDS, "inner", "{}")
                    raise Refused

        assert await read(database) == [outer]

    async def test_an_outer_savepoint_undoes_the_inner_one_too(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit:
            with refused():
                async with unit.savepoint():
                    async with unit.savepoint():
                        await unit.storage.put(RECORDS, "inner", "{}")
                    raise Refused
            await unit.storage.put(RECORDS, "after", "{}")

        assert [each.id for each in await read(database)] == ["after"]

    async def test_a_refused_timestamp_in_a_savepoint_leaves_the_unit_usable(
        self, database: Database, clock: Clock
    ) -> None:
        taken = await put(database, "r1")
        clock.now += 1000

        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r2", "{}")
            with pytest.raises(DuplicateTimestamp):
                async with unit.savepoint():
                    await unit.storage.put(RECORDS, "r3", "{}", taken.last_modified)
            await unit.storage.put(RECORDS, "r4", "{}")

        assert [each.id for each in await read(database)] == ["r4", "r2", "r1"]


class UpkeepContract:
    """check, flush, migrate."""

    async def test_a_check_says_yes_and_changes_nothing(self, database: Database, clock: Clock) -> None:
        written = await put(database, "r1")
        clock.now += 1000

        assert await database.check()

        assert await timestamp(database) == written.last_modified
        assert await read(database, tombstones=True) == [written]

    async def test_a_check_does_not_wait_for_a_reader(self, database: Database) -> None:
        async with database.begin():
            assert await asyncio.wait_for(database.check(), 5)

    async def test_a_flush_removes_everything(self, database: Database) -> None:
        await put(database, "r1")
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r2", "{}")
            await unit.storage.delete(RECORDS, ["r2"])
            await unit.permission.replace(URI, {"write": ["basicauth:alice"]})
            await unit.permission.join(GROUP, ["basicauth:alice"])

        await database.flush()

        assert await read(database, tombstones=True) == []
        async with database.begin() as unit:
            assert await unit.storage.timestamp(RECORDS) is None
            assert await unit.permission.acl(URI) == {}
            assert await unit.permission.groups("basicauth:alice") == frozenset()
            assert not await unit.permission.granted(["basicauth:alice"], [URI])

    async def test_a_database_goes_on_after_a_flush(self, database: Database) -> None:
        await put(database, "r1")
        await database.flush()

        written = await put(database, "r2")

        assert await read(database) == [written]

    async def test_timestamps_start_above_all_former_ones_after_a_flush(self, database: Database, clock: Clock) -> None:
        """S27: also above one that lay ahead of the clock; a client that knew it sees that the server was flushed."""
        async with database.begin([RECORDS]) as unit:
            former = await unit.storage.put(RECORDS, "r1", "{}", clock.now + 60_000)

        await database.flush()

        async with database.begin() as unit:
            assert await unit.storage.epoch() > former.last_modified
        assert (await put(database, "r1")).last_modified > former.last_modified

    async def test_migrating_again_does_nothing(self, database: Database) -> None:
        written = await put(database, "r1")

        assert await database.migrate() == []

        assert await read(database) == [written]

    async def test_the_epoch_is_when_the_database_was_created(self, database: Database, clock: Clock) -> None:
        created = clock.now
        clock.now += 5000

        async with database.begin() as unit:
            assert await unit.storage.epoch() == created


class DatabaseContract(UnitContract, SavepointContract, UpkeepContract, ConcurrencyContract):
    """What every database does. A backend joins by giving the `database` fixture."""
