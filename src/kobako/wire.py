"""One connection of a client: uvicorn's, which bounds what is no request yet, in size and in time.

What HTTP cannot be read from is answered as the API answers everything, and the connection is closed.

Source: reliability, I24 to I26; RFC 9112.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any, Final, cast

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from kobako.protocol import jsontext
from kobako.protocol.errors import ApiError, BadRequest, HeadersTooLarge, UrlTooLong
from kobako.protocol.messages import MAX_HEADER_SIZE, MAX_QUERY

MAX_URL: Final = 65_535
"""Bytes of a path and its query: what the parser of URLs takes."""

MAX_HEAD: Final = MAX_QUERY + MAX_HEADER_SIZE + 32 * 1024
"""Bytes of a request before its body: what is allowed fits, and much of what is not can be told of in detail."""

HEAD: Final = b"HTTP/1.1 "
"""What a head begins with; what else does waits no longer than one."""

HEAD_S: Final = 30
"""Seconds in which the head of a request has to come."""

IDLE_S: Final = 75
"""Seconds for which a connection waits for another request. Proxies that keep connections give up earlier."""


class Together:
    """Sends the head of an answer with what follows it: by themselves they would take twice the work of a system call.

    A head that nothing follows leaves when the event loop comes round.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send what is held back, and this, unless this is a head."""
        head, self._head = self._head, b""
        if not head and data.startswith(HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(b"".join((head, data)) if head else data)

    def write_whole(self, data: bytes) -> None:
        """Send what is held back, and an answer that is all there: nothing follows it."""
        head, self._head = self._head, b""
        self._transport.write(head + data if head else data)

    def close(self) -> None:
        """Close, once all is sent."""
        self._send_head()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class Cycle(RequestResponseCycle):
    """A request and its answer."""

    async def send_whole(self, status: int, head: bytes, body: bytes) -> None:
        """Send an answer that is all there, as it was made: nothing in its headers is about the connection."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started, self.waiting_for_100_continue = True, False
        own = [b"%b: %b\r\n" % each for each in self.default_headers]
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        cast("Together", self.transport).write_whole(b"".join((STATUS_LINE[status], *own, head, end, body)))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


# There is no other way to say which one it makes.
httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]


class Connection(HttpToolsProtocol):
    """A connection, and the requests on it, one after the other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._head = True, 0
        self._timer: TimerHandle | None = None
        self._refusal: ApiError | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        # For the answers; the flow is controlled by the one that has it.
        self.transport = cast("Transport", Together(transport, self.loop))
        self._timer = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._wait_no_longer()

    def data_received(self, data: bytes) -> None:
        """Read what came: requests, or a part of one."""
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if not self._in_head:
            return
        if self._head > MAX_HEAD:
            self._refusal = self._too_long()
            self.send_400_response("")
        elif self._head and not self._timer:
            self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def on_headers_complete(self) -> None:
        """Begin to answer a request. Raises UrlTooLong."""
        self._wait_no_longer()
        self._in_head, self._head = False, 0
        if len(self.url) > MAX_URL:
            self._refusal = self._too_long()
            raise self._refusal
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a body; another request may follow."""
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, and close."""
        if self.transport.is_closing():
            return
        refusal = self._refusal or BadRequest("What was sent is no request of HTTP 1.")
        body = jsontext.encode(refusal.body()).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[refusal.status] + head + body)
        self.transport.close()

    def _too_long(self) -> ApiError:
        if len(self.url) > MAX_URL:
            return UrlTooLong(f"The URL is longer than the limit of {MAX_URL} bytes.")
        return HeadersTooLarge(f"The headers are larger than the limit of {MAX_HEADER_SIZE} bytes.")

    def _wait_no_longer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _unsupported_upgrade_warning(self) -> None:
        # It is served as what it is; a client that asks for something else is no cause for alarm.
        pass
