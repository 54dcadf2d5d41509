"""Tasks that wait for one thing, first come first served: a turn to write, a connection to read with.

What is handed to a task is never lost: when the task is cancelled at that very moment, it is given back.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from kobako.databases.base import BackendUnavailable

T = TypeVar("T")


class Line(Generic[T]):
    """A waiting line. Whoever calls `serve` decides when; nothing is kept here."""

    def __init__(self, thing: str, give_back: Callable[[T], None]) -> None:
        self._thing = thing
        self._give_back = give_back
        self._waiting: deque[asyncio.Future[T]] = deque()

    def __len__(self) -> int:
        return sum(not each.done() for each in self._waiting)

    async def wait(self, timeout_s: float) -> T:
        """Return what is served when it is our turn. Raises BackendUnavailable after `timeout_s`."""
        loop = asyncio.get_running_loop()
        place: asyncio.Future[T] = loop.create_future()
        self._waiting.append(place)
        alarm = loop.call_later(timeout_s, self._send_away, place, timeout_s)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._give_back(place.result())
            raise
        finally:
            alarm.cancel()

    def serve(self, thing: T) -> bool:
        """Hand a thing to the first in line; False if nobody waits, and the thing is still the caller's."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(thing)
                return True
        return False

    def _send_away(self, place: asyncio.Future[T], timeout_s: float) -> None:
        if not place.done():
            place.set_exception(BackendUnavailable(f"waited {timeout_s:g} s for {self._thing}"))
