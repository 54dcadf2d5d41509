"""What caches on a server are asked for besides the contract: many workers, outages, callers that go away.

A backend joins by giving `server`, `cache`, and `make`, which returns a cache of another worker (and may be pickled).
"""

import asyncio
import multiprocessing
import random
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest
from tests.servers.daemon import Daemon

from kobako.cache.base import Cache
from kobako.databases.base import BackendUnavailable
from kobako.testing.fixtures import Clock

Make = Callable[[Callable[[], int]], Cache]

WORKERS = 4
TASKS = 8
ROUNDS = 60
KEYS = 10
PATIENCE_S = 30


def fast_clock() -> int:
    """A minute in 60 ms: what is set for a minute expires, and is swept, while others write."""
    return int(time.time() * 1_000_000)


class ServerCacheContract:
    @pytest.fixture
    async def other(self, make: Make, clock: Clock) -> AsyncIterator[Cache]:
        other = make(clock)
        yield other
        await other.close()

    async def test_workers_see_what_others_do(self, cache: Cache, other: Cache) -> None:
        await cache.set("key", 1, 60)
        assert await other.get("key") == 1
        assert await other.delete("key") == 1
        assert await cache.get("key") is None

        await other.set("key", 2, 60)
        await cache.flush()

        assert await other.get("key") is None
        await other.set("key", 3, 60)
        assert await cache.get("key") == 3

    async def test_a_key_deleted_by_many_workers_gives_its_value_once(self, cache: Cache, other: Cache) -> None:
        for n in range(50):
            await cache.set("key", n, 60)

            taken = await asyncio.gather(*(each.delete("key") for each in (cache, other) * 4))

            assert sorted(taken, key=lambda value: value is None) == [n] + [None] * 7

    async def test_what_was_replaced_while_it_was_deleted_is_given_or_stays(self, cache: Cache, other: Cache) -> None:
        async def replace() -> None:
            for n in range(100):
                await other.set("key", n, 60)

        async def delete() -> list[int]:
            return [await cache.delete("key") for _ in range(100)]

        _, taken = await asyncio.gather(replace(), delete())

        given = [value for value in taken if value is not None]
        assert given == sorted(set(given)), "none twice"
        assert await cache.get("key") in ({99} if 99 not in given else {None})

    async def test_many_more_callers_than_connections_are_served(self, cache: Cache) -> None:
        await asyncio.gather(*(cache.set(f"key{n}", n, 60) for n in range(300)))

        assert await asyncio.gather(*(cache.get(f"key{n}") for n in range(300))) == list(range(300))

    async def test_a_caller_that_goes_away_leaves_the_others_their_own_answers(self, cache: Cache) -> None:
        for n in range(20):
            await cache.set(f"key{n}", n, 60)
        fate = random.Random(7)

        for _ in range(20):
            gone = [asyncio.create_task(cache.get(f"key{fate.randrange(20)}")) for _ in range(15)]
            for _ in range(fate.randrange(6)):
                await asyncio.sleep(0)
            for task in gone:
                task.cancel()

            assert await asyncio.gather(*(cache.get(f"key{n}") for n in range(20))) == list(range(20))

    async def test_a_server_that_is_gone_is_unavailable_and_its_return_is_noticed(
        self, server: Daemon, cache: Cache
    ) -> None:
        await cache.set("key", 1, 60)
        server.stop()

        operations = (
            *(cache.get("key"), cache.set("key", 1, 60), cache.delete("key"), cache.ttl("key")),
            *(cache.expire("key", 60), cache.flush(), cache.check()),
        )
        *failures, health = await asyncio.gather(*operations, return_exceptions=True)
        assert [type(each) for each in failures] == [BackendUnavailable] * 6
        assert health is False

        server.start()
        await eventually(cache.check)
        await cache.set("key", 2, 60)
        assert await cache.get("key") == 2

    async def test_connections_that_were_cut_while_idle_are_made_anew(self, server: Daemon, cache: Cache) -> None:
        await asyncio.gather(*(cache.set(f"key{n}", n, 60) for n in range(50)))

        server.restart()

        await eventually(cache.check)
        await cache.set("key", 2, 60)
        assert await cache.get("key") == 2

    async def test_c19_many_workers_write_and_expire_the_same_keys(self, make: Make, cache: Cache) -> None:
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as workers:
            ends = [loop.run_in_executor(workers, hammer, make, seed) for seed in range(WORKERS)]

            assert await asyncio.gather(*ends) == [TASKS * ROUNDS] * WORKERS


async def eventually(check: Callable[[], Any]) -> None:
    """Wait until a check says yes."""
    deadline = time.monotonic() + PATIENCE_S
    while not await check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def hammer(make: Make, seed: int) -> int:
    """Use a cache as a busy worker does, and return how often; what fails, fails the test."""
    return asyncio.run(_hammer(make(fast_clock), seed))


async def _hammer(cache: Cache, seed: int) -> int:
    done = await asyncio.gather(*(_write_and_expire(cache, random.Random(f"{seed}/{n}")) for n in range(TASKS)))
    await cache.close()
    return sum(done)


async def _write_and_expire(cache: Cache, fate: random.Random) -> int:
    for _ in range(ROUNDS):
        key = f"key{fate.randrange(KEYS)}"
        assert await cache.get(key) in (None, key)
        await cache.set(key, key, fate.choice((0, 60)))
        await fate.choices(
            [
                partial(cache.get, key),
                partial(cache.delete, key),
                partial(cache.ttl, key),
                partial(cache.expire, key, 60),
                cache.flush,
            ],
            [4, 4, 1, 4, 1],
        )[0]()
    return ROUNDS
