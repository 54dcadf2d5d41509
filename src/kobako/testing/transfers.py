"""The contract of storages and permissions as what is moved to another database: all of it is read, and taken over."""

from collections.abc import Sequence

from kobako.databases.base import Database
from kobako.protocol.selection import Selection, Sort
from kobako.storage.base import ListState, Place, Stored
from kobako.testing.fixtures import OTHERS, RECORDS, WithClock, delete, get, ids, open_list, put, read, timestamp

ROOT = Place("bucket", "")
ALICE, BOB = "basicauth:alice", "basicauth:bob"
GROUP = "/buckets/b/groups/g"
OLDEST_FIRST = (Sort("last_modified"),)


async def states(database: Database, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
    """Return the lists of a database."""
    async with database.begin() as unit:
        return await unit.storage.states(after, limit)


async def restore(database: Database, state: ListState, *objects: Stored) -> None:
    """Take over a list, or more of one."""
    async with database.begin([state.place]) as unit:
        await unit.storage.restore(state, objects)


class StorageTransferContract(WithClock):
    """Lists and their states."""

    async def test_lists_ever_opened_are_told_in_order(self, database: Database) -> None:
        records = await put(database, "r1")
        others = await open_list(database, OTHERS)
        root = await put(database, "b", place=ROOT)

        assert await states(database) == [
            ListState(ROOT, root.last_modified, True),
            ListState(RECORDS, records.last_modified, True),
            ListState(OTHERS, others, True),
        ]

    async def test_lists_come_in_parts(self, database: Database) -> None:
        places = [Place(kind, f"/buckets/{name}") for name in ("a", "a-b", "b") for kind in ("collection", "group")]
        for place in reversed(places):
            await open_list(database, place)

        first = await states(database, None, 4)
        rest = await states(database, first[-1].place, 4)

        assert [each.place for each in first] == places[:4]
        assert [each.place for each in rest] == places[4:]
        assert await states(database, places[-1]) == []

    async def test_a_closed_list_is_told_with_its_timestamp(self, database: Database) -> None:
        await put(database, "r1")
        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under("/buckets/b/collections", tombstones=True)

        tombstone = (await read(database, tombstones=True))[0]
        assert await states(database) == [ListState(RECORDS, tombstone.last_modified, False)]

    async def test_a_list_that_lost_its_tombstones_tells_since_when(self, database: Database) -> None:
        written = await put(database, "r1")
        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under("/buckets/b", tombstones=False)

        state = (await states(database))[0]
        assert not state.is_open
        assert state.timestamp >= state.purged_before > written.last_modified

        reopened = await open_list(database)
        assert await states(database) == [ListState(RECORDS, reopened, True, state.purged_before)]

    async def test_a_list_is_taken_over_as_it_was(self, database: Database) -> None:
        objects = [Stored("r2", 11, '{"n":2}'), Stored("r1", 12, '{"n":1}'), Stored("r3", 15, '{"deleted":true}', True)]
        state = ListState(RECORDS, 20, True, 7)

        await restore(database, state, *objects)

        assert await states(database) == [state]
        assert await read(database, tombstones=True, sort=OLDEST_FIRST) == objects
        assert await get(database, "r1") == objects[1]
        assert await get(database, "r3") is None
        async with database.begin() as unit:
            assert await unit.storage.count(RECORDS) == 2

    async def test_a_list_is_taken_over_in_parts(self, database: Database) -> None:
        state = ListState(RECORDS, 2000, True)
        objects = [Stored(f"r{n}", n, f'{{"n":{n}}}') for n in range(1, 1201)]

        await restore(database, state, *objects[:700])
        await restore(database, state, *objects[700:])

        assert await read(database, sort=OLDEST_FIRST) == objects
        assert await timestamp(database) == 2000

    async def test_a_list_goes_on_where_it_was(self, database: Database) -> None:
        ahead = 2_000_000_000_000

        await restore(database, ListState(RECORDS, ahead, True), Stored("r1", ahead - 5, "{}"))

        assert (await put(database, "r2")).last_modified == ahead + 1
        assert (await delete(database, "r1"))[0].last_modified == ahead + 2
        assert ids(await read(database, tombstones=True)) == ["r1", "r2"]

    async def test_a_list_taken_over_closed_opens_above_its_timestamp(self, database: Database) -> None:
        ahead = 2_000_000_000_000

        await restore(database, ListState(RECORDS, ahead, False))

        async with database.begin() as unit:
            assert await unit.storage.timestamp(RECORDS) is None
        assert await open_list(database) > ahead

    async def test_the_epoch_is_taken_over(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.storage.set_epoch(12)

        async with database.begin() as unit:
            assert await unit.storage.epoch() == 12

    async def test_selected_pages_lead_through_a_whole_list(self, database: Database) -> None:
        for n in range(7):
            await put(database, f"r{n}")
        await delete(database, "r2", "r4")

        found: list[Stored] = []
        while True:
            after = (found[-1].last_modified,) if found else None
            async with database.begin() as unit:
                selection = Selection(tombstones=True, sort=OLDEST_FIRST, limit=3, after=after)
                part = await unit.storage.list(RECORDS, selection)
            found.extend(part)
            if len(part) < 3:
                break

        assert ids(found) == ["r0", "r1", "r3", "r5", "r6", "r2", "r4"]


class PermissionTransferContract(WithClock):
    """ACLs and memberships."""

    async def test_acls_come_in_parts_each_as_a_whole(self, database: Database) -> None:
        uris = [f"/buckets/b/collections/{name}" for name in ("a", "a-b", "b", "c")]
        async with database.begin([RECORDS]) as unit:
            for uri in reversed(uris):
                await unit.permission.replace(uri, {"write": [ALICE, BOB], "record:create": [GROUP]})

        async with database.begin() as unit:
            first = await unit.permission.acls("", 3)
            rest = await unit.permission.acls(uris[2], 3)

        assert [*first, *rest] == uris
        for acl in (*first.values(), *rest.values()):
            assert {each: set(acl[each]) for each in acl} == {"write": {ALICE, BOB}, "record:create": {GROUP}}

    async def test_memberships_come_in_parts_each_as_a_whole(self, database: Database) -> None:
        groups = [f"{GROUP}{n}" for n in range(4)]
        async with database.begin([RECORDS]) as unit:
            for group in reversed(groups):
                await unit.permission.join(group, [ALICE, BOB])

        async with database.begin() as unit:
            first = await unit.permission.members("", 3)
            rest = await unit.permission.members(groups[2], 3)

        assert [*first, *rest] == groups
        assert all(set(users) == {ALICE, BOB} for users in (*first.values(), *rest.values()))

    async def test_where_nobody_has_rights_there_is_nothing_to_tell(self, database: Database) -> None:
        async with database.begin() as unit:
            assert await unit.permission.acls() == {}
            assert await unit.permission.members() == {}
