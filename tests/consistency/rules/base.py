"""A rule reads a history, event by event, and tells what must never happen, with the case of it in reliability.md."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.consistency.history import Fault, Op, Poll, Rest


class Finding(NamedTuple):
    """A broken promise: the case, and what was seen."""

    case: str
    text: str

    def __str__(self) -> str:
        return f"{self.case}: {self.text}"


class Rule:
    """Sees every event of a history; a rule overrides what concerns it."""

    def op(self, op: Op) -> Iterable[Finding]:
        """Judge the request of a writer, or a part of it."""
        return ()

    def poll(self, poll: Poll) -> Iterable[Finding]:
        """Judge what a poller was answered."""
        return ()

    def fault(self, fault: Fault) -> Iterable[Finding]:
        """Take note of a fault."""
        return ()

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Judge a list at rest."""
        return ()

    def finish(self) -> Iterable[Finding]:
        """Judge the whole, once it is over."""
        return ()
