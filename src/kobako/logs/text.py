"""Log entries as text, one line each, in colours where somebody looks at them in a terminal.

Source: HTTP API, section 15.4; objects, 26.1; reliability, O14.
"""

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

FORMAT: Final = "%(levelname)-5s  %(message)s"

REQUEST: Final = frozenset({"method", "path", "querystring", "code", "t"})
"""The fields that come first, in a form of their own."""

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"

_OF_STATUS: Final = {"2": GREEN, "3": CYAN, "4": YELLOW, "5": RED}


class TextFormatter(logging.Formatter):
    """`INFO   "GET   /v1/buckets?_limit=1" 200 (3 ms) agent=curl uid=5ea...`; the rest in the order of its names.

    `line_format` is a format of `logging`; its message is all that follows the level here.
    """

    def __init__(self, line_format: str = FORMAT, datefmt: str | None = None, *, colours: bool = False) -> None:
        super().__init__(line_format, datefmt)
        self.is_plain = line_format == FORMAT
        """Whether an entry's line is made of its level, message and fields, and of nothing else."""
        # Most entries have the same fields.
        self._painted = painted = _painted if colours else _plain
        self._named = lru_cache(256)(lambda names: [(name, painted(f"{name}=", DIM)) for name in _in_order(names)])

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an entry; the traceback of an exception is further in, on lines of its own."""
        record.message = self._told(record.getMessage(), getattr(record, "fields", {}), record.levelno)
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += [f"    {printable(line)}" for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)

    def told(self, message: str, fields: Mapping[str, Any]) -> str:
        """Return the line of an entry at level INFO that has no more to it, where the format is plain."""
        return f"INFO   {self._told(message, fields, logging.INFO)}"

    def _told(self, message: str, fields: Mapping[str, Any], level: int) -> str:
        painted = self._painted
        words = []
        if "path" in fields:
            code = str(fields.get("code", "?"))
            status = painted(code, _OF_STATUS.get(code[:1], BOLD))
            words.append(f"{painted(_request(fields), BOLD)} {status} ({fields.get('t', '?')} ms)")
        if message:
            words.append(painted(printable(message), _of_level(level)))
        words += [f"{shown}{_value(fields[name])}" for name, shown in self._named(tuple(fields))]
        return " ".join(words)


def _in_order(names: Iterable[str]) -> list[str]:
    """Return the names of fields that come last, in their order."""
    return [name for name in sorted(names) if name not in REQUEST]


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what cannot be seen.

    >>> printable("a\\r\\nb\\x1b[0m")
    'a\\\\r\\\\nb\\\\x1b[0m'
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return repr(character)[1:-1]


def _painted(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _plain(text: str, colour: str) -> str:
    return text


def _of_level(level: int) -> str:
    return RED if level >= logging.ERROR else YELLOW if level >= logging.WARNING else ""


def _request(fields: Mapping[str, Any]) -> str:
    url = fields["path"]
    if asked := fields.get("querystring"):
        url = f"{url}?{'&'.join([f'{name}={value}' for name, value in asked.items()])}"
    return f'"{_quoted(fields.get("method", "?")):<5} {_quoted(url)}"'


def _quoted(text: str) -> str:
    text = printable(text)
    return text.replace('"', '\\"') if '"' in text else text


def _value(value: Any) -> str:
    """Return a value as it is where it is one word, else in quotes, so that it cannot pass for other fields."""
    text = value if type(value) is str else str(value)
    is_word = text.isprintable() and " " not in text and '"' not in text and text
    return text if is_word else f'"{_quoted(text)}"'
