"""Connections on which no request comes, or only a part of one (I25)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from kobako import wire


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("there was no request")


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(wire, "HEAD_S", 0.1)
    config = uvicorn.Config(_never, http=wire.Connection, lifespan="off", ws="none", log_config=None)
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
