"""The operators of filters, and what each means on a JSON value: the reference for every backend.

An operator is a row of MEANINGS: given the value of a filter, it returns the test of what an object has in
the field. Most follow from the one order of JSON values, where what is missing comes last: it is different
from everything (NOT, EXCLUDE), greater than everything (GT, MIN), and neither equal to anything nor smaller.

Source: HTTP API, sections 9.5 and 9.6; storage contract, objects 21.4.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any

from kobako.protocol import jsontext
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.ordering import SortKey, sort_key
from kobako.protocol.ordering import value_at as value_at
from kobako.protocol.selection import MISSING, Filter, Operator

Test = Callable[[Any], bool]
"""Takes what an object has in a field, a JSON value or MISSING."""


def passes(filters: Iterable[Filter], data: JsonObject) -> bool:
    """Tell whether an object passes every filter. For many objects, `prepare` each filter once."""
    return all(matches(each, data) for each in filters)


def matches(filter: Filter, data: JsonObject) -> bool:
    """Tell whether an object passes a filter.

    >>> matches(Filter("size", Operator.GT, 2), {"id": "r1", "size": 3})
    True
    """
    return prepare(filter)(data)


def prepare(filter: Filter) -> Callable[[JsonObject], bool]:
    """Return a filter as a test of objects.

    >>> is_large = prepare(Filter("size", Operator.GT, 2))
    >>> [is_large({"size": each}) for each in (1, 2, 3)]
    [False, False, True]
    """
    value = _as_ids(filter.value) if filter.field == "id" else filter.value
    test = MEANINGS[filter.operator](value)
    return lambda data: test(value_at(data, filter.field))


def like(text: str, pattern: str) -> bool:
    """Tell whether a text matches: `*` stands for any text; without one, the pattern is searched anywhere.

    Case plays no part, and no other character is special. Takes linear time, whatever the number of stars.

    >>> like("Matsutake", "SUT"), like("Matsutake", "mat*ake"), like("Matsutake", "mat*u"), like("mm", "m%")
    (True, True, False, False)
    """
    text, pattern = text.lower(), pattern.lower()
    first, *middle = pattern.split("*")
    if not middle:
        return pattern in text
    last = middle.pop()
    end = len(text) - len(last)
    place = len(first)
    if place > end or not text.startswith(first) or not text.endswith(last):
        return False
    # The first occurrence of each part is always the best: it leaves most room for those that follow.
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def text_form(value: Any) -> str | None:
    """Return the text that LIKE looks at, that of JSON but for strings; None for null and MISSING.

    >>> [text_form(each) for each in ("a", 1, 1.5, True, [1, {"a": "b"}], None)]
    ['a', '1', '1.5', 'true', '[1,{"a":"b"}]', None]
    """
    if value is None or value is MISSING:
        return None
    return value if type(value) is str else jsontext.encode(value)


def _comparison(holds: Callable[[SortKey, SortKey], bool]) -> Callable[[Any], Test]:
    def meaning(value: Any) -> Test:
        key = sort_key(value)
        return lambda found: holds(sort_key(found), key)

    return meaning


def _in(values: Iterable[Any]) -> Test:
    keys = _keys(values)
    return lambda found: sort_key(found) in keys


def _exclude(values: Iterable[Any]) -> Test:
    keys = _keys(values)
    return lambda found: sort_key(found) not in keys


def _like(pattern: str) -> Test:
    def test(found: Any) -> bool:
        text = text_form(found)
        return text is not None and like(text, pattern)

    return test


def _has(wanted: bool) -> Test:
    return lambda found: (found is not MISSING) == wanted


def _contains(values: Iterable[Any]) -> Test:
    keys = _keys(values)
    return lambda found: type(found) is list and keys <= _keys(found)


def _contains_any(values: Iterable[Any]) -> Test:
    keys = _keys(values)
    return lambda found: type(found) is list and not keys.isdisjoint(_keys(found))


MEANINGS: dict[Operator, Callable[[Any], Test]] = {
    Operator.EQ: _comparison(operator.eq),
    Operator.NOT: _comparison(operator.ne),
    Operator.LT: _comparison(operator.lt),
    Operator.MAX: _comparison(operator.le),
    Operator.GT: _comparison(operator.gt),
    Operator.MIN: _comparison(operator.ge),
    Operator.IN: _in,
    Operator.EXCLUDE: _exclude,
    Operator.LIKE: _like,
    Operator.HAS: _has,
    Operator.CONTAINS: _contains,
    Operator.CONTAINS_ANY: _contains_any,
}


def _keys(values: Iterable[Any]) -> frozenset[SortKey]:
    return frozenset(map(sort_key, values))


def _as_ids(value: Any) -> Any:
    """Return the value of a filter on `id`, where integers stand for their text: `gt_id=7`."""
    if type(value) is tuple:
        return tuple(map(_as_ids, value))
    return str(value) if type(value) is int else value
