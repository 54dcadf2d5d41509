"""One connection of a client: uvicorn's, which bounds what is no request yet, in size and in time.

What HTTP cannot be read from is answered as the API answers everything, and the connection is closed. What came before,
byte for byte, is answered here, without being read, as long as the app knows how (`App.again`).

Source: reliability, I24 to I26; RFC 9112.
"""

import hashlib
from asyncio import AbstractEventLoop, Future, TimerHandle, Transport
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

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


AGAIN: Final = (b"GET ", b"HEAD ")
"""How requests begin that may come again."""


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


@lru_cache(4)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Return the lines of headers, which are the same for a second."""
    return b"".join([b"%b: %b\r\n" % each for each in headers])


def _answer(status: int, own: list[tuple[bytes, bytes]], head: bytes, end: bytes, body: bytes) -> bytes:
    """Return an answer as it is sent; `own` are the headers of the server, `head` the lines of the others."""
    return b"".join((STATUS_LINE[status], _lines(tuple(own)), head, end, body))


class Cycle(RequestResponseCycle):
    """A request and its answer."""

    digest: bytes | None = None
    """What stands for all that was sent of it, where it came in one piece, without a body, and others may follow."""

    refused: Exception | None = None
    """What came of asking whether it is answered as before, where nobody could tell."""

    def body_at_hand(self) -> bytes | None:
        """Take the body, if all of it has come."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        return body

    async def send_whole(self, status: int, head: bytes, body: bytes) -> None:
        """Send an answer that is all there, as it was made: nothing in its headers is about the connection."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started, self.waiting_for_100_continue = True, False
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        cast("Together", self.transport).write_whole(_answer(status, self.default_headers, head, end, body))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


# There is no other way to say which one it makes.
httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]


class Asking(NamedTuple):
    """A request about which the app is asked whether it is answered as before; nothing else has come since."""

    digest: bytes
    data: bytes
    supposed: Any


class Connection(HttpToolsProtocol):
    """A connection, and the requests on it, one after the other."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._head = True, 0
        self._in_message, self._requests = False, 0
        self._timer: TimerHandle | None = None
        self._answered_at = 0.0
        self._refusal: ApiError | None = None
        self._asking: Asking | None = None
        # Only of an app that nothing is around: what is may want to see each request.
        self._again = getattr(self.app, "again", None) if self.limit_concurrency is None else None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        # For the answers; the flow is controlled by the one that has it.
        self.transport = cast("Transport", Together(transport, self.loop))
        self._timer = self.loop.call_later(HEAD_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._ask_no_longer()
        self._wait_no_longer()
        if self.timeout_keep_alive_task:
            self.timeout_keep_alive_task.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer what came before, and read all else: requests, or a part of one."""
        if self._asking:
            # It has company now.
            self._read_instead()
        digest = self._digest(data)
        if digest is None or not self._may_answer_again(digest, data):
            self._read(data, digest)

    def shutdown(self) -> None:
        """End: a request that was sent is answered."""
        self._read_instead()
        super().shutdown()

    def _read(self, data: bytes, digest: bytes | None, refused: Exception | None = None) -> None:
        """Read what came; of a request that nobody could answer again, `refused` is why."""
        if self._in_head:
            self._head += len(data)
        self._requests = 0
        super().data_received(data)
        if digest and self._requests == 1 and self._is_followed_by_another():
            cycle = cast("Cycle", self.cycle)
            cycle.digest, cycle.refused = digest, refused
        if not self._in_head:
            return
        if self._head > MAX_HEAD:
            self._refusal = self._too_long()
            self.send_400_response("")
        elif self._head and not self._timer:
            self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._in_message = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer a request. Raises UrlTooLong."""
        self._wait_no_longer()
        self._in_head, self._head = False, 0
        self._requests += 1
        if len(self.url) > MAX_URL:
            self._refusal = self._too_long()
            raise self._refusal
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a body; another request may follow."""
        self._in_head, self._in_message = True, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one."""
        self._answered_at = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.timeout_keep_alive_task is None:
            self._wait_for_another(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing has come for long."""
        idle_s = self.loop.time() - self._answered_at
        if self._is_idle and idle_s >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
        else:
            self._wait_for_another(max(self.timeout_keep_alive - idle_s, 1))

    def _wait_for_another(self, for_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(for_s, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        # The timer looks, when its time has come, at what there was meanwhile: to set it for each request takes longer.
        pass

    @property
    def _is_idle(self) -> bool:
        """Whether nothing of a request has come that is not answered."""
        has_begun = self._in_message or self._head or self._asking
        return not has_begun and (self.cycle is None or self.cycle.response_complete)

    def _is_followed_by_another(self) -> bool:
        # After an upgrade it may be no HTTP.
        return not self._in_message and self.cycle.keep_alive and not self.parser.should_upgrade()

    def _digest(self, data: bytes) -> bytes | None:
        """Return what stands for data that may be one request and nothing else, of a kind that comes again."""
        # Whether it is one only, the parser tells, the first time.
        may_be = data.startswith(AGAIN) and data.endswith(b"\r\n\r\n")
        if not may_be or not self._is_idle or self.parser.should_upgrade():
            return None
        return hashlib.sha256(f"{self.scheme} ".encode() + data).digest()

    def _may_answer_again(self, digest: bytes, data: bytes) -> bool:
        """Answer what was answered before, if it still has the same answer, or ask whether it has."""
        if self.flow.write_paused or self.transport.is_closing():
            return False
        known = self._again(digest) if self._again else None
        if known is None:
            return False
        self._wait_no_longer()
        if hasattr(known, "told"):
            self._asking = Asking(digest, data, known)
            known.version.add_done_callback(self._tell)
        else:
            self._answer_again(known)
        return True

    def _tell(self, _: Future[Any]) -> None:
        """Answer as before, where the app says so once it has a version; what has no answer is read."""
        asking, self._asking = self._asking, None
        if asking is None:
            # It was read instead, or the client has gone.
            return
        try:
            known, refused = asking.supposed.told(), None
        except Exception as error:
            known, refused = None, error
        if known:
            self._answer_again(known)
        else:
            self._read(asking.data, asking.digest, refused)

    def _answer_again(self, known: Any) -> None:
        self._answered_at = self.loop.time()
        self.server_state.total_requests += 1
        answer = _answer(known.status, self.server_state.default_headers, known.head, b"\r\n", known.body)
        cast("Together", self.transport).write_whole(answer)

    def _read_instead(self) -> None:
        """Read the request about which the app is asked."""
        if asked := self._ask_no_longer():
            self._read(asked.data, asked.digest)

    def _ask_no_longer(self) -> "Asking | None":
        asked, self._asking = self._asking, None
        if asked:
            asked.supposed.version.cancel()
        return asked

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
