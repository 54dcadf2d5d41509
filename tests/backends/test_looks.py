"""What many ask at once is asked for all of them: never before they came."""

import asyncio

import pytest

from kobako.databases.looks import Looks


class Sight:
    """Tells how often it was looked at, each time when it is let."""

    def __init__(self) -> None:
        self.times = 0
        self.let = asyncio.Semaphore(0)
        self.looks = Looks(self._look)

    async def _look(self) -> int:
        self.times += 1
        seen = self.times
        await self.let.acquire()
        if seen == 3:
            raise OSError("fog")
        return seen

    async def begin(self) -> "asyncio.Task[int]":
        """Begin to look, as one of many."""
        looking = asyncio.ensure_future(self.looks.look())
        await asyncio.sleep(0)
        return looking


async def test_who_comes_while_others_look_waits_for_a_look_of_their_own() -> None:
    sight = Sight()
    first, second, third = [await sight.begin() for _ in range(3)]
    assert sight.times == 1
    sight.let.release()
    assert await first == 1
    await asyncio.sleep(0)
    fourth = await sight.begin()
    assert sight.times == 2
    sight.let.release()
    assert await asyncio.gather(second, third) == [2, 2]
    for _ in range(2):
        sight.let.release()
    with pytest.raises(OSError, match="fog"):
        await fourth
    assert await sight.looks.look() == 4


async def test_a_failure_is_told_to_those_who_waited_for_that_look_alone() -> None:
    sight = Sight()
    sight.times = 2
    first, second, third = [await sight.begin() for _ in range(3)]
    for _ in range(2):
        sight.let.release()
    with pytest.raises(OSError, match="fog"):
        await first
    assert await asyncio.gather(second, third) == [4, 4]


async def test_who_goes_away_takes_nobody_along() -> None:
    sight = Sight()
    first, second, third = [await sight.begin() for _ in range(3)]
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    for _ in range(2):
        sight.let.release()
    assert await third == 2
    assert (first.cancelled(), second.cancelled()) == (True, True)
