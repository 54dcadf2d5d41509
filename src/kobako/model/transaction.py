"""Transaction: storage, permissions and events of one unit of work, handed down as a value.

Source: objects, 20.2; design, "The walk of a request".
"""

from collections.abc import Callable, Collection, Set
from types import TracebackType

from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database, Unit
from kobako.model.events import EventLog
from kobako.model.inheritance import Action
from kobako.model.resource import Resources
from kobako.permission.base import Permission
from kobako.storage.base import Place, Storage

SettingsGrants = Callable[[str, frozenset[str]], Set[Action]]
"""(kind of object, principals) -> what the settings let these principals do to all objects of that kind."""


class Transaction:
    """One unit of work. What is done through it is committed as a whole, or not at all."""

    __slots__ = ("_unit", "backends", "events", "groups", "now", "permission", "storage")

    def __init__(self, backends: "Backends", unit: Unit):
        self.backends = backends
        self._unit = unit
        self.storage: Storage = unit.storage
        self.permission: Permission = unit.permission
        self.events = EventLog()
        self.now = backends.clock()
        # Principals are read once for a request, or a whole batch (section 4.4).
        self.groups: dict[str, frozenset[str]] = {}

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

    def part(self) -> "Part":
        """Undo what is done inside, events too, when an exception leaves it."""
        return Part(self, self._unit)


class Part:
    """A part of a transaction that may fail alone."""

    def __init__(self, tx: Transaction, unit: Unit):
        self._events = tx.events
        self._savepoint = unit.savepoint()

    async def __aenter__(self) -> None:
        self._mark = self._events.mark()
        await self._savepoint.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._events.rewind(self._mark)
        await self._savepoint.__aexit__(kind, error, trace)


class Backends:
    """The database and the cache of one app, and how a transaction on them begins."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        resources: Resources,
        settings_grants: SettingsGrants,
        clock: Clock,
    ):
        self.database = database
        self.cache = cache
        self.resources = resources
        self.settings_grants = settings_grants
        self.clock = clock

    def begin(self, lists: Collection[Place] = ()) -> "Beginning":
        """Begin a transaction that writes these lists, or one that only reads."""
        return Beginning(self, lists)


class Beginning:
    """What `async with backends.begin()` enters."""

    __slots__ = ("_backends", "_unit")

    def __init__(self, backends: Backends, lists: Collection[Place]):
        self._backends = backends
        self._unit = backends.database.begin(lists)

    async def __aenter__(self) -> Transaction:
        return Transaction(self._backends, await self._unit.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._unit.__aexit__(kind, error, trace)
