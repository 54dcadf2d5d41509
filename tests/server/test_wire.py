"""Connections on which no request comes, or only a part of one (I25)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from kobako import wire


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


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
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    writer.write(b"GET /v1/ HT")

    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()
