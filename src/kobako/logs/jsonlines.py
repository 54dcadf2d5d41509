"""Log entries as JSON, one object a line: as Mozilla's services have it (mozlog 2.0), and as Cliquet had it for Heka.

Source: HTTP API, sections 15.2 and 15.3.
"""

import json
import logging
import os
import socket
from typing import Any, Final

SEVERITIES: Final = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
"""Levels as syslog has them."""

HEKA_SEVERITIES: Final = SEVERITIES | {logging.CRITICAL: 0, logging.ERROR: 2}
"""Levels as Cliquet had them."""

SUMMARY: Final = ("agent", "path", "method", "querystring", "lang", "uid", "authn_type", "errno", "time", "code", "t")
"""The fields that each request has for Heka, null where there is nothing to tell."""


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
        fields |= _failure(self, record)
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
        return _line(entry)


class HekaFormatter(logging.Formatter):
    """One JSON object a line for Heka: its fields are flat, so objects in them are JSON texts.

    The type of an entry is its event: the message, or of one without a message the logger.
    """

    def __init__(self, project_name: str) -> None:
        super().__init__()
        self._project_name = project_name
        self._hostname = os.environ.get("HOSTNAME") or socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an entry."""
        fields: dict[str, Any] = dict.fromkeys(SUMMARY) if record.name == "request.summary" else {}
        fields |= getattr(record, "fields", {})
        fields |= _failure(self, record)
        entry = {
            "Timestamp": int(record.created * 1000) * 1_000_000,
            "Type": record.getMessage() or record.name,
            "Logger": self._project_name,
            "Hostname": self._hostname,
            "EnvVersion": "2.0",
            "Severity": HEKA_SEVERITIES.get(record.levelno, 7),
            "Pid": os.getpid(),
            "Fields": {name: _flat(value) for name, value in fields.items()},
        }
        return _line(entry)


def _failure(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, str]:
    """Return the fields of an exception, if the entry is about one."""
    if not record.exc_info:
        return {}
    return {"error": repr(record.exc_info[1]), "traceback": formatter.formatException(record.exc_info)}


def _flat(value: Any) -> Any:
    is_flat_list = isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    return _line(value) if isinstance(value, dict | list | tuple) and not is_flat_list else value


def _line(value: Any) -> str:
    # In ASCII: bytes that are no UTF-8 come as lone surrogates, which other encoders refuse.
    return json.dumps(value, default=str)
