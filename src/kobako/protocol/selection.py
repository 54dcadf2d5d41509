"""Which objects of a list are meant: filters, order, place to go on from, limit. Values only.

The query string of a client becomes a Selection (`query.py`); a storage answers it. What an operator means on a
JSON value is said once, in `filters.py`; the order of JSON values once, in `ordering.py`.
"""

from enum import StrEnum
from typing import Any, Final

import msgspec


class Missing:
    """The value of a field that an object does not have; it sorts after every other."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Operator(StrEnum):
    """How a filter compares a field with its value (section 9.5; storage contract, 21.4)."""

    EQ = "eq"
    NOT = "not"
    LT = "lt"
    MAX = "max"
    GT = "gt"
    MIN = "min"
    IN = "in"
    EXCLUDE = "exclude"
    LIKE = "like"
    HAS = "has"
    CONTAINS = "contains"
    CONTAINS_ANY = "contains_any"


class Filter(msgspec.Struct, frozen=True):
    """One condition: the value is a JSON value; for IN, EXCLUDE and the CONTAINS it is a tuple of them, for HAS a bool.

    `field` is `id`, `last_modified`, or the path of a field, with dots into sub-objects.
    """

    field: str
    operator: Operator
    value: Any


class Sort(msgspec.Struct, frozen=True):
    """One key of an order."""

    field: str
    descending: bool = False


NEWEST_FIRST: Final = (Sort("last_modified", descending=True),)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of one list: those that pass every filter, in this order, after this place, at most so many.

    `ids` restricts to these objects (None: no restriction; empty: nothing). `after` has a value, or MISSING, for
    each key of `sort`: those of the last object seen; the selection begins strictly after it. `tombstones` adds
    what deleted objects left; they have the fields `id`, `last_modified` and `deleted` only.
    """

    filters: tuple[Filter, ...] = ()
    ids: frozenset[str] | None = None
    tombstones: bool = False
    sort: tuple[Sort, ...] = NEWEST_FIRST
    after: tuple[Any, ...] | None = None
    limit: int | None = None


EVERYTHING: Final = Selection()
