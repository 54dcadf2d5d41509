"""The contract of storages, in tests: objects are kept as they were given, and deleted ones leave tombstones.

The rest of the contract is in `timestamps.py`, `cascades.py`, `selections.py` and `transfers.py`, and joined here.
"""

from typing import Any

import pytest

from kobako.databases.base import Database
from kobako.protocol import jsontext
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import Filter, Operator, Selection, Sort
from kobako.storage.base import TOMBSTONE, Place, Stored, Total, as_text
from kobako.testing.cascades import CascadeContract
from kobako.testing.fixtures import OTHERS, RECORDS, START, WithClock, delete, get, ids, open_list, put, read, timestamp
from kobako.testing.purges import PurgeContract
from kobako.testing.selections import SelectionContract
from kobako.testing.timestamps import TimestampContract
from kobako.testing.transfers import StorageTransferContract


def nested(depth: int) -> JsonObject:
    """Return an object with so many levels of arrays and objects in it, its own included."""
    value: Any = {}
    for level in range(1, depth):
        value = [value] if level % 2 and level < depth // 2 else {"a": value}
    return {**value}


DATA = [
    pytest.param({}, id="nothing"),
    pytest.param({"n": 10**299 + 7, "m": -(10**299) - 7}, id="integers of 300 digits"),
    pytest.param({"n": [2**53 + 1, 2**63 - 1, 2**63, 2**64 + 1, -(2**63) - 1]}, id="integers that doubles lack"),
    pytest.param({"n": [1.0, -0.0, 0.1, 1e300, 5e-324, 1.7976931348623157e308]}, id="floats"),
    pytest.param({"n": [True, False, None, 0, 1, "", [], {}]}, id="values that are easily confused"),
    pytest.param({"ключ": "é ü 漢字 🍄 \u2028 \x7f \x01 \ufeff \uffff"}, id="unicode"),
    pytest.param({"t": "e\u0301 is not \u00e9"}, id="no normalization"),
    pytest.param({"t": "quotes ' \" ` back\\slash \n\r\t / % _ ; --"}, id="characters of SQL"),
    pytest.param({"z": 1, "a": 2, "m": 3}, id="order of keys"),
    pytest.param({"": 1, "a.b": 2, "$x": 3, "__proto__": 4, "a'b": 5, 'a"b': 6, "a)--": 7}, id="odd keys"),
    pytest.param({"text": "x" * 300_000}, id="long"),
    pytest.param({"deleted": True, "parent": "x", "resource": "y", "version": 1}, id="names of our own"),
]


class ObjectContract(WithClock):
    """get, put, delete, list and count of single objects."""

    async def test_a_list_never_written_is_empty_and_not_open(self, database: Database) -> None:
        async with database.begin() as unit:
            assert await unit.storage.get(RECORDS, "r1") is None
            assert await unit.storage.list(RECORDS) == []
            assert await unit.storage.count(RECORDS) == 0
            assert await unit.storage.timestamp(RECORDS) is None
            assert await unit.storage.epoch() >= START

    async def test_an_object_is_found_as_it_was_put(self, database: Database) -> None:
        written = await put(database, "r1", {"size": 3})

        assert written == Stored("r1", written.last_modified, '{"size":3}')
        assert await get(database, "r1") == written
        assert await read(database) == [written]

    @pytest.mark.parametrize("data", DATA)
    async def test_the_text_of_an_object_comes_back_exactly(self, database: Database, data: JsonObject) -> None:
        text = as_text(data)

        await put(database, "r1", data)

        found = await get(database, "r1")
        assert found is not None
        assert found.text == text
        assert [each.text for each in await read(database)] == [text]

    async def test_the_deepest_object_accepted_can_be_kept_filtered_and_sorted(self, database: Database) -> None:
        data = nested(jsontext.MAX_DEPTH)
        text = jsontext.encode(data)
        assert jsontext.decode(text) == data, "the test wants what the server accepts"

        written = await put(database, "r1", data)

        found = await read(database, filters=(Filter("a", Operator.EQ, data["a"]),), sort=(Sort("a"), Sort("a.a")))
        assert found == [written]
        assert found[0].text == text

    async def test_putting_again_replaces_all_of_an_object(self, database: Database) -> None:
        first = await put(database, "r1", {"a": 1, "b": 2})

        second = await put(database, "r1", {"c": 3})

        assert second.text == '{"c":3}'
        assert second.last_modified > first.last_modified
        assert await read(database, tombstones=True) == [second]

    async def test_a_replaced_object_gets_a_later_timestamp_even_when_nothing_changes(self, database: Database) -> None:
        first = await put(database, "r1", {"a": 1})

        second = await put(database, "r1", {"a": 1})

        assert second.last_modified > first.last_modified
        assert await timestamp(database) == second.last_modified

    async def test_a_deleted_object_leaves_a_later_tombstone(self, database: Database) -> None:
        created = await put(database, "r1", {"size": 3})

        [tombstone] = await delete(database, "r1")

        assert tombstone == Stored("r1", tombstone.last_modified, TOMBSTONE, deleted=True)
        assert tombstone.last_modified > created.last_modified
        assert await get(database, "r1") is None
        assert await read(database) == []
        assert await read(database, tombstones=True) == [tombstone]
        assert await timestamp(database) == tombstone.last_modified

    async def test_deleting_what_is_not_there_changes_nothing(self, database: Database) -> None:
        await put(database, "r1")
        [tombstone] = await delete(database, "r1")

        assert await delete(database, "r1", "unknown") == []

        assert await read(database, tombstones=True) == [tombstone]
        assert await timestamp(database) == tombstone.last_modified

    async def test_deleting_in_a_list_never_written_does_not_open_it(self, database: Database) -> None:
        assert await delete(database, "r1") == []

        async with database.begin() as unit:
            assert await unit.storage.timestamp(RECORDS) is None

    async def test_an_id_twice_in_a_deletion_is_deleted_once(self, database: Database) -> None:
        await put(database, "r1")

        assert ids(await delete(database, "r1", "r1")) == ["r1"]

    async def test_tombstones_are_returned_in_the_order_asked_for(self, database: Database) -> None:
        for id in ("a", "b", "c"):
            await put(database, id)

        tombstones = await delete(database, "c", "unknown", "a", "b")

        assert ids(tombstones) == ["c", "a", "b"]
        versions = [each.last_modified for each in tombstones]
        assert versions == sorted(set(versions))

    async def test_a_deleted_object_created_again_has_no_tombstone(self, database: Database) -> None:
        await put(database, "r1", {"a": 1})
        [tombstone] = await delete(database, "r1")

        created = await put(database, "r1", {"b": 2})

        assert created.last_modified > tombstone.last_modified
        assert await get(database, "r1") == created
        assert await read(database, tombstones=True) == [created]

    async def test_deleting_and_creating_over_and_over_leaves_one_of_each_id(self, database: Database) -> None:
        for n in range(3):
            await put(database, "r1", {"n": n})
            await delete(database, "r1")
        last = await put(database, "r1", {"n": 3})

        assert await read(database, tombstones=True) == [last]

    async def test_a_live_object_may_have_a_field_deleted(self, database: Database) -> None:
        written = await put(database, "r1", {"deleted": True})

        assert not written.deleted
        assert await get(database, "r1") == written
        assert await read(database) == [written]

    async def test_s23_every_deleted_object_has_its_own_later_version(self, database: Database) -> None:
        """S23."""
        names = [f"r{n}" for n in range(2000)]
        async with database.begin([RECORDS]) as unit:
            for name in names:
                await unit.storage.put(RECORDS, name, "{}")
        before = await timestamp(database)

        tombstones = await delete(database, *names)

        versions = [each.last_modified for each in tombstones]
        assert len(set(versions)) == 2000
        assert versions == sorted(versions)
        assert versions[0] > before
        assert await timestamp(database) == versions[-1]
        assert await read(database, tombstones=True) == tombstones[::-1]

    async def test_objects_put_together_are_put_one_after_the_other(self, database: Database) -> None:
        replaced = await put(database, "r1", {"n": 0})
        async with database.begin([RECORDS]) as unit:
            await unit.storage.index(RECORDS, ["n"])
            await unit.storage.delete(RECORDS, ["r1"])
            found = await unit.storage.put_all(RECORDS, [("r2", '{"n":1}'), ("r1", '{"n":2}'), ("r3", "{}")])
            assert await unit.storage.timestamp(RECORDS) == found[-1].last_modified

        assert [(each.id, each.text) for each in found] == [("r2", '{"n":1}'), ("r1", '{"n":2}'), ("r3", "{}")]
        versions = [each.last_modified for each in (replaced, *found)]
        assert versions == sorted(set(versions))
        assert await read(database, tombstones=True) == found[::-1]
        assert await read(database, filters=(Filter("n", Operator.EQ, 2),)) == [found[1]]
        assert await timestamp(database) == versions[-1]

    async def test_objects_put_together_open_their_list_and_none_does_not(self, database: Database) -> None:
        async with database.begin([RECORDS, OTHERS]) as unit:
            many = [(f"r{n}", "{}") for n in range(1000)]
            found = await unit.storage.put_all(RECORDS, many)
            assert await unit.storage.put_all(OTHERS, []) == []

        assert found[0].last_modified > START
        assert await read(database) == found[::-1]
        async with database.begin() as unit:
            assert await unit.storage.timestamp(OTHERS) is None

    async def test_lists_do_not_see_each_others_objects(self, database: Database) -> None:
        other_kind = Place("group", RECORDS.parent)
        here = await put(database, "r1", {"n": 1})
        there = await put(database, "r1", {"n": 2}, place=OTHERS)
        kind = await put(database, "r1", {"n": 3}, place=other_kind)

        await delete(database, "r1", place=OTHERS)

        assert await read(database) == [here]
        assert await get(database, "r1", OTHERS) is None
        assert await read(database, other_kind) == [kind]
        assert there.text == '{"n":2}'

    @pytest.mark.parametrize("ids", [("a)", "a"), ("a%", "ab"), ("a_b", "axb"), ("*", "a"), ("a\\", "a"), ("A", "a")])
    async def test_p15_ids_are_compared_as_they_are(self, database: Database, ids: tuple[str, str]) -> None:
        """P15."""
        odd, plain = ids
        kept = await put(database, plain)
        assert await get(database, odd) is None

        await put(database, odd)
        await delete(database, odd)

        assert await read(database) == [kept]

    async def test_a_count_is_of_what_passes_whatever_the_page(self, database: Database) -> None:
        for n in range(5):
            await put(database, f"r{n}", {"n": n})
        await delete(database, "r0", "r1")
        small = (Filter("n", Operator.LT, 4),)
        page = Selection(filters=small, limit=1, after=(0,))

        async with database.begin() as unit:
            assert await unit.storage.count(RECORDS) == 3
            assert await unit.storage.count(RECORDS, Selection(tombstones=True)) == 5
            assert await unit.storage.count(RECORDS, page) == 2
            assert await unit.storage.count(RECORDS, Selection(ids=frozenset(["r0", "r2", "r9"]))) == 1


class TotalsContract(WithClock):
    """How many there are of each kind."""

    async def test_nothing_is_counted_where_nothing_is(self, database: Database) -> None:
        async with database.begin() as unit:
            assert await unit.storage.totals() == {}

    async def test_objects_and_tombstones_are_counted_by_kind_in_all_lists(self, database: Database) -> None:
        await put(database, "b", place=Place("bucket", ""))
        for place in (RECORDS, OTHERS):
            for id in ("r1", "r2", "r3"):
                await put(database, id, place=place)
        await delete(database, "r1", "r2", place=OTHERS)
        await open_list(database, Place("group", "/buckets/b"))

        async with database.begin() as unit:
            totals = await unit.storage.totals()

        assert totals == {"bucket": Total(1, 0), "record": Total(4, 2)}

    async def test_what_was_removed_without_a_tombstone_is_not_counted(self, database: Database) -> None:
        await put(database, "r1")
        await put(database, "g", place=Place("group", "/buckets/a"))
        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under("/buckets/b", tombstones=False)

        async with database.begin() as unit:
            assert await unit.storage.totals() == {"group": Total(1, 0)}


class StorageContract(
    ObjectContract,
    TotalsContract,
    TimestampContract,
    CascadeContract,
    PurgeContract,
    SelectionContract,
    StorageTransferContract,
):
    """What every storage does. A backend joins by giving the `database` fixture."""
