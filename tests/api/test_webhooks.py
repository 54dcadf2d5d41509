"""Webhooks: what a receiver gets, in which order, how often; what becomes of what it does not take."""

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.api.sharing import B, C, create, put, serving
from tests.listeners.free import free_port
from tests.listeners.hooks import KEY, webhook
from tests.listeners.receiver import Received, Receiver
from tests.servers.modes import chosen

from kobako.listeners.webhook import delivery
from kobako.listeners.webhook.options import Webhook
from kobako.listeners.webhook.queue import LISTS, Queue, queued
from kobako.protocol.errors import Forbidden
from kobako.protocol.selection import Selection
from kobako.storage.base import Place
from kobako.testing.client import Client

RECORDS = f"{C}/records"


@asynccontextmanager
async def sending(receiver: Receiver, **options: str) -> AsyncIterator[Client]:
    """A client of a server that sends its events to a receiver, with a list of records."""
    async with serving(event_listeners=(webhook(receiver.url, **options),)) as client:
        await create(client, B, C)
        yield client


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a hundredth."""
    monkeypatch.setattr(delivery, "POLL_S", 0.02)
    monkeypatch.setattr(delivery.random, "uniform", lambda *_: 0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


async def come(receiver: Receiver, number: int) -> list[Received]:
    """Return what came, once it is so many."""
    return await asyncio.to_thread(receiver.wait_for, number)


def queue_of(client: Client) -> Queue:
    return Queue("hook", client.app.site.backends.database)


async def until_empty(queue: Queue) -> None:
    """Wait until nothing is queued any more."""

    async def is_empty() -> bool:
        return await queue.length() == 0

    await until(is_empty)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a state is reached."""
    async with asyncio.timeout(20):
        while True:
            if await reached():
                return
            await asyncio.sleep(0.01)


# What is sent


async def test_a_receiver_gets_the_event_with_its_objects_signed(receiver: Receiver) -> None:
    async with sending(receiver) as client:
        await client.put(f"{RECORDS}/r", data={"n": 12345678901234567890})
        user = (await client.get("/")).json["user"]["id"]
        [got] = await come(receiver, 1)

    event = got.json
    assert (got.path, event["action"], event["uri"]) == ("/hook", "create", f"{RECORDS}/r")
    assert (event["resource_name"], event["user_id"], event["record_id"]) == ("record", user, "r")
    assert [each["new"]["n"] for each in event["impacted_objects"]] == [12345678901234567890]
    assert (event["id"], event["attempt"]) == (got.headers["webhook-id"], 1)
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{event['id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(KEY, signed, "sha256")).decode()
    assert got.headers["content-type"] == "application/json"


async def test_what_is_undone_is_not_sent(receiver: Receiver) -> None:
    def refuse(tx: object, event: object) -> None:
        raise Forbidden

    async with serving(event_listeners=(webhook(receiver.url),), before_commit=[refuse]) as client:
        assert (await client.batch(put(B), put(C), put(f"{RECORDS}/r"))).status == 403

        assert await queue_of(client).length() == 0


async def test_an_event_of_many_objects_is_sent_in_parts(receiver: Receiver) -> None:
    async with sending(receiver) as client:
        for start in range(0, 120, 20):
            await client.batch(*[put(f"{RECORDS}/r{number:03}") for number in range(start, start + 20)])
        await come(receiver, 6)
        await client.delete(RECORDS)
        events = [each.json for each in (await come(receiver, 8))[6:]]

    assert [each["action"] for each in events] == ["delete", "delete"]
    gone = [each["old"]["id"] for event in events for each in event["impacted_objects"]]
    assert sorted(gone) == [f"r{number:03}" for number in range(120)]
    assert all(each["new"]["deleted"] for event in events for each in event["impacted_objects"])


async def test_no_url_shows_the_queue(receiver: Receiver) -> None:
    receiver.answer = lambda _: 500
    async with sending(receiver) as client:
        await client.put(f"{RECORDS}/r")
        await come(receiver, 1)

        for url in ("/buckets/webhooks", "/webhooks/hook", "/buckets/hook/collections"):
            assert (await client.get(url)).status in (403, 404)
        assert [each["id"] for each in (await client.get("/buckets")).data] == ["b"]


# Until it is received


async def test_a_message_is_sent_again_until_it_is_received_and_then_forgotten(receiver: Receiver) -> None:
    receiver.answer = lambda got: 200 if got.json["attempt"] == 4 else 503
    async with sending(receiver) as client:
        await client.put(f"{RECORDS}/r")
        got = await come(receiver, 4)
        await until_empty(queue_of(client))

    assert [each.json["attempt"] for each in got] == [1, 2, 3, 4]
    assert len({each.headers["webhook-id"] for each in got}) == 1


async def test_a_redirection_is_a_failure_and_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda got: 302 if got.json["attempt"] == 1 else 200
    async with sending(receiver) as client:
        await client.put(f"{RECORDS}/r")
        got = await come(receiver, 2)

    assert [each.path for each in got] == ["/hook", "/hook"]


async def test_events_of_one_object_come_in_order_and_others_do_not_wait(receiver: Receiver) -> None:
    ready = False

    def answer(got: Received) -> int:
        return 200 if ready or got.json["record_id"] != "slow" else 500

    async def quick_came() -> bool:
        return any(each.json["record_id"] == "quick" for each in await come(receiver, 2))

    receiver.answer = answer
    async with sending(receiver) as client:
        for number in range(5):
            await client.put(f"{RECORDS}/slow", data={"n": number})
        await client.put(f"{RECORDS}/quick", data={})
        await until(quick_came)
        before = [each.json["impacted_objects"][0]["new"]["n"] for each in slow(receiver)]
        ready = True
        await until_empty(queue_of(client))

    order = [each.json["impacted_objects"][0]["new"]["n"] for each in slow(receiver)]
    assert set(before) == {0}
    assert list(dict.fromkeys(order)) == [0, 1, 2, 3, 4]
    assert order == sorted(order)


def slow(receiver: Receiver) -> list[Received]:
    return [each for each in list(receiver.received) if each.json["record_id"] == "slow"]


async def test_what_was_queued_before_a_stop_is_sent_after_it(receiver: Receiver) -> None:
    receiver.answer = lambda _: 500
    async with sending(receiver) as client:
        await client.put(f"{RECORDS}/r")
        await come(receiver, 1)
        receiver.answer = lambda _: 200
        tasks = client.app._tasks
        await tasks.stop()
        left = await queue_of(client).length()
        tasks.start()
        await until_empty(queue_of(client))

    assert left <= 1
    assert receiver.received[-1].json["record_id"] == "r"


async def test_a_queue_of_two_processes_is_delivered_by_one(receiver: Receiver) -> None:
    async with sending(receiver) as client:
        for number in range(3):
            other = delivery.Delivery(Webhook(name="hook", url=receiver.url, key=KEY, allow_private=True))
            task = asyncio.create_task(other.run(client.app))
            await client.put(f"{RECORDS}/r{number}")
            await until_empty(queue_of(client))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert sorted(each.json["record_id"] for each in receiver.received) == ["r0", "r1", "r2"]


async def test_what_was_received_leaves_nothing_behind(receiver: Receiver) -> None:
    async with sending(receiver) as client:
        for number in range(10):
            # Where everything is serializable the sender may be in the way too often.
            while (await client.put(f"{RECORDS}/r{number}")).status == 503:
                assert chosen() == "serializable"
        await come(receiver, 10)
        await until_empty(queue_of(client))
        async with client.app.site.backends.begin() as tx:
            everything = Selection(tombstones=True)
            left = [await tx.storage.list(queued("hook", number), everything) for number in range(LISTS)]

    assert [each for each in left if each] == []


# Dead letters


async def test_after_the_last_attempt_a_message_is_dead_and_the_next_one_is_sent(receiver: Receiver) -> None:
    receiver.answer = lambda got: 500 if got.json["action"] == "create" else 200
    async with sending(receiver, max_attempts="3") as client:
        await client.put(f"{RECORDS}/r", data={"n": 1})
        await client.put(f"{RECORDS}/r", data={"n": 2})
        got = await come(receiver, 4)
        await until_empty(queue_of(client))
        [dead] = await queue_of(client).dead()

    assert [each.json["action"] for each in got] == ["create"] * 3 + ["update"]
    assert (dead.letter.attempts, dead.letter.problem) == (3, "status 500")


async def test_a_dead_message_can_be_sent_again_or_dropped(receiver: Receiver) -> None:
    receiver.answer = lambda got: 500
    async with sending(receiver, max_attempts="1") as client:
        queue = queue_of(client)
        await client.put(f"{RECORDS}/r", data={})
        await client.put(f"{RECORDS}/s", data={})

        async def both_are_dead() -> bool:
            return len(await queue.dead()) == 2

        await until(both_are_dead)
        first, second = [each.letter.id for each in await queue.dead()]
        receiver.answer = lambda got: 200

        assert [await queue.replay(first), await queue.drop(second), await queue.drop("unknown")] == [True, True, False]
        got = await come(receiver, 3)
        assert got[-1].headers["webhook-id"] == first
        await until_empty(queue)
        assert await queue.dead() == []
        assert await queue.replay(first) is False


async def test_of_too_many_dead_messages_those_that_died_first_are_dropped(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda got: 500
    async with sending(receiver, max_attempts="1", max_dead="4") as client:
        queue = queue_of(client)
        for number in range(5):
            await client.put(f"{RECORDS}/r{number}", data={})
            await until_empty(queue)

        async def some_are_dropped() -> bool:
            return len(await queue.dead()) == 3

        await until(some_are_dropped)
        dead = [each.letter.objects for each in await queue.dead()]

    assert sorted(dead) == [[f"{RECORDS}/r{number}"] for number in (2, 3, 4)]
    assert "2 events of webhook hook that were given up first are dropped: of more than 4" in caplog.messages


# Where it may not be sent


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]"]
)
async def test_nothing_is_sent_to_an_address_that_is_not_public(host: str) -> None:
    given = webhook(f"https://{host}:{free_port()}/", allow_private="false", max_attempts="1")
    async with serving(event_listeners=(given,)) as client:
        await create(client, B, C, f"{RECORDS}/r")
        await until_empty(queue_of(client))
        [dead] = await queue_of(client).dead()

    assert dead.letter.problem.endswith("addresses that are not public need 'allow_private'")


async def test_nothing_is_written_by_a_server_that_is_readonly(receiver: Receiver) -> None:
    async with serving(event_listeners=(webhook(receiver.url),), readonly=True) as client:
        await asyncio.sleep(0.05)
        async with client.app.site.backends.begin() as tx:
            assert await tx.storage.timestamp(Place("webhook-lease", "webhooks/hook/lease")) is None
