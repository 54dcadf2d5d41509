"""No missed change: what pollers know is what there is, up to their cursor."""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tests.consistency.history import Op, Poll, Rest, Seen
from tests.consistency.rules.base import Finding, Rule
from tests.consistency.world import STABLE

TOKEN_STYLES = ("last", "first", "oldest")
"""Styles that follow Next-Page, whose pages all answer the ETag of the first."""


class Write(NamedTuple):
    """An acknowledged write, as far as a poller has to know of it."""

    version: int
    id: str
    deletes: bool


class Suspect(NamedTuple):
    """A write that a poll should have brought, and did not; `known` is what the poller knows of the object."""

    write: Write
    poll: Poll
    known: Seen | None

    def is_excused_by(self, op: Op) -> bool:
        """Tell whether a request may have moved the object away, from the pages still to be read to the next poll.

        It was done while the poll was running, so it began before the poll had ended, and ended after it had begun.
        The first poll shows no tombstones, so any earlier deletion may be the reason as well. A single page has no
        excuse: it is of one moment.
        """
        is_first, is_paged = self.poll.cursor == 0, len(self.poll.etags) > 1
        if op.start > self.poll.end or not (is_first or is_paged):
            return False
        if op.is_unknown or (is_first and (op.kind == "drop" or (op.deletes and op.version > self.write.version))):
            return True
        return op.end > self.poll.start and (op.kind == "drop" or op.version > self.poll.after)

    def finding(self) -> Finding:
        """Return what to say of it."""
        poll, write = self.poll, self.write
        what = f"the deletion of {write.id}" if write.deletes else write.id
        return Finding(
            _case(poll.style, len(poll.etags) > 1, write.deletes),
            f"{poll.poller} ({poll.style}) of {poll.list} polled from {poll.cursor} to {poll.after}, "
            f"{len(poll.etags)} pages, and missed {what} at {write.version}: it knows {self.known}",
        )


class Replica:
    """What one poller knows of one list. `due`: acknowledged writes above its cursor, the next first."""

    def __init__(self) -> None:
        self.objects: dict[str, Seen] = {}
        self.etag = 0
        self.style = ""
        self.is_paged = False
        self.due: list[Write] = []
        self.fed = 0

    def apply(self, poll: Poll) -> None:
        """Take what a poll brought, unless something later is known."""
        self.style, self.is_paged = poll.style, self.is_paged or len(poll.etags) > 1
        for change in poll.changes:
            known = self.objects.get(change.id)
            if known is None or known.version <= change.version:
                self.objects[change.id] = change

    def missed(self, cursor: int) -> Iterable[tuple[Write, Seen | None]]:
        """Yield the acknowledged writes up to a cursor that it should know of, and does not."""
        while self.due and self.due[0].version <= cursor:
            write = heapq.heappop(self.due)
            known = self.objects.get(write.id)
            # Who has never heard of an object needs no tombstone.
            if (known is None and not write.deletes) or (known is not None and known.version < write.version):
                yield write, known


class Replicas(Rule):
    """S1, S7, S8, S9: no change is missed. S27: no ETag goes back. S28: one moves for a change that can be seen."""

    def __init__(self) -> None:
        self._replicas: defaultdict[str, defaultdict[str, Replica]] = defaultdict(lambda: defaultdict(Replica))
        self._writes: defaultdict[str, list[Write]] = defaultdict(list)
        # Since the last rest.
        self._ops: defaultdict[tuple[str, str], list[Op]] = defaultdict(list)
        self._suspects: list[Suspect] = []

    def op(self, op: Op) -> Iterable[Finding]:
        """Take note of what was acknowledged, and of what may have been done."""
        if op.is_write:
            self._writes[op.list].append(Write(op.version, op.id, op.deletes))
        if op.is_write or op.is_unknown or op.kind == "drop":
            self._ops[op.list, op.id].append(op)
        return ()

    def poll(self, poll: Poll) -> Iterable[Finding]:
        """Apply a poll to its replica, and see whether it knows all that it should."""
        replica = self._replicas[poll.list][poll.poller]
        if poll.status == 410:
            yield Finding("S20", f"{_who(poll)} was told to begin anew after {poll.cursor}, though nothing was purged")
        yield from _etags(poll, replica)
        for change in poll.changes:
            if change.version <= poll.cursor:
                yield Finding("S8", f"{_who(poll)} asked for what is after {poll.cursor}, and got {change}")
        replica.apply(poll)
        if not poll.is_complete:
            return
        writes = self._writes[poll.list]
        for write in writes[replica.fed :]:
            heapq.heappush(replica.due, write)
        replica.fed = len(writes)
        self._suspects += (Suspect(write, poll, known) for write, known in replica.missed(poll.after))

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Judge the suspects, now that all requests are over, and compare every replica with the list."""
        yield from self._judged(rest.list)
        live = {each for each in rest.objects if each.token}
        gone = {each.id for each in rest.objects if not each.token}
        for poller, replica in self._replicas[rest.list].items():
            for each in sorted({each for each in replica.objects.values() if each.token} ^ live):
                case = _case(replica.style, replica.is_paged, each.id in gone)
                there = "is there, and not known to" if each in live else "is not there, and known to"
                yield Finding(case, f"at rest {each} of {rest.list} {there} {poller} ({replica.style})")

    def finish(self) -> Iterable[Finding]:
        """Judge the suspects of lists that never came to rest."""
        for place in {each.poll.list for each in self._suspects}:
            yield from self._judged(place)

    def _judged(self, place: str) -> Iterable[Finding]:
        suspects = [each for each in self._suspects if each.poll.list == place]
        self._suspects = [each for each in self._suspects if each.poll.list != place]
        for suspect in suspects:
            ops = self._ops[place, suspect.write.id] + self._ops[place, ""]
            if not any(suspect.is_excused_by(op) for op in ops):
                yield suspect.finding()
        for key in [key for key in self._ops if key[0] == place]:
            # The first poll of all may be excused by deletions of any time; they come before the first rest.
            del self._ops[key]


def _etags(poll: Poll, replica: Replica) -> Iterable[Finding]:
    known = [replica.etag, *poll.etags]
    if known != sorted(known):
        yield Finding("S27", f"the ETags of {_who(poll)} went back: {known}")
    replica.etag = max(known)
    if poll.style in TOKEN_STYLES and len(set(poll.etags)) > 1:
        yield Finding("S7", f"pages answered {poll.etags} to {_who(poll)}")
    # A list that is made again has a new timestamp, and no change.
    if poll.list in STABLE and poll.status == 200 and len(poll.etags) == 1 and poll.cursor:
        newest = max([poll.cursor, *(each.version for each in poll.changes)])
        if newest != poll.etags[0]:
            yield Finding("S28", f"the ETag {poll.etags[0]} came with changes up to {newest} to {_who(poll)}")


def _who(poll: Poll) -> str:
    return f"{poll.poller} ({poll.style}) of {poll.list}"


def _case(style: str, is_paged: bool, deletes: bool) -> str:
    if deletes:
        return "S9"
    if not is_paged:
        return "S1"
    return "S7" if style == "last" else "S8"
