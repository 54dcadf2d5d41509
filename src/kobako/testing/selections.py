"""The contract of storages, in tests: filters, order and pages mean what `protocol` says, on every backend.

A list is filled with values of every kind; each selection is asked of the backend, and worked out with
`filters.passes` and `ordering.in_order` on what was stored. Both have to agree, object by object.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest

from kobako.databases.base import Database
from kobako.protocol import filters, jsontext, ordering
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Selection, Sort
from kobako.storage.base import TOMBSTONE, ListState, Stored
from kobako.testing.fixtures import RECORDS, Refused, WithClock, delete, ids, put, read, refused

VALUES: list[Any] = [
    *(None, True, False),
    *("", "1", "true", "null", "abc", "ABC", "abcabc", "a*c", "a_c", "axc", "50%", "50 %", "a\\c"),
    *("[a-z]", ".*", "été", "ÉTÉ", "漢字", "🍄", "\uffff", "a'c", 'a"c', "a)--"),
    *(0, -1, 1, 1.0, 1.5, -0.0, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 + 1, -(2**63), -(10**20), 10**299),
    *(0.1, 1e300, -1e300, 5e-324, 9007199254740993.0, 1e21),
    *([], [None], [1], [1.0], [True], ["1"], [1, "a"], ["a", 1], [[1]], [{"a": 1}], [1, 1], ["abc"]),
    *([2**64 + 1], {}, {"a": 1}, {"a": 1.0}, {"b": 2, "a": 1}, {"a": 1, "b": 2}, {"a": {"b": 1}}),
    *({"a": None}, {"a": [1]}),
]

PATTERNS = [
    *("", "*", "**", "abc", "ABC", "a*c", "A*C", "*b*", "abc*", "*c", "*abc", "a*b*c", "*" * 50, "*a" * 50),
    *("%", "_", "\\", "50%", "a_c", "[a-z]", "[*]", ".*", ".", "?", "'", '"', ")", "--", "^a", "c$", "a\\c"),
    *("1", "1.0", "1.5", "true", "TRUE", "null", "[1", "{", ":", "e", "0", "-"),
    *("été", "ÉTÉ", "é*É", "漢", "🍄"),
]

ODD_FIELDS = [
    *("a'b", 'a"b', "$x", "$", "$[0]", "#-1", "[0]", "__proto__", "a)--", "", "ключ", "a b", "a\\b", "a%", "a_b"),
    *("?1", ":f", "a.b", ".", "..", "a..b", ".a", "a.", "$.a"),
]

ORDERS: list[tuple[Sort, ...]] = [
    (Sort("f"),),
    (Sort("f", descending=True),),
    (Sort("f.a"), Sort("f", descending=True)),
    (Sort("f.a", descending=True), Sort("f")),
    (Sort("g"), Sort("f")),
    (Sort("deleted", descending=True), Sort("f")),
    (Sort("id", descending=True),),
    (Sort("a)--"), Sort("a'b", descending=True)),
    (),
]


def selected(objects: Sequence[Stored], selection: Selection) -> list[Stored]:
    """Return what a selection means, worked out from all objects and tombstones of a list."""
    by_version = {each.last_modified: each for each in objects}
    candidates = [
        each.data()
        for each in objects
        if (selection.tombstones or not each.deleted) and (selection.ids is None or each.id in selection.ids)
    ]
    passing = [data for data in candidates if filters.passes(selection.filters, data)]
    ordered = ordering.in_order(passing, selection.sort)
    rest = [data for data in ordered if not selection.after or ordering.is_after(data, selection.after, selection.sort)]
    return [by_version[data["last_modified"]] for data in rest[: selection.limit]]


async def fill(database: Database, rows: Sequence[JsonObject]) -> Sequence[Stored]:
    """Store objects, and tombstones between them; return all that the list then has."""
    async with database.begin([RECORDS]) as unit:
        for n, data in enumerate(rows):
            await unit.storage.put(RECORDS, f"r{n:03}", jsontext.encode(data))
    for n in range(3):
        await put(database, f"gone{n}", {"f": n, "deleted": False})
    await delete(database, *(f"gone{n}" for n in range(3)))
    return await read(database, tombstones=True)


async def differences(database: Database, objects: Sequence[Stored], asked: Iterable[Selection]) -> list[str]:
    """Ask for selections; return in words where the answer is not what the selection means."""
    found = []
    async with database.begin() as unit:
        for selection in asked:
            expected = selected(objects, selection)
            answer = list(await unit.storage.list(RECORDS, selection))
            if answer != expected:
                found.append(f"{selection}: {_texts(answer, expected)} too many, {_texts(expected, answer)} missing")
            count = await unit.storage.count(RECORDS, selection)
            if selection.limit is None and selection.after is None and count != len(expected):
                found.append(f"{selection}: counted {count}, not {len(expected)}")
    return found


def _texts(these: Sequence[Stored], those: Sequence[Stored]) -> list[str]:
    return [each.text[:80] for each in these if each not in those]


def selections(field: str, operator: Operator, values: Iterable[Any]) -> list[Selection]:
    """Return a selection for each value, tombstones among the objects."""
    return [Selection(filters=(Filter(field, operator, each),), tombstones=True) for each in values]


def _tuples() -> list[tuple[Any, ...]]:
    several: list[tuple[Any, ...]] = [(), (1, "abc"), (True, None), ([1], {"a": 1}), (1, 1), ("zzz", 0.5)]
    return several + [(each,) for each in VALUES]


OPERANDS: dict[Operator, list[Any]] = {
    **dict.fromkeys(Operator, VALUES),
    **dict.fromkeys((Operator.IN, Operator.EXCLUDE, Operator.CONTAINS, Operator.CONTAINS_ANY), _tuples()),
    Operator.LIKE: PATTERNS,
    Operator.HAS: [True, False],
}
"""Operator -> the values it is tried with."""

ROWS: list[JsonObject] = [
    *({"f": value} for value in VALUES),
    {},
    {"g": 1},
    {"g": None, "f": "b"},
    {"g": 1.0, "f": "a"},
]


class FilterContract(WithClock):
    """Every operator, on every kind of value."""

    @pytest.mark.parametrize("operator", Operator)
    async def test_an_operator_means_the_same_on_every_value(self, database: Database, operator: Operator) -> None:
        objects = await fill(database, ROWS)

        assert await differences(database, objects, selections("f", operator, OPERANDS[operator])) == []

    @pytest.mark.parametrize("operator", Operator)
    async def test_a_dotted_field_goes_into_objects_only(self, database: Database, operator: Operator) -> None:
        objects = await fill(database, [*ROWS, {"f.a": 1}, {"f": [{"a": 1}]}, {"f": {"a.b": 1}}, {"f": '{"a":1}'}])
        fields = ("f.a", "f.a.b", "f.0", "f.0.a")
        asked = [each for field in fields for each in selections(field, operator, OPERANDS[operator][::3])]

        assert await differences(database, objects, asked) == []

    async def test_i28_what_is_no_array_contains_nothing(self, database: Database) -> None:
        """I28."""
        await put(database, "r1", {"f": "abc"})
        await put(database, "r2", {"f": {"abc": 1}})
        found = await put(database, "r3", {"f": ["abc", 1]})

        for operator in (Operator.CONTAINS, Operator.CONTAINS_ANY):
            assert await read(database, filters=(Filter("f", operator, ("abc",)),)) == [found]

    @pytest.mark.parametrize("field", ODD_FIELDS)
    async def test_i16_any_name_of_a_field_can_be_filtered_and_sorted(self, database: Database, field: str) -> None:
        """I16."""
        inner: JsonObject = {"b": 1, "": 2, "a": {"b": 3}}
        objects = await fill(
            database, [{field: 1}, {field: "x"}, {field: [1]}, {field: None}, {"a": inner}, {"": inner}, {}]
        )
        # A few values of each kind: what they mean is tested above, here it is where they are.
        asked = [each for operator, some in OPERANDS.items() for each in selections(field, operator, some[::9])]
        asked += [Selection(sort=(Sort(field, down), *NEWEST_FIRST), tombstones=True) for down in (True, False)]

        assert await differences(database, objects, asked) == []

    async def test_conditions_are_joined_by_and(self, database: Database) -> None:
        objects = await fill(database, [{"f": n, "g": n % 3} for n in range(12)])
        both = (Filter("f", Operator.GT, 2), Filter("g", Operator.EQ, 1), Filter("f", Operator.LT, 9))

        assert await differences(database, objects, [Selection(filters=both)]) == []
        assert len(await read(database, filters=both)) == 2

    @pytest.mark.parametrize(
        "operator", [Operator.EQ, Operator.NOT, Operator.LT, Operator.MAX, Operator.GT, Operator.MIN]
    )
    async def test_ids_compare_as_strings_and_timestamps_as_numbers(
        self, database: Database, operator: Operator
    ) -> None:
        objects = await fill(database, [{"f": n} for n in range(4)])
        await put(database, "7")
        objects = await read(database, tombstones=True)
        versions = [each.last_modified for each in objects]
        asked = selections("id", operator, ["r001", "gone1", "R001", "", "7", 7, "r\\", "zz"])
        asked += selections("last_modified", operator, [0, *versions, versions[0] + 1, 2**63, versions[0] + 0.0])
        asked += selections("deleted", operator, [True, False, None, 1, "true"])
        asked += [Selection(filters=each.filters) for each in asked]

        assert await differences(database, objects, asked) == []

    @pytest.mark.parametrize("operator", [Operator.IN, Operator.EXCLUDE])
    async def test_ids_are_looked_up_in_a_list(self, database: Database, operator: Operator) -> None:
        objects = await fill(database, [{}, {}, {}])
        values = [(), ("r000",), ("r000", "gone1", "none"), ("R000",), tuple(f"r{n:03}" for n in range(2000))]

        assert await differences(database, objects, selections("id", operator, values)) == []

    async def test_like_and_has_apply_to_ids_and_tombstones(self, database: Database) -> None:
        objects = await fill(database, [{}, {"deleted": None}, {"id_": 1}])
        asked = selections("id", Operator.LIKE, ["R0", "r*1", "*1", "_", "%", "gone"])
        asked += selections("deleted", Operator.HAS, [True, False])
        asked += selections("deleted", Operator.LIKE, ["true", "*"])
        asked += selections("last_modified", Operator.HAS, [True, False])
        asked += selections("f", Operator.HAS, [True, False])

        assert await differences(database, objects, asked) == []

    async def test_a_selection_of_ids_takes_these_objects_only(self, database: Database) -> None:
        objects = await fill(database, [{"f": n} for n in range(5)])
        some = frozenset(["r000", "r003", "gone1", "unknown", "r%", "R001"])
        many = frozenset(f"r{n:03}" for n in range(1, 40_000))
        above = (Filter("f", Operator.GT, 1),)
        asked = [
            Selection(ids=ids, tombstones=tombstones, filters=filters, limit=limit)
            for ids in (some, many, frozenset())
            for tombstones in (True, False)
            for filters in ((), above)
            for limit in (None, 1)
        ]

        assert await differences(database, objects, asked) == []


class OrderContract(WithClock):
    """Order and pages."""

    async def test_the_newest_comes_first_when_nothing_else_is_said(self, database: Database) -> None:
        objects = await fill(database, [{}, {}, {}])

        versions = [each.last_modified for each in objects]

        assert versions == sorted(versions, reverse=True)

    @pytest.mark.parametrize("tombstones", [True, False])
    @pytest.mark.parametrize("sort", ORDERS, ids=str)
    async def test_all_values_have_one_order(
        self, database: Database, sort: tuple[Sort, ...], tombstones: bool
    ) -> None:
        objects = await fill(database, ROWS)
        asked = [Selection(sort=(*sort, *NEWEST_FIRST), tombstones=tombstones, limit=n) for n in (None, 1, 7)]

        assert await differences(database, objects, asked) == []

    @pytest.mark.parametrize("limit", [1, 2, 3])
    @pytest.mark.parametrize("sort", ORDERS, ids=str)
    async def test_pages_cover_everything_exactly_once(
        self, database: Database, sort: tuple[Sort, ...], limit: int
    ) -> None:
        sort = (*sort, *NEWEST_FIRST)
        objects = await fill(database, ROWS)

        pages = await _pages(database, Selection(sort=sort, tombstones=True, limit=limit))

        assert pages == selected(objects, Selection(sort=sort, tombstones=True))

    async def test_pages_of_a_filtered_list_cover_what_passes(self, database: Database) -> None:
        objects = await fill(database, ROWS)
        whole = Selection(filters=(Filter("f", Operator.MIN, 1),), sort=(Sort("f"), Sort("last_modified")))

        pages = await _pages(
            database, Selection(filters=whole.filters, sort=whole.sort, limit=3, ids=None, tombstones=False)
        )

        assert pages == selected(objects, whole)

    async def test_a_page_goes_on_after_an_object_that_is_gone(self, database: Database) -> None:
        objects = await fill(database, [{"f": n // 2} for n in range(6)])
        sort = (Sort("f"), *NEWEST_FIRST)
        second = selected(objects, Selection(sort=sort))[1].data()
        place = tuple(ordering.value_at(second, each.field) for each in sort)
        await delete(database, second["id"])

        rest = await read(database, sort=sort, after=place)

        assert [each.data()["f"] for each in rest] == [1, 1, 2, 2]


async def _pages(database: Database, page: Selection) -> list[Stored]:
    """Walk through all pages of a list, from place to place, and return what was seen."""
    seen: list[Stored] = []
    after: tuple[Any, ...] | None = None
    async with database.begin() as unit:
        while True:
            objects = await unit.storage.list(
                RECORDS,
                Selection(
                    filters=page.filters,
                    tombstones=page.tombstones,
                    sort=page.sort,
                    after=after,
                    limit=page.limit,
                ),
            )
            seen.extend(objects)
            if not objects or len(seen) > 1000:
                return seen
            last = objects[-1].data()
            after = tuple(ordering.value_at(last, each.field) for each in page.sort)


class IndexContract(WithClock):
    """Declared indexes: what is found is the same with and without."""

    FIELDS = ("f", "f.a", "g", "a)--", "f.a.b")

    async def test_every_operator_finds_the_same_with_indexes(self, database: Database) -> None:
        await declare(database, *self.FIELDS)
        objects = await fill(database, [*ROWS, *LONG])
        fields = ("f", "f.a", "g")
        asked = [
            each for field in fields for operator, some in OPERANDS.items() for each in live(field, operator, some)
        ]
        asked += live("f", Operator.IN, [tuple(VALUES), tuple(range(300))])
        asked += [each for operator in Operator if operator in COMPARED for each in live("f", operator, TEXTS)]
        asked += selections("f", Operator.EQ, VALUES[::5])

        assert await differences(database, objects, asked) == []

    @pytest.mark.parametrize("sort", ORDERS, ids=str)
    async def test_orders_and_pages_are_the_same_with_indexes(self, database: Database, sort: tuple[Sort, ...]) -> None:
        await declare(database, *self.FIELDS)
        objects = await fill(database, [*ROWS, *LONG])
        page = Selection(sort=(*sort, *NEWEST_FIRST), limit=7)
        above = msgspec.structs.replace(page, filters=(Filter("f", Operator.GT, "abc"),))

        assert await differences(database, objects, [page, above]) == []
        for each in (page, above):
            assert await _pages(database, each) == selected(objects, msgspec.structs.replace(each, limit=None))

    async def test_indexes_may_be_declared_changed_and_withdrawn_on_a_full_list(self, database: Database) -> None:
        objects = await fill(database, ROWS)
        asked = [*live("f", Operator.EQ, VALUES), *live("g", Operator.EQ, [1, None])]
        asked += [Selection(sort=(Sort("f"), *NEWEST_FIRST), limit=9)]

        for fields in (("f",), ("g", "f"), ("f.a", "f", "g"), ()):
            await declare(database, *fields)
            assert await differences(database, objects, asked) == [], fields

    async def test_indexes_follow_what_is_written(self, database: Database) -> None:
        await declare(database, "f")
        for n in range(6):
            await put(database, f"r{n}", {"f": n % 2})
        await put(database, "r1", {"f": 7})
        await put(database, "r3", {"g": 1})
        await delete(database, "r4", "r5")
        kept = await put(database, "r4", {"f": 1})

        assert ids(await read(database, filters=(Filter("f", Operator.EQ, 1),))) == [kept.id]
        assert ids(await read(database, filters=(Filter("f", Operator.MAX, 1),))) == ["r4", "r2", "r0"]
        assert ids(await read(database, filters=(Filter("f", Operator.GT, 6),))) == ["r3", "r1"]

    @pytest.mark.parametrize("tombstones", [True, False])
    async def test_a_list_made_anew_has_no_index_of_its_former_life(self, database: Database, tombstones: bool) -> None:
        await declare(database, "f")
        await fill(database, ROWS)
        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=tombstones)
        await put(database, "before", {"f": 1, "g": 2})
        await declare(database, "g")
        await put(database, "after", {"f": 1, "g": 2})

        for field, value in (("f", 1), ("g", 2)):
            found = await read(database, filters=(Filter(field, Operator.EQ, value),))
            assert ids(found) == ["after", "before"]

    async def test_an_undone_part_leaves_the_indexes_as_they_were(self, database: Database) -> None:
        await declare(database, "f")
        with refused():
            async with database.begin([RECORDS]) as unit:
                await unit.storage.index(RECORDS, ("g",))
                raise Refused
        async with database.begin([RECORDS]) as unit:
            with refused():
                async with unit.savepoint():
                    await unit.storage.index(RECORDS, ("g", "f"))
                    raise Refused
            written = await unit.storage.put(RECORDS, "r1", '{"f":1,"g":2}')

        assert await read(database, filters=(Filter("f", Operator.EQ, 1),)) == [written]
        assert await read(database, filters=(Filter("g", Operator.EQ, 2),)) == [written]

    async def test_a_list_taken_over_has_the_indexes_that_are_declared_afterwards(self, database: Database) -> None:
        state = ListState(RECORDS, 20, True)
        some = Stored("r1", 11, '{"f":1}'), Stored("r2", 12, TOMBSTONE, True), Stored("r3", 13, '{"f":1}')
        async with database.begin([RECORDS]) as unit:
            await unit.storage.restore(state, some[:2])
        await declare(database, "f")
        async with database.begin([RECORDS]) as unit:
            await unit.storage.restore(state, some[2:])

        assert ids(await read(database, filters=(Filter("f", Operator.EQ, 1),))) == ["r3", "r1"]


async def declare(database: Database, *fields: str) -> None:
    """Open the list of records and declare these indexes."""
    async with database.begin([RECORDS]) as unit:
        await unit.storage.open(RECORDS)
        await unit.storage.index(RECORDS, fields)


def live(field: str, operator: Operator, values: Iterable[Any]) -> list[Selection]:
    """Return a selection for each value, of live objects only."""
    return [Selection(filters=(Filter(field, operator, each),)) for each in values]


COMPARED = {Operator.EQ, Operator.NOT, Operator.LT, Operator.MAX, Operator.GT, Operator.MIN}

TEXTS: list[Any] = [
    *("x" * n + end for n in (98, 99, 100, 101, 5000) for end in ("", "a", "b", "é")),
    *("🍄" * n + end for n in (24, 25, 26) for end in ("", "a")),
    *([letter * 200] for letter in "ab"),
    *({"a": "x" * n} for n in (99, 3000)),
]
"""Values that begin alike for longer than an index remembers."""

LONG: list[JsonObject] = [{"f": each} for each in TEXTS]


class SelectionContract(FilterContract, OrderContract, IndexContract):
    """What every storage selects."""
