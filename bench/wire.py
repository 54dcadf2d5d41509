"""HTTP/1.1 as bytes: requests ready to be sent, and where an answer ends."""

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
WITHOUT_BODY = (204, 304)

Headers = Mapping[str, str]


def request(method: str, path: str, headers: Headers, body: Any = None) -> bytes:
    """Return a request; `body` is anything that JSON can say, None for no body."""
    content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Head(NamedTuple):
    """What the head of an answer says; `end`: where the answer ends, None as long as that has not come."""

    status: int
    end: int | None
    closes: bool


def read_head(data: bytes | bytearray) -> Head | None:
    """Return the head of the answer that data begins with, None as long as it has not come."""
    body = data.find(b"\r\n\r\n") + 4
    if body == 3:
        return None
    head = bytes(data[:body])
    status = int(head[9:12])
    if CHUNKED.search(head):
        # uWSGI sends an empty chunk with a 304, too.
        end = len(data) if data.endswith(b"\r\n0\r\n\r\n") else None
    elif status in WITHOUT_BODY:
        end = body
    elif length := LENGTH.search(head):
        end = body + int(length[1])
    else:
        raise ValueError(f"an answer of unknown length: {head!r}")
    return Head(status, end, bool(CLOSES.search(head)))


def read_body(data: bytes | bytearray) -> bytes:
    """Return the body of a whole answer."""
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    if not CHUNKED.search(head):
        return body
    parts: list[bytes] = []
    while True:
        size, _, body = body.partition(b"\r\n")
        if int(size, 16) == 0:
            return b"".join(parts)
        parts.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]


class Answer(NamedTuple):
    """An answer, decoded; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    json: Any


class Client:
    """A connection to a server of this machine, for what is not measured."""

    def __init__(self, port: int, headers: Headers | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = dict(headers or {})

    def call(self, method: str, path: str, body: Any = None, headers: Headers | None = None) -> Answer:
        """Ask, and return the answer. Raises AssertionError with the answer for an error."""
        content = None if body is None else json.dumps(body)
        type_ = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, content, {**self._headers, **type_, **(headers or {})})
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status < 400, f"{method} {path}: {answer.status} {text.decode()}"
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, json.loads(text) if text else None)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
