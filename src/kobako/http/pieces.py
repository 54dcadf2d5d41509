"""Bodies that pass the edge piece by piece: those of requests as they come, those of answers as they are made.

Source: ASGI 3; RFC 9112, section 9.6.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

from kobako.protocol.errors import BadRequest

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LINGER_BYTES: Final = 64 * 1024 * 1024
LINGER_S: Final = 30
"""How much, and how long, of a body that nobody wants is read on after the answer."""
PAUSE_S: Final = 0.004
PAUSE_BYTES: Final = 128 * 1024
"""How long a body waits while others are served, and after how much of it."""


def broken_off() -> BadRequest:
    """Return the error for a client that has gone, or sent what is no chunk: then it waits for an answer."""
    return BadRequest("The body cannot be read to its end.")


class Traffic:
    """How many requests a worker was sent: by this, what takes long sees that it is not alone."""

    def __init__(self) -> None:
        self.requests = 0


class Incoming:
    """The body of a request, chunk by chunk: no more of it is asked for than is read. Raises BadRequest.

    It comes as fast as the network brings it while the worker has nothing else to do. A large one would take all of a
    worker's time, and of the disk's and the processor's: so it waits a little where others were served meanwhile.
    """

    def __init__(self, receive: Receive, traffic: Traffic) -> None:
        self._receive = receive
        self._traffic, self._seen, self._unpaused = traffic, traffic.requests, 0
        self.is_over = False

    def __aiter__(self) -> "Incoming":
        return self

    async def __anext__(self) -> bytes:
        if self.is_over:
            raise StopAsyncIteration
        if self._unpaused >= PAUSE_BYTES:
            await self._let_others_go_first()
        message = await self._receive()
        self.is_over = not message.get("more_body")
        if message["type"] == "http.disconnect":
            raise broken_off()
        chunk: bytes = message.get("body", b"")
        self._unpaused += len(chunk)
        return chunk

    async def _let_others_go_first(self) -> None:
        self._unpaused = 0
        if self._traffic.requests != self._seen:
            self._seen = self._traffic.requests
            await asyncio.sleep(PAUSE_S)


async def linger(stream: Incoming) -> None:
    """Read what a client still sends after it was answered.

    Many send all they have before they read: to close on them would be a broken connection, and no answer.
    """
    read = 0
    with suppress(TimeoutError, BadRequest):
        async with asyncio.timeout(LINGER_S):
            async for chunk in stream:
                read += len(chunk)
                if read > LINGER_BYTES:
                    return


async def send_stream(stream: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Send a body as it is made, for as long as there is somebody to read it."""
    gone = asyncio.create_task(_disconnected(receive))
    try:
        async for chunk in stream:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _disconnected(receive: Receive) -> None:
    # A server may let one send to nobody for ever.
    while (await receive())["type"] != "http.disconnect":
        pass
