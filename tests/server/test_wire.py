"""Connections on which no request comes, or only a part of one (I25)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from kobako import wire
from kobako.wire import Together


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(wire, "HEAD_S", 0.1)
    config = uvicorn.Config(_answer, http=wire.Connection, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Signals stay the test runner's.
        serving = asyncio.create_task(server._serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


@pytest.mark.parametrize("said", [b"", b"GET /v1/ HT", b"GET /v1/ HTTP/1.1\r\nHost: a\r\n", b"\r\n"])
async def test_a_head_that_does_not_come_in_time_is_waited_for_no_longer(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)

    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_neither_is_that_of_a_second_request(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n{}")).startswith(b"HTTP/1.1 200")
    writer.write(b"GET /v1/ HT")

    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


class Sent(asyncio.Transport):
    """A transport that notes what it is to send."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.pieces.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


ANSWER = b"HTTP/1.1 200 OK\r\n\r\n"


async def test_a_head_is_sent_with_what_follows_it() -> None:
    sent = Sent()
    together = Together(sent, asyncio.get_running_loop())
    for _ in range(2):
        together.write(ANSWER)
        together.write(memoryview(b"body"))
        together.write(b"more")
    await asyncio.sleep(0)
    assert sent.pieces == [ANSWER + b"body", b"more"] * 2


async def test_a_head_that_nothing_follows_waits_for_nothing() -> None:
    sent = Sent()
    together = Together(sent, asyncio.get_running_loop())
    together.write(ANSWER)
    assert sent.pieces == []
    await asyncio.sleep(0)
    assert sent.pieces == [ANSWER]
    together.write(ANSWER)
    together.write(ANSWER)
    assert b"".join(sent.pieces) == ANSWER * 3


async def test_a_head_is_sent_before_the_end() -> None:
    sent = Sent()
    together = Together(sent, asyncio.get_running_loop())
    together.write(ANSWER)
    together.close()
    assert (sent.pieces, together.is_closing()) == ([ANSWER], True)
    gone = Sent()
    together = Together(gone, asyncio.get_running_loop())
    together.write(ANSWER)
    gone.close()
    await asyncio.sleep(0)
    assert gone.pieces == []


async def test_an_answer_comes_in_one_piece(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(20):
        writer.write(b"GET /v1/ HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(20):
            assert (await reader.read(65536)).endswith(b"\r\n\r\n{}")
    writer.close()
