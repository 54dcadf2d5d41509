"""Remote: other servers that are asked for JSON, within a time and up to a size.

For policies and plugins that have somebody else decide, as OpenID providers do. The library that speaks HTTP is
imported when the first question is asked.

Source: objects, 15.3 and 15.4.
"""

import asyncio
import importlib.util
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kobako.protocol import jsontext
from kobako.protocol.jsontext import JsonObject
from kobako.settings import SettingsError

MAX_BYTES: Final = 1_000_000
"""Of an answer: key sets and profiles are some kB."""

MAX_CONNECTIONS: Final = 20


class NoAnswer(Exception):
    """A server cannot be reached, takes too long, or says nothing that can be used. Tells which, and nothing secret."""


class Reply(msgspec.Struct, frozen=True):
    """What a server answered to a question: of `url`, which has no parameters."""

    url: str
    status: int
    body: bytes

    def json(self) -> JsonObject:
        """Return the JSON object that the body is. Raises NoAnswer for anything else."""
        try:
            value = jsontext.decode(self.body)
        except jsontext.InvalidJson as error:
            raise NoAnswer(f"{self.url} answered with what is no JSON") from error
        if not isinstance(value, dict):
            raise NoAnswer(f"{self.url} answered with what is no JSON object")
        return value

    def required(self) -> JsonObject:
        """Return the JSON object of a 200. Raises NoAnswer for any other status, too."""
        if self.status != 200:
            raise NoAnswer(f"{self.url} answered with status {self.status}")
        return self.json()


class Remote:
    """Asks other servers. No redirection is followed; certificates are checked; a proxy of the environment is used.

    Raises SettingsError where the library for that is missing.
    """

    def __init__(self, timeout_s: float = 5, max_bytes: int = MAX_BYTES) -> None:
        if importlib.util.find_spec("httpx") is None:
            raise SettingsError("To ask other servers a library is needed: pip install 'kobako[openid]'.")
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._client: Any = None

    async def get(self, url: str, headers: Mapping[str, str] = {}) -> Reply:
        """Send a GET request. Raises NoAnswer."""
        return await self._ask("GET", url, headers)

    async def post(
        self, url: str, *, form: Mapping[str, str] | None = None, json: Any = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        """Send a POST request, with a form or with JSON. Raises NoAnswer."""
        return await self._ask("POST", url, headers, data=form, json=json)

    async def close(self) -> None:
        """Let go of all connections; the next question opens them again."""
        client, self._client = self._client, None
        if client:
            await client.aclose()

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], **sent: Any) -> Reply:
        import httpx

        # What is compressed would be unpacked before its size is known.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        asked, client = url.partition("?")[0], self._opened()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                client.stream(method, url, headers=headers, **sent) as response,
            ):
                return Reply(asked, response.status_code, await self._body(asked, response))
        except TimeoutError as error:
            raise NoAnswer(f"{asked} did not answer within {self._timeout_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NoAnswer(f"{asked} cannot be asked: {error or type(error).__name__}") from error

    def _opened(self) -> Any:
        import httpx

        if self._client is None:
            limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
            self._client = httpx.AsyncClient(limits=limits, timeout=self._timeout_s)
            # They would write the URL of every request, and the headers of every answer.
            for name in ("httpx", "httpcore"):
                logging.getLogger(name).setLevel(logging.WARNING)
        return self._client

    async def _body(self, asked: str, response: Any) -> bytes:
        chunks, size = [], 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > self._max_bytes:
                raise NoAnswer(f"{asked} answered with more than {self._max_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)
