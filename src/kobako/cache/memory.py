"""The cache in memory: of one process, with a limit to its size.

Values are kept as JSON text: what is read is a copy, and has the types it would have from any other cache.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from kobako.cache.values import encode

KEPT_SHARE = 0.8
"""A cache that is full makes room at once for a fifth of its size, not for one entry at each write."""


class Entry(msgspec.Struct, frozen=True):
    """A value as JSON text, until when it counts, in milliseconds since the epoch, and its size in bytes."""

    text: str
    expires: float
    size: int


class MemoryCache:
    """Keys of one process. Beyond `max_size_bytes` the oldest go, down to 80 % (objects 23)."""

    def __init__(self, prefix: str, max_size_bytes: int, clock: Callable[[], int]) -> None:
        self._prefix = prefix
        self._max_size_bytes = max_size_bytes
        self._clock = clock
        # In the order of their writing: a key set again goes to the end.
        self._entries: dict[str, Entry] = {}
        self._size = 0

    async def get(self, key: str) -> Any:
        entry = self._find(key)
        return json.loads(entry.text) if entry else None

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        text = encode(value)
        self._remove(key)
        full = self._prefix + key
        entry = Entry(text, self._clock() + ttl_s * 1000, _bytes(full) + _bytes(text))
        self._entries[full] = entry
        self._size += entry.size
        self._make_room()

    async def delete(self, key: str) -> Any:
        value = await self.get(key)
        self._remove(key)
        return value

    async def ttl(self, key: str) -> float:
        entry = self._find(key)
        return (entry.expires - self._clock()) / 1000 if entry else -1

    async def expire(self, key: str, ttl_s: float) -> None:
        if entry := self._find(key):
            self._entries[self._prefix + key] = msgspec.structs.replace(entry, expires=self._clock() + ttl_s * 1000)

    async def flush(self) -> None:
        self._entries.clear()
        self._size = 0

    async def check(self) -> bool:
        """A process that answers has its memory."""
        return True

    async def close(self) -> None:
        """Nothing to let go of."""

    def _find(self, key: str) -> Entry | None:
        entry = self._entries.get(self._prefix + key)
        return entry if entry and entry.expires > self._clock() else None

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(self._prefix + key, None)
        self._size -= entry.size if entry else 0

    def _make_room(self) -> None:
        if self._size <= self._max_size_bytes:
            return
        now = self._clock()
        # What has expired first, then from the oldest on: the sort keeps the order within both.
        for key in sorted(self._entries, key=lambda key: self._entries[key].expires > now):
            if self._size <= self._max_size_bytes * KEPT_SHARE:
                return
            self._size -= self._entries.pop(key).size


def _bytes(text: str) -> int:
    return len(text.encode())
