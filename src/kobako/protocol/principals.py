"""How long the name of a principal may be: databases keep it in indexes, whose entries are limited."""

from typing import Final

MAX_BYTES: Final = 1000


def length_problem(principal: str) -> str | None:
    """Return what is wrong with the length of a principal, None if nothing is.

    >>> length_problem("basicauth:" + "a" * 64), length_problem("é" * 501)[-26:]
    (None, ' is longer than 1000 bytes')
    """
    # Few are long enough to be encoded.
    if len(principal) * 4 <= MAX_BYTES or len(principal.encode()) <= MAX_BYTES:
        return None
    return f"'{principal[:100]}' is longer than {MAX_BYTES} bytes"
