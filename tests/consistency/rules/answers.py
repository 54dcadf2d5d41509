"""What writers may be answered: no conflict for being parallel, no 503 while nothing is wrong, nothing that hangs."""

from collections.abc import Iterable

from tests.consistency.history import Fault, Op
from tests.consistency.rules.base import Finding, Rule
from tests.consistency.world import VOLATILE

RECOVERY_S = 10
"""How long after the end of a fault a request may fail, or be answered late."""

MISSING = frozenset({"patch", "append", "delete", "get"})
"""What is answered 404 where there is no object."""


class Answers(Rule):
    """S5, C14, C15: statuses; P18: intruders are refused; O2: what fails or waits does so because of a fault."""

    def __init__(self) -> None:
        self._failed: list[Op] = []
        self._slow: list[Op] = []
        self._faults: list[Fault] = []

    def op(self, op: Op) -> Iterable[Finding]:
        """Judge a status; what can be excused by a fault is judged at the end."""
        if op.kind == "intrude" and op.is_done:
            yield Finding("P18", f"an intruder was answered {op.status}: {op}")
        elif op.status not in (0, 503) and not _is_expected(op):
            yield Finding("S5" if op.status == 409 else "C15", f"answered {op.status}: {op}")
        if op.is_unknown:
            self._failed.append(op)
        if op.end - op.start > RECOVERY_S:
            self._slow.append(op)

    def fault(self, fault: Fault) -> Iterable[Finding]:
        """Take note of an excuse."""
        self._faults.append(fault)
        return ()

    def finish(self) -> Iterable[Finding]:
        """Judge what failed, and what took long, by the faults of that time."""
        for op in self._failed:
            if not any(each.start <= op.end and op.start <= each.end + RECOVERY_S for each in self._faults):
                yield Finding("S5", f"failed with {op.status} while nothing was wrong: {op}")
        for op in self._slow:
            over = max((each.end for each in self._faults if each.start <= op.end), default=0.0)
            if op.end > max(over, op.start) + RECOVERY_S:
                yield Finding("O2", f"stuck for {op.end - max(over, op.start):.1f} s after all faults were over: {op}")


def _is_expected(op: Op) -> bool:
    if op.status == (403 if op.kind == "intrude" else 200) or op.status == 201:
        return True
    if op.status == 412:
        return bool(op.if_match) or op.if_none_match or op.batch != ""
    return op.status == 404 and (op.kind in MISSING or op.list == VOLATILE)
