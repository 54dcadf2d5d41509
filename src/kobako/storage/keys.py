"""The keys of declared indexes: what an object has in a column for each field that its list declares.

A key is bytes that compare as the values do (`protocol/ordering.py`), but shorter: long values that begin alike
have one key, and so have integers that are one double. So a key tells where to look; what is found it tells only of
a value that shares its key with no other (`is_exact`), else conditions on keys stand beside those that decide. Being
short, no value is too long for an index. A column is NULL in lists that
declare nothing for it, and in tombstones, and what is NULL is in no index.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

from kobako.protocol import jsontext, ordering
from kobako.storage.base import INDEXED_FIELDS

COLUMNS: Final = tuple(f"key{n}" for n in range(1, INDEXED_FIELDS + 1))
"""The columns: the fields of a list are in the first of them, in the order in which they were declared."""

LONGEST: Final = 100
"""How many bytes of a text make a key; PostgreSQL refuses entries of an index from 2,700 bytes on."""

SAFE: Final = 2**53
"""Integers below it are doubles, each another one."""

NONE: Final[tuple[None, ...]] = (None,) * len(COLUMNS)

_DOUBLE, _BITS = struct.Struct(">d"), struct.Struct(">Q")
_SIGN, _ALL = 1 << 63, (1 << 64) - 1


def key(value: Any) -> bytes:
    """Return the key of a JSON value, or of MISSING.

    >>> key("b") < key(-2) < key(1.5) < key(2) < key(True), key(1) == key(1.0)
    (True, True)
    """
    rank, comparable = ordering.sort_key(value)
    if isinstance(comparable, str):
        text = comparable[:LONGEST].encode("utf-8", "surrogatepass")
        return bytes((rank,)) + text[:LONGEST]
    return bytes((rank,)) + (b"" if comparable is None else _of_number(comparable))


def is_exact(value: Any) -> bool:
    """Tell whether no value but those equal to this one has its key.

    >>> is_exact("short"), is_exact("x" * 100), is_exact(2**53 - 1), is_exact(2**53)
    (True, False, True, False)
    """
    comparable = ordering.sort_key(value)[1]
    if isinstance(comparable, str):
        return len(comparable) < LONGEST and len(comparable.encode("utf-8", "surrogatepass")) < LONGEST
    return comparable is None or abs(comparable) < SAFE


def of_object(text: str, fields: Sequence[str]) -> tuple[bytes | None, ...]:
    """Return what all columns have for an object with this text, in a list that declares these fields."""
    if not fields:
        return NONE
    data = jsontext.decode_kept(text)
    found = [key(ordering.value_at(data, each)) for each in fields]
    return (*found, *NONE[len(found) :])


def _of_number(value: float) -> bytes:
    # The bits of doubles compare as the numbers do, but for the sign.
    (bits,) = _BITS.unpack(_DOUBLE.pack(value))
    return _BITS.pack(bits ^ (_ALL if bits & _SIGN else _SIGN))
