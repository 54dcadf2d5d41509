"""The cache in memcached: the contracts, and what only it has."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from tests.backends.server_caches import Make, ServerCacheContract, eventually
from tests.servers.daemon import free_port
from tests.servers.memcached import Memcached

from kobako.cache.memcached import LONGEST_TTL_S, MemcachedCache
from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.testing import CacheContract, Clock, SharedCacheContract

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server() -> Iterator[Memcached]:
    server = Memcached()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def second(server: Memcached) -> Iterator[Memcached]:
    second = Memcached()
    second.start()
    yield second
    second.remove()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(server: Memcached, clock: Clock) -> AsyncIterator[MemcachedCache]:
    forget(server)
    cache = MemcachedCache([server.host], "a_b:", clock)
    yield cache
    await cache.close()


@pytest.fixture
async def neighbour(server: Memcached, clock: Clock) -> AsyncIterator[MemcachedCache]:
    neighbour = MemcachedCache([server.host], "axb:", clock)
    yield neighbour
    await neighbour.close()


class TestMemcachedCache(CacheContract, SharedCacheContract, ServerCacheContract):
    @pytest.fixture
    def make(self, server: Memcached) -> Make:
        return partial(MemcachedCache, [server.host], "a_b:")


class TestSeveralHosts(CacheContract):
    @pytest.fixture
    async def cache(self, server: Memcached, second: Memcached, clock: Clock) -> AsyncIterator[MemcachedCache]:
        forget(server)
        forget(second)
        cache = MemcachedCache([server.host, second.host], "a_b:", clock)
        yield cache
        await cache.close()

    async def test_each_has_its_part_of_the_keys(
        self, server: Memcached, second: Memcached, cache: MemcachedCache
    ) -> None:
        before = [writes(server), writes(second)]

        for n in range(100):
            await cache.set(f"key{n}", n, 60)

        assert writes(server) - before[0] > 20
        assert writes(second) - before[1] > 20


def ask(server: Memcached, command: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"{command}\r\nquit\r\n".encode())
        return b"".join(iter(partial(connection.recv, 65536), b"")).decode()


def forget(server: Memcached) -> None:
    assert ask(server, "flush_all") == "OK\r\n"


def writes(server: Memcached) -> int:
    """Return how often a server was told to keep something."""
    return int(re.search(r"STAT cmd_set (\d+)", ask(server, "stats"))[1])


async def test_a_value_too_large_is_forgotten_with_a_warning(
    cache: MemcachedCache, caplog: pytest.LogCaptureFixture
) -> None:
    await cache.set("key", "small", 60)

    await cache.set("key", "x" * 2_000_000, 60)

    assert await cache.get("key") is None
    assert "memcached did not keep a value of 2000049 bytes" in caplog.text
    await cache.set("key", "small again", 60)
    assert await cache.get("key") == "small again"


@pytest.mark.parametrize("ttl_s", [LONGEST_TTL_S - 1, LONGEST_TTL_S, LONGEST_TTL_S + 1, 20 * LONGEST_TTL_S])
async def test_a_value_may_count_for_longer_than_a_month(cache: MemcachedCache, clock: Clock, ttl_s: float) -> None:
    await cache.set("key", 1, 10)
    await cache.expire("key", ttl_s)
    await cache.set("other", 2, ttl_s)

    clock.now += int(ttl_s * 1000) - 1
    assert [await cache.get("key"), await cache.get("other")] == [1, 2]
    clock.now += 1

    assert [await cache.get("key"), await cache.get("other")] == [None, None]


@pytest.mark.parametrize("ttl_s", [0, -1, -60, -1000])
async def test_a_value_may_have_expired_already(cache: MemcachedCache, ttl_s: float) -> None:
    await cache.set("key", 1, ttl_s)

    assert await cache.get("key") is None


async def test_what_was_flushed_does_not_come_back_when_the_generation_is_forgotten(
    server: Memcached, cache: MemcachedCache
) -> None:
    await cache.set("key", 1, 60)
    await cache.flush()

    assert ask(server, f"delete {cache._generation_key.decode()}") == "DELETED\r\n"

    assert await cache.get("key") is None
    await cache.set("other", 2, 60)
    assert await cache.get("other") == 2
    assert await cache.get("key") is None


async def test_many_workers_begin_one_generation(server: Memcached, cache: MemcachedCache) -> None:
    workers = [MemcachedCache([server.host], "a_b:", Clock()) for _ in range(8)]

    await asyncio.gather(*(each.set(f"key{n}", n, 60) for n, each in enumerate(workers)))

    assert [await cache.get(f"key{n}") for n in range(8)] == list(range(8))
    for each in workers:
        await each.close()


@pytest.mark.slow
async def test_a_host_that_was_gone_for_long_is_back_at_once() -> None:
    server = Memcached()
    cache = MemcachedCache([server.host], "", Clock())
    # The pauses of the driver have grown by then to more than is waited here.
    for _ in range(4):
        with pytest.raises(BackendUnavailable, match="memcached: no answer"):
            await cache.get("key")

    server.start()

    async with asyncio.timeout(8):
        await eventually(cache.check)
    await cache.close()
    server.remove()


async def test_a_host_that_is_gone_takes_only_its_own_keys(server: Memcached, clock: Clock) -> None:
    cache = MemcachedCache([server.host, f"127.0.0.1:{free_port()}"], "", clock)
    answers = await asyncio.gather(*(cache.set(f"key{n}", n, 60) for n in range(20)), return_exceptions=True)

    assert all(answer is None or isinstance(answer, BackendUnavailable) for answer in answers)
    assert BackendUnavailable in {type(answer) for answer in answers}
    await cache.close()


@pytest.mark.parametrize("host", ["", ":11211", "host:", "host:port", "host:0", "host:65536", "a:b:c"])
def test_a_host_that_can_not_be_read_is_named(host: str) -> None:
    with pytest.raises(UnfitDatabase, match=f"cache_hosts has '{host}'"):
        MemcachedCache([host], "", Clock())


def test_there_has_to_be_a_host() -> None:
    with pytest.raises(UnfitDatabase, match="cache_hosts is empty"):
        MemcachedCache([], "", Clock())
