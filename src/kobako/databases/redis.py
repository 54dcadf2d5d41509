"""Redis or Valkey: any number of processes on one server, everything in its memory.

A unit of work reads as it goes and writes nothing; at its end one script checks that all it has read is still so, and
applies all of its writes, or else none. Redis runs one script at a time, so units come one after the other, as of
their commits: nothing is half seen, no change is missed, no update lost. Units that write the same list take turns,
so that they do not undo each other; see `redis_leases.py`.

Source: reliability, 4.6.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from kobako.databases import redis_fitness
from kobako.databases.base import BackendUnavailable, Clock, TryAgain, UnfitDatabase
from kobako.databases.journal import JournalSavepoint
from kobako.databases.redis_keys import Command, Keys, below, list_name, of
from kobako.databases.redis_leases import Leases
from kobako.databases.redis_scripts import FLUSH
from kobako.databases.redis_server import Server, masked
from kobako.databases.redis_session import Session
from kobako.permission.redis import RedisPermission
from kobako.storage.base import Place
from kobako.storage.redis import RedisStorage

LAYOUT = "1"
"""The version of what is kept under which key."""

_log = logging.getLogger("kobako.redis")


class RedisDatabase:
    """Objects and permissions on one server.

    `url`: `redis://`, `rediss://` (TLS) or `unix://`. `prefix` tells several databases on one server apart.
    `connections`: at most so many, of this process. `wait_s`: how long a unit waits for its turn to write.
    """

    def __init__(
        self, url: str, clock: Clock, *, prefix: str = "", connections: int = 20, wait_s: float = 10.0
    ) -> None:
        self._url = url
        self._clock = clock
        self._connections = connections
        self._wait_s = wait_s
        self.prefix = prefix
        self.keys = Keys(prefix)
        self.server: Server | None = None
        self._epoch: Command = ("HGET", self.keys.meta, "epoch")
        self._is_ready = False
        self._preparing = asyncio.Lock()
        # What the last unit of a task had read when it met others: its next attempt takes its turn on these lists.
        self._contended: WeakKeyDictionary[asyncio.Task[object], set[str]] = WeakKeyDictionary()

    async def open(self) -> None:
        """Connect. A server that does not answer yet is waited for, unit by unit. Raises UnfitDatabase.

        An empty database needs no migration: the first to open it makes it one.
        """
        if self.server:
            return
        self.server = Server(self._url, self._connections)
        self.leases = Leases(self.server, self.keys, self._wait_s)
        try:
            await self._prepare()
        except BackendUnavailable as error:
            _log.warning("%s. Requests are answered with 503 until it does", error)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connections."""
        server, self.server, self._is_ready = self.server, None, False
        if server:
            await server.close()

    def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> "RedisUnit":
        """Begin a unit of work: see the contract."""
        return RedisUnit(self, self._clock, lists, emptied)

    async def migrate(self) -> list[str]:
        """Make an empty database one of Kobako; return what was done."""
        if self.server:
            return await self._prepare()
        self.server = Server(self._url, self._connections)
        try:
            return await self._prepare()
        finally:
            await self.close()

    async def flush(self) -> None:
        """Remove everything. Timestamps start anew above all there were."""
        server, keys = await self.ready(), self.keys
        removed = [keys.lists, keys.names, keys.acls, keys.uris, keys.held, keys.groups, keys.members]
        await server.call(FLUSH, [keys.meta, *removed], [self._clock(), keys.live, keys.dead, keys.text])

    async def check(self) -> bool:
        """Tell whether the server can be written: a full disk, a full memory or a change of primary show here only."""
        try:
            server = await self.ready()
            await server.touch(self.keys.heartbeat, 1000)
        except BackendUnavailable:
            return False
        return True

    async def ready(self) -> Server:
        """Return the server, looked at before its first use. Raises BackendUnavailable."""
        if self.server is None:
            raise BackendUnavailable(f"{masked(self._url)} is not open")
        if not self._is_ready:
            async with self._preparing:
                await self._prepare_late()
        return self.server

    def contended(self) -> set[str]:
        """Return the lists that the task at work has to take turns on, since they moved under its last unit."""
        task = asyncio.current_task()
        return self._contended.pop(task, set()) if task else set()

    def has_met_others(self, facts: Mapping[Command, Any]) -> None:
        """Note what was in the way of a unit that has to be done again, after it had read this."""
        if facts.get(self._epoch, "") is None:
            # The server came back without its data.
            self._is_ready = False
        if task := asyncio.current_task():
            self._contended[task] = {name for _, key, name, *_ in facts if key == self.keys.lists}

    async def _prepare_late(self) -> None:
        """Do what could not be done when the database was opened, once for all who wait for it."""
        try:
            if not self._is_ready:
                await self._prepare()
        except UnfitDatabase as error:
            raise BackendUnavailable(str(error)) from error

    async def _prepare(self) -> list[str]:
        """Look at the server, and set the epoch and the layout where there are none; return what was done."""
        assert self.server
        await redis_fitness.check(self.server)
        epoch, layout = await self.server.run([], [self._epoch, ("HGET", self.keys.meta, "layout")]) or (None, None)
        if layout not in (None, LAYOUT):
            raise UnfitDatabase(f"{self.server.shown} has layout {layout}, this version of Kobako knows {LAYOUT}")
        self._is_ready = True
        if epoch is not None:
            return []
        begin = ("HSET", self.keys.meta, "epoch", str(self._clock()), "layout", LAYOUT)
        # Of several that find it empty one is first.
        done = await self.server.run([(self._epoch, False)], [begin])
        return [] if done is None else [f"began a database on {self.server.shown}"]


class RedisUnit:
    """One unit of work: what it reads is true at the moment of its last reading, what it writes waits for its end."""

    __slots__ = ("_clock", "_database", "_emptied", "_lists", "_session", "permission", "storage")

    def __init__(
        self, database: RedisDatabase, clock: Clock, lists: Collection[Place], emptied: Collection[str]
    ) -> None:
        self._database = database
        self._clock = clock
        self._lists = lists
        self._emptied = emptied

    async def __aenter__(self) -> "RedisUnit":
        server = await self._database.ready()
        self._session = Session(server, self._database.keys)
        self.storage = RedisStorage(self._session, self._clock)
        self.permission = RedisPermission(self._session)
        names = {*map(list_name, self._lists), *await self._names_under_emptied(), *self._database.contended()}
        if names:
            lease = self._session.lease = await self._database.leases.take(names)
            states = zip(lease.names, lease.states, strict=True)
            self._session.facts.update((("HGET", self._database.keys.lists, name), state) for name, state in states)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await (self._session.end(self._commands(), self._turns()) if error is None else self._session.end())
        except BackendUnavailable as failure:
            if isinstance(failure, TryAgain):
                self._database.has_met_others(self._session.facts)
            # A task that was cancelled ends as cancelled, and what was unavailable before stays the reason.
            if error is None or (isinstance(error, Exception) and not isinstance(error, BackendUnavailable)):
                raise
        finally:
            if self._session.lease:
                self._session.lease.end()
        if isinstance(error, TryAgain):
            self._database.has_met_others(self._session.facts)

    def savepoint(self) -> JournalSavepoint:
        """Undo what was done inside when an exception leaves it."""
        return JournalSavepoint(self._session.journal)

    def _commands(self) -> list[Command]:
        return [*self.storage.commands(), *self.permission.commands()]

    def _turns(self) -> dict[Command, None]:
        """Return the facts that nobody has the turn on a list that is written without one: who waited goes first."""
        own = self._session.lease.names if self._session.lease else ()
        written = map(list_name, self.storage.written())
        return {("GET", f"{self._database.keys.lease}{name}"): None for name in written if name not in own}

    async def _names_under_emptied(self) -> set[str]:
        """Return the lists that go with the objects which may be deleted: as they are now, before the turn."""
        names = self._database.keys.names
        commands = [command for uri in self._emptied for command in (of(names, uri), below(names, uri))]
        return {name for found in await self._session.ask(*commands) for name in found}
