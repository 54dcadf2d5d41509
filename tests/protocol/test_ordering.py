"""The order of JSON values, and their equality: HTTP API 9.7; storage contract, objects 21.4 and 21.5."""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kobako.protocol.ordering import canonical, equal, in_order, is_after, sort_key, value_at
from kobako.protocol.selection import MISSING, Sort

BY_N = (Sort("n"), Sort("id"))

ASCENDING = [
    None,
    "",
    "1",
    "B",
    "a",
    "\uffff",
    "\U00010000",
    -(2**70),
    -(2**63),
    -1.5,
    -1,
    0,
    0.5,
    1,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    1e300,
    False,
    True,
    [1],
    [],
    {"a": 1},
    {},
    MISSING,
]
"""Each value comes before all that follow it. That empty arrays and objects come last is how texts compare."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_values_of_all_types_are_in_one_order():
    shuffled = random.Random(7).sample(ASCENDING, len(ASCENDING))

    assert sorted(shuffled, key=sort_key) == ASCENDING


def test_no_two_values_of_that_order_are_equal():
    indexed = list(enumerate(ASCENDING))

    assert all(equal(a, b) == (i == j) for (i, a), (j, b) in product(indexed, indexed))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(1, 1.0, id="an integer and the same number with a fraction"),
        pytest.param(0, -0.0, id="zero has no sign"),
        pytest.param(-(2**63), -(2.0**63), id="the least integer of 64 bits"),
        pytest.param(2**63, 2.0**63, id="the first integer beyond 64 bits"),
        pytest.param(2**64, 2**64 + 1, id="integers beyond 64 bits are their nearest double"),
        pytest.param(-(2**63) - 1, -(2**63), id="an integer beyond 64 bits, its nearest double within"),
        pytest.param([-(2**63) - 1], [-(2**63)], id="the same inside of an array"),
        pytest.param([1, [2.0]], [1.0, [2]], id="numbers inside of arrays"),
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, id="keys in another order"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"y": 2.0, "x": 1.0}}, id="objects inside of objects"),
        pytest.param(MISSING, MISSING, id="missing"),
    ],
)
def test_equal_values_are_one_place_in_the_order(a, b):
    assert equal(a, b)
    assert sort_key(a) == sort_key(b)
    assert hash(sort_key(a)) == hash(sort_key(b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(1, True, id="a number is no boolean"),
        pytest.param(0, False, id="zero is not false"),
        pytest.param([1], [True], id="nor inside of an array"),
        pytest.param({"a": 0}, {"a": False}, id="nor inside of an object"),
        pytest.param(1, "1", id="a number is no string"),
        pytest.param(None, MISSING, id="null is not missing"),
        pytest.param("a", "A", id="case"),
        pytest.param([1, 2], [2, 1], id="elements in another order"),
        pytest.param([1], [1, 1], id="one more element"),
        pytest.param({"a": None}, {}, id="a key with null"),
        pytest.param([], {}, id="an empty array is no empty object"),
        pytest.param(2**53, 2**53 + 1, id="integers of 64 bits are exact"),
        pytest.param(2**53 + 1, 2.0**53, id="against doubles, too"),
    ],
)
def test_different_values_are_different_places_in_the_order(a, b):
    assert not equal(a, b)
    assert not equal(b, a)
    assert sort_key(a) != sort_key(b)


@settings(deadline=None)
@given(json_values, json_values)
def test_two_values_are_equal_when_neither_comes_before_the_other(a, b):
    before, after = sort_key(a) < sort_key(b), sort_key(a) > sort_key(b)

    assert (before + after + equal(a, b)) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param([1.0, 1.5, 1e3, -0.0], "[1,1.5,1000,0]", id="numbers"),
        pytest.param([2**63, 2.0**63], "[9.223372036854776e18,9.223372036854776e18]", id="large numbers"),
        pytest.param([-(2**63) - 1, -(2**63)], "[-9223372036854775808,-9223372036854775808]", id="the least integer"),
        pytest.param({"b": [], "a": {"d": 1, "c": None}}, '{"a":{"c":null,"d":1},"b":[]}', id="sorted keys"),
        pytest.param(["é/", True, None], '["é/",true,null]', id="compact, not escaped"),
    ],
)
def test_the_canonical_text_is_the_same_for_equal_values(value, text):
    assert canonical(value) == text


@pytest.mark.parametrize(
    ("data", "field", "value"),
    [
        pytest.param({"a": 1}, "a", 1, id="a field"),
        pytest.param({"a": None}, "a", None, id="null is a value"),
        pytest.param({}, "a", MISSING, id="no field"),
        pytest.param({"a": {"b": {"c": 1}}}, "a.b.c", 1, id="sub-objects"),
        pytest.param({"a": {"b": 1}}, "a.b.c", MISSING, id="below a number"),
        pytest.param({"a": "text"}, "a.b", MISSING, id="below a string"),
        pytest.param({"a": [{"b": 1}]}, "a.0.b", MISSING, id="below an array"),
        pytest.param({"a": None}, "a.b", MISSING, id="below null"),
        pytest.param({"a.b": 1}, "a.b", MISSING, id="a key with a dot"),
        pytest.param({"a.b": 1, "a": {"b": 2}}, "a.b", 2, id="a key with a dot beside a sub-object"),
        pytest.param({"": {"": 1}}, ".", 1, id="empty names"),
    ],
)
def test_a_field_is_found_by_its_path(data, field, value):
    assert value_at(data, field) is value


def ids(objects):
    return "".join(each["id"] for each in objects)


OBJECTS = [
    {"id": "a", "n": 2},
    {"id": "b"},
    {"id": "c", "n": "x"},
    {"id": "d", "n": None},
    {"id": "e", "n": 2.0},
    {"id": "f", "n": {"k": 1}},
]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        pytest.param((Sort("n"), Sort("id")), "dcaefb", id="ascending: missing comes last"),
        pytest.param((Sort("n", True), Sort("id", True)), "bfeacd", id="descending: the exact reverse"),
        pytest.param((Sort("n"), Sort("id", True)), "dceafb", id="ties by the next key"),
        pytest.param((Sort("n.k"), Sort("id")), "fabcde", id="a field of a sub-object"),
        pytest.param((), "abcdef", id="no order: as they came"),
        pytest.param((Sort("x", True),), "abcdef", id="ties stay as they came"),
    ],
)
def test_objects_are_put_in_order(sort, expected):
    assert ids(in_order(OBJECTS, sort)) == expected


@pytest.mark.parametrize(
    "sort",
    [
        pytest.param((Sort("n"), Sort("id")), id="ascending"),
        pytest.param((Sort("n", True), Sort("id")), id="descending"),
        pytest.param((Sort("n", True), Sort("id", True)), id="all descending"),
        pytest.param((Sort("n.k", True), Sort("id")), id="a field that most miss"),
    ],
)
def test_what_is_after_an_object_is_what_follows_it_in_order(sort):
    ordered = in_order(OBJECTS, sort)

    for index, each in enumerate(ordered):
        place = tuple(value_at(each, key.field) for key in sort)
        assert ids(each for each in ordered if is_after(each, place, sort)) == ids(ordered[index + 1 :])


@pytest.mark.parametrize(
    ("data", "after", "sort", "expected"),
    [
        pytest.param({"n": 1, "id": "a"}, (1, "a"), BY_N, False, id="not after itself"),
        pytest.param({"n": 1.0, "id": "b"}, (1, "a"), BY_N, True, id="after an equal by the next key"),
        pytest.param({"id": "a"}, (1, "z"), BY_N, True, id="missing is after all"),
        pytest.param({"n": 1, "id": "a"}, (MISSING, "a"), BY_N, False, id="nothing is after missing"),
        pytest.param({"n": 1}, (MISSING,), (Sort("n", True),), True, id="descending, all is"),
        pytest.param({"n": None}, ("",), (Sort("n", True),), True, id="null is last descending"),
    ],
)
def test_an_object_is_strictly_after_a_place(data, after, sort, expected):
    assert is_after(data, after, sort) is expected
