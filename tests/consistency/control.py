"""What the driver tells the servers of the test build while they run: a few numbers in a file that all have mapped.

Reading one costs less than a microsecond, so the clock of the server can ask each time it is read.
"""

import mmap
import struct
from pathlib import Path

_NUMBERS = struct.Struct("=qq")


class Control:
    """`clock_ms`: by how much the clock is wrong. `disk_is_full`: whether the database may not grow."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_NUMBERS.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _NUMBERS.size)

    @property
    def clock_ms(self) -> int:
        """By how many milliseconds the clock is ahead."""
        return int(_NUMBERS.unpack_from(self._shared)[0])

    @clock_ms.setter
    def clock_ms(self, ahead: int) -> None:
        _NUMBERS.pack_into(self._shared, 0, ahead, self.disk_is_full)

    @property
    def disk_is_full(self) -> bool:
        """Whether there is no room for another page."""
        return bool(_NUMBERS.unpack_from(self._shared)[1])

    @disk_is_full.setter
    def disk_is_full(self, full: bool) -> None:
        _NUMBERS.pack_into(self._shared, 0, self.clock_ms, full)
