"""Lines for a stream: those of requests are written together, a moment later, and everything else at once.

To write and flush each line by itself takes longer than all else that is done for it.
"""

import asyncio
import copy
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from kobako.logs.text import TextFormatter
from kobako.protocol import current

WRITTEN_AFTER_S = 0.05
"""How long a line may wait for others; what a process had not written when it was killed is lost."""


class LineHandler(logging.StreamHandler[TextIO]):
    """A handler whose entries wait for each other within an event loop, unless one is a warning or worse."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[logging.LogRecord | str] = []
        self._timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write an entry, or keep it for a moment."""
        try:
            self._waiting.append(_as_it_is(record))
            if record.levelno > logging.INFO or not self._can_wait():
                self.flush()
        except Exception:
            self.handleError(record)

    @property
    def tells(self) -> bool:
        """Whether `tell` writes the line that a record of level INFO, with the id of its request, would have."""
        if self.level > logging.INFO or self.filters not in ([], [with_request_id]):
            return False
        return isinstance(self.formatter, TextFormatter) and self.formatter.is_plain

    def tell(self, message: str, fields: Mapping[str, Any]) -> None:
        """Write an entry at level INFO, or keep it for a moment, where it `tells`: without a record it costs half."""
        assert isinstance(self.formatter, TextFormatter)
        try:
            self._waiting.append(self.formatter.told(message, fields))
            if not self._can_wait():
                self.flush()
        except Exception:
            self.handleError(logging.makeLogRecord({"msg": message, "fields": fields}))

    def told(self, message: str, fields: Mapping[str, Any]) -> str:
        """Return the line of an entry at level INFO, where it `tells`."""
        assert isinstance(self.formatter, TextFormatter)
        return self.formatter.told(message, fields)

    def tell_line(self, line: str) -> None:
        """Write a line that was `told`, or keep it for a moment."""
        self._waiting.append(line)
        if not self._can_wait():
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()
        try:
            self._timer = None
            waiting, self._waiting = self._waiting, []
            self.stream.write("".join(self._lines(waiting)))
            self.stream.flush()
        finally:
            self.release()

    def _lines(self, entries: Iterable[logging.LogRecord | str]) -> Iterator[str]:
        for each in entries:
            if isinstance(each, str):
                yield each + self.terminator
                continue
            try:
                yield self.format(each) + self.terminator
            except Exception:
                self.handleError(each)

    def _can_wait(self) -> bool:
        """Make sure that lines are written soon; False where there is no event loop to do it."""
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return False
            self._timer = loop.call_later(WRITTEN_AFTER_S, self.flush)
        return True


def with_request_id(record: logging.LogRecord) -> bool:
    """Add to an entry the request during which it is logged, if there is one (15.2): a filter."""
    if rid := current.request_id.get():
        fields = getattr(record, "fields", {})
        record.fields = fields if "rid" in fields else {**fields, "rid": rid}
    return True


def _as_it_is(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record whose arguments may change until it is written; others who get this one see it as it was."""
    if not record.args:
        return record
    kept = copy.copy(record)
    kept.msg, kept.args = record.getMessage(), ()
    return kept
