"""CPU time and memory of servers: of a process and all that it has started."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

Reading = Mapping[int, float]
"""Seconds of CPU time by process."""


def tree(root: int) -> list[int]:
    """Return a process and those it has started, and they in turn."""
    return [root, *(each.pid for each in psutil.Process(root).children(recursive=True))]


def read(root: int) -> Reading:
    """Return the CPU time that each process of a tree has had until now, with that of its threads that have ended."""
    found = {}
    for pid in tree(root):
        # A process that ends meanwhile.
        with suppress(OSError):
            found[pid] = time.clock_gettime(_clock(pid))
    return found


def spent(before: Reading, after: Reading) -> float:
    """Return the seconds between two readings; of processes that ended in between nothing is known.

    >>> spent({1: 0.5, 2: 1.0}, {1: 0.75, 3: 0.25})
    0.5
    """
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def memory(root: int) -> int:
    """Return the resident memory of a tree in bytes; pages that several processes share count once."""
    return sum(_proportional(pid) for pid in tree(root))


def _clock(pid: int) -> int:
    # What clock_getcpuclockid(3) returns on Linux: nanoseconds, where /proc counts hundredths of a second.
    return (~pid << 3) | 2


def _proportional(pid: int) -> int:
    with suppress(OSError):
        lines: Iterable[str] = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return 0
