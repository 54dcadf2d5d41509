"""What no HTTP library would send: it is refused or the connection is closed, and the server lives on.

Source: reliability, I9, I24 to I26, and K.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import psutil
import pytest
from tests.server.process import Server, running

pytestmark = pytest.mark.server

PATIENCE_S = 10
HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\nAuthorization: Basic bWF0OnNlY3JldA==\r\n"
PUT = b"PUT /v1/buckets/b HTTP/1.1\r\n" + JSON
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("raw"), environ={"KOBAKO_MAX_BODY_SIZE_BYTES": "1000000"}) as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)


def exchange(server: Server, request: bytes) -> bytes:
    """Send bytes, and return all that comes back until the server closes, or keeps silent for a second."""
    return converse(server, request)[0]


def converse(server: Server, request: bytes) -> tuple[bytes, bool]:
    """Send bytes, and return all that comes back, and whether the server has closed: or it was silent for a second."""
    received = b""
    with connect(server) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(1)
            while chunk := connection.recv(65536):
                received += chunk
        except TimeoutError:
            return received, False
        except ConnectionError:
            pass
    return received, True


def statuses(received: bytes) -> list[int]:
    """Return the status of each answer in a stream of them."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def answers(server: Server) -> bool:
    return statuses(exchange(server, b"GET /v1/__lbheartbeat__ HTTP/1.1\r\n" + HOST + b"\r\n")) == [200]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(PUT + b"Content-Length: +2\r\n\r\n{}", id="length with a sign"),
        pytest.param(PUT + b"Content-Length: -1\r\n\r\n{}", id="negative length"),
        pytest.param(PUT + b"Content-Length: 0x2\r\n\r\n{}", id="length in another base"),
        pytest.param(PUT + b"Content-Length: two\r\n\r\n{}", id="length that is no number"),
        pytest.param(PUT + b"Content-Length: \r\n\r\n{}", id="empty length"),
        pytest.param(PUT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", id="two lengths"),
        pytest.param(PUT + b"Content-Length: 2, 3\r\n\r\n{} ", id="two lengths in one"),
        pytest.param(PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", id="bad size of a chunk"),
        pytest.param(PUT + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", id="negative size of a chunk"),
        pytest.param(PUT + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n", id="huge size of a chunk"),
        pytest.param(PUT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n", id="chunk without its end"),
        pytest.param(PUT + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n", id="chunks that end with a bare LF"),
        pytest.param(
            PUT + b'Transfer-Encoding: chunked\r\n\r\n2;a="b\nc"\r\n{}\r\n0\r\n\r\n', id="bare LF beside a size"
        ),
        pytest.param(PUT + b"Transfer-Encoding: gzip\r\n\r\n{}", id="another encoding"),
        pytest.param(PUT + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, id="an encoding nearly known"),
        pytest.param(PUT + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + CHUNKS, id="an encoding after a sign"),
        pytest.param(PUT + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS, id="space after a header's name"),
        pytest.param(PUT + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS, id="chunked, but not last"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\nHost: a b\r\n\r\n", id="no host"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\n" + HOST + b"X-A: a\rb\r\n\r\n", id="CR in a header"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\n" + HOST + b"X-A: a\nb\r\n\r\n", id="LF in a header"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\n" + HOST + b"X-A: a\0b\r\n\r\n", id="NUL in a header"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\n" + HOST + b"X A: a\r\n\r\n", id="space in a header's name"),
        pytest.param(b"GET /v1/ HTTP/1.1\r\n" + HOST + b" X-A: a\r\n\r\n", id="folded header"),
        pytest.param(b"GET /v1/ /v1/buckets HTTP/1.1\r\n" + HOST + b"\r\n", id="two paths"),
        pytest.param(b"GET /v1/\0 HTTP/1.1\r\n" + HOST + b"\r\n", id="NUL in the path"),
        pytest.param(b"GET /v1/ HTTP/9.9\r\n" + HOST + b"\r\n", id="another version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"\x00" * 1000, id="NULs"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    ],
)
def test_what_is_no_http_is_refused(server: Server, request_: bytes) -> None:
    """I1, I24: 400 and the end of the connection."""
    received, is_closed = converse(server, request_)

    assert statuses(received) == [400], received
    assert is_closed
    assert answers(server)


def test_what_is_no_request_yet_is_not_answered(server: Server) -> None:
    assert statuses(exchange(server, b"\r\n" * 1000)) == []
    assert answers(server)


def test_a_refusal_says_why_as_the_api_does(server: Server) -> None:
    """I24, I25."""
    too_large = b"GET /v1/ HTTP/1.1\r\nX-A: " + b"a" * 1_000_000 + b"\r\n"
    for request, status in ((b"NONE\r\n\r\n", 400), (too_large, 431)):
        head, _, body = exchange(server, request).partition(b"\r\n\r\n")

        assert b"content-type: application/json" in head
        assert (statuses(head), json.loads(body)["code"]) == ([status], status)
        assert json.loads(body)["message"]


def test_requests_that_wait_for_no_answer_are_answered_in_their_order(server: Server) -> None:
    """RFC 9112, 9.3.2."""
    first = PUT + b"Content-Length: 2\r\n\r\n{}"
    unknown = b"GET /v1/unknown HTTP/1.1\r\n" + HOST + b"\r\n"
    last = b"GET /v1/__lbheartbeat__ HTTP/1.1\r\n" + HOST + b"\r\n"

    assert statuses(exchange(server, first + unknown + last))[1:] == [404, 200]


def test_who_asks_for_another_protocol_is_answered_in_this_one(server: Server) -> None:
    """RFC 9110, 7.8."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"

    assert statuses(exchange(server, b"GET /v1/ HTTP/1.1\r\n" + HOST + upgrade)) == [200]
    assert "pgrade" not in server.output


def test_a_client_that_waits_to_be_asked_for_its_body_is(server: Server) -> None:
    """RFC 9110, 10.1.1."""
    with connect(server) as connection:
        connection.sendall(PUT + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        asked = connection.recv(65536)
        connection.sendall(b"{}")
        answered = connection.recv(65536)

    assert (statuses(asked), statuses(answered)[0] in (200, 201)) == ([100], True)


def test_nothing_is_stored_of_a_request_that_is_refused(server: Server) -> None:
    exchange(server, PUT.replace(b"/b ", b"/broken ") + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n")

    assert statuses(exchange(server, b"GET /v1/buckets/broken HTTP/1.1\r\n" + JSON + b"\r\n")) == [403]


@pytest.mark.parametrize(
    "smuggled",
    [
        pytest.param(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", id="length and chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", id="chunks and length"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", id="two encodings"),
    ],
)
def test_a_request_of_doubtful_length_hides_no_other(server: Server, smuggled: bytes) -> None:
    """I24: a proxy in front that counts otherwise must not be led to hand over what it did not see."""
    hidden = b"PUT /v1/buckets/hidden HTTP/1.1\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}"

    received, is_closed = converse(server, PUT + smuggled + b"0\r\n\r\n" + hidden)

    assert (len(statuses(received)), is_closed) == (1, True), received
    assert statuses(exchange(server, b"GET /v1/buckets/hidden HTTP/1.1\r\n" + JSON + b"\r\n")) == [403]


def test_a_line_that_ends_with_a_bare_lf_hides_no_request(server: Server) -> None:
    """I24: a recipient may take one for the end of a line (RFC 9112, 2.2); then it does so everywhere, the body too."""
    hidden = b"PUT /v1/buckets/hidden HTTP/1.1\n" + JSON + b"Content-Length: 2\n\n{}"
    length = b"Content-Length: %d\n\n" % len(hidden)

    received = exchange(server, PUT.replace(b"\r\n", b"\n") + length + hidden)

    assert statuses(received) == [400], received
    assert statuses(exchange(server, b"GET /v1/buckets/hidden HTTP/1.1\r\n" + JSON + b"\r\n")) == [403]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="I13 100,000 arrays"),
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="I13 100,000 objects"),
        pytest.param(b"[" * 900_000, id="I13 900,000 brackets"),
        pytest.param(b"9" * 900_000, id="I14 900,000 digits"),
        pytest.param(b"0." + b"9" * 900_000, id="900,000 decimals"),
        pytest.param(b"1e" + b"9" * 900_000, id="I15 900,000 digits of an exponent"),
    ],
)
def test_a_body_that_no_stack_and_no_number_could_hold_is_answered(server: Server, value: bytes) -> None:
    body = b'{"data":{"a":' + value + b"}}"

    received = exchange(server, PUT + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert statuses(received) in ([[201], [200]] if value.startswith(b"0.") else [[400]]), received[:200]
    assert answers(server)


def test_no_header_of_an_answer_is_split(server: Server) -> None:
    """I9."""
    for path in (b"/buckets%0d%0aX-Injected:%20a", b"/v1/buckets%0d%0aX-Injected:%20a/", b"/a?%0d%0aX-Injected:%20a"):
        received = exchange(server, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")

        head = received.partition(b"\r\n\r\n")[0].lower()
        assert b"\r\nx-injected" not in head


def test_a_body_without_an_end_is_refused_before_long(server: Server) -> None:
    """I26, K: 413, or the end of the connection, and the memory stays as it was."""
    before, sent = _memory(server), 0
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with connect(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(PUT + b"Transfer-Encoding: chunked\r\n\r\n")
        # 200 times the limit: only a server that reads on takes all of it.
        while sent < 200_000_000:
            connection.sendall(chunk)
            sent += len(chunk)

    assert sent < 200_000_000
    assert _memory(server) - before < 50_000_000
    assert answers(server)


def test_a_body_announced_as_huge_is_refused_at_once(server: Server) -> None:
    """K: 10 GB."""
    started = time.monotonic()

    received = exchange(server, PUT + b"Content-Length: 10000000000\r\n\r\n{")

    assert statuses(received) == [413]
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"X-A: " + b"a" * 1_000_000 + b"\r\n", id="1 MB"),
        pytest.param(b"".join(b"X-%d: a\r\n" % number for number in range(5000)), id="5,000"),
        pytest.param(b"".join(b"X-%d: a\r\n" % number for number in range(300)), id="300"),
    ],
)
def test_headers_without_measure_are_refused(server: Server, head: bytes) -> None:
    """I25: 431 and the end of the connection."""
    received, is_closed = converse(server, b"GET /v1/ HTTP/1.1\r\n" + HOST + head + b"\r\n")

    assert (statuses(received), is_closed) == ([431], True)
    assert answers(server)


@pytest.mark.parametrize("url", [b"/v1/buckets?a=" + b"x" * 100_000, b"/v1/buckets/" + b"x" * 100_000])
def test_a_url_without_measure_is_refused(server: Server, url: bytes) -> None:
    """I25: 414 and the end of the connection."""
    received, is_closed = converse(server, b"GET " + url + b" HTTP/1.1\r\n" + JSON + b"\r\n")

    assert (statuses(received), is_closed) == ([414], True)
    assert answers(server)


def _memory(server: Server) -> int:
    processes = [psutil.Process(server.process.pid), *server.workers()]
    return sum(each.memory_info().rss for each in processes)
