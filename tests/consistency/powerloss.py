"""An SQLite VFS that knows what a loss of power would leave: what was synced for sure, of the rest any part.

Everything goes to real files, so that SQLite never notices. Besides, each file has an image of what is on the disk for
sure, and a list of the writes since its last sync, which the disk may have done in any order, in part, or not at all.

Source: reliability, section 3, H.
"""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw

SECTOR: Final = 512
"""What a disk writes whole or not at all."""

ORDINARY: Final = apsw.vfs_names()[0]
"""The VFS that does the work."""

Change = tuple[int, bytes] | int
"""A write (offset, bytes), or the length that a file was cut to."""


class Disk:
    """The files of a folder, by name. `before_change` is called before each change, in whatever thread makes it."""

    def __init__(self, folder: Path, before_change: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.before_change = before_change
        self._lock = threading.RLock()
        self._synced: dict[str, bytearray] = {}
        self._pending: dict[str, list[Change]] = {}

    def change(self, name: str, change: Change) -> None:
        """Take note of a change that is not synced yet."""
        self.before_change()
        with self._lock:
            self._pending.setdefault(name, []).append(change)

    def sync(self, name: str) -> None:
        """Take note that all changes of a file are on the disk."""
        self.before_change()
        with self._lock:
            image = self._synced.setdefault(name, bytearray())
            for each in self._pending.pop(name, ()):
                _apply(image, each)

    def forget(self, name: str) -> None:
        """Take note that a file was deleted."""
        with self._lock:
            self._synced.pop(name, None)
            self._pending.pop(name, None)

    def lose_power(self, into: Path, chance: random.Random) -> None:
        """Write what may be left of the files to another folder."""
        kept = chance.choice([0.0, 0.5, 0.9, 1.0])
        with self._lock:
            for name in {*self._synced, *self._pending}:
                image = bytearray(self._synced.get(name, b""))
                for change in self._pending.get(name, ()):
                    if chance.random() < kept:
                        _apply(image, _torn(change, chance) if chance.random() < 0.2 else change)
                (into / name).write_bytes(image)


class PowerLossVFS(apsw.VFS):
    """The ordinary VFS, for files in the folder of a disk. A connection uses it by its name."""

    def __init__(self, name: str, disk: Disk, *, is_default: bool = False) -> None:
        super().__init__(name, ORDINARY, makedefault=is_default)
        self._disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        """Open a file; temporary ones have no name, and are nobody's loss."""
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name) if name else None
        if path is None or path.parent != self._disk.folder:
            return apsw.VFSFile(ORDINARY, name, flags)
        return _File(name, flags, path.name, self._disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file."""
        super().xDelete(filename, syncdir)
        self._disk.forget(Path(filename).name)


class _File(apsw.VFSFile):
    def __init__(self, path: Any, flags: list[int], name: str, disk: Disk) -> None:
        super().__init__(ORDINARY, path, flags)
        self._name = name
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.change(self._name, (offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.change(self._name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.sync(self._name)


def _apply(image: bytearray, change: Change) -> None:
    if isinstance(change, int):
        del image[change:]
        return
    offset, data = change
    if offset > len(image):
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def _torn(change: Change, chance: random.Random) -> Change:
    """Return the beginning of a write, up to some sector."""
    if isinstance(change, int) or len(change[1]) <= SECTOR:
        return change
    return change[0], change[1][: chance.randrange(len(change[1]) // SECTOR) * SECTOR]
