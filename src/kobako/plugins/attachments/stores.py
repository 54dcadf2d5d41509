"""Where files are: a folder, or a bucket of S3, Google or Azure, through obstore. Nothing here knows of records.

A path names a file in a store: folders and a safe name. Of an upload that fails nothing is left; what a process that
dies leaves of it is swept.

Source: objects, 17.6 to 17.8; reliability, A1 and A5.
"""

import asyncio
import logging
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kobako import ServiceUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART_BYTES: Final = 5 * 1024 * 1024
"""What is sent to a store elsewhere at once: no less is a part of an upload for S3."""

BLOCK_BYTES: Final = 128 * 1024
"""What is written of a file in a folder at once: more would keep a processor from others for milliseconds."""

PARTS_AT_ONCE: Final = 1
WHOLE_BYTES: Final = 512 * 1024
"""What is smaller takes one request instead of the three of an upload in parts."""
READ_BYTES: Final = 1024 * 1024
"""What is read of a file at once."""

_UNFINISHED: Final = re.compile(r"#\d+$")
"""How files in a folder end that obstore is writing, or was."""

_log = logging.getLogger("kobako.attachments")


class Files:
    """The files of a store. `root` is the folder where that is one; `attributes` are those of each file elsewhere.

    Raises ServiceUnavailable where the store does not answer, or is full.
    """

    def __init__(self, store: "ObjectStore", *, root: Path | None = None, cache_control: str = "") -> None:
        self._store: Any = store
        self._root = root
        self._attributes = {"Cache-Control": cache_control} if cache_control else {}

    @property
    def signs(self) -> bool:
        """Whether the store makes signed URLs."""
        return self._root is None

    async def save(self, path: str, chunks: AsyncIterator[bytes], *, kind: str, disposition: str) -> None:
        """Write a file as its chunks come; what these raise is raised, and no file is there then."""
        import obstore

        self._guard(path)
        about = {"Content-Type": kind, "Content-Disposition": disposition, **self._attributes}
        first = await _first(chunks)
        is_small = len(first) < WHOLE_BYTES
        with _translated(writes=True):
            await obstore.put_async(
                self._store,
                path,
                first if is_small else _chain(first, chunks),
                attributes=None if self._root else about,
                use_multipart=not is_small,
                chunk_size=BLOCK_BYTES if self._root else PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        if self._root:
            await asyncio.to_thread(_settle, self._root, path)

    async def claim(self, folder: str, names: Iterator[str]) -> str:
        """Return the path of the first of these names that is free, from now on taken by an empty file.

        Only what is small and whole can be written on condition that nothing is there.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        for name in names:
            path = f"{folder}{name}"
            self._guard(path)
            try:
                with _translated(writes=True):
                    await obstore.put_async(self._store, path, b"", mode="create")
                return path
            except AlreadyExistsError:
                continue
        raise AssertionError("there is always another name")

    async def read(self, path: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes of a file, from start to before end, as they are wanted. Raises FileNotFoundError."""
        import obstore

        self._guard(path)
        while start < end:
            until = min(start + READ_BYTES, end)
            with _translated():
                chunk = await obstore.get_range_async(self._store, path, start=start, end=until)
            yield bytes(chunk)
            start = until

    async def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        import obstore

        self._guard(path)
        try:
            with _translated():
                await obstore.head_async(self._store, path)
        except FileNotFoundError:
            return False
        return True

    async def delete(self, paths: Sequence[str]) -> None:
        """Delete files; those that are not there are gone already."""
        import obstore

        for path in paths:
            self._guard(path)
        if not paths:
            return
        try:
            with _translated():
                await obstore.delete_async(self._store, paths)
        except FileNotFoundError:
            # A folder ends at the first that is missing; a bucket takes no notice.
            if len(paths) > 1:
                for path in paths:
                    await self.delete([path])

    async def sign(self, path: str, seconds: int) -> str:
        """Return a URL at which anybody may read a file for so long."""
        import obstore

        with _translated():
            return await obstore.sign_async(self._store, "GET", path, timedelta(seconds=seconds))

    async def all(self) -> AsyncIterator[Sequence[tuple[str, datetime]]]:
        """Yield the paths of all files, many at once, and when each was written."""
        import obstore

        with _translated():
            async for found in obstore.list(self._store, chunk_size=1000):
                yield [(each["path"], each["last_modified"]) for each in found]

    async def unfinished(self, before: datetime) -> Sequence[Path]:
        """Return what uploads left in a folder that were cut off before this time."""
        return await asyncio.to_thread(_unfinished, self._root, before) if self._root else ()

    async def check(self) -> bool:
        """Tell whether files can be written and deleted."""
        import obstore

        path = f"heartbeat-{uuid.uuid4()}"
        with _translated(writes=True):
            await obstore.put_async(self._store, path, b"heartbeat")
            await obstore.delete_async(self._store, path)
        return True

    def _guard(self, path: str) -> None:
        """Raise PermissionError for what would lead out of the folder: a link in it, whoever made that."""
        if self._root and (self._root / path).resolve() != self._root.resolve() / path:
            raise PermissionError(f"{path} is reached by a link in the folder of attachments, which is not followed")


async def _first(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the first WHOLE_BYTES, or a little more; where it is less, that is all there is."""
    found = bytearray()
    while len(found) < WHOLE_BYTES:
        chunk = await anext(chunks, None)
        if chunk is None:
            break
        found += chunk
    return bytes(found)


async def _chain(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk


@contextmanager
def _translated(*, writes: bool = False) -> Iterator[None]:
    """Turn what a store says into ServiceUnavailable, but for a file that is not there, or is there already."""
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError:
        raise
    except BaseError as error:
        raise ServiceUnavailable() from error
    except FileNotFoundError as error:
        # What is written need not be there before: it is the store itself that is missing.
        raise ServiceUnavailable() if writes else error from error


def _settle(root: Path, path: str) -> None:
    """Have a file, and the names that lead to it, on the disk: a record that points to it may be committed next."""
    place = root / path
    for each in (place, *place.parents):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if each == root:
            return


def _unfinished(root: Path, before: datetime) -> Sequence[Path]:
    found = [each for each in root.rglob("*#*") if _UNFINISHED.search(each.name) and not each.is_symlink()]
    return [each for each in found if each.stat().st_mtime < before.timestamp()]
