"""The contract of caches: what may be forgotten. Not part of a unit of work, seen by all workers at once.

`kobako.testing.CacheContract` is this contract in tests, and decides. Source: cache contract, objects 23.
"""

from typing import Any, Protocol


class Cache(Protocol):
    """Keys with JSON values that expire. Every key gets the prefix of the settings, so that servers may share one."""

    async def get(self, key: str) -> Any:
        """Return the value of a key, None if it is unknown or has expired."""
        ...

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        """Set a value for so many seconds. Raises TypeError if it is not JSON (bytes, for one)."""
        ...

    async def delete(self, key: str) -> Any:
        """Remove a key and return the value it had, None if none; of several callers at once, one gets it."""
        ...

    async def ttl(self, key: str) -> float:
        """Return the seconds a key has left, a negative number if it is unknown."""
        ...

    async def expire(self, key: str, ttl_s: float) -> None:
        """Give a key that exists another time to live."""
        ...

    async def flush(self) -> None:
        """Remove every key under this prefix."""
        ...

    async def check(self) -> bool:
        """Tell whether a value can be written and read back (heartbeat)."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
