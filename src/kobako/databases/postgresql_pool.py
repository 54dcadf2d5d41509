"""Connections to PostgreSQL, opened when they are needed: each serves one unit of work at a time.

The one used last is first, so that others grow old and go. A connection comes back as it left or not at all: there is
nothing to reset. When none can be made, all who wait are told so at once, and nobody tries again for a moment.

Source: reliability, O1 to O3.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from kobako.databases.base import BackendUnavailable
from kobako.databases.connections import Connections
from kobako.databases.line import Line
from kobako.databases.postgresql_session import Connection

PAUSE_S = 0.2
"""How long a failure to connect is told to others who want to, before one tries again."""

GOODBYE_S = 1.0
"""How long the server has to hear that a connection ends."""

logger = logging.getLogger(__name__)


class Pool:
    """Connections, as many as the limits say. `connect` may raise, and so does `take` then."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], limits: Connections) -> None:
        self._connect = connect
        self._limits = limits
        self._size = limits.most
        self._idle: list[Connection] = []
        self._taken = 0
        self.made = 0
        """How many connections were made so far: as long as there are no more, the server did not fail or change."""
        self._born: dict[Connection, float] = {}
        self._ending: set[asyncio.Future[None]] = set()
        self._line: Line[Connection | None] = Line("a connection to PostgreSQL", self._pass_on)
        self._failed: tuple[float, BackendUnavailable] | None = None

    async def take(self) -> Connection:
        """Return a connection that nobody else uses. Raises BackendUnavailable."""
        if self._taken < self._size:
            self._taken += 1
            connection = self._idle.pop() if self._idle else None
        else:
            connection = await self._wait()
        if connection and self._is_fresh(connection):
            return connection
        return await self._replace(connection)

    def give_back(self, connection: Connection) -> None:
        """Hand a connection to the next unit."""
        self._pass_on(connection)

    def discard(self, connection: Connection) -> None:
        """End a connection that can not be used again, and give back its place."""
        ending = asyncio.ensure_future(self._end_gently(connection))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def discard_idle(self) -> None:
        """End the connections that nobody uses: one was found dead."""
        while self._idle:
            self._end(self._idle.pop())

    async def close(self) -> None:
        """Close all connections, once they are given back."""
        try:
            for _ in range(self._taken):
                if (connection := await self._line.wait(self._limits.wait_s)) is not None:
                    self._idle.append(connection)
        except BackendUnavailable:
            logger.warning("a unit of work did not end")
        if self._ending:
            await asyncio.wait(self._ending)
        self._taken = 0
        for connection in self._idle:
            await _close(connection)
        self._idle.clear()
        self._born.clear()

    async def _wait(self) -> "Connection | None":
        waiting = len(self._line)
        if 0 <= self._limits.backlog <= waiting:
            raise BackendUnavailable(f"{waiting} others wait for a connection to PostgreSQL: no more may")
        return await self._line.wait(self._limits.wait_s)

    async def _replace(self, old: "Connection | None") -> Connection:
        """Return a new connection, in the place that the caller has."""
        try:
            if old:
                self._born.pop(old, None)
                await _close(old)
            self._check_not_failed()
            new = await self._connect()
        except BaseException as error:
            if isinstance(error, BackendUnavailable) and not self._is_failing():
                self._failed = (time.monotonic() + PAUSE_S, error)
            self._pass_on(None)
            raise
        self._born[new] = time.monotonic()
        self.made += 1
        return new

    def _check_not_failed(self) -> None:
        if self._failed and self._is_failing():
            raise BackendUnavailable(str(self._failed[1])) from self._failed[1]

    def _is_failing(self) -> bool:
        return self._failed is not None and time.monotonic() < self._failed[0]

    def _is_fresh(self, connection: Connection) -> bool:
        if connection.is_closed():
            return False
        return self._limits.use_s < 0 or time.monotonic() - self._born[connection] < self._limits.use_s

    def _pass_on(self, connection: "Connection | None") -> None:
        """Hand a connection, or a place for one, to the first in line; else the place is free."""
        if self._line.serve(connection):
            return
        self._taken -= 1
        if connection and len(self._born) > self._limits.kept:
            self._end(connection)
        elif connection:
            self._idle.append(connection)

    async def _end_gently(self, connection: Connection) -> None:
        """End a connection: the server hears of it even while it runs a statement, and lets go of locks."""
        try:
            await _close(connection)
        finally:
            self._born.pop(connection, None)
            self._pass_on(None)

    def _end(self, connection: Connection) -> None:
        self._born.pop(connection, None)
        connection.terminate()


async def _close(connection: Connection) -> None:
    try:
        # A statement that runs is cancelled first.
        await asyncio.wait_for(connection.close(), GOODBYE_S)
    except Exception:
        connection.terminate()
