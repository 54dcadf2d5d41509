"""The undo log of what is kept in dicts: all of the memory backend, and the changes of a unit of work on Redis.

A unit of work, or a savepoint in it, notes how long the journal is, and undoes what came later when it fails.
The values in the dicts are never changed in place, so what a key had before is all there is to remember.
"""

from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final = object()


class Journal:
    """What keys had before they were changed, oldest first."""

    def __init__(self) -> None:
        self._before: list[tuple[dict[Any, Any], Any, Any]] = []

    def __len__(self) -> int:
        return len(self._before)

    def set(self, where: dict[K, V], key: K, value: V) -> None:
        """Set a key of a dict, to be undone later perhaps."""
        self._before.append((where, key, where.get(key, _ABSENT)))
        where[key] = value

    def remove(self, where: dict[K, V], key: K) -> None:
        """Remove a key of a dict if it is there, likewise."""
        if key in where:
            self._before.append((where, key, where.pop(key)))

    def undo(self, length: int = 0) -> None:
        """Undo the latest changes, until the journal is as long as it was."""
        while len(self._before) > length:
            where, key, value = self._before.pop()
            if value is _ABSENT:
                del where[key]
            else:
                where[key] = value

    def clear(self) -> None:
        """Forget what was: the changes are there to stay."""
        self._before.clear()


class JournalSavepoint:
    """A part of a unit of work: what it changed is undone when an exception leaves it."""

    __slots__ = ("_journal", "_length")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._length = 0

    async def __aenter__(self) -> None:
        self._length = len(self._journal)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._journal.undo(self._length)
