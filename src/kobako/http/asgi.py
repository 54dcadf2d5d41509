"""The edge: bytes -> Request, Response -> bytes. The server's own objects stop here.

Source: HTTP API, sections 1.5 and 2.3; ASGI 3.
"""

import re
import time
from asyncio import Future
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from kobako.databases.base import BackendUnavailable
from kobako.http import repeats, routing
from kobako.http.pieces import Incoming, Receive, Send, linger, send_stream
from kobako.http.pipeline import answer
from kobako.http.repeats import Grounds, Repeat
from kobako.http.site import Site
from kobako.protocol import addresses
from kobako.protocol.errors import ApiError, BadRequest, HeadersTooLarge, RequestTooLarge, UrlTooLong
from kobako.protocol.messages import MAX_HEADER_SIZE, MAX_HEADERS, MAX_QUERY, Request, Response

Scope = MutableMapping[str, Any]


class Supposed(NamedTuple):
    """A request that is answered as before, if the version that is asked for is that of the answer."""

    site: Site
    digest: bytes
    repeat: Repeat
    began: float
    version: Future[Hashable]

    def told(self) -> Repeat | None:
        """Return how it is answered, and log it, once the version is there; None where it has to be read.

        Raises BackendUnavailable.
        """
        is_true = repeats.is_true(self.site, self.digest, self.repeat, self.version.result())
        return _logged(self.site, self.repeat, self.began) if is_true else None


class Exchange(Protocol):
    """What our own server has of a request (`wire.py`)."""

    digest: bytes | None
    """What stands for all that was sent, where the same may be sent again."""

    refused: Exception | None
    """What came of asking whether it is answered as before, where nobody could tell."""

    def body_at_hand(self) -> bytes | None:
        """Take the body, if all of it has come."""
        ...

    async def send_whole(self, status: int, head: bytes, body: bytes) -> None:
        """Send an answer that is all there; `head` are the lines of its headers."""
        ...


_OTHERWISE: Final = frozenset({"Connection", "Transfer-Encoding", "WWW-Authenticate"})
"""Headers that a server acts on, or that take several lines."""

_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)

_HOST: Final = re.compile(r"([\w.~%!$&'()*+;=-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", re.ASCII)
"""What a Host header may be: one host, and a port; it goes into the URLs of answers (RFC 9110, 7.2)."""


async def serve(site: Site, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one HTTP request of an ASGI server."""
    exchange = _exchange(send)
    grounds = Grounds(exchange.digest) if exchange and exchange.digest and site.repeats else None
    refused = exchange.refused if exchange else None
    try:
        if exchange and grounds and not refused and (known := await _answered_before(site, grounds.digest)):
            await exchange.send_whole(known.status, known.head, known.body)
            return
    except BackendUnavailable as error:
        refused = error
    site.traffic.requests += 1
    headers, stream, body = _headers(scope), None, b""
    incoming = Incoming(receive, site.traffic) if _may_have_body(scope, headers) else None
    try:
        _require_measure(scope)
        _require_host(headers)
        if incoming:
            grounds = None
            stream, body = await _content(site, scope, headers, incoming, exchange)
    except ApiError as error:
        refused = error
    request = _request(site, scope, headers, body, stream)
    response = await answer(site, request, refused, grounds)
    if isinstance(refused, ApiError) or (incoming and not incoming.is_over):
        response.headers["Connection"] = "close"
    keep = partial(repeats.keep, site, grounds, request, response) if grounds else None
    await _send(request, response, receive, send, incoming, keep)


def again(site: Site, digest: bytes) -> Repeat | Supposed | None:
    """Return how a request is answered that came before, and log it; None where it has to be read.

    A far database is asked first: it is supposed until that has told.
    """
    began = time.perf_counter()
    if not site.repeats:
        return None
    try:
        if site.backends.are_near:
            known = repeats.find(site, digest)
            return _logged(site, known, began) if known else None
        known = repeats.supposed(site, digest)
        return Supposed(site, digest, known, began, site.backends.ask_version(known.target)) if known else None
    except BackendUnavailable:
        return None


def _logged(site: Site, known: Repeat, began: float) -> Repeat:
    site.traffic.requests += 1
    known.entry.log(site, began)
    return known


async def _answered_before(site: Site, digest: bytes) -> Repeat | None:
    known = again(site, digest)
    if isinstance(known, Supposed):
        await known.version
        return known.told()
    return known


def _require_measure(scope: Scope) -> None:
    """Raise UrlTooLong or HeadersTooLarge for what no client of the API sends."""
    if len(scope["query_string"]) > MAX_QUERY:
        raise UrlTooLong(f"The query string is longer than the limit of {MAX_QUERY} bytes.")
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_SIZE:
        raise HeadersTooLarge(f"The headers are more than {MAX_HEADERS}, or larger than {MAX_HEADER_SIZE} bytes.")


def _require_host(headers: dict[str, str]) -> None:
    """Raise BadRequest for a Host that is none, or several (RFC 9112, section 3.2)."""
    host = headers.get("host", "")
    if not _is_host(host):
        raise BadRequest(f"The Host header is not a host and a port: {host[:100]}")


@lru_cache(16)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


def _headers(scope: Scope) -> dict[str, str]:
    raw = scope["headers"]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    return headers if len(headers) == len(raw) else _joined(raw)


def _joined(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers of which some were sent several times (RFC 9110, section 5.2)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _request(site: Site, scope: Scope, headers: dict[str, str], body: bytes, stream: Incoming | None = None) -> Request:
    settings = site.settings
    scheme = settings.http_scheme or scope.get("scheme", "http")
    host = settings.http_host or headers.get("host") or "localhost"
    return Request(
        method=scope["method"],
        path=_path(scope),
        query=scope["query_string"].decode(errors="surrogateescape"),
        headers=headers,
        body=body,
        stream=stream,
        origin=f"{scheme}://{_without_default_port(scheme, host)}",
        client=_client(scope, headers, settings.trusted_proxies),
    )


def _client(scope: Scope, headers: dict[str, str], proxies: Sequence[addresses.Range]) -> str:
    """Return the address of the client; behind a proxy that is trusted, of the client of that (P21)."""
    peer: str = (scope.get("client") or [""])[0]
    return addresses.client_of(peer, headers.get("x-forwarded-for", ""), proxies) if proxies else peer


def _path(scope: Scope) -> str:
    """Return the path, decoded; bytes that are no UTF-8 stay visible as lone surrogates."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return str(scope["path"])
    path = raw.partition(b"?")[0]
    return (unquote_to_bytes(path) if b"%" in path else path).decode(errors="surrogateescape")


def _without_default_port(scheme: str, host: str) -> str:
    return host.removesuffix(":443" if scheme == "https" else ":80")


def _may_have_body(scope: Scope, headers: dict[str, str]) -> bool:
    """Tell whether a body is asked for: where there is none, even that takes time (RFC 9112, section 6.3)."""
    is_framed = "content-length" in headers or "transfer-encoding" in headers
    return is_framed or not scope.get("http_version", "").startswith("1")


async def _content(
    site: Site, scope: Scope, headers: dict[str, str], incoming: Incoming, exchange: Exchange | None
) -> tuple[Incoming | None, bytes]:
    """Return the body as a stream, where somebody serves that, or as a whole. Raises RequestTooLarge, BadRequest."""
    if site.routes.have_streams and routing.streams(site, scope["method"], _path(scope)):
        return incoming, b""
    return None, await _body(headers, incoming, exchange, site.settings.max_body_size_bytes)


async def _body(headers: dict[str, str], incoming: Incoming, exchange: Exchange | None, limit: int) -> bytes:
    """Return the body. Raises RequestTooLarge, without reading all of it; BadRequest for one that breaks off."""
    length = headers.get("content-length", "")
    if length.isdecimal():
        if int(length[:20]) > limit:
            raise _too_large(limit)
        if exchange and (body := exchange.body_at_hand()) is not None:
            incoming.is_over = True
            return body
    chunks, size = [], 0
    async for chunk in incoming:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body is larger than the limit of {limit} bytes.")


async def _send(
    request: Request,
    response: Response,
    receive: Receive,
    send: Send,
    unread: Incoming | None = None,
    keep: Callable[[bytes, bytes], None] | None = None,
) -> None:
    """Send an answer; of one that is sent as a whole, `keep` gets the lines of the headers and the body."""
    is_empty = request.method == "HEAD" or response.status in (204, 304)
    if request.method != "HEAD" and response.status != 304:
        response.headers["Content-Length"] = str(0 if is_empty else response.size)
    is_whole = response.stream is None and (unread is None or unread.is_over)
    if is_whole and (exchange := _exchange(send)) and _OTHERWISE.isdisjoint(response.headers):
        head, body = _head(response.headers), b"" if is_empty else response.body
        if keep:
            keep(head, body)
        await exchange.send_whole(response.status, head, body)
        return
    headers = _raw(response.headers)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream and not is_empty:
        await send_stream(response.stream, receive, send)
    else:
        body = b"" if is_empty else response.body
        if unread and not unread.is_over:
            # The answer is all there, but not over: after its end a server closes, or throws away what comes.
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await linger(unread)
            body = b""
        await send({"type": "http.response.body", "body": body})


def _exchange(send: Send) -> Exchange | None:
    """Return what our own server has of a request; None for other servers, and for who looks at what is sent."""
    own: Any = getattr(send, "__self__", None)
    return own if hasattr(own, "send_whole") else None


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    if "WWW-Authenticate" not in headers:
        return [(_NAMES[name], value.encode("latin-1", "replace")) for name, value in headers.items()]
    # It is sent once for each of its lines.
    challenges = headers["WWW-Authenticate"].split("\n")
    once = {name: value for name, value in headers.items() if name != "WWW-Authenticate"}
    return [*_raw(once), *((b"www-authenticate", each.encode("latin-1", "replace")) for each in challenges)]


def _head(headers: Mapping[str, str]) -> bytes:
    """Return the lines of headers. Raises RuntimeError for a value that would be more than one line."""
    head = "".join([f"{_PREFIXES[name]}{value}\r\n" for name, value in headers.items()]).encode("latin-1", "replace")
    if head.count(b"\n") != len(headers) or head.count(b"\r") != len(headers) or b"\0" in head:
        raise RuntimeError(f"Invalid HTTP headers: {headers}")
    return head


class _Prefixes(dict[str, str]):
    """What begins the lines of headers. Raises RuntimeError for a name that is none (RFC 9110, 5.1)."""

    def __missing__(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise RuntimeError(f"Invalid HTTP header name: {name}")
        self[name] = prefix = f"{name.lower()}: "
        return prefix


_PREFIXES: Final = _Prefixes()


class _Names(dict[str, bytes]):
    """Names of headers as they are sent: plugins bring names, but clients do not, so there are few."""

    def __missing__(self, name: str) -> bytes:
        self[name] = raw = name.lower().encode()
        return raw


_NAMES: Final = _Names()


async def live(app: AbstractAsyncContextManager[Any], receive: Receive, send: Send) -> None:
    """Open and close an app as the server starts and stops."""
    await receive()
    try:
        await app.__aenter__()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await app.__aexit__(None, None, None)
    await send({"type": "lifespan.shutdown.complete"})
