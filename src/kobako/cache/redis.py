"""The cache in Redis or Valkey, seen by all processes of all machines.

Every key begins with `kobako:cache:` and the prefix: a flush leaves alone what else the database holds. The server
has to know GETDEL (Redis 6.2).

Source: cache contract, objects 23.
"""

from collections.abc import Callable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from kobako.cache.values import SPARE_S, Entry, encode, expiry, round_trip, unpack
from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.databases.redis_server import LOST

NAMESPACE = "kobako:cache:"

MOST_CONNECTIONS = 25
LONGEST_WAIT_S = 5.0

FLUSHED_AT_ONCE = 1000
"""A flush goes in steps: the server does nothing else during each."""

EXPIRE = """
    local expires, text = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
    if expires and tonumber(expires) > tonumber(ARGV[1]) then
        redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. text, 'PX', ARGV[3])
    end"""
"""Key; now, when it is to expire, and for how long the server keeps it, all in milliseconds."""


class RedisCache:
    """Keys in a Redis database. `clock` returns milliseconds since the epoch. Raises UnfitDatabase for a bad URL."""

    def __init__(self, url: str, prefix: str, clock: Callable[[], int]) -> None:
        self._redis = _client(url)
        self._prefix = NAMESPACE + prefix
        self._clock = clock

    async def get(self, key: str) -> Any:
        """Return the value of a key, None if it is unknown or has expired."""
        entry = await self._find("GET", key)
        return entry.value if entry else None

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        """Set a value for so many seconds. Raises TypeError if it is not JSON."""
        entry = Entry(expiry(self._clock(), ttl_s), encode(value))
        await self._run("SET", self._prefix + key, entry.pack(), "PX", _kept_ms(ttl_s))

    async def delete(self, key: str) -> Any:
        """Remove a key and return the value it had."""
        entry = await self._find("GETDEL", key)
        return entry.value if entry else None

    async def ttl(self, key: str) -> float:
        """Return the seconds a key has left, a negative number if it is unknown."""
        entry = await self._find("GET", key)
        return entry.left_s(self._clock()) if entry else -1

    async def expire(self, key: str, ttl_s: float) -> None:
        """Give a key that exists another time to live."""
        now = self._clock()
        await self._run("EVAL", EXPIRE, 1, self._prefix + key, now, expiry(now, ttl_s), _kept_ms(ttl_s))

    async def flush(self) -> None:
        """Remove every key under this prefix."""
        pattern = _escaped(self._prefix) + "*"
        cursor = 0
        while True:
            cursor, keys = await self._run("SCAN", cursor, "MATCH", pattern, "COUNT", FLUSHED_AT_ONCE)
            if keys:
                await self._run("UNLINK", *keys)
            if not cursor:
                return

    async def check(self) -> bool:
        """Tell whether a value can be written and read back."""
        return await round_trip(self)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _find(self, command: str, key: str) -> Entry | None:
        packed = await self._run(command, self._prefix + key)
        entry = unpack(packed) if packed else None
        return entry if entry and entry.expires > self._clock() else None

    async def _run(self, *command: Any) -> Any:
        """Run a command. Raises BackendUnavailable."""
        try:
            return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except LOST as error:
            raise BackendUnavailable(_told(error)) from error


def _client(url: str) -> Redis:
    try:
        pool = BlockingConnectionPool.from_url(
            url, max_connections=MOST_CONNECTIONS, timeout=LONGEST_WAIT_S, socket_timeout=LONGEST_WAIT_S,
            socket_connect_timeout=LONGEST_WAIT_S, retry=Retry(NoBackoff(), 1),
        )  # fmt: skip
    except ValueError:
        # The reason is kept back: of a URL that is mistaken it may tell a part of the password.
        raise UnfitDatabase(
            "The URL of the cache is no URL of Redis: it is redis://[[user]:password@]host[:port][/number], "
            "special characters in the password as %XX."
        ) from None
    return Redis.from_pool(pool)


def _told(error: Exception) -> str:
    if isinstance(error, ResponseError) and "unknown command" in str(error):
        return f"Redis 6.2 or later is needed for the cache, or Valkey: {error}"
    return f"Redis: {error}"


def _kept_ms(ttl_s: float) -> int:
    return max(0, round(ttl_s * 1000)) + SPARE_S * 1000


def _escaped(text: str) -> str:
    r"""Return a pattern that matches a text and nothing else.

    >>> _escaped("a*b[1]:")
    'a\\*b\\[1\\]:'
    """
    return "".join("\\" + each if each in r"*?[]^-\\" else each for each in text)
