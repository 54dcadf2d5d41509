"""The contract of storages, in tests: what goes with an object that holds lists (objects 7, 21.6)."""

import pytest

from kobako.databases.base import Database
from kobako.storage.base import Place
from kobako.testing.fixtures import RECORDS, Clock, WithClock, by_id, delete, get, ids, open_list, put, read

BUCKETS = Place("bucket", "")
COLLECTIONS = Place("collection", "/buckets/b")
GROUPS = Place("group", "/buckets/b")

# (what is closed, what has to stay): one of them is the beginning of the other, or a wildcard for it.
NEIGHBOURS = [
    ("foo", "foobar"),
    ("foobar", "foo"),
    ("foo", "fo_"),
    ("foo", "fo%"),
    ("fo_", "foo"),
    ("fo%", "foo"),
    ("a_b", "axb"),
    ("*", "foo"),
    ("%", "foo"),
    ("f*", "foo"),
    ("foo", "FOO"),
    ("foo", "foo-bar"),
    ("foo", "foo.bar"),
    ("foo", "foo0"),
    ("foo\\", "foo"),
    ("f[o]o", "foo"),
    ("foo)", "foo"),
    ("foo'", "foo"),
]


async def close(database: Database, uri: str, *places: Place, tombstones: bool) -> None:
    """Close all lists under an object, in a unit of work of its own."""
    async with database.begin(places) as unit:
        await unit.storage.close_under(uri, tombstones=tombstones)


class CascadeContract(WithClock):
    """close_under: with tombstones for a collection, without for a bucket."""

    async def test_without_tombstones_nothing_is_left(self, database: Database) -> None:
        places = (RECORDS, COLLECTIONS, GROUPS)
        for place in places:
            await put(database, "live", place=place)
            await put(database, "dead", place=place)
            await delete(database, "dead", place=place)

        await close(database, "/buckets/b", *places, tombstones=False)

        for place in places:
            await open_list(database, place)
            assert await read(database, place, tombstones=True) == []

    async def test_with_tombstones_each_object_leaves_one_and_earlier_ones_stay(self, database: Database) -> None:
        for id in ("a", "b", "c"):
            await put(database, id, {"n": 1})
        [earlier] = await delete(database, "c")

        await close(database, RECORDS.parent, RECORDS, tombstones=True)

        opened = await open_list(database)
        left = by_id(await read(database, tombstones=True))
        assert sorted(left) == ["a", "b", "c"]
        assert left["c"] == earlier
        assert all(each.deleted for each in left.values())
        assert len({each.last_modified for each in left.values()}) == 3
        assert min(left["a"].last_modified, left["b"].last_modified) > earlier.last_modified
        assert opened > max(each.last_modified for each in left.values())

    @pytest.mark.parametrize("tombstones", [True, False])
    async def test_a_closed_list_is_not_open_and_has_no_live_objects(
        self, database: Database, tombstones: bool
    ) -> None:
        await put(database, "r1")

        await close(database, RECORDS.parent, RECORDS, tombstones=tombstones)

        assert await get(database, "r1") is None
        assert await read(database) == []
        async with database.begin() as unit:
            assert await unit.storage.timestamp(RECORDS) is None
            assert await unit.storage.count(RECORDS) == 0

    async def test_an_object_created_again_after_a_cascade_is_new(self, database: Database) -> None:
        old = await put(database, "r1", {"n": 1})
        await close(database, RECORDS.parent, RECORDS, tombstones=True)

        created = await put(database, "r1", {"n": 2})

        assert created.last_modified > old.last_modified
        assert await read(database, tombstones=True) == [created]

    async def test_a_past_timestamp_is_not_taken_for_an_id_that_a_cascade_deleted(self, database: Database) -> None:
        old = await put(database, "r1")
        await close(database, RECORDS.parent, RECORDS, tombstones=True)

        created = await put(database, "r1", wanted=500)

        assert created.last_modified > old.last_modified

    async def test_closing_twice_is_as_closing_once(self, database: Database, clock: Clock) -> None:
        await put(database, "r1")
        await close(database, RECORDS.parent, RECORDS, tombstones=True)
        await open_list(database)
        left = await read(database, tombstones=True)
        clock.now += 1000

        await close(database, RECORDS.parent, RECORDS, tombstones=True)

        await open_list(database)
        assert await read(database, tombstones=True) == left

    async def test_a_bucket_forgets_the_tombstones_of_a_collection_closed_before(self, database: Database) -> None:
        await put(database, "r1")
        await close(database, RECORDS.parent, RECORDS, tombstones=True)

        await close(database, "/buckets/b", RECORDS, COLLECTIONS, tombstones=False)

        await open_list(database)
        assert await read(database, tombstones=True) == []

    async def test_the_object_itself_stays(self, database: Database) -> None:
        bucket = await put(database, "b", place=BUCKETS)
        await put(database, "c", place=COLLECTIONS)

        await close(database, "/buckets/b", COLLECTIONS, tombstones=False)

        assert await read(database, BUCKETS, tombstones=True) == [bucket]

    async def test_lists_above_and_beside_stay(self, database: Database) -> None:
        beside = Place("record", "/buckets/b/collections/d")
        collection = await put(database, "c", place=COLLECTIONS)
        neighbour = await put(database, "r1", place=beside)
        await put(database, "r1")

        await close(database, RECORDS.parent, RECORDS, tombstones=False)

        assert await read(database, COLLECTIONS, tombstones=True) == [collection]
        assert await read(database, beside, tombstones=True) == [neighbour]

    @pytest.mark.parametrize("tombstones", [True, False])
    @pytest.mark.parametrize(("closed", "kept"), NEIGHBOURS)
    async def test_c10_only_whole_segments_match(
        self, database: Database, closed: str, kept: str, tombstones: bool
    ) -> None:
        """C10, P15."""
        direct = [Place("collection", f"/buckets/{name}") for name in (closed, kept)]
        below = [Place("record", f"/buckets/{name}/collections/c") for name in (closed, kept)]
        for place in direct + below:
            await put(database, "r1", place=place)

        await close(database, f"/buckets/{closed}", *direct, *below, tombstones=tombstones)

        for gone, stays in (direct, below):
            assert ids(await read(database, stays, tombstones=True)) == ["r1"]
            assert (await read(database, stays))[0].deleted is False
            assert await read(database, gone) == []
