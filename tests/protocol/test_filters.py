"""What the operators of filters mean: HTTP API 9.5 and 9.6; storage contract, objects 21.4."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kobako.protocol.filters import MEANINGS, like, matches, passes, prepare, text_form
from kobako.protocol.selection import MISSING, Filter, Operator

EQ, NOT, LT, MAX, GT, MIN = Operator.EQ, Operator.NOT, Operator.LT, Operator.MAX, Operator.GT, Operator.MIN
IN, EXCLUDE, LIKE, HAS = Operator.IN, Operator.EXCLUDE, Operator.LIKE, Operator.HAS
CONTAINS, ANY = Operator.CONTAINS, Operator.CONTAINS_ANY

VALUES = {
    "null": None,
    "empty": "",
    "1s": "1",
    "abc": "abc",
    "0": 0,
    "1": 1,
    "1.0": 1.0,
    "2": 2,
    "false": False,
    "true": True,
    "[]": [],
    "[1]": [1],
    "[1,true]": [1, True],
    "{}": {},
    "{a:1}": {"a": 1},
    "missing": MISSING,
}
"""What an object may have in a field; the tables below name those that pass, the others do not."""

EVERY = frozenset(VALUES)
STRINGS = {"empty", "1s", "abc"}
NUMBERS = {"0", "1", "1.0", "2"}
BOOLEANS = {"false", "true"}
ARRAYS = {"[]", "[1]", "[1,true]"}
OBJECTS = {"{}", "{a:1}"}


def test_every_operator_has_a_meaning():
    assert set(MEANINGS) == set(Operator)


@pytest.mark.parametrize(
    ("operator", "value", "passing"),
    [
        pytest.param(EQ, 1, {"1", "1.0"}, id="eq: 1 is 1.0, not true, not '1'"),
        pytest.param(EQ, True, {"true"}, id="eq: true is not 1"),
        pytest.param(EQ, "1", {"1s"}, id="eq: a string"),
        pytest.param(EQ, None, {"null"}, id="eq: null is not missing"),
        pytest.param(EQ, [1.0], {"[1]"}, id="eq: an array, as a whole"),
        pytest.param(EQ, {"a": 1}, {"{a:1}"}, id="eq: an object, as a whole"),
        pytest.param(NOT, 1, EVERY - {"1", "1.0"}, id="not: missing is different"),
        pytest.param(NOT, None, EVERY - {"null"}, id="not: null"),
        pytest.param(LT, 1, {"null", "0"} | STRINGS, id="lt: types before, never missing"),
        pytest.param(MAX, 1, {"null", "0", "1", "1.0"} | STRINGS, id="max"),
        pytest.param(GT, 1, {"2", "missing"} | BOOLEANS | ARRAYS | OBJECTS, id="gt: missing is greater"),
        pytest.param(MIN, 1, {"1", "1.0", "2", "missing"} | BOOLEANS | ARRAYS | OBJECTS, id="min"),
        pytest.param(LT, True, {"null", "false"} | STRINGS | NUMBERS, id="lt: booleans after numbers"),
        pytest.param(LT, None, set(), id="lt: nothing is less than null"),
        pytest.param(MIN, None, EVERY, id="min: all is null or more"),
        pytest.param(GT, {}, {"missing"}, id="gt: only missing is after the last object"),
        pytest.param(IN, (), set(), id="in: none of nothing"),
        pytest.param(IN, (1, "abc"), {"1", "1.0", "abc"}, id="in: typed"),
        pytest.param(IN, (None, [1]), {"null", "[1]"}, id="in: null and arrays"),
        pytest.param(EXCLUDE, (), EVERY, id="exclude: nothing"),
        pytest.param(EXCLUDE, (1, True), EVERY - {"1", "1.0", "true"}, id="exclude: missing passes"),
        pytest.param(HAS, True, EVERY - {"missing"}, id="has: null is present"),
        pytest.param(HAS, False, {"missing"}, id="has not"),
        pytest.param(LIKE, "B", {"abc"}, id="like: anywhere, whatever the case"),
        pytest.param(LIKE, "1", {"1s", "1", "1.0", "[1]", "[1,true]", "{a:1}"}, id="like: the text form"),
        pytest.param(LIKE, "TRUE", {"true", "[1,true]"}, id="like: booleans"),
        pytest.param(LIKE, "null", set(), id="like: null has no text"),
        pytest.param(LIKE, "", EVERY - {"null", "missing"}, id="like: all that has a text"),
        pytest.param(LIKE, "*", EVERY - {"null", "missing"}, id="like: a star"),
        pytest.param(LIKE, '{"A":*}', {"{a:1}"}, id="like: compact JSON"),
        pytest.param(CONTAINS, (), ARRAYS, id="contains: every array has all of nothing"),
        pytest.param(CONTAINS, (1.0,), {"[1]", "[1,true]"}, id="contains: one"),
        pytest.param(CONTAINS, (1, True), {"[1,true]"}, id="contains: all"),
        pytest.param(CONTAINS, ("1",), set(), id="contains: typed"),
        pytest.param(CONTAINS, ("a",), set(), id="contains: neither keys nor substrings"),
        pytest.param(ANY, (), set(), id="contains any: of nothing"),
        pytest.param(ANY, (True, "x"), {"[1,true]"}, id="contains any: one is enough"),
        pytest.param(ANY, ("b", "a"), set(), id="contains any: neither keys nor substrings"),
    ],
)
def test_a_filter_passes_these_values_and_no_others(operator, value, passing):
    objects = {name: {} if each is MISSING else {"x": each} for name, each in VALUES.items()}

    test = prepare(Filter("x", operator, value))

    assert {name for name, data in objects.items() if test(data)} == passing


@pytest.mark.parametrize(
    ("filter", "passes"),
    [
        pytest.param(Filter("id", EQ, 7), True, id="an integer is compared as text"),
        pytest.param(Filter("id", IN, (7, "x")), True, id="in a list, too"),
        pytest.param(Filter("id", GT, 10), True, id="text: '7' after '10'"),
        pytest.param(Filter("id", LT, 10), False, id="text: '7' not before '10'"),
        pytest.param(Filter("id", LIKE, "7*"), True, id="like"),
        pytest.param(Filter("id", NOT, 7), False, id="not"),
        pytest.param(Filter("id", EXCLUDE, (7,)), False, id="exclude"),
        pytest.param(Filter("id", EQ, True), False, id="true is no text"),
        pytest.param(Filter("o.id", EQ, 7), True, id="an id inside is an ordinary field"),
    ],
)
def test_an_id_is_a_string(filter, passes):
    assert matches(filter, {"id": "7", "o": {"id": 7}}) is passes


@pytest.mark.parametrize(
    ("filter", "passing"),
    [
        pytest.param(Filter("deleted", EQ, True), {"tombstone"}, id="deleted"),
        pytest.param(Filter("deleted", NOT, True), {"live"}, id="not deleted"),
        pytest.param(Filter("last_modified", GT, 10), {"tombstone"}, id="since"),
        pytest.param(Filter("n", EQ, 2), {"live"}, id="a field it does not have"),
        pytest.param(Filter("n", GT, 5), {"tombstone"}, id="missing is greater"),
        pytest.param(Filter("n", NOT, 2), {"tombstone"}, id="missing is different"),
    ],
)
def test_a_tombstone_misses_all_fields_but_three(filter, passing):
    objects = {
        "live": {"id": "a", "last_modified": 10, "n": 2},
        "tombstone": {"id": "b", "last_modified": 11, "deleted": True},
    }

    assert {name for name, data in objects.items() if matches(filter, data)} == passing


def test_a_dotted_field_goes_into_sub_objects():
    data = {"person": {"name": "Ann"}, "tag": ["name"], "a.b": 1}

    assert matches(Filter("person.name", EQ, "Ann"), data)
    assert matches(Filter("tag.name", HAS, False), data)
    assert matches(Filter("a.b", HAS, False), data)


def test_an_object_passes_when_it_passes_every_filter():
    small, red = Filter("n", LT, 5), Filter("colour", EQ, "red")

    assert passes((small, red), {"n": 1, "colour": "red"})
    assert not passes((small, red), {"n": 9, "colour": "red"})
    assert not passes((small, red), {"n": 1, "colour": "blue"})
    assert passes((), {})


def test_contained_elements_are_equal_as_json():
    data = {"x": [{"a": 1, "b": [2]}]}

    assert matches(Filter("x", CONTAINS, ({"b": [2.0], "a": 1.0},)), data)
    assert not matches(Filter("x", CONTAINS, ({"a": 1},)), data)


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        pytest.param("Matsutake", "sut", True, id="a part"),
        pytest.param("Matsutake", "SUT", True, id="whatever the case"),
        pytest.param("ÉTÉ", "été", True, id="beyond ASCII"),
        pytest.param("Matsutake", "mat*", True, id="beginning"),
        pytest.param("Matsutake", "sut*", False, id="not the beginning"),
        pytest.param("Matsutake", "*take", True, id="end"),
        pytest.param("Matsutake", "*sut", False, id="not the end"),
        pytest.param("Matsutake", "m*s*e", True, id="parts in order"),
        pytest.param("Matsutake", "m*t*t*t*e", False, id="one part too many"),
        pytest.param("Matsutake", "m*k*s*e", False, id="parts in another order"),
        pytest.param("aba", "ab*ba", False, id="both ends do not share characters"),
        pytest.param("abba", "ab*ba", True, id="both ends meet"),
        pytest.param("abcab", "*ab*ab", True, id="a part and the end"),
        pytest.param("ab", "*ab*ab", False, id="a part is not the end, too"),
        pytest.param("ab", "*ab*", True, id="stars stand for nothing, too"),
        pytest.param("", "*", True, id="star and nothing"),
        pytest.param("", "**", True, id="stars and nothing"),
        pytest.param("abc", "", True, id="empty pattern"),
        pytest.param("abc", "a%c", False, id="percent is literal"),
        pytest.param("a%c", "a%c", True, id="percent is itself"),
        pytest.param("abc", "a_c", False, id="underscore is literal"),
        pytest.param("abc", "a.c", False, id="dot is literal"),
        pytest.param("a[1](b)+?", "[1](b)+?", True, id="regex characters"),
        pytest.param("a\\b", "a\\b", True, id="backslash"),
        pytest.param("a\\b", "a\\*", True, id="no escape for the star"),
        pytest.param("line 1\nline 2", "line*2", True, id="a star crosses lines"),
    ],
)
def test_a_text_is_like_a_pattern(text, pattern, expected):
    assert like(text, pattern) is expected


@settings(deadline=None)
@given(st.text("ab", max_size=12), st.text("ab*", max_size=8))
def test_like_is_what_a_regular_expression_with_stars_says(text, pattern):
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    search = re.fullmatch if "*" in pattern else re.search

    assert like(text, pattern) == bool(search(expression, text, re.DOTALL))


@pytest.mark.timeout(30)
def test_fifty_stars_take_no_time():
    assert not like("a" * 50_000 + "b", "*a" * 50 + "*c")
    assert not like("a" * 50_000, "*" + "ab*" * 50)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("É", "É", id="string"),
        pytest.param(12, "12", id="integer"),
        pytest.param(1.5, "1.5", id="fraction"),
        pytest.param(False, "false", id="boolean"),
        pytest.param(["a", {"b": None}], '["a",{"b":null}]', id="array"),
        pytest.param({"b": 1, "a": 2}, '{"b":1,"a":2}', id="object, keys as they are stored"),
        pytest.param(None, None, id="null"),
        pytest.param(MISSING, None, id="missing"),
    ],
)
def test_the_text_form_is_compact_json(value, text):
    assert text_form(value) == text
