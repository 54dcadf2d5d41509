"""A question that many ask at once, asked once for all of them.

Who comes while it is being asked waits for the next time: what is told now may have been found before they came.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Looks(Generic[T]):
    """What `look` finds, for any number of callers."""

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._looking: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[T]] = []

    def look(self) -> "asyncio.Future[T]":
        """Return what will be found by a look that begins after the call: in the next turn of the event loop, or later.

        Awaited, it raises what the look raises. Whoever goes away meanwhile leaves the others their look.
        """
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look_for_all())
        return place

    async def _look_for_all(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._look_for(waiting)
        finally:
            self._looking = None

    async def _look_for(self, waiting: "list[asyncio.Future[T]]") -> None:
        try:
            found = await self._look()
        except BaseException as error:
            for place in waiting:
                if not place.done():
                    place.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for place in waiting:
            if not place.done():
                place.set_result(found)
