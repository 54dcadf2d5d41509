"""Objects in one database, permissions in another: as older installations have it.

A unit of work has a unit in each, and no commit covers both. Permissions are committed first: what is deleted has
lost its ACL before it is gone, and a unit that meets others in its way can still be done again. When the objects'
commit then fails, the ACLs are ahead of the objects, until the request is sent again; docs/backends.md says what that
means. In one database none of this can happen.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType

from kobako.databases.base import Database, Unit
from kobako.storage.base import Place


class SplitDatabase:
    """Two databases as one: the objects of the first, the permissions of the second."""

    def __init__(self, objects: Database, permissions: Database) -> None:
        self._objects = objects
        self._permissions = permissions

    async def open(self) -> None:
        """Connect to both. Raises UnfitDatabase."""
        await self._objects.open()
        await self._permissions.open()

    async def close(self) -> None:
        """Let go of both."""
        try:
            await self._permissions.close()
        finally:
            await self._objects.close()

    def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> "SplitUnit":
        """Begin a unit of work in both."""
        return SplitUnit(self._objects.begin(lists, emptied), self._permissions.begin(lists, emptied))

    async def migrate(self) -> list[str]:
        """Create or update both schemas."""
        return [*await self._objects.migrate(), *await self._permissions.migrate()]

    async def flush(self) -> None:
        """Remove everything, permissions first: nobody is left with rights on what comes later."""
        await self._permissions.flush()
        await self._objects.flush()

    async def check(self) -> bool:
        """Tell whether both answer."""
        return await self._objects.check() and await self._permissions.check()


class SplitUnit:
    """A unit of work in two databases: the one of the permissions begins last, and is committed first."""

    __slots__ = ("_begun", "_objects", "_permissions", "_units", "permission", "storage")

    def __init__(
        self, objects: AbstractAsyncContextManager[Unit], permissions: AbstractAsyncContextManager[Unit]
    ) -> None:
        self._begun = AsyncExitStack()
        self._objects = objects
        self._permissions = permissions

    async def __aenter__(self) -> "SplitUnit":
        async with AsyncExitStack() as begun:
            self._units = [await begun.enter_async_context(each) for each in (self._objects, self._permissions)]
            self._begun = begun.pop_all()
        objects, permissions = self._units
        self.storage, self.permission = objects.storage, permissions.permission
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._begun.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what was done inside, in both, when an exception leaves it."""
        objects, permissions = self._units
        async with objects.savepoint(), permissions.savepoint():
            yield
