"""What changed in a unit of work: recorded as it happens, told before the commit and after it.

Source: HTTP API, 14; objects, 20.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from kobako.storage.base import Place, Stored

Action = Literal["create", "update", "delete"]


class Change(msgspec.Struct, frozen=True):
    """One object, before and after: `old` is None for a new one, `new` is the tombstone of a deleted one."""

    old: Stored | None
    new: Stored

    @property
    def action(self) -> Action:
        """What happened to the object."""
        if self.new.deleted:
            return "delete"
        return "update" if self.old else "create"


class ObjectsChanged(msgspec.Struct, frozen=True):
    """Objects of one list that were created, updated or deleted; the first operation tells where and by whom."""

    place: Place
    action: Action
    uri: str
    user: str | None
    changes: Sequence[Change]


class EventLog:
    """The changes of a unit of work, in their order. What a savepoint undoes is forgotten.

    They are told in rounds: what those who are told write themselves makes the next one. `told` are all of them.
    """

    def __init__(self) -> None:
        self._entries: list[ObjectsChanged] = []
        self.told: list[ObjectsChanged] = []

    def record(self, place: Place, uri: str, user: str | None, changes: Sequence[Change]) -> None:
        """Add changes that one operation made; all are of one action."""
        if changes:
            self._entries.append(ObjectsChanged(place, changes[0].action, uri, user, changes))

    def mark(self) -> int:
        """Return where the log stands, for `rewind`."""
        return len(self._entries)

    def rewind(self, mark: int) -> None:
        """Forget what was recorded since the mark."""
        del self._entries[mark:]

    def take(self) -> list[ObjectsChanged]:
        """Return the events of the next round: what was recorded since the last one, merged."""
        events = merged(self._entries)
        self._entries.clear()
        self.told += events
        return events


def merged(entries: Iterable[ObjectsChanged]) -> list[ObjectsChanged]:
    """Return one event for each list and action, in the order of their first operations."""
    groups: dict[tuple[Place, Action], list[ObjectsChanged]] = {}
    for entry in entries:
        groups.setdefault((entry.place, entry.action), []).append(entry)
    return [
        msgspec.structs.replace(group[0], changes=[change for entry in group for change in entry.changes])
        for group in groups.values()
    ]
