"""A cache of one's own: a folder with a file for each key, for the processes of one machine.

    kobako.cache_backend = folder_cache.open_cache
    kobako.cache_url = /var/cache/kobako

The file's name is a hash of the key; in it are the moment from which the value counts no more, in milliseconds, and
the value as JSON. A file is written under another name and then renamed: nobody reads half of one.
"""

import asyncio
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from kobako import BackendUnavailable, Clock, Settings


class FolderCache:
    """Values in files. `prefix` begins every key, so that several servers may share a folder."""

    def __init__(self, folder: Path, prefix: str, clock: Clock) -> None:
        self._folder = folder / hashlib.sha256(prefix.encode()).hexdigest()[:16]
        self._clock = clock

    async def get(self, key: str) -> Any:
        return self._value(await self._in_thread(_read, self._file(key)))

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        # Not earlier: what is no JSON is refused before anything is touched.
        text = f"{self._clock() + round(ttl_s * 1000)} {json.dumps(value)}"
        await self._in_thread(_write, self._file(key), text)

    async def delete(self, key: str) -> Any:
        return self._value(await self._in_thread(_take, self._file(key)))

    async def ttl(self, key: str) -> float:
        expires, _ = _unpack(await self._in_thread(_read, self._file(key)))
        return (expires - self._clock()) / 1000 if expires > self._clock() else -1

    async def expire(self, key: str, ttl_s: float) -> None:
        text = await self._in_thread(_read, self._file(key))
        if text is not None and _unpack(text)[0] > self._clock():
            await self.set(key, self._value(text), ttl_s)

    async def flush(self) -> None:
        await self._in_thread(_empty, self._folder)

    async def check(self) -> bool:
        key = f"__check__{secrets.token_hex(8)}"
        try:
            await self.set(key, True, 10)
            return await self.delete(key) is True
        except BackendUnavailable:
            return False

    async def close(self) -> None:
        """Nothing is kept open."""

    def _file(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def _value(self, text: str | None) -> Any:
        expires, value = _unpack(text)
        return json.loads(value) if expires > self._clock() else None

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        try:
            return await asyncio.to_thread(work, *arguments)
        except OSError as error:
            raise BackendUnavailable(f"cache: {error}") from error


def open_cache(url: str, settings: Settings, clock: Clock) -> FolderCache:
    """Return the cache that the settings name."""
    return FolderCache(Path(url), settings.cache_prefix, clock)


def _unpack(text: str | None) -> tuple[int, str]:
    expires, _, value = (text or "0 null").partition(" ")
    return int(expires), value


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except FileNotFoundError:
        return None


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{secrets.token_hex(8)}")
    draft.write_text(text)
    os.replace(draft, file)


def _take(file: Path) -> str | None:
    """Remove a file and return its text. Of several at once, one renames it, and the others find nothing."""
    taken = file.with_suffix(f".{secrets.token_hex(8)}")
    try:
        os.rename(file, taken)
    except FileNotFoundError:
        return None
    text = taken.read_text()
    taken.unlink()
    return text


def _empty(folder: Path) -> None:
    for file in folder.glob("*"):
        file.unlink(missing_ok=True)
