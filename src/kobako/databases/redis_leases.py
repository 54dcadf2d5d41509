"""Turns to write a list: one unit of work at a time, first come first served in a process, and in turn between them.

Correctness does not rest on it, but on what every unit checks at its commit: without turns, the writers of one list
would undo each other again and again. A lease runs out if its holder dies; one that lives renews it.
"""

import asyncio
import random
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import chain, repeat
from weakref import WeakValueDictionary

from kobako.databases.base import BackendUnavailable
from kobako.databases.redis_keys import Keys
from kobako.databases.redis_scripts import RENEW, TAKE
from kobako.databases.redis_server import Argument, Server

LEASE_MS = 5000
"""How long others wait for a unit whose process died."""

NEXT_MS = 500
"""How long the place of the next in line is kept for one who does not ask any more."""

PAUSES_S = (0.001, 0.002, 0.004)
LONGEST_PAUSE_S = 0.008


class Leases:
    """The turns on one database, for one process. `wait_s`: how long a unit waits for its turn."""

    def __init__(self, server: Server, keys: Keys, wait_s: float) -> None:
        self._server = server
        self._keys = keys
        self._wait_s = wait_s
        # A process competes for a list once: here its units wait for each other.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, names: Collection[str]) -> "Lease":
        """Wait for the turn on all these lists. Raises BackendUnavailable."""
        # Everybody takes them in one order, so nobody waits in a circle.
        lease = Lease(self._keys, sorted(names))
        try:
            async with asyncio.timeout(self._wait_s):
                for name in lease.names:
                    await lease.hold(self._locks.setdefault(name, asyncio.Lock()))
                lease.states = await self._turn(lease)
        except BaseException as error:
            await self._leave(lease)
            if isinstance(error, TimeoutError):
                raise BackendUnavailable(f"waited {self._wait_s:g} s for a turn to write {lease.names}") from error
            raise
        lease.renewing = asyncio.create_task(self._renew(lease))
        return lease

    async def _turn(self, lease: "Lease") -> list[str | None]:
        pairs = [key for pair in zip(lease.keys, lease.places, strict=True) for key in pair]
        arguments: Sequence[Argument] = (lease.owner, LEASE_MS, NEXT_MS, *lease.names)
        for pause_s in chain(PAUSES_S, repeat(LONGEST_PAUSE_S)):
            states: list[str | None] | None = await self._server.call(TAKE, [self._keys.lists, *pairs], arguments)
            if states is not None:
                return states
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))
            _require_not_cancelled()
        raise AssertionError("there is always another pause")

    async def _leave(self, lease: "Lease") -> None:
        """Leave the line; if Redis does not answer, others go on when what we have there runs out."""
        with suppress(BackendUnavailable):
            await self._server.run([], [], [*lease.keys, *lease.places], lease.owner)
        lease.end()

    async def _renew(self, lease: "Lease") -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3000)
            with suppress(BackendUnavailable):
                await self._server.call(RENEW, lease.keys, [lease.owner, LEASE_MS])


def _require_not_cancelled() -> None:
    """Raise the cancellation, or the end of the time, that the driver has kept to itself: it does so now and then."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


class Lease:
    """The turn of one unit of work: the lists, and the states they had as it began."""

    def __init__(self, keys: Keys, names: list[str]) -> None:
        self.owner = uuid.uuid4().hex
        self.names = names
        self.keys = [f"{keys.lease}{name}" for name in names]
        self.places = [f"{keys.next}{name}" for name in names]
        self.states: list[str | None] = []
        self.renewing: asyncio.Task[None] | None = None
        self._locks: list[asyncio.Lock] = []

    async def hold(self, lock: asyncio.Lock) -> None:
        """Wait for those of this process."""
        await lock.acquire()
        self._locks.append(lock)

    def end(self) -> None:
        """Let the next one of this process go on."""
        if self.renewing:
            self.renewing.cancel()
        while self._locks:
            self._locks.pop().release()
