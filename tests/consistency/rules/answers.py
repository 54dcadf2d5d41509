"""What writers may be answered: no conflict for being parallel, no 503 while nothing is wrong, nothing that hangs."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.consistency.history import Fault, Op, Poll
from tests.consistency.rules.base import Finding, Rule
from tests.consistency.world import VOLATILE

RECOVERY_S = 10
"""How long after the end of a fault a request may fail, or be answered late."""

MISSING = frozenset({"patch", "append", "delete", "get"})
"""What is answered 404 where there is no object."""


class Request(NamedTuple):
    """What is judged at the end, by the faults of its time."""

    start: float
    end: float
    what: Op | Poll


class Answers(Rule):
    """S5, C14, C15: statuses; P18: intruders are refused; O2, O6: what fails or waits has a fault for it."""

    def __init__(self) -> None:
        self._failed: list[Request] = []
        self._slow: list[Request] = []
        self._faults: list[Fault] = []

    def op(self, op: Op) -> Iterable[Finding]:
        """Judge a status; what can be excused by a fault is judged at the end."""
        if op.kind == "intrude" and op.is_done:
            yield Finding("P18", f"an intruder was answered {op.status}: {op}")
        elif op.kind == "visit" and op.status == 200:
            yield Finding("C22", f"somebody who may only create replaced what was there: {op}")
        elif op.status not in (0, 503) and not _is_expected(op):
            yield Finding("S5" if op.status == 409 else "C15", f"answered {op.status}: {op}")
        request = Request(op.start, op.end, op)
        self._note(request, request, op.is_unknown)

    def poll(self, poll: Poll) -> Iterable[Finding]:
        """Judge a status of a poller."""
        if poll.status not in (200, 304, 0, 503) and (poll.status != 404 or poll.list != VOLATILE):
            yield Finding("C15", f"answered {poll.status}: {poll}")
        # A poll of many pages may take its time; none of its requests may.
        slowest = Request(*(poll.slowest or (poll.start, poll.end)), poll)
        self._note(Request(poll.start, poll.end, poll), slowest, poll.status in (0, 503))

    def fault(self, fault: Fault) -> Iterable[Finding]:
        """Take note of an excuse; tell of what the server did not take well."""
        self._faults.append(fault)
        if fault.problem:
            yield Finding("O6", f"{fault.kind}: {fault.problem}")

    def finish(self) -> Iterable[Finding]:
        """Judge what failed, and what took long, by the faults of that time."""
        for request in self._failed:
            if not any(each.start <= request.end and request.start <= each.end + RECOVERY_S for each in self._faults):
                yield Finding("S5", f"failed while nothing was wrong: {request.what}")
        for request in self._slow:
            over = max((each.end for each in self._faults if each.start <= request.end), default=0.0)
            late_s = request.end - max(over, request.start)
            if late_s > RECOVERY_S:
                yield Finding("O2", f"stuck for {late_s:.1f} s after all faults were over: {request.what}")

    def _note(self, whole: Request, slowest: Request, has_failed: bool) -> None:
        if has_failed:
            self._failed.append(whole)
        if slowest.end - slowest.start > RECOVERY_S:
            self._slow.append(slowest)


def _is_expected(op: Op) -> bool:
    if op.kind in ("intrude", "visit") and op.status == 403:
        return True
    if op.status in (200, 201):
        return op.kind != "intrude"
    if op.status == 412:
        return bool(op.if_match) or op.if_none_match or op.batch != ""
    return op.status == 404 and (op.kind in MISSING or op.list == VOLATILE)
