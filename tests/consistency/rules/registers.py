"""Each record is a register: its versions give the order of its writes, and every answer has to fit in there.

An unknown request may have come in between, and hidden what would explain an answer: then nothing is said of it. No
request is done later than LATE_S after its connection was lost.

Only the lists that stay are judged: what goes with a collection leaves no acknowledged version behind.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tests.consistency.history import Op
from tests.consistency.rules.base import Finding, Rule
from tests.consistency.world import STABLE, is_log

LATE_S = 60


class Registers(Rule):
    """C1, C2, C3: preconditions hold. C4: no update is lost. C7: live or deleted. C25: reads are not old."""

    def __init__(self) -> None:
        self._ops: defaultdict[tuple[str, str], list[Op]] = defaultdict(list)

    def op(self, op: Op) -> Iterable[Finding]:
        """Keep what bears on a record."""
        if op.list in STABLE and op.id and op.kind != "intrude":
            self._ops[op.list, op.id].append(op)
        return ()

    def finish(self) -> Iterable[Finding]:
        """Judge each record."""
        for ops in self._ops.values():
            yield from _judged(ops)


class Register:
    """The acknowledged writes of a record, in the order of their versions, and what may have come in between."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.writes = sorted((op for op in ops if op.is_write), key=lambda op: op.version)
        self._versions = [op.version for op in self.writes]
        self._unknown = [op for op in ops if op.is_unknown and op.kind != "get"]

    def before(self, version: int) -> Op | None:
        """Return the last acknowledged write with a lower version."""
        at = bisect_left(self._versions, version)
        return self.writes[at - 1] if at else None

    def is_certain(self, op: Op, earlier: Op | None) -> bool:
        """Tell whether no unknown request can have come between two that are known."""
        since = earlier.start if earlier else 0.0
        return not any(each.start < op.end and since < each.end + LATE_S for each in self._unknown)


def _judged(ops: Sequence[Op]) -> Iterable[Finding]:
    register = Register(ops)
    for op in register.writes:
        earlier = register.before(op.version)
        if op.if_match and earlier and op.if_match < earlier.version:
            yield Finding("C1", f"{_name(op)} replaced {earlier.version} by {op.version} If-Match {op.if_match}")
        if register.is_certain(op, earlier):
            yield from _follows(op, earlier)
    yield from _reads(ops, register)


def _follows(op: Op, earlier: Op | None) -> Iterable[Finding]:
    """Judge a write by the one right before it."""
    was_there = earlier is not None and not earlier.deletes
    if op.status == 201 and was_there:
        case = "C22" if op.kind == "visit" else "C2" if op.if_none_match else "C3"
        yield Finding(case, f"{_name(op)} created as {op.version} what was there as {earlier and earlier.version}")
    if op.status == 200 and not was_there:
        yield Finding("C7", f"{_name(op)}, a {op.kind} as {op.version}, was of something that was not there: {earlier}")
    if op.fields is None or op.patch is None or is_log(op.id):
        return
    before = earlier.fields if op.kind == "patch" and earlier and earlier.fields is not None else {}
    if op.kind == "patch" and (earlier is None or earlier.fields is None):
        return
    if op.fields != {**before, **op.patch}:
        yield Finding("C4", f"{_name(op)}: {op.kind} of {op.patch} on {before} gave {op.fields}")


def _reads(ops: Sequence[Op], register: Register) -> Iterable[Finding]:
    """Judge what readers were shown: not less than what was acknowledged before they asked."""
    ended = sorted(register.writes, key=lambda op: op.end)
    ends = [op.end for op in ended]
    highest: list[Op] = []
    for op in ended:
        highest.append(op if not highest or op.version > highest[-1].version else highest[-1])
    for read in ops:
        at = bisect_left(ends, read.start)
        if read.kind != "get" or not at:
            continue
        latest = highest[at - 1]
        if read.status == 200 and read.version < latest.version:
            yield Finding("C25", f"{_name(read)} was read as {read.version} after {latest.version} was acknowledged")
        if read.status == 404 and not latest.deletes and not _may_be_gone(ops, read, latest):
            yield Finding("C25", f"{_name(read)} was not found after {latest.version} was acknowledged")


def _may_be_gone(ops: Sequence[Op], read: Op, latest: Op) -> bool:
    return any(op.deletes and op.start < read.end and (op.is_unknown or op.version > latest.version) for op in ops)


def _name(op: Op) -> str:
    return f"{op.list}/{op.id} by {op.writer} {op.token}"
