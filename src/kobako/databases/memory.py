"""The database in memory: for tests, and for servers of one process that may forget everything at their end.

One lock serves every unit of work, readers included. Nobody sees a unit half done, or one that is undone
later, since nobody else runs meanwhile; and a reader sees one state all along, since nobody writes meanwhile.
Keeping versions of everything would let readers go on during a write; but a unit takes microseconds here.

Source: reliability, 4.6.
"""

import asyncio
from collections.abc import Collection
from types import TracebackType

from kobako.databases.base import Clock
from kobako.databases.journal import Journal, JournalSavepoint
from kobako.permission.memory import MemoryPermission
from kobako.storage.base import Place
from kobako.storage.memory import MemoryStorage


class MemoryDatabase:
    """Objects and permissions of one process, in dicts. Nobody else sees them: one worker, or none."""

    def __init__(self, clock: Clock) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[object] | None = None
        self.journal = Journal()
        self.storage = MemoryStorage(self.journal, clock)
        self.permission = MemoryPermission(self.journal)

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Wait for the unit of work that is running."""
        async with self._lock:
            pass

    def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> "MemoryUnit":
        """Begin a unit of work; which lists it writes plays no part, it has them all."""
        return MemoryUnit(self)

    async def migrate(self) -> list[str]:
        """There is no schema: nothing is ever done."""
        return []

    async def flush(self) -> None:
        """Remove everything, once nobody is at work."""
        async with self._lock:
            self.storage.clear()
            self.permission.clear()

    async def check(self) -> bool:
        """A process that answers has its memory. Waits for nobody."""
        return True

    async def acquire(self) -> None:
        """Wait until nobody is at work, in the order of arrival."""
        task = asyncio.current_task()
        if task is not None and task is self._owner:
            # Better than to wait for oneself for ever.
            raise RuntimeError("a unit of work was begun inside another one of the same task")
        await self._lock.acquire()
        self._owner = task

    def release(self) -> None:
        """Let the next one work."""
        self._owner = None
        self._lock.release()


class MemoryUnit:
    """One unit of work: everything is its own, from its begin to its end."""

    __slots__ = ("_database", "permission", "storage")

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self.storage = database.storage
        self.permission = database.permission

    async def __aenter__(self) -> "MemoryUnit":
        await self._database.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        journal = self._database.journal
        if kind is None:
            journal.clear()
        else:
            journal.undo()
        self._database.release()

    def savepoint(self) -> JournalSavepoint:
        """Return a part of this unit that can fail alone."""
        return JournalSavepoint(self._database.journal)
