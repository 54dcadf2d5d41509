"""JSON text <-> values, within limits that hold for every body, on every backend.

Integers stay exact, up to MAX_DIGITS digits; NaN, infinities, lone surrogates and NUL characters are refused,
and so is nesting deeper than MAX_DEPTH: no database behind could keep them. Of duplicate keys the last one wins.

Source: HTTP API, section 1.5.
"""

import re
from typing import Any

import msgspec

MAX_DEPTH = 200
"""Levels of arrays and objects in one document; SQLite's JSON functions stop at 1,000."""

MAX_DIGITS = 300
"""Digits of an integer: any of them still has a nearest double, by which it is compared."""

JsonObject = dict[str, Any]
"""A JSON object, as Python has it."""

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_largest = 10**MAX_DIGITS
_SIGNS: Any = ("\\u0000", "{", "[", re.compile("[0-9][0-9]"))
_SIGNS_IN_BYTES: Any = (b"\\u0000", b"{", b"[", re.compile(b"[0-9][0-9]"))


class InvalidJson(ValueError):
    """The text is no JSON, or breaks a limit: the message says which."""


def decode(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    >>> decode('{"n": 18446744073709551616}')
    {'n': 18446744073709551616}

    Raises InvalidJson, with a message for the client.
    """
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
        raise InvalidJson(str(error)) from None
    if _may_break_a_limit(text):
        check(value)
    return value


def decode_kept(text: str) -> Any:
    """Return the value of a JSON text that is kept: it was made of a value within the limits."""
    return _decoder.decode(text)


def _may_break_a_limit(text: bytes | str) -> bool:
    """Tell whether a value has to be looked at, by its text: that takes a fraction of the time."""
    nul, brace, bracket, digits = _SIGNS_IN_BYTES if isinstance(text, bytes) else _SIGNS
    if nul in text or text.count(brace) + text.count(bracket) > MAX_DEPTH:
        return True
    # So many digits in a row are seen twice in a row where every so many characters one is looked at.
    return len(text) > MAX_DIGITS and digits.search(text[:: MAX_DIGITS // 2]) is not None


def encode(value: Any) -> str:
    """Return the compact JSON text of a value."""
    return _encoder.encode(value).decode()


def check(value: Any) -> None:
    """Raise InvalidJson when a value breaks a limit: depth, digits, NUL characters.

    What a patch makes of two acceptable documents has to be looked at again.
    """
    # An explicit stack: the depth is the client's, the interpreter's is not for it to spend.
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is str:
                if "\x00" in each:
                    raise InvalidJson("the character \\u0000 is not accepted")
            elif kind is dict:
                below.extend(each)
                below.extend(each.values())
            elif kind is list:
                below.extend(each)
            elif kind is int and not -_largest < each < _largest:
                raise InvalidJson(f"an integer has more than {MAX_DIGITS} digits")
        if not below:
            return
        level = below
    raise InvalidJson(f"nested deeper than {MAX_DEPTH} levels")
