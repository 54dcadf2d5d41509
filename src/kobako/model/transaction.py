"""Transaction: storage, permissions and events of one unit of work, handed down as a value.

Source: objects, 20.2; design, "The walk of a request".
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Set
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database, FarDatabase, Foreseen, NearDatabase, PutAside, Unit
from kobako.model.events import EventLog
from kobako.model.inheritance import Action
from kobako.model.resource import Resources, Target
from kobako.permission.base import Permission
from kobako.storage.base import Place, Storage

if TYPE_CHECKING:
    from kobako.model.access import Caller

SettingsGrants = Callable[[str, frozenset[str]], Set[Action]]
"""(kind of object, principals) -> what the settings let these principals do to all objects of that kind."""

Permit = tuple[Literal["object", "list"], Action]
"""What may be done to what a request points at: to the object, or to the list that it is in."""

Authorize = Callable[["Caller", Target, Set[Permit]], Awaitable[Set[Permit]]]
"""(who asks, target, what our own rules permit) -> what is permitted, by rules of somebody else's."""

T = TypeVar("T")

_log = logging.getLogger("kobako.transactions")


class Transaction:
    """One unit of work. What is done through it is committed as a whole, or not at all."""

    __slots__ = (
        "_results",
        "_unit",
        "backends",
        "events",
        "groups",
        "implied",
        "now",
        "permission",
        "storage",
        "version",
        "when_committed",
        "when_undone",
    )

    def __init__(self, backends: "Backends", unit: Unit, results: dict[Hashable, Any] | None = None):
        self.backends = backends
        self._unit = unit
        self._results = results
        self.storage: Storage = unit.storage
        self.permission: Permission = unit.permission
        self.events = EventLog()
        self.now = backends.clock()
        # That of all that is read, or of what concerns its list, where a far database was to tell.
        self.version: Hashable = getattr(unit, "version", None)
        # Principals are read once for a request, or a whole batch (section 4.4).
        self.groups: dict[str, frozenset[str]] = {}
        # What requests imply is looked for once, too (`http/implied.py`): the URIs of what is there.
        self.implied: set[str] = set()
        # What puts right, outside of the database, what was done there for a unit or part that is undone.
        self.when_undone: list[Callable[[], Awaitable[None]]] = []
        # What is done outside of the database once all is committed, and not before.
        self.when_committed: list[Callable[[], Awaitable[None]]] = []

    @property
    def resources(self) -> Resources:
        """The resources of the app."""
        return self.backends.resources

    def settings_grants(self, resource: str, principals: frozenset[str]) -> Set[Action]:
        """Return what the settings let these principals do to every object of a kind."""
        return self.backends.settings_grants(resource, principals)

    async def groups_of(self, user: str) -> frozenset[str]:
        """Return the principals a user was given, as they were when first asked for."""
        if user not in self.groups:
            self.groups[user] = await self.permission.groups(user)
        return self.groups[user]

    async def aside(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of work that takes its time: in a request it is done while no list is locked.

        For that, the transaction of a request is undone, the work is done, and the request is served anew; then the
        result is there. So the work must not depend on what was read, but for what `key` has of it.
        """
        if self._results is None:
            return await work()
        if key not in self._results:
            raise PutAside(key, work, self._results)
        found: T = self._results[key]
        return found

    async def put_right(self, mark: int = 0) -> None:
        """Run what was noted for the case of being undone, since `mark`: the latest first."""
        while len(self.when_undone) > mark:
            try:
                await self.when_undone.pop()()
            except Exception:
                # What undoes the unit is what the caller has to learn.
                _log.exception("What was done outside of the database could not be put right")

    async def follow_up(self) -> None:
        """Run what was noted for the time after the commit. It is too late to refuse: failures are logged."""
        for each in self.when_committed:
            try:
                await each()
            except Exception:
                _log.exception("What follows a commit outside of the database failed")

    def part(self) -> "Part":
        """Undo what is done inside, events too, when an exception leaves it."""
        return Part(self, self._unit)


class Part:
    """A part of a transaction that may fail alone."""

    def __init__(self, tx: Transaction, unit: Unit):
        self._tx = tx
        self._savepoint = unit.savepoint()

    async def __aenter__(self) -> None:
        self._mark, self._undone_mark = self._tx.events.mark(), len(self._tx.when_undone)
        self._committed_mark = len(self._tx.when_committed)
        await self._savepoint.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._tx.events.rewind(self._mark)
            del self._tx.when_committed[self._committed_mark :]
        await self._savepoint.__aexit__(kind, error, trace)
        if error is not None:
            await self._tx.put_right(self._undone_mark)


class Backends:
    """The database and the cache of one app, and how a transaction on them begins."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        resources: Resources,
        settings_grants: SettingsGrants,
        clock: Clock,
        authorize: Authorize | None = None,
    ):
        self.database = database
        self._near = database if isinstance(database, NearDatabase) else None
        self._far = database if isinstance(database, FarDatabase) else None
        self.cache = cache
        self.resources = resources
        self.settings_grants = settings_grants
        self.clock = clock
        self.authorize = authorize

    @property
    def are_near(self) -> bool:
        """Whether the version can be told."""
        return self._near is not None

    @property
    def are_far(self) -> bool:
        """Whether it is worth to foresee what a transaction reads."""
        return self._far is not None

    def version(self) -> Hashable:
        """Return what differs once anything was committed to the database, by whomever; None where that is not known.

        What was read after it holds as long as it is the same. Raises BackendUnavailable.
        """
        return self._near.version() if self._near else None

    def version_of(self, target: Target) -> Hashable:
        """Return what differs once something was committed that concerns a list: what is in it and around it, their
        ACLs, who is in which group. As of when `version` was asked last, so that is asked before.
        """
        if self._near is None:
            return None
        parent = self.concern(target)
        return self._near.version() if parent is None else self._near.version_of(parent)

    def concern(self, target: Target) -> str | None:
        """Return the object whose lists an answer about a target is about; None for what may be about everything."""
        return target.place.parent if target.resource.name in self.resources else None

    def ask_version(self, target: Target) -> "asyncio.Future[Hashable]":
        """Ask a far database for the version of what concerns a list. Raises BackendUnavailable, awaited as well."""
        assert self._far is not None
        return self._far.ask_version(self.concern(target))

    def begin(
        self,
        lists: Collection[Place] = (),
        emptied: Collection[str] = (),
        results: dict[Hashable, Any] | None = None,
        foreseen: Foreseen | None = None,
    ) -> "Beginning":
        """Begin a transaction that writes these lists and may delete these objects, or one that only reads.

        `results` are those of work that earlier attempts put aside; without them nothing is put aside. Where all of
        it is `foreseen`, NotForeseen may be raised for anything else, or at the end: see the contract.
        """
        if foreseen and self._far:
            return Beginning(self, self._far.foresee(foreseen, lists, emptied), results)
        return Beginning(self, self.database.begin(lists, emptied), results)


class Beginning:
    """What `async with backends.begin()` enters."""

    __slots__ = ("_backends", "_results", "_tx", "_unit")

    def __init__(
        self, backends: Backends, unit: AbstractAsyncContextManager[Unit], results: dict[Hashable, Any] | None
    ):
        self._backends = backends
        self._unit = unit
        self._results = results

    async def __aenter__(self) -> Transaction:
        self._tx = Transaction(self._backends, await self._unit.__aenter__(), self._results)
        return self._tx

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_kept = False
        try:
            await self._unit.__aexit__(kind, error, trace)
            is_kept = kind is None
        finally:
            if not is_kept:
                await self._tx.put_right()
        if is_kept and self._tx.when_committed:
            await self._tx.follow_up()
