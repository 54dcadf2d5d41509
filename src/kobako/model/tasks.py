"""What runs beside the requests, from the opening of an app to its closing, in each process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

PAUSE_S = 1.0
"""How long after its failure a task is started again; the pause doubles, up to LONGEST_PAUSE_S."""

LONGEST_PAUSE_S = 60.0

_log = logging.getLogger("kobako.tasks")


class Tasks:
    """Functions that run until they are cancelled. One that fails is logged, and started again after a while."""

    def __init__(self, runs: Iterable[Callable[[], Awaitable[None]]]) -> None:
        self._runs = list(runs)
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all."""
        self._running = [asyncio.create_task(_keep_running(each)) for each in self._runs]

    async def stop(self) -> None:
        """Cancel all, and wait for their ends."""
        # More than once: in Python 3.11 `wait_for` loses a cancellation that comes together with its result.
        while pending := [each for each in self._running if not each.done()]:
            for each in pending:
                each.cancel()
            await asyncio.wait(pending, timeout=1)
        self._running.clear()


async def _keep_running(run: Callable[[], Awaitable[None]]) -> None:
    pause_s = PAUSE_S
    while True:
        try:
            return await run()
        except Exception:
            _log.exception("A task beside the requests failed; it is started again in %g s", pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
