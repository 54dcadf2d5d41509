"""Connections on which no request comes, or only a part of one (I25)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from kobako import wire
from kobako.http import asgi
from kobako.protocol.messages import Request, Response
from kobako.wire import Together


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(wire, "HEAD_S", 0.1)
    async with serving(_answer) as port:
        yield port


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    options = {"lifespan": "off", "ws": "none", "log_config": None, "date_header": False, "server_header": False}
    options["proxy_headers"] = False
    server = uvicorn.Server(uvicorn.Config(app, http=wire.Connection, **options))  # type: ignore[arg-type]
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


async def test_an_answer_that_is_all_there_leaves_at_once_after_what_waits() -> None:
    sent = Sent()
    together = Together(sent, asyncio.get_running_loop())
    together.write_whole(ANSWER)
    assert sent.pieces == [ANSWER]
    together.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    together.write_whole(ANSWER)
    assert b"".join(sent.pieces) == ANSWER + b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER
    await asyncio.sleep(0)
    assert len(sent.pieces) == 2


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


class Answering:
    """An app that answers everything with one response; `is_watched`: by something that looks at what is sent."""

    def __init__(self, response: Response, *, is_watched: bool) -> None:
        self._response = response
        self._is_watched = is_watched

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            await send(message)

        request = Request(method=scope["method"], path=scope["path"])
        # Each has headers of its own, as those of a request have.
        response = Response(
            status=self._response.status, headers=dict(self._response.headers), body=self._response.body
        )
        await asgi._send(request, response, receive, watched if self._is_watched else send)


async def heard(port: int, *requests: bytes) -> bytes:
    """Send requests, the last of which wants the connection closed, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(requests))
    async with asyncio.timeout(20):
        found = await reader.read()
    writer.close()
    return found


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("response", "requests"),
    [
        pytest.param(Response(headers={"ETag": '"1"'}, body=b"{}"), [GET, GET, LAST], id="one after the other"),
        pytest.param(Response(headers={}, body=b"{}"), [b"GET / HTTP/1.0\r\n\r\n"], id="HTTP/1.0"),
        pytest.param(Response(body=b"{}"), [GET.replace(b"GET", b"HEAD"), LAST], id="HEAD"),
        pytest.param(Response(status=304), [GET, LAST], id="no header at all"),
        pytest.param(Response(status=204, headers={"A": "b"}), [GET, LAST], id="no content"),
        pytest.param(Response(headers={"Title": "a\xe9\u20ac"}), [LAST], id="what Latin-1 has, and what not"),
        pytest.param(
            Response(status=401, headers={"WWW-Authenticate": "Basic\nBearer"}), [GET, LAST], id="a header of two lines"
        ),
        pytest.param(Response(headers={"Connection": "close"}), [GET, GET], id="closing"),
        pytest.param(Response(body=b"x" * 3_000_000), [GET, LAST], id="much"),
        pytest.param(
            Response(body=b"{}"),
            [GET.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"), LAST],
            id="of a body that nobody asked for",
        ),
    ],
)
async def test_an_answer_sent_at_once_is_the_one_that_uvicorn_sends(response: Response, requests: list[bytes]) -> None:
    async with serving(Answering(response, is_watched=False)) as port:
        at_once = await heard(port, *requests)
    async with serving(Answering(response, is_watched=True)) as port:
        in_parts = await heard(port, *requests)
    assert at_once == in_parts
    assert b" 500 " not in at_once


@pytest.mark.parametrize(
    "headers", [{"A": "b\r\nC: d"}, {"A": "b\nC: d"}, {"A": "b\rC: d"}, {"A": "\0"}, {"A: b\r\nC": "d"}]
)
async def test_a_header_that_would_be_more_than_one_is_not_sent(headers: dict[str, str]) -> None:
    async with serving(Answering(Response(headers=headers), is_watched=False)) as port:
        found = await heard(port, GET)
    assert found.startswith(b"HTTP/1.1 500 ")
    assert b"\nC: d" not in found.replace(b"\r", b"\n")
