"""The contract of databases: units of work. What storage and permission backends on one database share.

A unit of work is all or nothing, and isolated: what it reads does not change under it, what it writes is seen by
others from its commit on and never before. Units that write the same list wait for each other; versions of a list
therefore grow in the order of commits, and a client that polls misses nothing (reliability, 4.1).
"""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from kobako.permission.base import Permission
from kobako.storage.base import Place, Storage

Clock = Callable[[], int]
"""Returns the time, in milliseconds since the epoch. Handed in, so that tests can set it back."""


class BackendUnavailable(Exception):
    """The database does not answer, is locked for too long, or is full. Nothing of the unit of work was kept.

    The one exception: when the commit itself was cut off, the unit may have been kept, whole.
    """


class UnfitDatabase(Exception):
    """The database cannot be served as it is: too old, in an unsafe place, of another version. Says which and why."""


class Unit(Protocol):
    """One unit of work, between its begin and its commit."""

    @property
    def storage(self) -> Storage:
        """The objects."""
        ...

    @property
    def permission(self) -> Permission:
        """The ACLs and memberships."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undo what was done inside when an exception leaves it, and let the exception through. May be nested."""
        ...


class Database(Protocol):
    """Storage and permissions in one place, opened once for a process."""

    async def open(self) -> None:
        """Connect. Raises UnfitDatabase."""
        ...

    async def close(self) -> None:
        """Finish what is running, and let go of files and connections."""
        ...

    def begin(self, lists: Collection[Place] = ()) -> AbstractAsyncContextManager[Unit]:
        """Begin a unit of work: it commits on a clean exit, and else undoes all.

        `lists` are those it will write: they are locked before anything is read, to the commit, so what the unit
        reads stays true. Without them the unit only reads. The exit returns after the commit: whoever answers a
        client after it answers for something durable. Raises BackendUnavailable, on entry and on exit.
        """
        ...

    async def migrate(self) -> list[str]:
        """Create the schema or bring it up to date; return what was done, in words. Idempotent."""
        ...

    async def flush(self) -> None:
        """Remove everything: objects, tombstones, lists, ACLs, memberships. The epoch moves above all timestamps."""
        ...

    async def check(self) -> bool:
        """Tell whether the database answers (heartbeat). Shows in no list, count or timestamp."""
        ...
