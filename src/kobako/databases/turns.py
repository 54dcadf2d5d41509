"""Turns to write a list within a process: of its units of work only one at a time asks the database for the lock.

The others hold nothing meanwhile, neither a lock nor a connection; so they wait for nobody in a circle, and the
database has not to wake them all. A unit that writes several lists takes no turn: the locks alone keep it right.

Source: reliability, 4.4 step 3.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, Generic, TypeVar

from kobako.databases.base import BackendUnavailable, TryAgain, Unit
from kobako.databases.line import Line
from kobako.storage.base import Place

U = TypeVar("U", bound=Unit)

LONGEST_S: Final = 5.0
"""How long a unit waits for its turn, as for a lock."""


class Turns:
    """Who writes a list, and who does next."""

    def __init__(self) -> None:
        self._lines: dict[Place, Line[None]] = {}

    async def take(self, place: Place) -> None:
        """Wait for the turn to write a list. Raises TryAgain when it does not come."""
        line = self._lines.get(place)
        if line is None:
            self._lines[place] = Line(f"the turn to write {place.parent}", lambda _: self.leave(place))
            return
        try:
            await line.wait(LONGEST_S)
        except BackendUnavailable as error:
            raise TryAgain(str(error)) from error

    def leave(self, place: Place) -> None:
        """Give the turn to the next."""
        if not self._lines[place].serve(None):
            del self._lines[place]


class InTurn(Generic[U]):
    """A unit of work in its turn: after what comes `first`, and with what comes `then` before the next one."""

    __slots__ = ("_first", "_place", "_then", "_turns", "unit")

    def __init__(
        self,
        turns: Turns,
        place: Place,
        unit: AbstractAsyncContextManager[U],
        first: Callable[[Place], Awaitable[None]],
        then: Callable[[Sequence[Place]], None],
    ) -> None:
        self._turns = turns
        self._place = place
        self._first = first
        self._then = then
        self.unit = unit

    async def __aenter__(self) -> U:
        await self._turns.take(self._place)
        try:
            await self._first(self._place)
            return await self.unit.__aenter__()
        except BaseException:
            self._turns.leave(self._place)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.unit.__aexit__(kind, error, trace)
        finally:
            self._then([self._place])
            self._turns.leave(self._place)
