"""A version stands for one write of one object, a write has one version, and what was refused has none."""

from collections.abc import Iterable

from tests.consistency.history import Op, Poll, Rest, Seen
from tests.consistency.rules.base import Finding, Rule


class Versions(Rule):
    """S5: no version twice. C16: no write twice. C11: nothing is kept of what was refused; P18: of an intruder."""

    def __init__(self) -> None:
        self._writes: dict[tuple[str, int], tuple[str, str]] = {}
        self._tokens: dict[tuple[str, str, str], int] = {}
        self._refused: dict[tuple[str, str, str], str] = {}

    def op(self, op: Op) -> Iterable[Finding]:
        """Take note of what a write was told, or of its refusal."""
        if op.is_write:
            yield from self._see(op.list, Seen(op.id, op.version, op.token))
        elif op.is_refused and op.token:
            key = (op.list, op.id, op.token)
            self._refused[key] = case = "P18" if op.kind == "intrude" else "C11"
            if key in self._tokens:
                yield _kept(case, key, self._tokens[key])

    def poll(self, poll: Poll) -> Iterable[Finding]:
        """Judge every object that a poller was shown."""
        for seen in poll.changes:
            yield from self._see(poll.list, seen)

    def rest(self, rest: Rest) -> Iterable[Finding]:
        """Judge every object that there is."""
        for seen in rest.objects:
            yield from self._see(rest.list, seen)

    def _see(self, place: str, seen: Seen) -> Iterable[Finding]:
        write = (seen.id, seen.token)
        known = self._writes.setdefault((place, seen.version), write)
        if known != write:
            yield Finding("S5", f"version {seen.version} of {place} is {known[0]} by {known[1]}, and {seen}")
        if not seen.token:
            return
        key = (place, *write)
        version = self._tokens.setdefault(key, seen.version)
        if version != seen.version:
            yield Finding(
                "C16", f"the write {seen.token} of {place}/{seen.id} has the versions {version}, {seen.version}"
            )
        if key in self._refused:
            yield _kept(self._refused[key], key, seen.version)


def _kept(case: str, key: tuple[str, str, str], version: int) -> Finding:
    return Finding(case, f"{key[2]} was refused, and is in {key[0]}/{key[1]} as version {version}")
