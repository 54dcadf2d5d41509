"""`_fields`: the part of an object that a client wants to see.

Source: HTTP API, section 9.10.
"""

from collections.abc import Callable, Iterable

from kobako.protocol.jsontext import JsonObject

ALWAYS = ("id", "last_modified")
"""Fields that every answer has, named or not."""

Wanted = dict[str, "Wanted | None"]
"""Name -> what is wanted below it, None standing for all."""


def project(data: JsonObject, fields: Iterable[str]) -> JsonObject:
    """Return the fields of an object that are named, and its id and timestamp. For many objects, `prepare` once.

    Dots select inside sub-objects; what is no object is returned whole. Unknown names change nothing.

    >>> project({"id": "r1", "a": {"b": 1, "c": 2, "d": 3}, "e": 4}, ("a.b", "a.c", "x"))
    {'id': 'r1', 'a': {'b': 1, 'c': 2}}
    """
    return prepare(fields)(data)


def prepare(fields: Iterable[str]) -> Callable[[JsonObject], JsonObject]:
    """Return the projection to these fields: however many they are, an object costs what its own fields do."""
    wanted: Wanted = {}
    for field in (*ALWAYS, *fields):
        _want(wanted, field)
    return lambda data: _select(data, wanted)


def _want(wanted: Wanted, field: str) -> None:
    *above, last = field.split(".")
    for name in above:
        below = wanted.setdefault(name, {})
        if below is None:
            # `a` and `a.b` together mean the whole of `a`.
            return
        wanted = below
    wanted[last] = None


def _select(data: JsonObject, wanted: Wanted) -> JsonObject:
    return {name: _part(data[name], wanted[name]) for name in data if name in wanted}


def _part(value: object, wanted: Wanted | None) -> object:
    return value if wanted is None or type(value) is not dict else _select(value, wanted)
