"""The cache in memcached, seen by all processes of all machines: over several hosts, each key has its own.

A value is kept as `generation expires text`. memcached can not remove the keys of a prefix: a flush begins another
generation instead, and what is of a former one is taken for forgotten. Nor can it tell what it deleted, or how long
a key has left: what was read is replaced where it is still the same (gets and cas), and the moment a value expires
is kept with it. Keys are hashed: memcached takes 250 bytes without spaces.

A value that memcached does not keep, for its size above all (1 MB by default), is forgotten at once, with a warning.

Source: cache contract, objects 23.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import emcache

from kobako.cache.values import SPARE_S, Entry, encode, expiry, round_trip, unpack
from kobako.databases.base import BackendUnavailable, UnfitDatabase

T = TypeVar("T")
Address = emcache.MemcachedHostAddress | emcache.MemcachedUnixSocketPath

PORT = 11211
MOST_CONNECTIONS = 10
"""For each host."""

LONGEST_WAIT_S = 5.0
"""Of a host that is gone, too: the driver goes on trying to connect for so long."""

LONGEST_TTL_S = 30 * 24 * 3600
"""memcached takes more seconds than these for a date."""

FOR_EVER = 0
AT_ONCE = -1
"""Times to live, in the words of memcached."""

log = logging.getLogger(__name__)


class Found(NamedTuple):
    """What was read, and the mark by which memcached knows whether it is still there."""

    entry: Entry
    generation: bytes
    mark: int


class MemcachedCache:
    """Keys in memcached. `hosts` are `host:port` or paths of sockets; `clock` returns milliseconds since the epoch.

    Raises UnfitDatabase for hosts that can not be read.
    """

    def __init__(self, hosts: Sequence[str], prefix: str, clock: Callable[[], int]) -> None:
        self._addresses = [address(each) for each in hosts]
        if not self._addresses:
            raise UnfitDatabase("cache_hosts is empty: it names the hosts of memcached, as 127.0.0.1:11211.")
        self._prefix = prefix
        self._generation_key = _hashed("generation", prefix)
        self._clock = clock
        self._opening = asyncio.Lock()
        self._client: emcache.Client | None = None

    async def get(self, key: str) -> Any:
        """Return the value of a key, None if it is unknown or has expired."""
        found = await self._find(key)
        return found.entry.value if found else None

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        """Set a value for so many seconds. Raises TypeError if it is not JSON."""
        entry = Entry(expiry(self._clock(), ttl_s), encode(value))
        packed = _packed(await self._generation(), entry)
        try:
            await self._run(lambda client: client.set(self._key(key), packed, exptime=_exptime(ttl_s)))
        except emcache.StorageCommandError as error:
            # memcached has forgotten the former value too.
            log.warning("memcached did not keep a value of %s bytes: %s", len(packed), error)

    async def delete(self, key: str) -> Any:
        """Remove a key and return the value it had."""
        while found := await self._find(key):
            if await self._replace(key, found.mark, b"", AT_ONCE):
                return found.entry.value
        return None

    async def ttl(self, key: str) -> float:
        """Return the seconds a key has left, a negative number if it is unknown."""
        found = await self._find(key)
        return found.entry.left_s(self._clock()) if found else -1

    async def expire(self, key: str, ttl_s: float) -> None:
        """Give a key that exists another time to live."""
        while found := await self._find(key):
            entry = Entry(expiry(self._clock(), ttl_s), found.entry.text)
            if await self._replace(key, found.mark, _packed(found.generation, entry), _exptime(ttl_s)):
                return

    async def flush(self) -> None:
        """Forget every key under this prefix. memcached keeps them, until they expire or it needs the place."""
        await self._run(lambda client: client.set(self._generation_key, _new_generation()))

    async def check(self) -> bool:
        """Tell whether a value can be written and read back."""
        return await round_trip(self)

    async def close(self) -> None:
        """Let go of the connections."""
        client, self._client = self._client, None
        if client:
            await client.close()

    def _key(self, key: str) -> bytes:
        return _hashed("value", self._prefix + key)

    async def _find(self, key: str) -> Found | None:
        """Return what is kept under a key, if it still counts."""
        name = self._key(key)
        items = await self._run(lambda client: client.gets_many([self._generation_key, name]))
        if self._generation_key not in items or name not in items:
            return None
        generation, _, packed = items[name].value.partition(b" ")
        if generation != items[self._generation_key].value or unpack(packed).expires <= self._clock():
            return None
        return Found(unpack(packed), generation, items[name].cas or 0)

    async def _replace(self, key: str, mark: int, packed: bytes, exptime: int) -> bool:
        """Replace a value unless it has changed since it was read; tell whether it was the same."""
        try:
            await self._run(lambda client: client.cas(self._key(key), packed, mark, exptime=exptime))
        except emcache.NotStoredStorageCommandError:
            return False
        except emcache.StorageCommandError as error:
            if "NOT_FOUND" in str(error):
                return False
            raise BackendUnavailable(f"memcached: {error}") from error
        return True

    async def _generation(self) -> bytes:
        while True:
            if item := await self._run(lambda client: client.get(self._generation_key)):
                return item.value
            # Never one that was there before: a flush is for ever, also when memcached forgets the generation.
            try:
                await self._run(lambda client: client.add(self._generation_key, _new_generation()))
            except emcache.NotStoredStorageCommandError:
                continue

    async def _run(self, command: Callable[[emcache.Client], Awaitable[T]]) -> T:
        """Run a command. Raises BackendUnavailable, StorageCommandError if a value was not kept."""
        client = await self._open()
        try:
            return await command(client)
        except emcache.StorageCommandError:
            raise
        except (OSError, emcache.CommandError, emcache.ClusterNoAvailableNodes) as error:
            await self._renew(client)
            raise BackendUnavailable(f"memcached: {str(error) or 'no answer'}") from error

    async def _open(self) -> emcache.Client:
        async with self._opening:
            if self._client is None:
                self._client = await emcache.create_client(
                    self._addresses, timeout=LONGEST_WAIT_S, max_connections=MOST_CONNECTIONS
                )
            return self._client

    async def _renew(self, client: emcache.Client) -> None:
        """Let go of a client that has given up a host: it would try that again in a minute only."""
        if self._client is client and client.cluster_managment().unhealthy_nodes():
            await self.close()


def address(host: str) -> Address:
    """Return where a host is. Raises UnfitDatabase.

    >>> address("[::1]:11212")
    MemcachedHostAddress(address='::1', port=11212)
    >>> address("cache.local")
    MemcachedHostAddress(address='cache.local', port=11211)
    >>> address("/run/memcached.sock").path
    '/run/memcached.sock'
    """
    if host.startswith("/"):
        return emcache.MemcachedUnixSocketPath(host)
    name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", str(PORT))
    if not name or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UnfitDatabase(f"cache_hosts has '{host}': a host of memcached is named 127.0.0.1:11211, or by a socket.")
    return emcache.MemcachedHostAddress(name.strip("[]"), int(port))


def _hashed(kind: str, name: str) -> bytes:
    return f"kobako:{kind}:{sha256(name.encode()).hexdigest()}".encode()


def _new_generation() -> bytes:
    return uuid4().hex.encode()


def _packed(generation: bytes, entry: Entry) -> bytes:
    return generation + b" " + entry.pack()


def _exptime(ttl_s: float) -> int:
    """Return how long memcached keeps a value: beyond its longest, until it needs the place."""
    seconds = math.ceil(max(ttl_s, 0)) + SPARE_S
    return seconds if seconds <= LONGEST_TTL_S else FOR_EVER
