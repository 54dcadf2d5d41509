"""Timestamps of objects and lists: which version a write gets. Called with the list locked, or it means nothing.

Source: HTTP API, section 7.3; reliability, 4.4 step 5.
"""

from typing import Final, NamedTuple

FUTURE_MS: Final = 24 * 3600 * 1000
"""How far ahead of the clock a timestamp may lie; a list dragged further could not be polled with its own ETag."""


class Assigned(NamedTuple):
    """The version of an object written, and of its list from then on."""

    of_object: int
    of_list: int


def following(current: int, now: int) -> int:
    """Return the next version of a list that stands at `current`.

    >>> following(current=1000, now=900)
    1001
    """
    return max(current + 1, now)


def assign(current: int, now: int, wanted: int | None = None, *, known: bool = True) -> Assigned:
    """Return what a write gets, `wanted` being the client's own idea and `current` where the list stands.

    A version above the list's is taken as it is. One below is kept only for an id never used in the list (not
    `known`): somebody imports objects of the past, and pollers do not see them. Anything else gets a fresh one.

    >>> assign(current=1000, now=2000, wanted=500, known=False)
    Assigned(of_object=500, of_list=1000)
    >>> assign(current=1000, now=2000, wanted=500, known=True)
    Assigned(of_object=2000, of_list=2000)
    """
    if wanted is not None and wanted > current:
        return Assigned(wanted, wanted)
    if wanted is not None and wanted < current and not known:
        return Assigned(wanted, current)
    fresh = following(current, now)
    return Assigned(fresh, fresh)
