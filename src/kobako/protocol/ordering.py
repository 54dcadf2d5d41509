"""The one total order of JSON values, and their equality: for filters, sorting and places in a sorted list.

null < strings < numbers < booleans < arrays < objects < missing. Strings compare by code point, numbers by
value, arrays and objects by their canonical text, so that 1 and 1.0 are the same wherever they stand. Two
values are equal when neither comes before the other.

Integers beyond signed 64 bits compare as their nearest double, so 2**64 and 2**64 + 1 are equal: SQLite has
no other numbers, and every backend has to give the same answer. What is stored keeps all its digits.

Source: HTTP API, sections 9.5 and 9.7; storage contract, objects 21.4 and 21.5.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import MISSING, Missing, Sort

SortKey = tuple[Any, ...]
"""(rank of the type, what orders values of this type): comparable with any other."""

_encoder = msgspec.json.Encoder(order="deterministic")
_exact = range(-(2**63), 2**63)


def sort_key(value: Any) -> SortKey:
    """Return what orders a JSON value, or MISSING, among all others; it can be hashed.

    >>> sorted([[], True, "b", None, 2, {}, "a", 1.5], key=sort_key)
    [None, 'a', 'b', 1.5, 2, True, [], {}]
    """
    rank, comparable = _RANKS[type(value)]
    return rank, comparable(value)


def equal(a: Any, b: Any) -> bool:
    """Tell whether two values are the same JSON: the order of keys and the spelling of numbers play no part.

    >>> equal([1, {"a": 2.0}], [1.0, {"a": 2}]), equal(1, True), equal(None, MISSING)
    (True, False, False)
    """
    # Stops at the first difference: to compare a large value with a small one costs what the small one does.
    if type(a) is list:
        return type(b) is list and len(a) == len(b) and all(map(equal, a, b))
    if type(a) is dict:
        return type(b) is dict and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return type(b) not in (list, dict) and sort_key(a) == sort_key(b)


def canonical(value: Any) -> str:
    """Return the text by which arrays and objects compare: compact, keys sorted, 1.0 written as 1.

    >>> canonical({"b": [1.0, -0.0, 1e300], "a": None})
    '{"a":null,"b":[1,0,1e300]}'
    """
    return _encoder.encode(_uniform(value)).decode()


def value_at(data: JsonObject, field: str) -> Any:
    """Return the value of a field, or MISSING; dots descend into sub-objects, and only there.

    A key that has a dot in its own name can not be reached.

    >>> value_at({"a": {"b": 1}}, "a.b"), value_at({"a": [1]}, "a.0"), value_at({"a.b": 1}, "a.b")
    (1, MISSING, MISSING)
    """
    value: Any = data
    for name in field.split("."):
        if type(value) is not dict or name not in value:
            return MISSING
        value = value[name]
    return value


def in_order(objects: Iterable[JsonObject], sort: Sequence[Sort]) -> list[JsonObject]:
    """Return objects in an order; those it does not tell apart stay as they came."""
    ordered = list(objects)
    # Python's sort is stable, so the last key first; `reverse` keeps ties as they are, too.
    for each in reversed(sort):
        ordered.sort(key=_key_of(each.field), reverse=each.descending)
    return ordered


def is_after(data: JsonObject, after: Sequence[Any], sort: Sequence[Sort]) -> bool:
    """Tell whether an object comes strictly after a place: a value, or MISSING, for each key of the order.

    >>> is_after({"n": 2, "id": "b"}, (2, "a"), (Sort("n", descending=True), Sort("id")))
    True
    """
    for each, value in zip(sort, after, strict=True):
        here, there = sort_key(value_at(data, each.field)), sort_key(value)
        if here != there:
            return (here > there) != each.descending
    return False


def _key_of(field: str) -> Callable[[JsonObject], SortKey]:
    return lambda data: sort_key(value_at(data, field))


def _number(value: int | float) -> int | float:
    """Return the one number that stands for all of its spellings: an integer as long as 64 bits hold it."""
    if isinstance(value, int):
        if value in _exact:
            return value
        value = float(value)
    return int(value) if value.is_integer() and int(value) in _exact else value


def _uniform(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _uniform(each) for key, each in value.items()}
    if kind is list:
        return [_uniform(each) for each in value]
    return _number(value) if kind in (int, float) else value


def _itself(value: Any) -> Any:
    return value


def _nothing(value: Any) -> None:
    """All values of this type are one and the same."""


_RANKS: dict[type, tuple[int, Callable[[Any], Any]]] = {
    type(None): (0, _nothing),
    str: (1, _itself),
    int: (2, _number),
    float: (2, _number),
    bool: (3, _itself),
    list: (4, canonical),
    dict: (5, canonical),
    Missing: (6, _nothing),
}
