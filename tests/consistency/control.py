"""What the driver tells the servers of the test build while they run: a few numbers in a file that all have mapped.

Reading one costs less than a microsecond, so the clock of the server can ask each time it is read.
"""

import mmap
import struct
from pathlib import Path


class Number:
    """One of the numbers, by its place in the file."""

    _FORM = struct.Struct("=q")

    def __init__(self, place: int) -> None:
        self._at = place * self._FORM.size

    def __get__(self, control: "Control", _: type) -> int:
        return int(self._FORM.unpack_from(control.shared, self._at)[0])

    def __set__(self, control: "Control", value: int) -> None:
        self._FORM.pack_into(control.shared, self._at, value)


class Control:
    """The numbers, all 0 at first."""

    clock_ms = Number(0)
    """By how much the clock is ahead."""
    disk_is_full = Number(1)
    """1 while the database may not grow."""
    kills_at = Number(2)
    """The number of the point where the next worker to come by is killed; it sets it back to 0."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
