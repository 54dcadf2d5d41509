"""Range: which bytes of a file are asked for. Pure.

Source: RFC 9110, section 14; reliability, A7.
"""

import re
from typing import Final

from kobako import ApiError

_ONE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))", re.ASCII)


class RangeNotSatisfiable(ApiError):
    """None of the bytes that are asked for are there."""

    status, errno, error = 416, 107, "Range Not Satisfiable"


def read(header: str, size: int) -> tuple[int, int] | None:
    """Return the first byte that is asked for and the one behind the last; None for all of the file.

    Several ranges, and what is none, are no reason to send less than all. Raises RangeNotSatisfiable.

    >>> read("bytes=2-4", 10), read("bytes=7-", 10), read("bytes=-2", 10), read("bytes=0-0,5-6", 10)
    ((2, 5), (7, 10), (8, 10), None)
    """
    found = _ONE.fullmatch(header.strip())
    if found is None:
        return None
    first, last, suffix = (int(each) if each else None for each in found.groups())
    if first is None:
        first = max(0, size - (suffix or 0))
    elif last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(f"{header[:100]} is behind the end of the file", headers=_none_of(size))
    return first, min(size, last + 1 if last is not None else size)


def _none_of(size: int) -> dict[str, str]:
    return {"Content-Range": f"bytes */{size}"}
