"""Connections to read with: each serves one unit of work at a time, the one used last first, its cache is warm."""

import logging
from collections.abc import Callable

import apsw
import msgspec

from kobako.databases.base import BackendUnavailable
from kobako.databases.line import Line
from kobako.databases.sqlite_session import UNAVAILABLE, unavailable
from kobako.permission.sqlite import Kept


class Reader(msgspec.Struct, frozen=True):
    """A connection, and what it keeps of the permissions it has read."""

    connection: apsw.Connection
    kept: Kept


logger = logging.getLogger(__name__)


class Readers:
    """At most so many connections, opened when they are needed."""

    def __init__(self, connect: Callable[[], apsw.Connection], most: int, timeout_s: float) -> None:
        self._connect = connect
        self._most = most
        self._timeout_s = timeout_s
        self._idle: list[Reader] = []
        self._opened = 0
        self._line: Line[Reader] = Line("a connection to read with", self.give_back)

    async def take(self) -> Reader:
        """Return a connection that nobody else uses. Raises BackendUnavailable."""
        if self._idle:
            return self._idle.pop()
        if self._opened == self._most:
            return await self._line.wait(self._timeout_s)
        try:
            connection = self._connect()
        except UNAVAILABLE as error:
            raise unavailable(error) from error
        self._opened += 1
        return Reader(connection, Kept())

    def give_back(self, reader: Reader) -> None:
        """Hand a connection to the next unit."""
        if not self._line.serve(reader):
            self._idle.append(reader)

    async def close(self) -> None:
        """Close all connections, once they are given back."""
        try:
            for _ in range(self._opened):
                (await self.take()).connection.close(True)
        except BackendUnavailable:
            logger.warning("a unit of work that reads did not end")
        self._most = self._opened = 0
