"""The cache in Redis or Valkey: the contracts, and what only it has."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from redis.asyncio import Redis
from tests.backends.server_caches import Make, ServerCacheContract
from tests.servers.valkey import Valkey

from kobako.cache import redis
from kobako.cache.redis import RedisCache
from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.testing import CacheContract, Clock, SharedCacheContract

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def client(server: Valkey) -> AsyncIterator[Redis]:
    """What else uses the server, which is empty."""
    async with Redis.from_url(server.url(), decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(server: Valkey, client: Redis, clock: Clock) -> AsyncIterator[RedisCache]:
    cache = RedisCache(server.url(), "a_b:", clock)
    yield cache
    await cache.close()


@pytest.fixture
async def neighbour(server: Valkey, clock: Clock) -> AsyncIterator[RedisCache]:
    neighbour = RedisCache(server.url(), "axb:", clock)
    yield neighbour
    await neighbour.close()


class TestRedisCache(CacheContract, SharedCacheContract, ServerCacheContract):
    @pytest.fixture
    def make(self, server: Valkey) -> Make:
        return partial(RedisCache, server.url(), "a_b:")


async def test_a_flush_removes_any_number_of_keys_and_leaves_what_is_not_of_the_cache(
    server: Valkey, client: Redis, clock: Clock
) -> None:
    cache = RedisCache(server.url(), "", clock)
    await client.mset({f"{redis.NAMESPACE}{n}": "1 2" for n in range(3 * redis.FLUSHED_AT_ONCE)})
    await client.set("object", "kept")

    await cache.flush()

    assert await client.keys() == ["object"]
    await cache.close()


@pytest.mark.parametrize("prefix", ["*", "[ab]", "a?", "a\\", "^", "é "])
async def test_a_prefix_has_no_wildcards(server: Valkey, client: Redis, clock: Clock, prefix: str) -> None:
    cache = RedisCache(server.url(), prefix, clock)
    await cache.set("key", 1, 60)
    others = {f"{redis.NAMESPACE}{each}key" for each in ("a", "b", "ab", "aé", "-")}
    await client.mset(dict.fromkeys(others, "1 2"))

    await cache.flush()

    assert set(await client.keys()) == others
    await cache.close()


async def test_the_server_clears_up_what_has_expired(client: Redis, cache: RedisCache) -> None:
    await cache.set("key", 1, 10)
    key = f"{redis.NAMESPACE}a_b:key"
    assert 10_000 < await client.pttl(key) <= (10 + redis.SPARE_S) * 1000

    await cache.expire("key", 1000)

    assert 1_000_000 < await client.pttl(key) <= (1000 + redis.SPARE_S) * 1000


async def test_a_server_too_old_is_named() -> None:
    server = Valkey("--rename-command", "GETDEL", "")
    server.start()
    cache = RedisCache(server.url(), "", Clock())

    with pytest.raises(BackendUnavailable, match=r"Redis 6\.2 or later"):
        await cache.delete("key")

    assert not await cache.check()
    await cache.close()
    server.remove()


@pytest.mark.parametrize(
    "url",
    ["redis://me:x7y/sesame@127.0.0.1/0", "http://me:sesame@127.0.0.1", "redis://me:sesame@[127.0.0.1", ""],
)
def test_a_url_that_is_none_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(UnfitDatabase, match="no URL of Redis") as refusal:
        RedisCache(url, "", Clock())

    assert "x7y" not in str(refusal.value)
    assert "sesame" not in str(refusal.value)


async def test_a_wrong_password_is_unavailable_and_not_told(server: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    cache = RedisCache(server.url().replace("//", "//me:sesame@"), "", Clock())

    with pytest.raises(BackendUnavailable, match="Redis") as refusal:
        await cache.get("key")

    assert "sesame" not in str(refusal.value) + caplog.text
    await cache.close()
