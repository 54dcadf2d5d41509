"""A light HTTP client: one keep-alive connection, made anew now and then, so that every worker serves everybody."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

TIMEOUT_S = 40
"""Longer than any request may take."""

REQUESTS_PER_CONNECTION = 25


class Unanswered(Exception):
    """The connection was lost, or nothing came: whether the request was done is unknown."""


class Answer(NamedTuple):
    """A response; the names of headers are in lower case, `body` is decoded."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def etag(self) -> int:
        """The timestamp in the ETag, 0 without one."""
        return int(self.headers.get("etag", "0").strip('"'))


class Client:
    """A user of the server at a port."""

    def __init__(self, port: int, authorization: str) -> None:
        self._port = port
        self._authorization = authorization
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._left = 0

    async def connect(self) -> None:
        """Have a connection: waits for a server that is being started. So what is sent then, is sent to somebody."""
        if self._left == 0:
            self.close()
        while self._streams is None:
            try:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
                self._left = REQUESTS_PER_CONNECTION
            except OSError:
                await asyncio.sleep(0.02)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request and return its answer; `_` in the name of a header stands for `-`. Raises Unanswered."""
        await self.connect()
        assert self._streams is not None
        reader, writer = self._streams
        self._left -= 1
        try:
            async with asyncio.timeout(TIMEOUT_S):
                writer.write(self._bytes(method, path, body, headers))
                return await _answer(reader)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            # TimeoutError is an OSError.
            self.close()
            raise Unanswered(f"{method} {path}: {error!r}") from error
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    def _bytes(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        lines = {
            "Host": f"127.0.0.1:{self._port}",
            "Authorization": self._authorization,
            "Content-Length": str(len(content)),
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split()[1])
    pairs = (line.split(":", 1) for line in head[1:-2])
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Answer(status, headers, json.loads(body) if body else None)
