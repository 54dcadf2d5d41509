"""The contract of storages, part: tombstones are purged, and where deletions can no longer be told, is known.

Source: objects 26.2; reliability S20.
"""

import pytest

from kobako.databases.base import Database
from kobako.protocol.selection import Filter, Operator
from kobako.storage.base import PURGED_AT_ONCE, TOMBSTONE, ListState, Place, Stored
from kobako.testing.fixtures import OTHERS, RECORDS, Clock, Refused, delete, get, ids, put, read, refused, timestamp

LATER = 2**53 - 1

DELETED = (Filter("deleted", Operator.EQ, True),)


async def purge(database: Database, before: int = LATER, keep: int = 0, place: Place = RECORDS) -> int:
    """Purge a list in a unit of work of its own."""
    async with database.begin([place]) as unit:
        return await unit.storage.purge(place, before, keep)


async def purged_before(database: Database, place: Place = RECORDS) -> int:
    """Return up to where deletions of a list can no longer be told."""
    async with database.begin() as unit:
        return await unit.storage.purged_before(place)


async def buried(database: Database, *names: str, place: Place = RECORDS) -> list[Stored]:
    """Create objects and delete them; return their tombstones, oldest first."""
    for name in names:
        await put(database, name, place=place)
    return [tombstone for name in names for tombstone in await delete(database, name, place=place)]


class PurgeContract:
    """Purges. A storage joins by giving the `database` fixture."""

    async def test_nothing_was_purged_of_a_list_that_was_not(self, database: Database) -> None:
        assert await purged_before(database) == 0
        assert await purge(database) == 0

        await put(database, "r1")

        assert await purge(database) == 0
        assert await purged_before(database) == 0

    async def test_s20_a_purge_removes_tombstones_and_no_live_object(self, database: Database) -> None:
        """S20."""
        [tombstone] = await buried(database, "r1")
        live = await put(database, "r2")
        await buried(database, "r3")
        again = await put(database, "r3")

        assert await purge(database) == 1

        assert await read(database, tombstones=True) == [again, live]
        assert await get(database, "r3") == again
        assert await purged_before(database) == tombstone.last_modified

    async def test_a_purge_does_not_move_the_list(self, database: Database) -> None:
        await buried(database, "r1", "r2")
        before = await timestamp(database)

        await purge(database)

        assert await timestamp(database) == before
        assert (await put(database, "r1")).last_modified > before

    async def test_a_purge_is_seen_of_the_list_alone(self, database: Database) -> None:
        await buried(database, "r1")
        kind = Place("group", RECORDS.parent)
        others = [await buried(database, "r1", place=place) for place in (OTHERS, kind)]

        assert await purge(database) == 1

        assert [await read(database, place, tombstones=True) for place in (OTHERS, kind)] == others
        assert [await purged_before(database, place) for place in (OTHERS, kind)] == [0, 0]

    @pytest.mark.parametrize("keep", [0, 1, 3, 5, 6])
    async def test_the_newest_are_kept(self, database: Database, keep: int) -> None:
        await put(database, "live")
        tombstones = await buried(database, *(f"r{n}" for n in range(5)))

        assert await purge(database, keep=keep) == max(5 - keep, 0)

        assert await read(database, tombstones=True, filters=DELETED) == tombstones[::-1][:keep]
        gone = tombstones[: max(5 - keep, 0)]
        assert await purged_before(database) == (gone[-1].last_modified if gone else 0)

    async def test_what_is_not_older_is_kept(self, database: Database, clock: Clock) -> None:
        old = await buried(database, "r1", "r2")
        clock.now += 1000
        young = await buried(database, "r3")

        assert await purge(database, young[0].last_modified) == 2

        assert await read(database, tombstones=True) == young
        assert await purged_before(database) == old[-1].last_modified
        assert await purge(database, young[0].last_modified) == 0

    async def test_only_so_many_are_removed_at_once_the_oldest_first(self, database: Database, clock: Clock) -> None:
        many = [Stored(f"r{n}", clock.now + n, TOMBSTONE, True) for n in range(PURGED_AT_ONCE + 3)]
        async with database.begin([RECORDS]) as unit:
            await unit.storage.restore(ListState(RECORDS, many[-1].last_modified, True), many)

        assert await purge(database) == PURGED_AT_ONCE
        assert await read(database, tombstones=True) == many[:-4:-1]
        assert await purged_before(database) == many[-4].last_modified
        assert await purge(database) == 3
        assert await purge(database) == 0

    async def test_a_purge_that_is_undone_leaves_everything(self, database: Database) -> None:
        tombstones = await buried(database, "r1", "r2")

        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.purge(RECORDS, LATER)
                raise Refused

        assert await read(database, tombstones=True) == tombstones[::-1]
        assert await purged_before(database) == 0

    async def test_what_was_purged_stays_known_through_all_that_follows(self, database: Database) -> None:
        [first] = await buried(database, "r1")
        await purge(database)
        await put(database, "r1")
        await buried(database, "r2")
        assert await purged_before(database) == first.last_modified

        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=True)
            await unit.storage.open(RECORDS)

        assert await purged_before(database) == first.last_modified
        async with database.begin() as unit:
            states = await unit.storage.states()
        assert states == [ListState(RECORDS, await timestamp(database), True, first.last_modified)]

    async def test_a_list_closed_without_tombstones_has_forgotten_all(self, database: Database) -> None:
        last = await put(database, "r1")

        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=False)
            assert await unit.storage.purged_before(RECORDS) > last.last_modified

        assert await purged_before(database) > last.last_modified
        assert ids(await read(database, tombstones=True)) == []

    async def test_an_id_that_was_purged_can_be_used_again(self, database: Database) -> None:
        await buried(database, "r1")
        await purge(database)

        created = await put(database, "r1", {"n": 1})

        assert await read(database, tombstones=True) == [created]
        [tombstone] = await delete(database, "r1")
        assert await purge(database) == 1
        assert await purged_before(database) == tombstone.last_modified
