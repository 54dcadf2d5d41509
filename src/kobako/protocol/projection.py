"""`_fields`: the part of an object that a client wants to see.

Source: HTTP API, section 9.10.
"""

from collections.abc import Iterable

from kobako.protocol.jsontext import JsonObject

ALWAYS = ("id", "last_modified")
"""Fields that every answer has, named or not."""


def project(data: JsonObject, fields: Iterable[str]) -> JsonObject:
    """Return the fields of an object that are named, and its id and timestamp.

    Dots select inside sub-objects; what is no object is returned whole. Unknown names change nothing.

    >>> project({"id": "r1", "a": {"b": 1, "c": 2, "d": 3}, "e": 4}, ("a.b", "a.c", "x"))
    {'id': 'r1', 'a': {'b': 1, 'c': 2}}
    """
    return _select(data, (*ALWAYS, *fields))


def _select(data: JsonObject, paths: Iterable[str]) -> JsonObject:
    # Name -> what is wanted below it, None standing for all: `a` and `a.b` together mean the whole of `a`.
    wanted: dict[str, set[str | None]] = {}
    for path in paths:
        name, dot, rest = path.partition(".")
        wanted.setdefault(name, set()).add(rest if dot else None)
    return {name: _part(data[name], wanted[name]) for name in data if name in wanted}


def _part(value: object, paths: set[str | None]) -> object:
    if type(value) is not dict or None in paths:
        return value
    return _select(value, [path for path in paths if path is not None])
