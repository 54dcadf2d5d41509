"""At rest: what was acknowledged is there, arrays have grown by every element, and batches are whole."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.consistency.history import Op, Poll, Rest
from tests.consistency.rules.base import Finding, Rule
from tests.consistency.world import STABLE, is_log


class Kept(Rule):
    """C25: an acknowledged write is there after all faults, or one above it is."""

    def __init__(self) -> None:
        self._latest: defaultdict[str, dict[str, Op]] = defaultdict(dict)

    def op(self, op: Op) -> Iterable[Finding]:
        """Keep the highest version that was acknowledged of each object."""
        known = self._latest[op.list].get(op.id)
        if op.is_write and (known is None or known.version < op.version):
            self._latest[op.list][op.id] = op
        return ()

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Look for each of them."""
        found = {each.id: each for each in rest.objects}
        for id, op in self._latest[rest.list].items():
            if id not in found or found[id].version < op.version:
                yield Finding("C25", f"at rest {rest.list}/{id} is {found.get(id)}, {op} was acknowledged")


class Appends(Rule):
    """C5: each acknowledged element is there once, an unknown one at most once; whoever looked, saw a beginning."""

    def __init__(self) -> None:
        self._acknowledged: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._unknown: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._lengths: defaultdict[tuple[str, str], set[tuple[int, str]]] = defaultdict(set)

    def op(self, op: Op) -> Iterable[Finding]:
        """Take note of an append."""
        if op.kind == "append" and op.is_done:
            self._acknowledged[op.list, op.id].add(op.token)
            self._lengths[op.list, op.id].add((op.count, op.token))
        elif op.kind == "append" and op.is_unknown:
            self._unknown[op.list, op.id].add(op.token)
        return ()

    def poll(self, poll: Poll) -> Iterable[Finding]:
        """Take note of how long an array was, and its last element."""
        for each in poll.changes:
            if each.count and is_log(each.id):
                self._lengths[poll.list, each.id].add((each.count, each.token))
        return ()

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Judge each array."""
        for key in [key for key in self._acknowledged if key[0] == rest.list]:
            yield from self._judged(key, rest.arrays.get(key[1], []))

    def _judged(self, key: tuple[str, str], array: list[str]) -> Iterable[Finding]:
        acknowledged, name = self._acknowledged[key], "/".join(key)
        for element, count in Counter(array).items():
            if count > 1:
                yield Finding("C5", f"{name} has {element} {count} times")
            elif element not in acknowledged and element not in self._unknown[key]:
                yield Finding("C5", f"{name} has {element}, which nobody has appended")
        for element in sorted(acknowledged.difference(array)):
            yield Finding("C5", f"{name} has lost {element}")
        for length, last in sorted(self._lengths[key]):
            if array[length - 1 : length] != [last]:
                yield Finding(
                    "C5", f"{name} had {length} elements up to {last}; at rest this one is {array[length - 1 : length]}"
                )


class Batches(Rule):
    """C13: both halves of a pair are of the same batch: the last one acknowledged, or one that came after it."""

    def __init__(self) -> None:
        self._halves: dict[str, dict[str, str]] = {}
        self._possible: defaultdict[str, set[str]] = defaultdict(set)

    def op(self, op: Op) -> Iterable[Finding]:
        """Take note of which batch may be the last one of a pair: only one writer writes it, one batch at a time."""
        if op.batch and op.id.startswith("pair-"):
            if op.is_done:
                self._possible[op.id] = {op.token}
            elif op.is_unknown:
                self._possible[op.id] |= {op.token}
        return ()

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Compare the halves, once both lists were seen."""
        if rest.list in STABLE:
            self._halves[rest.list] = {each.id: each.token for each in rest.objects if each.id.startswith("pair-")}
        if set(self._halves) != set(STABLE):
            return
        one, other = self._halves.pop("a"), self._halves.pop("b")
        for id in sorted({*one, *other}):
            tokens = {one.get(id), other.get(id)}
            if len(tokens) > 1:
                yield Finding("C13", f"half a batch: {id} is of {one.get(id)} in a, of {other.get(id)} in b")
            elif not tokens <= self._possible[id]:
                yield Finding("C25", f"{id} is of {one[id]}, it should be of {sorted(self._possible[id])}")
