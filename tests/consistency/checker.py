"""The checker: every rule over every event, as it comes or from a file."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.consistency import history
from tests.consistency.history import Event, Fault, Op, Poll, Rest
from tests.consistency.rules.answers import Answers
from tests.consistency.rules.base import Finding, Rule
from tests.consistency.rules.lasting import Appends, Batches, Kept
from tests.consistency.rules.order import Order
from tests.consistency.rules.registers import Registers
from tests.consistency.rules.replicas import Replicas
from tests.consistency.rules.versions import Versions

MOST_FINDINGS = 20
"""Of a case: one defect may show in each event after it."""


class Checker:
    """Collects what the rules find."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._counts: Counter[str] = Counter()
        self._rules: list[Rule] = [
            Answers(),
            Versions(),
            Order(),
            Replicas(),
            Registers(),
            Kept(),
            Appends(),
            Batches(),
        ]

    def see(self, event: Event) -> None:
        """Judge an event."""
        for rule in self._rules:
            match event:
                case Op():
                    self._add(rule.op(event))
                case Poll():
                    self._add(rule.poll(event))
                case Fault():
                    self._add(rule.fault(event))
                case Rest():
                    self._add(rule.rest(event))

    def finish(self) -> list[Finding]:
        """Judge the whole; return all findings."""
        for rule in self._rules:
            self._add(rule.finish())
        return self.findings

    def _add(self, found: Iterable[Finding]) -> None:
        # Rules are generators: they go on to the end, findings or not.
        for each in found:
            self._counts[each.case] += 1
            if self._counts[each.case] <= MOST_FINDINGS:
                self.findings.append(each)


def check(events: Iterable[Event]) -> list[Finding]:
    """Judge a history."""
    checker = Checker()
    for event in events:
        checker.see(event)
    return checker.finish()


def check_file(path: Path) -> list[Finding]:
    """Judge a history that was kept."""
    return check(history.read(path))
