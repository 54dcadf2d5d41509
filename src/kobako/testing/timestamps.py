"""The contract of storages, in tests: timestamps grow, are never shared in a list, and never go back."""

import pytest

from kobako.databases.base import Database
from kobako.protocol.selection import Filter, Operator
from kobako.storage.base import TOMBSTONE, DuplicateTimestamp
from kobako.testing.fixtures import (
    HOUR,
    RECORDS,
    Clock,
    WithClock,
    delete,
    get,
    ids,
    open_list,
    put,
    read,
    timestamp,
)


async def close_and_open(database: Database, *, tombstones: bool) -> int:
    """Delete the collection of RECORDS and create it again; return the timestamp that the list got."""
    async with database.begin([RECORDS]) as unit:
        await unit.storage.close_under(RECORDS.parent, tombstones=tombstones)
    return await open_list(database)


class TimestampContract(WithClock):
    """Which timestamp a write gets, and the list from then on (HTTP API, 7.3; objects 21.2)."""

    async def test_a_write_gets_the_time(self, database: Database, clock: Clock) -> None:
        await open_list(database)
        clock.now += 1000

        written = await put(database, "r1")

        assert written.last_modified == clock.now
        assert await timestamp(database) == clock.now

    async def test_a_list_is_opened_now(self, database: Database, clock: Clock) -> None:
        clock.now += 1000

        assert await open_list(database) == clock.now

        assert await timestamp(database) == clock.now
        assert await read(database, tombstones=True) == []

    async def test_opening_an_open_list_leaves_it_as_it_is(self, database: Database, clock: Clock) -> None:
        written = await put(database, "r1")
        clock.now += 1000

        assert await open_list(database) == written.last_modified

        assert await timestamp(database) == written.last_modified

    async def test_a_list_opens_above_the_epoch_that_was_told_before(self, database: Database, clock: Clock) -> None:
        clock.now -= HOUR

        opened = await open_list(database)

        async with database.begin() as unit:
            assert opened > await unit.storage.epoch()

    async def test_the_first_write_opens_the_list(self, database: Database, clock: Clock) -> None:
        clock.now += 1000

        written = await put(database, "r1")

        assert written.last_modified >= clock.now
        assert await timestamp(database) == written.last_modified

    async def test_reads_do_not_move_a_timestamp(self, database: Database, clock: Clock) -> None:
        written = await put(database, "r1")
        clock.now += 1000

        await get(database, "r1")
        await read(database, tombstones=True, filters=(Filter("n", Operator.HAS, True),))

        assert await timestamp(database) == written.last_modified

    async def test_a_future_timestamp_is_taken_and_moves_the_list(self, database: Database, clock: Clock) -> None:
        await open_list(database)

        written = await put(database, "r1", wanted=clock.now + HOUR)

        assert written.last_modified == clock.now + HOUR
        assert await timestamp(database) == clock.now + HOUR
        assert (await put(database, "r2")).last_modified == clock.now + HOUR + 1

    async def test_a_wanted_timestamp_above_the_lists_is_taken_for_an_object_that_exists(
        self, database: Database
    ) -> None:
        last = (await put(database, "r1")).last_modified

        written = await put(database, "r1", wanted=last + 5)

        assert written.last_modified == last + 5
        assert await timestamp(database) == last + 5

    async def test_s13_versions_go_on_when_the_clock_was_ahead_for_a_while(
        self, database: Database, clock: Clock
    ) -> None:
        """S13."""
        clock.now += HOUR
        ahead = await put(database, "r1")
        clock.now -= HOUR

        after = await put(database, "r2")

        assert after.last_modified == ahead.last_modified + 1
        since = (Filter("last_modified", Operator.GT, ahead.last_modified),)
        assert ids(await read(database, filters=since)) == ["r2"]

    async def test_s16_a_past_timestamp_is_not_taken_for_a_deleted_id(self, database: Database, clock: Clock) -> None:
        """S16."""
        await put(database, "r1")
        [tombstone] = await delete(database, "r1")

        created = await put(database, "r1", wanted=500)

        assert created.last_modified > tombstone.last_modified
        assert await timestamp(database) == created.last_modified

    async def test_s16_a_past_timestamp_is_not_taken_for_an_object_that_exists(self, database: Database) -> None:
        """S16."""
        first = await put(database, "r1")

        second = await put(database, "r1", wanted=first.last_modified - 1000)

        assert second.last_modified > first.last_modified

    async def test_s17_a_past_timestamp_is_kept_for_a_new_id_and_does_not_move_the_list(
        self, database: Database
    ) -> None:
        """S17."""
        last = (await put(database, "r1")).last_modified

        imported = await put(database, "r2", {"n": 1}, wanted=500)

        assert imported.last_modified == 500
        assert await get(database, "r2") == imported
        assert await timestamp(database) == last

    async def test_s17_a_past_timestamp_does_not_pull_a_new_list_into_the_past(
        self, database: Database, clock: Clock
    ) -> None:
        """S17."""
        imported = await put(database, "r1", wanted=500)

        assert imported.last_modified == 500
        assert await timestamp(database) >= clock.now

    async def test_s18_a_timestamp_equal_to_the_lists_becomes_a_later_one(self, database: Database) -> None:
        """S18."""
        last = (await put(database, "r1")).last_modified

        same = await put(database, "r2", wanted=last)
        again = await put(database, "r2", wanted=same.last_modified)

        assert same.last_modified == last + 1
        assert again.last_modified == last + 2

    async def test_s19_a_list_created_again_starts_above_all_it_had(self, database: Database, clock: Clock) -> None:
        """S19."""
        await put(database, "r1")
        last = (await delete(database, "r1"))[0].last_modified

        for tombstones in (True, False):
            clock.now -= HOUR
            opened = await close_and_open(database, tombstones=tombstones)

            assert opened > last
            last = (await put(database, "r1")).last_modified
            assert last > opened

    @pytest.mark.parametrize("tombstones", [True, False])
    async def test_s19_also_after_a_write_in_the_future(
        self, database: Database, clock: Clock, tombstones: bool
    ) -> None:
        """S19."""
        future = await put(database, "r1", wanted=clock.now + 5 * HOUR)

        assert await close_and_open(database, tombstones=tombstones) > future.last_modified

    async def test_s19_also_when_a_write_opens_it(self, database: Database, clock: Clock) -> None:
        """S19."""
        future = await put(database, "r1", wanted=clock.now + 5 * HOUR)
        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=False)

        imported = await put(database, "r2", wanted=500)

        assert imported.last_modified == 500
        assert await timestamp(database) > future.last_modified

    async def test_s19_also_when_it_was_deleted_and_created_in_one_unit(self, database: Database, clock: Clock) -> None:
        """S19."""
        last = (await put(database, "r1")).last_modified

        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=True)
            opened = await unit.storage.open(RECORDS)
            written = await unit.storage.put(RECORDS, "r1", '{"n":1}')

        assert last < opened < written.last_modified
        assert await read(database, tombstones=True) == [written]

    async def test_a_timestamp_of_another_object_is_refused(self, database: Database, clock: Clock) -> None:
        taken = await put(database, "r1")
        clock.now += 1000
        await put(database, "r2")

        with pytest.raises(DuplicateTimestamp):
            await put(database, "r3", wanted=taken.last_modified)

        assert ids(await read(database)) == ["r2", "r1"]

    async def test_a_timestamp_of_a_tombstone_is_refused(self, database: Database, clock: Clock) -> None:
        await put(database, "r1")
        [tombstone] = await delete(database, "r1")
        clock.now += 1000
        await put(database, "r2")

        with pytest.raises(DuplicateTimestamp):
            await put(database, "r3", wanted=tombstone.last_modified)

    async def test_a_timestamp_that_was_left_can_be_taken_again(self, database: Database, clock: Clock) -> None:
        left = await put(database, "r1")
        clock.now += 1000
        await put(database, "r1")

        assert (await put(database, "r2", wanted=left.last_modified)).last_modified == left.last_modified

    async def test_the_timestamp_of_an_object_in_another_list_is_free(self, database: Database, clock: Clock) -> None:
        await put(database, "r1", wanted=500)

        async with database.begin() as unit:
            elsewhere = RECORDS.__class__("group", RECORDS.parent)
            assert await unit.storage.timestamp(elsewhere) is None
        assert (await put(database, "r1", wanted=500, place=elsewhere)).last_modified == 500

    async def test_a_deletion_takes_a_wanted_timestamp_above_the_lists(self, database: Database, clock: Clock) -> None:
        await put(database, "r1")

        [tombstone] = await delete(database, "r1", wanted=clock.now + HOUR)

        assert tombstone.last_modified == clock.now + HOUR
        assert await timestamp(database) == clock.now + HOUR
        assert tombstone.text == TOMBSTONE

    @pytest.mark.parametrize("behind", [0, 1, 1000])
    async def test_a_deletion_does_not_take_a_timestamp_of_the_past(self, database: Database, behind: int) -> None:
        created = await put(database, "r1")

        [tombstone] = await delete(database, "r1", wanted=created.last_modified - behind)

        assert tombstone.last_modified > created.last_modified
