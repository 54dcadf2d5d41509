"""Renderers of log entries: text for people, JSON for machines, one line an entry.

Entries are records of `logging`; what they tell besides a message is in their `fields`, a dict. Whatever clients send
comes out as one line of visible characters: nobody forges an entry, or moves the cursor of a terminal.

Source: HTTP API, sections 15.2 and 15.4; reliability, O14.
"""

import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

REQUEST: Final = frozenset({"method", "path", "querystring", "code", "t"})
"""The fields that come first, in a form of their own."""

SEVERITIES: Final = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""Levels as syslog has them."""


class TextFormatter(logging.Formatter):
    """`INFO   "GET   /v1/buckets?_limit=1" 200 (3 ms) agent=curl uid=5ea...`; the rest in the order of its names."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an entry; the traceback of an exception is further in, on lines of its own."""
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        words = [_request(fields)] if "path" in fields else []
        if message := record.getMessage():
            words.append(printable(message))
        words += [f"{name}={_value(fields[name])}" for name in sorted(fields.keys() - REQUEST)]
        lines = [f"{record.levelname:<5}  {' '.join(words)}"]
        if record.exc_info:
            lines += [f"    {printable(line)}" for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, as Mozilla's services have it (mozlog 2.0)."""

    def __init__(self, project_name: str) -> None:
        super().__init__()
        self._project_name = project_name
        self._hostname = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an entry."""
        fields = dict(getattr(record, "fields", {}))
        if message := record.getMessage():
            fields["msg"] = message
        if record.exc_info:
            fields["error"] = repr(record.exc_info[1])
            fields["traceback"] = self.formatException(record.exc_info)
        entry = {
            "Timestamp": int(record.created * 1e9),
            "Type": record.name,
            "Logger": self._project_name,
            "Hostname": self._hostname,
            "EnvVersion": "2.0",
            "Severity": SEVERITIES.get(record.levelno, 7),
            "Pid": os.getpid(),
            "Fields": fields,
        }
        # In ASCII: bytes that are no UTF-8 come as lone surrogates, which other encoders refuse.
        return json.dumps(entry, default=str)


def configure(level: int, renderer: str = "classic", project_name: str = "kobako") -> None:
    """Log entries of this level and above to standard error. Source: objects, section 26.1."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(project_name) if renderer == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # What no renderer tells is not asked for: that is half of what an entry costs.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # The event loop's own chatter helps nobody, whatever the level.
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what cannot be seen.

    >>> printable("a\\r\\nb\\x1b[0m")
    'a\\\\r\\\\nb\\\\x1b[0m'
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return repr(character)[1:-1]


def _request(fields: Mapping[str, Any]) -> str:
    query = "&".join(f"{name}={value}" for name, value in fields.get("querystring", {}).items())
    url = f"{fields['path']}?{query}" if query else fields["path"]
    head = f'"{_quoted(fields.get("method", "?")):<5} {_quoted(url)}"'
    return f"{head} {fields['code']} ({fields.get('t', '?')} ms)" if "code" in fields else head


def _quoted(text: str) -> str:
    text = printable(text)
    return text.replace('"', '\\"') if '"' in text else text


def _value(value: Any) -> str:
    """Return a value as it is where it is one word, else in quotes, so that it cannot pass for other fields."""
    text = value if type(value) is str else str(value)
    is_word = text.isprintable() and " " not in text and '"' not in text and text
    return text if is_word else f'"{_quoted(text)}"'
