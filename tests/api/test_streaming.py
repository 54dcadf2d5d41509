"""Views that read their bodies, or send their answers, piece by piece (docs/toolkit.md)."""

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from tests.api.test_edge import JSON, send

from kobako import (
    Call,
    ObjectsChanged,
    Plugin,
    Request,
    Response,
    Settings,
    Streamed,
    Transaction,
    View,
    encode,
    invalid,
    json_response,
    objects,
)
from kobako.app import App
from kobako.http.pieces import PAUSE_BYTES
from kobako.model.listeners import Listener
from kobako.resources import BUCKET, RESOURCES
from kobako.testing.client import Client

PIECES = [b"one", b"", b"two", b"three"]


class Shelf:
    """What a plugin with streams saw."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.sent = 0
        self.told: list[str] = []

    async def take(self, streamed: Streamed) -> Response:
        """Count the bytes of the body, in a bucket of that name."""
        await streamed.read(self._look)
        async for chunk in streamed.chunks():
            self.lengths.append(len(chunk))
            if chunk == b"bad":
                raise invalid("body", None, "bad")
        target = BUCKET.target("/buckets", streamed.target.variables["name"])

        async def keep(call: Call) -> Response:
            data = {"size": sum(self.lengths)}
            stored = await objects.write(call.tx, target, data, old=None, by=call.caller.user)
            return json_response(encode({"user": call.caller.user, **stored.data()}))

        return await streamed.write(keep, target)

    async def _look(self, call: Call) -> None:
        if call.caller.user is None:
            raise call.caller.refusal()

    async def give(self, streamed: Streamed) -> Response:
        return Response(headers={"Content-Type": "text/plain"}, stream=self._pieces(), length=11)

    async def _pieces(self) -> AsyncIterator[bytes]:
        for piece in PIECES:
            yield piece
            self.sent += 1

    async def note(self, tx: Transaction, event: ObjectsChanged) -> None:
        self.told.append(event.uri)

    def plugin(self) -> Plugin:
        view = View(name="flow", path="/flows/{name}", streams={"POST": self.take, "GET": self.give})
        listeners = [Listener(self.note), Listener(self.note, after_commit=True)]
        return Plugin(name="flows", views=[view], listeners=listeners)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def client(settings: Settings, shelf: Shelf) -> AsyncIterator[Client]:
    settings = replace(settings, max_body_size_bytes=1000)
    async with Client(App(settings, RESOURCES, plugins=[shelf.plugin()])) as client:
        yield client


async def test_a_body_comes_piece_by_piece_whatever_the_limit_of_the_server(client: Client, shelf: Shelf) -> None:
    response = await send(client.app, "POST", b"/v1/flows/a", headers=JSON, chunks=[b"x" * 700, b"y" * 700])

    assert (response.status, json.loads(response.body)["size"]) == (200, 1400)
    assert shelf.lengths[:2] == [700, 700]
    assert (await client.get("/buckets/a")).status == 403
    assert shelf.told == ["/buckets/a", "/buckets/a"]


async def test_a_body_that_is_here_already_is_one_piece(client: Client, shelf: Shelf) -> None:
    assert (await client.request("POST", "/flows/a", body=b"12345")).json["size"] == 5
    assert shelf.lengths == [5]


async def test_who_is_refused_before_the_body_is_answered_before_it_is_read(client: Client, shelf: Shelf) -> None:
    told: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        told.append(0)
        return {"type": "http.request", "body": b"x", "more_body": len(told) < 5}

    async def answer(message: MutableMapping[str, Any]) -> None:
        assert not told or not message.get("body"), "nothing was asked for before the answer"
        if message["type"] == "http.response.start":
            assert message["status"] == 401
            assert (b"connection", b"close") in message["headers"]

    await client.app(_scope("POST"), receive, answer)

    # What a client still sends is read afterwards: many do not look for an answer before.
    assert len(told) == 5
    assert not shelf.lengths


async def test_a_body_that_breaks_off_is_a_400_and_nothing_is_written(client: Client) -> None:
    messages = iter([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(messages)

    async def answer(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await client.app(_scope("POST", JSON), receive, answer)

    assert sent[0]["status"] == 400
    assert (await client.put("/buckets/a")).status == 201


async def test_a_refusal_half_way_leaves_the_rest_unread_until_it_is_answered(client: Client, shelf: Shelf) -> None:
    response = await send(client.app, "POST", b"/v1/flows/a", headers=JSON, chunks=[b"bad", b"x", b"y"])

    assert response.status == 400
    assert response.headers["connection"] == "close"
    assert shelf.lengths == [3]


@pytest.mark.parametrize(("others", "order"), [(True, "chunk other chunk chunk"), (False, "chunk chunk chunk other")])
async def test_a_large_body_lets_others_go_first_where_there_are_some(client: Client, others: bool, order: str) -> None:
    """A9."""
    seen: list[str] = []
    waiting: list[asyncio.Task[None]] = []

    async def other() -> None:
        seen.append("other")

    async def receive() -> MutableMapping[str, Any]:
        seen.append("chunk")
        if len(seen) == 1:
            if others:
                await send(client.app)
            waiting.append(asyncio.create_task(other()))
        return {"type": "http.request", "body": b"x" * PAUSE_BYTES, "more_body": seen.count("chunk") < 3}

    async def answer(message: MutableMapping[str, Any]) -> None:
        assert message.get("status", 200) == 200

    await client.app(_scope("POST", JSON), receive, answer)
    await waiting[0]

    assert seen == order.split()


async def test_an_answer_goes_out_piece_by_piece(client: Client, shelf: Shelf) -> None:
    messages = await _get(client)

    assert [each.get("body") for each in messages[1:]] == [*PIECES, b""]
    assert (b"content-length", b"11") in messages[0]["headers"]
    assert (await client.get("/flows/a")).body == b"onetwothree"


async def test_head_sends_nothing_of_the_answer(client: Client, shelf: Shelf) -> None:
    response = await send(client.app, "HEAD", b"/v1/flows/a")

    assert (response.status, response.body, shelf.sent) == (200, b"", 0)


async def test_nothing_is_made_for_a_client_that_has_gone(client: Client, shelf: Shelf) -> None:
    messages = await _get(client, leaves_after=1)

    assert [each.get("body") for each in messages[1:]] == [b"one"]
    assert shelf.sent == 1


async def test_a_stream_is_no_part_of_a_batch(client: Client) -> None:
    batch = await client.batch({"method": "POST", "path": "/flows/a"}, {"method": "GET", "path": "/flows/a"})

    assert [each["status"] for each in batch.json["responses"]] == [400, 400]
    message = "POST /v1/flows/a has to be sent by itself, not in a batch."
    assert batch.json["responses"][0]["body"]["message"] == message


async def test_a_stream_is_not_sent_again_by_its_key(client: Client) -> None:
    refused = await client.request("POST", "/flows/a", body=b"x", headers={"Idempotency-Key": "k"})

    assert refused.status == 400
    assert refused.json["message"] == "Idempotency-Key is not taken with a body that is streamed"


async def test_methods_of_a_view_with_streams_are_told(client: Client) -> None:
    response = await client.put("/flows/a")

    assert (response.status, response.headers["Allow"]) == (405, "POST, GET, HEAD, OPTIONS")


async def test_a_request_may_be_handed_over_with_a_stream(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"12"
        yield b"345"

    request = Request(method="POST", path="/v1/flows/a", headers=client.headers, stream=body())

    assert json.loads((await client.app.answer(request)).body)["size"] == 5


def _scope(method: str, headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": "/v1/flows/a",
        "raw_path": b"/v1/flows/a",
        "query_string": b"",
        "headers": headers or [],
        "scheme": "http",
        "client": ("127.0.0.1", 1234),
        "http_version": "2",
    }


async def _get(client: Client, leaves_after: int = 100) -> list[MutableMapping[str, Any]]:
    """Return what is sent to a client that reads, and may go away after some pieces."""
    sent: list[MutableMapping[str, Any]] = []
    left, empty = asyncio.Event(), iter([{"type": "http.request", "body": b""}])

    async def receive() -> MutableMapping[str, Any]:
        for message in empty:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def answer(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if len(sent) > leaves_after:
            left.set()
            await asyncio.sleep(0.01)

    await client.app(_scope("GET"), receive, answer)
    return sent
