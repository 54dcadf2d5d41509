"""Versions of a list follow real time, and no answer is older than what was acknowledged before it was asked for."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from tests.consistency.history import Op, Poll, Rest
from tests.consistency.rules.base import Finding, Rule


class Highest:
    """The highest version that was acknowledged by some time; added in the order of times."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._versions: list[int] = []

    def add(self, time: float, version: int) -> None:
        """Take note of a version, acknowledged at a time not before the last one."""
        if not self._versions or version > self._versions[-1]:
            self._times.append(time)
            self._versions.append(version)

    def before(self, time: float) -> int:
        """Return the highest version acknowledged before a time, 0 if there is none."""
        at = bisect_left(self._times, time)
        return self._versions[at - 1] if at else 0


class Order(Rule):
    """S3: a write gets a version above all that were acknowledged before it began. S10: nor is a list older.

    C9: nothing comes back that was there before its collection was deleted.
    """

    def __init__(self) -> None:
        self._lists: defaultdict[str, Highest] = defaultdict(Highest)
        self._dropped: defaultdict[str, Highest] = defaultdict(Highest)

    def op(self, op: Op) -> Iterable[Finding]:
        """Judge the version of a write; that of what is read in a collection that was made again."""
        if op.kind == "drop" and op.is_done:
            self._dropped[op.list].add(op.end, self._lists[op.list].before(op.start))
        if op.kind == "get" and op.is_done and op.version <= self._dropped[op.list].before(op.start):
            yield Finding("C9", f"{op.version} of {op.list}/{op.id} was read after its collection was deleted: {op}")
        if not op.is_write:
            return
        before = self._lists[op.list].before(op.start)
        if op.version <= before:
            yield Finding("S3", f"{op.version} of {op.list}/{op.id}, begun after {before} was acknowledged: {op}")
        self._lists[op.list].add(op.end, op.version)

    def poll(self, poll: Poll) -> Iterable[Finding]:
        """Judge the ETag, or the one that a 304 confirms."""
        etag = poll.etags[0] if poll.etags else poll.cursor
        before = self._lists[poll.list].before(poll.start)
        if (poll.etags or poll.status == 304) and etag < before:
            answer = "a 304 for" if poll.status == 304 else "the ETag"
            yield Finding("S10", f"{answer} {etag} of {poll.list} to {poll.poller}, {before} was acknowledged before")

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Judge what there is in a collection that was made again."""
        before = self._dropped[rest.list].before(rest.end)
        for each in rest.objects:
            if each.token and each.version <= before:
                yield Finding("C9", f"{each} of {rest.list} has outlived its collection, deleted after {before}")
