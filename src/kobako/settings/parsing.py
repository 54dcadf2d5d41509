"""Text of a setting -> its value. One function a type; each raises ValueError with the rule that was broken.

Files and environments hold text. Kinto parses it as JSON first and keeps it as text when that fails, so `25`,
`"25"` and `[25]` are all seen in the wild, and `null` is a way to say "none". Text stays text here: a secret
of digits only, or a version `1.20`, is never a number.

Source: HTTP API, section 16.3.
"""

import itertools
import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from kobako.protocol import indexes
from kobako.protocol.addresses import Range, parse_range

Parser = Callable[[str], Any]

TRUTHS = frozenset({"t", "true", "y", "yes", "on", "1"})


def native(raw: str) -> Any:
    """Return what the text says as JSON, or else the text itself.

    >>> native("25"), native('"1.23"'), native("True"), native("2015-01-22"), native("null")
    (25, '1.23', 'True', '2015-01-22', None)
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw


def text(raw: str) -> str | None:
    """Return the text, without the quotes if it is a JSON string; None for ``null``.

    >>> text('"abc"'), text("0123"), text("null")
    ('abc', '0123', None)
    """
    value = native(raw)
    if value is None or isinstance(value, str):
        return value
    return raw


def text_or_none(raw: str) -> str | None:
    """Return the text; None if it is empty."""
    return text(raw) or None


def api_version(raw: str) -> str:
    """Return a version: a major number, and others after dots."""
    value = text(raw) or ""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", value):
        raise ValueError("must be a version, as 1.23")
    return value


def boolean(raw: str) -> bool:
    """Tell whether the text is one of the truths; anything else is false, as it is for Kinto.

    >>> boolean("Yes"), boolean('"1"'), boolean("enabled"), boolean("")
    (True, True, False, False)
    """
    return str(native(raw)).strip().lower() in TRUTHS


def integer(raw: str) -> int:
    """Return a whole number: a JSON one, or text that is one."""
    value = _number(raw, int)
    if value != int(value):
        raise ValueError("must be a whole number")
    return int(value)


def number(raw: str) -> float:
    """Return a number: a JSON one, or text that is one."""
    return float(_number(raw, float))


def integer_or_none(raw: str) -> int | None:
    """Return a whole number; None if the setting is empty or ``null``."""
    return None if is_empty(raw) else integer(raw)


def number_or_none(raw: str) -> float | None:
    """Return a number; None if the setting is empty or ``null``."""
    return None if is_empty(raw) else number(raw)


def limit(raw: str) -> int | None:
    """Return a limit above zero; None (unlimited) if the setting is empty, ``null`` or 0.

    >>> limit("25"), limit("0"), limit("")
    (25, None, None)
    """
    value = integer_or_none(raw) or None
    if value is not None and value < 0:
        raise ValueError("must be a whole number that is not negative")
    return value


def positive(raw: str) -> int:
    """Return a whole number of 1 or more."""
    value = integer(raw)
    if value < 1:
        raise ValueError("must be a whole number, 1 or more")
    return value


def count(raw: str) -> int:
    """Return a whole number that is not negative."""
    value = integer(raw)
    if value < 0:
        raise ValueError("must be a whole number that is not negative")
    return value


def bound(raw: str) -> int:
    """Return a whole number that is not negative; -1 for what has no bound."""
    value = integer(raw)
    if value < -1:
        raise ValueError("must be a whole number that is not negative, or -1")
    return value


def duration(raw: str) -> int:
    """Return seconds, of 1 or more, given as 90s, 15m, 12h, 30d or 2w.

    >>> duration("30d"), duration("90")
    (2592000, 90)
    """
    found = re.fullmatch(r"([0-9]{1,9}) *([smhdw]?)", str(text(raw)).strip())
    if found is None or int(found[1]) == 0:
        raise ValueError("must be a whole number of 1 or more with a unit: s, m, h, d or w, as in 30d")
    return int(found[1]) * _UNITS_S[found[2]]


def duration_or_none(raw: str) -> int | None:
    """Return seconds, None if the setting is empty."""
    return None if is_empty(raw) else duration(raw)


def percentage(raw: str) -> float | None:
    """Return a number from 0 to 100, or None."""
    value = number_or_none(raw)
    if value is not None and not 0 <= value <= 100:
        raise ValueError("must be a number from 0 to 100")
    return value


def words(raw: str) -> tuple[str, ...]:
    """Return the words between white space, also in the strings of a JSON list. A comma is part of a word.

    >>> words("kinto.plugins.flush\\n  history"), words('["a b", "c"]'), words("")
    (('kinto.plugins.flush', 'history'), ('a', 'b', 'c'), ())
    """
    return _split(raw, r"\s+")


def udp_address(raw: str) -> str | None:
    """Return a URL of the form udp://host:port, None if the setting is empty."""
    if is_off(raw):
        return None
    url = str(text(raw)).strip()
    found = re.fullmatch(r"udp://(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?", url)
    if found is None or int(found[1] or 0) > 65535:
        raise ValueError("must be udp://host:port")
    return url


def numbers(raw: str) -> tuple[float, ...]:
    """Return numbers between white space, each greater than the one before.

    >>> numbers("0.5 1 Inf")
    (0.5, 1.0, inf)
    """
    try:
        found = tuple(float(word) for word in words(raw))
    except ValueError:
        raise ValueError("must be numbers between spaces") from None
    if not found or any(not before < after for before, after in itertools.pairwise((-math.inf, *found))):
        raise ValueError("must be numbers, each greater than the one before")
    return found


_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

ACTIONS = ("create", "update", "delete", "read")


def actions(raw: str) -> tuple[str, ...]:
    """Return the names of actions, of which listeners are told; all that write if the setting is empty."""
    named = words(raw)
    for each in named:
        if each not in ACTIONS:
            raise ValueError(f"'{each}' is none of {', '.join(ACTIONS)}")
    return named or ACTIONS[:3]


def principals(raw: str) -> frozenset[str]:
    """Return the principals between white space or commas (Kinto's documents show these, its code takes those).

    >>> sorted(principals("account:a, account:b system.Everyone"))
    ['account:a', 'account:b', 'system.Everyone']
    """
    return frozenset(_split(raw, r"[\s,]+"))


def indexed_fields(raw: str) -> tuple[str, ...]:
    """Return the names of fields between white space or commas, which can have an index.

    >>> indexed_fields("size, author.name")
    ('size', 'author.name')
    """
    fields = _split(raw, r"[\s,]+")
    if problem := indexes.problem(fields):
        raise ValueError(problem)
    return fields


def ranges(raw: str) -> tuple[Range, ...]:
    """Return the ranges of addresses between white space or commas.

    >>> ranges("192.168.0.*, ::1")
    (IPv4Network('192.168.0.0/24'), IPv6Network('::1/128'))
    """
    return tuple(parse_range(each) for each in _split(raw, r"[\s,]+"))


def moment(raw: str) -> datetime | None:
    """Return a date, or a date and time, in ISO 8601; without a time zone it is in the server's.

    >>> moment("2015-01-22T10:00:00Z").isoformat()
    '2015-01-22T10:00:00+00:00'
    """
    if is_empty(raw):
        return None
    try:
        return datetime.fromisoformat(str(text(raw)).strip()).astimezone()
    except ValueError:
        raise ValueError("must be a date, as 2030-01-31 or 2030-01-31T10:00:00Z") from None


def is_empty(raw: str) -> bool:
    """Tell whether the text says that there is no value."""
    return native(raw) in (None, "")


def is_off(raw: str) -> bool:
    """Tell whether a setting, be it a switch or a URL, is there to say that it is not used.

    >>> is_off("False"), is_off(""), is_off("udp://localhost:8125")
    (True, True, False)
    """
    return is_empty(raw) or raw.strip().lower() in ("f", "false", "n", "no", "off", "0", "none")


def _number(raw: str, kind: type[int] | type[float]) -> float:
    value = native(raw)
    if isinstance(value, str):
        value = native(value)
    finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not finite:
        raise ValueError("must be a whole number" if kind is int else "must be a number")
    return value  # type: ignore[no-any-return]


def _split(raw: str, separators: str) -> tuple[str, ...]:
    value = native(raw)
    items = value if isinstance(value, list) else [value if isinstance(value, str) else "" if value is None else raw]
    return tuple(word for item in items for word in re.split(separators, str(item)) if word)
