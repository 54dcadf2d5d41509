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
        self._is_looking = False
        self._waiting: list[asyncio.Future[T]] = []
        self._next: asyncio.Task[None] | None = None

    async def look(self) -> T:
        """Return what was found by a look that began after the call. Raises what the look raises."""
        if not self._is_looking:
            return await self._look_now()
        place: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        return await place

    async def _look_now(self) -> T:
        self._is_looking = True
        try:
            return await self._look()
        finally:
            self._is_looking = False
            if self._waiting:
                waiting, self._waiting = self._waiting, []
                self._next = asyncio.ensure_future(self._look_for(waiting))

    async def _look_for(self, waiting: list[asyncio.Future[T]]) -> None:
        try:
            found = await self._look_now()
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
