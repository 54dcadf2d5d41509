"""The contract of databases: units of work. What storage and permission backends on one database share.

A unit of work is all or nothing, and isolated: what it reads does not change under it, what it writes is seen by
others from its commit on and never before. Units that write the same list wait for each other; versions of a list
therefore grow in the order of commits, and a client that polls misses nothing (reliability, 4.1).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from kobako.permission.base import Permission
from kobako.protocol.selection import Selection
from kobako.storage.base import ListState, Place, Storage

PAUSES_S = (0.02, 0.04, 0.08)
"""What is waited before each further attempt, less a random part, so that two do not meet again (C15)."""

LISTS_AT_ONCE = 1000
"""How many lists are asked for at once where all are gone through."""

Clock = Callable[[], int]
"""Returns the time, in milliseconds since the epoch. Handed in, so that tests can set it back."""


class BackendUnavailable(Exception):
    """The database does not answer, is locked for too long, or is full. Nothing of the unit of work was kept.

    The one exception: when the commit itself was cut off, the unit may have been kept, whole.
    """


class TryAgain(BackendUnavailable):
    """The unit met others in its way (a version that changed, a deadlock). Nothing was kept; again, it may succeed."""


class PutAside(Exception):
    """Work that takes its time was met in a unit of work, and needs none of its locks. Nothing was kept.

    It is done outside, its result kept in `results`, and the unit begins anew.
    """

    def __init__(self, key: Hashable, work: Callable[[], Awaitable[Any]], results: dict[Hashable, Any]) -> None:
        super().__init__("work is put aside, and the unit begins anew")
        self._key, self._work, self._results = key, work, results

    async def do(self) -> None:
        """Do the work, and keep its result."""
        self._results[self._key] = await self._work()


class NotForeseen(Exception):
    """A unit that was begun to answer what was foreseen was asked for something else, or it was not to stay so.

    Nothing was kept: begin one that answers all.
    """


class Outdated(NotForeseen):
    """A unit that had its answers from what was known before did not end in a write that says that they are true.

    Nothing was kept: begin the same anew (`Foreseen.is_anew`), which asks.
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

    def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> AbstractAsyncContextManager[Unit]:
        """Begin a unit of work: it commits on a clean exit, and else undoes all.

        `lists` are those it will write: they are locked before anything is read, to the commit, so what the unit
        reads stays true; with them, the lists under each URI of `emptied`, objects that may be deleted. Without lists
        the unit only reads. The exit returns after the commit: whoever answers a client after it answers for
        something durable. Raises BackendUnavailable, on entry and on exit, and TryAgain at any step: see `attempts`.
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


class Sought(NamedTuple):
    """An object, and its URI: that of its ACL."""

    place: Place
    id: str
    uri: str


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit is likely to ask: if `is_all`, likely nothing else.

    The groups of `user`, what these and the `principals` are granted on `uris`, `objects` with their ACLs, and the
    timestamp of a list, with a `selection` of its objects, if it is one that is found at once; it is not read for who
    is granted nothing on the `uris`. `with_version`: what is read is asked for the version it is of, too: that of
    everything, or of what `concerns` the lists below an object. `is_anew`: it is asked, whatever is known of before.
    """

    user: str | None
    principals: frozenset[str]
    uris: tuple[str, ...] = ()
    objects: tuple[Sought, ...] = ()
    place: Place | None = None
    selection: Selection | None = None
    is_all: bool = False
    with_version: bool = False
    concerns: str | None = None
    is_anew: bool = False


@runtime_checkable
class NearDatabase(Database, Protocol):
    """A database that can tell in next to no time whether it is as it was."""

    def version(self) -> Hashable:
        """Return what differs once anything was committed, by whomever, in any process. Raises BackendUnavailable."""
        ...

    def version_of(self, parent: str) -> Hashable:
        """Return what differs once something was committed that concerns the lists below an object, as far as known:
        their objects and ACLs, what they are in, and memberships. `parent` is as in a Place.

        It is as of when `version` was asked last, so this is asked before.
        """
        ...


@runtime_checkable
class FarDatabase(Database, Protocol):
    """A database that questions travel to: it answers several at once."""

    def foresee(
        self, asked: Foreseen, lists: Collection[Place] = (), emptied: Collection[str] = ()
    ) -> AbstractAsyncContextManager[Unit]:
        """Begin a unit of work as `begin` does, which has the answers to what is foreseen when it begins.

        Where this is all, it may raise NotForeseen: for anything else, and where it writes, at its exit if what it was
        told has changed, or (Outdated) if nobody knows whether it has. Nothing of it is kept then.
        """
        ...

    def ask_version(self, parent: str | None = None) -> "asyncio.Future[Hashable]":
        """Ask for what differs once anything was committed, by whomever: it costs a journey, less than any question.

        With a parent, once anything was that concerns the lists below that object: their objects and ACLs, what they
        are in, and memberships.

        A unit that had all it read from that has it as its `version`, where it was to be asked for with what was
        foreseen, and where anybody can tell. Raises BackendUnavailable.
        """
        ...


class Attempt:
    """One go at a piece of work: TryAgain, raised inside, is swallowed after a pause, unless it is the last.

    So is PutAside, any number of times, once its work is done.
    """

    def __init__(self, pause_s: float | None) -> None:
        self._pause_s = pause_s
        self.is_done = False
        self.was_put_aside = False

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.is_done = kind is None
        self.was_put_aside = isinstance(error, PutAside)
        if isinstance(error, PutAside):
            await error.do()
            return True
        if kind is None or self._pause_s is None or not issubclass(kind, TryAgain):
            return False
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1))
        return True


async def every_list(database: Database) -> AsyncIterator[ListState]:
    """Yield all lists that were ever opened, as they are when their turn comes."""
    last: Place | None = None
    while True:
        async with database.begin() as unit:
            found = await unit.storage.states(last, LISTS_AT_ONCE)
        for each in found:
            yield each
        if len(found) < LISTS_AT_ONCE:
            return
        last = found[-1].place


def attempts() -> Iterator[Attempt]:
    """Return the goes at a piece of work that begins units of its own, until one is done:

    for attempt in attempts():
        async with attempt, database.begin(lists) as unit:
            ...
    """
    for pause_s in (*PAUSES_S, None):
        attempt = Attempt(pause_s)
        yield attempt
        while attempt.was_put_aside:
            attempt = Attempt(pause_s)
            yield attempt
        if attempt.is_done:
            return
