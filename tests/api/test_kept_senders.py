"""Who was recognized by an Authorization header is known until something is committed, if the database is near (P6)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kobako import Authenticator, Identity, Passing, Request
from kobako.app import App
from kobako.http import kept
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing import Clock
from kobako.testing.client import Client

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


class Door:
    """Recognizes whoever names themselves, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.says_more = False

    async def authenticate(self, request: Request) -> Identity | Passing | None:
        self.asked += 1
        name = request.headers.get("authorization", "")
        found = Identity(name) if name else None
        return Passing(found) if self.says_more else found


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def knocking(settings: Settings, door: Door, clock: Clock) -> AsyncIterator[Client]:
    authenticators = [Authenticator("door", door.authenticate, lasts_s=60)]
    async with Client(App(settings, RESOURCES, authenticators=authenticators, clock=clock), None) as client:
        client.headers["authorization"] = "somebody"
        yield client


async def who(client: Client) -> str | None:
    answer = await client.get("/")
    return answer.json.get("user", {}).get("id")


async def test_who_was_recognized_is_known_until_something_is_committed(knocking: Client, door: Door) -> None:
    """P6: by the same header, and no other."""
    for _ in range(2):
        assert await who(knocking) == "door:somebody"
        assert await who(knocking.anonymous()) is None
    assert door.asked == 2
    await knocking.put("/buckets/b")
    assert door.asked == 2
    assert await who(knocking) == "door:somebody"
    assert door.asked == 3
    knocking.headers["authorization"] = "another"
    assert await who(knocking) == "door:another"


async def test_who_was_recognized_is_known_for_so_long(knocking: Client, door: Door, clock: Clock) -> None:
    for seconds, asked in ((0, 1), (59, 1), (2, 2)):
        clock.now += seconds * 1000
        assert await who(knocking) == "door:somebody"
        assert door.asked == asked


async def test_the_parts_of_a_batch_have_one_sender(knocking: Client, door: Door) -> None:
    await knocking.batch(*({"method": "PUT", "path": f"/buckets/b{n}"} for n in range(5)))
    assert door.asked == 1
    assert (await knocking.get("/buckets")).json["data"]


async def test_what_is_said_of_one_request_alone_is_asked_each_time(knocking: Client, door: Door) -> None:
    door.says_more = True
    for _ in range(2):
        assert await who(knocking) == "door:somebody"
        assert await who(knocking.anonymous()) is None
    assert door.asked == 4


async def nobody(request: Request) -> None:
    """Recognize nobody."""


async def nothing(request: Request) -> frozenset[str]:
    return frozenset()


@pytest.mark.parametrize("other", [{}, {"lasts_s": 60, "principals": nothing}])
async def test_one_who_looks_at_other_things_has_all_asked_each_time(
    settings: Settings, door: Door, other: dict[str, Any]
) -> None:
    authenticators = [Authenticator("other", nobody, **other), Authenticator("door", door.authenticate, lasts_s=60)]
    async with Client(App(settings, RESOURCES, authenticators=authenticators), None) as client:
        client.headers["authorization"] = "somebody"
        for _ in range(2):
            assert await who(client) == "door:somebody"
    assert door.asked == 2


async def test_so_many_senders_are_known(knocking: Client, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_SENDERS", 10)
    for number in range(50):
        knocking.headers["authorization"] = f"user{number}"
        assert await who(knocking) == f"door:user{number}"
        assert len(knocking.app.site.senders._known) <= 11
