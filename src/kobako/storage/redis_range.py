"""Which part of a list, ordered by version, a selection can be answered from.

Versions order the objects of a list in Redis, and nothing else does. A selection by versions alone, a poll or a page
of the newest, reads just what it answers; any other reads the list, and is worked out in Python.
"""

from collections.abc import Sequence

import msgspec

from kobako.databases.redis_keys import Command
from kobako.databases.redis_session import CHUNK
from kobako.protocol.selection import Filter, Operator, Selection
from kobako.storage.base import Stored

MAX_VERSION = 2**53
"""Up to here a version is exact in Redis, which orders by doubles; it is the year 287,396."""


class Range(msgspec.Struct, frozen=True):
    """Versions from `low` to `high`, both included; at most `limit` objects of them, None for all."""

    low: int = -MAX_VERSION
    high: int = MAX_VERSION
    descending: bool = True
    limit: int | None = None

    @property
    def size(self) -> int:
        """How many are read at once."""
        return CHUNK if self.limit is None else min(CHUNK, self.limit)

    def arguments(self) -> Command:
        """Return the range as ZRANGE takes it."""
        ends = (str(self.low), str(self.high))
        order = (*ends[::-1], "BYSCORE", "REV") if self.descending else (*ends, "BYSCORE")
        return (*order, "LIMIT", "0", str(self.size), "WITHSCORES")

    def after(self, found: Sequence[Stored]) -> "Range | None":
        """Return what is left to be read after these were; None if nothing is."""
        limit = None if self.limit is None else self.limit - len(found)
        if len(found) < self.size or limit == 0:
            return None
        last = found[-1].last_modified
        if self.descending:
            return Range(self.low, last - 1, True, limit)
        return Range(last + 1, self.high, False, limit)


def of(selection: Selection, changed: int) -> Range:
    """Return the range for a selection, where so many objects of the list were changed by the unit itself."""
    low, high = _bounds(selection.filters)
    first = selection.sort[0] if selection.sort else None
    if first is None or first.field != "last_modified":
        return Range(low, high)
    after = selection.after[0] if selection.after else None
    if type(after) is int:
        low, high = (low, min(high, after)) if first.descending else (max(low, after), high)
    is_exact = (after is None or type(after) is int) and all(map(_is_bound, selection.filters))
    if selection.limit is None or not is_exact:
        return Range(low, high, first.descending)
    # Of what is stored, some may be passed over: what the unit has made other things of, and what was seen last.
    return Range(low, high, first.descending, selection.limit + changed + (after is not None))


def _bounds(filters: Sequence[Filter]) -> tuple[int, int]:
    """Return between which versions the filters leave anything."""
    low, high = -MAX_VERSION, MAX_VERSION
    for each in filter(_is_bound, filters):
        least, most = _BOUNDS[each.operator]
        low = low if least is None else max(low, each.value + least)
        high = high if most is None else min(high, each.value + most)
    return low, high


_BOUNDS: dict[Operator, tuple[int | None, int | None]] = {
    Operator.EQ: (0, 0),
    Operator.GT: (1, None),
    Operator.MIN: (0, None),
    Operator.LT: (None, -1),
    Operator.MAX: (None, 0),
}
"""Operator -> what is added to its value for the least, and for the greatest version that passes."""


def _is_bound(filter: Filter) -> bool:
    return filter.field == "last_modified" and filter.operator in _BOUNDS and type(filter.value) is int
