"""What all who take part in a run share: where the server is, the time, the history, and what writers know."""

import asyncio
import time
from collections.abc import Callable

from tests.consistency.history import Event


class Stage:
    """`port`: of the server. `known`: the last version seen of each object, (list, id) -> version.

    `logs`: the number of the array that grows now, of each list. `operations_left`: for the writers to take.
    """

    def __init__(self, port: int, emit: Callable[[Event], None]) -> None:
        self.port = port
        self.emit = emit
        self.known: dict[tuple[str, str], int] = {}
        self.logs: dict[str, int] = {}
        self.operations = 0
        self.operations_left = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self._began = time.monotonic()

    def now(self) -> float:
        """Return the seconds since the run began."""
        return round(time.monotonic() - self._began, 6)

    def take(self) -> bool:
        """Take one operation to do; False when none is left."""
        if self.operations_left <= 0:
            return False
        self.operations_left -= 1
        self.operations += 1
        for waiting in [each for each in self._waiting if each[0] <= self.operations]:
            self._waiting.remove(waiting)
            waiting[1].set()
        return True

    async def reach(self, operations: int) -> None:
        """Wait until so many operations were begun."""
        reached = asyncio.Event()
        if self.operations < operations:
            self._waiting.append((operations, reached))
            await reached.wait()
