"""The contract of caches, in tests (objects 23)."""

import asyncio
from typing import Any

import pytest

from kobako.cache.base import Cache
from kobako.testing.fixtures import Clock, WithClock

VALUES = [
    pytest.param(value, id=repr(value)[:40])
    for value in (
        *(True, False, 0, 1, -1.5, 1.0, 2**64 + 1, "", "é 🍄 ' \" \\ %", "12", "true"),
        *([], [1, [2.0, None]], {}, {"a": {"b": [1, "2", True, None]}}),
    )
]


class CacheContract(WithClock):
    """What every cache does. A backend joins by giving the `cache` fixture."""

    async def test_an_unknown_key_has_no_value(self, cache: Cache) -> None:
        assert await cache.get("key") is None
        assert await cache.delete("key") is None
        assert await cache.ttl("key") < 0

    @pytest.mark.parametrize("value", VALUES)
    async def test_a_value_comes_back_with_its_types(self, cache: Cache, value: Any) -> None:
        await cache.set("key", value, 60)

        found = await cache.get("key")

        assert found == value
        assert repr(found) == repr(value), "1, 1.0 and True are equal to Python"

    async def test_setting_again_replaces_value_and_time(self, cache: Cache) -> None:
        await cache.set("key", "old", 10)

        await cache.set("key", "new", 60)

        assert await cache.get("key") == "new"
        assert 59 < await cache.ttl("key") <= 60

    @pytest.mark.parametrize(
        "value", [b"bytes", [b"bytes"], {"a": b"bytes"}, {1, 2}, object()], ids=lambda value: type(value).__name__
    )
    async def test_a_value_that_is_no_json_is_a_type_error(self, cache: Cache, value: Any) -> None:
        with pytest.raises(TypeError):
            await cache.set("key", value, 60)

        assert await cache.get("key") is None

    async def test_changing_a_value_outside_changes_nothing_inside(self, cache: Cache) -> None:
        given = {"a": [1]}
        await cache.set("key", given, 60)
        given["a"].append(2)

        (await cache.get("key"))["a"].append(3)

        assert await cache.get("key") == {"a": [1]}

    async def test_a_value_expires(self, cache: Cache, clock: Clock) -> None:
        await cache.set("short", 1, 0.5)
        await cache.set("long", 2, 60)

        clock.now += 499
        assert await cache.get("short") == 1
        clock.now += 1

        assert await cache.get("short") is None
        assert await cache.ttl("short") < 0
        assert await cache.delete("short") is None
        assert await cache.get("long") == 2

    async def test_a_key_tells_the_seconds_it_has_left(self, cache: Cache, clock: Clock) -> None:
        await cache.set("key", 1, 60)

        clock.now += 15_000

        assert await cache.ttl("key") == pytest.approx(45, abs=0.01)

    async def test_a_key_gets_another_time(self, cache: Cache, clock: Clock) -> None:
        await cache.set("key", 1, 10)

        await cache.expire("key", 60)

        clock.now += 30_000
        assert await cache.get("key") == 1
        await cache.expire("key", 0.01)
        clock.now += 10
        assert await cache.get("key") is None

    async def test_an_expired_or_unknown_key_is_not_brought_back(self, cache: Cache, clock: Clock) -> None:
        await cache.set("key", 1, 10)
        clock.now += 10_000

        await cache.expire("key", 60)
        await cache.expire("unknown", 60)

        assert await cache.get("key") is None
        assert await cache.ttl("unknown") < 0

    async def test_a_deleted_key_gives_its_value_once(self, cache: Cache) -> None:
        await cache.set("key", {"a": 1}, 60)

        taken = await asyncio.gather(*(cache.delete("key") for _ in range(20)))

        assert taken.count({"a": 1}) == 1
        assert taken.count(None) == 19
        assert await cache.get("key") is None

    async def test_keys_are_compared_as_they_are(self, cache: Cache) -> None:
        keys = ["a", "A", "a ", "a_b", "axb", "a%", "*", "é", "e\u0301", "a'b", "a:b", "", "x" * 500]
        for n, key in enumerate(keys):
            await cache.set(key, n, 60)

        await cache.delete("a%")
        await cache.delete("*")

        assert [await cache.get(key) for key in keys] == [
            n if key not in ("a%", "*") else None for n, key in enumerate(keys)
        ]

    async def test_many_set_the_same_key_at_once(self, cache: Cache) -> None:
        await asyncio.gather(*(cache.set("key", n, 60) for n in range(20)))

        assert await cache.get("key") in range(20)

    async def test_a_flush_removes_every_key(self, cache: Cache) -> None:
        for key in ("a", "b", ""):
            await cache.set(key, 1, 60)

        await cache.flush()

        assert [await cache.get(key) for key in ("a", "b", "")] == [None, None, None]

    async def test_a_check_says_yes_and_leaves_nothing(self, cache: Cache) -> None:
        await cache.set("key", 1, 60)

        assert await cache.check()

        assert await cache.get("key") == 1


class SharedCacheContract:
    """What caches of one store do to each other. A backend joins by giving `cache` and `neighbour`.

    Their prefixes are `a_b:` and `axb:`, so that one would take the other for its own if `_` were a wildcard.
    """

    async def test_caches_of_other_prefixes_do_not_see_each_other(self, cache: Cache, neighbour: Cache) -> None:
        await cache.set("key", 1, 60)

        assert await neighbour.get("key") is None
        assert await neighbour.delete("key") is None
        await neighbour.set("key", 2, 60)

        assert await cache.get("key") == 1

    async def test_a_flush_leaves_other_prefixes_alone(self, cache: Cache, neighbour: Cache) -> None:
        await cache.set("key", 1, 60)
        await neighbour.set("key", 2, 60)

        await cache.flush()

        assert await cache.get("key") is None
        assert await neighbour.get("key") == 2
