"""Turns between the processes that write one file: two locks beside it, so that nobody barges in.

SQLite's lock has no queue: a process that has just committed gets it again before those who sleep. Here a process
takes QUEUE, waits for TURN, lets go of QUEUE, and keeps TURN while it writes. Whoever comes back finds QUEUE taken
by the next in line. Only courtesy rests on this, correctness on SQLite's own lock: one that can not be had in time
is done without.

The locks are those of flock(2): the kernel drops them when a process dies. Source: reliability, 4.5.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from itertools import chain, repeat

if sys.platform != "win32":
    import fcntl

# The next in line looks again at once for some time: most turns are shorter than the shortest sleep, 1 ms.
_PAUSES_S = (0.0,) * 20


class Turnstile:
    """The two locks, for one database of one process."""

    def __init__(self, path: str) -> None:
        self._queue = _open(f"{path}-queue")
        self._turn = _open(f"{path}-turn")
        self._held = False

    def try_pass(self) -> bool:
        """Take the turn if nobody has it or waits for it."""
        if not _lock(self._queue):
            return False
        self._held = _lock(self._turn)
        _unlock(self._queue)
        return self._held

    async def wait(self, deadline: float) -> None:
        """Wait for the turn; from `deadline` on, in the time of the event loop, do without."""
        if self._held or not await _locked(self._queue, repeat(0.001), deadline):
            return
        try:
            self._held = await _locked(self._turn, chain(_PAUSES_S, repeat(0.001)), deadline)
        finally:
            _unlock(self._queue)

    def leave(self) -> None:
        """Give the turn to the next."""
        if self._held:
            self._held = False
            _unlock(self._turn)

    def close(self) -> None:
        """Let go of the files; they stay, for others may hold them."""
        self._held = False
        os.close(self._queue)
        os.close(self._turn)


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(file: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_UN)


async def _locked(file: int, pauses_s: Iterable[float], deadline: float) -> bool:
    """Wait for a lock by looking again; False when the deadline came first."""
    loop = asyncio.get_running_loop()
    for pause_s in pauses_s:
        if _lock(file):
            return True
        if loop.time() > deadline:
            break
        await asyncio.sleep(pause_s)
    return False
