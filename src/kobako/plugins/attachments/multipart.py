"""multipart/form-data, part by part as it comes: nothing is kept but the chunk that was read last.

Source: objects, 17.2 and 17.3; RFC 7578; reliability, A6.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator
from enum import Enum
from typing import Final

import msgspec

from kobako import ApiError, Request, invalid

MAX_HEADERS: Final = 8
MAX_HEADER_BYTES: Final = 4096
"""What the headers of a part may be: names of files fit."""

_QUIET: Final = logging.getLogger("kobako.plugins.attachments.multipart")
_QUIET.disabled = True


class Part(msgspec.Struct, frozen=True):
    """What the headers of a part say: `filename` is None for what is no file."""

    name: str
    filename: str | None
    content_type: str


class _Mark(Enum):
    END_OF_PART = 1
    END = 2


_Event = Part | bytes | _Mark


def boundary(request: Request) -> bytes:
    """Return what stands between the parts of a body. Raises InvalidParameters for a body of another type."""
    from python_multipart.multipart import MAX_BOUNDARY_LENGTH, parse_options_header

    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise invalid("header", "Content-Encoding", "Content-Encoding is not supported")
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    found: bytes = parameters.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(found) <= MAX_BOUNDARY_LENGTH:
        raise not_multipart()
    return found


def not_multipart() -> ApiError:
    """Return the error for a body that is none, or is not between the boundaries that its type names."""
    return invalid("header", "Content-Type", "Content-Type should be multipart/form-data")


class Parts:
    """The parts of a body, in their order: `async for part in parts`, and each one's `data()` before the next."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        from python_multipart.multipart import MultipartParser

        self._chunks = chunks
        self._events: deque[_Event] = deque()
        self._headers: dict[str, str] = {}
        self._field = self._value = b""
        self._has_begun = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                "on_part_end": lambda: self._events.append(_Mark.END_OF_PART),
                "on_end": lambda: self._events.append(_Mark.END),
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )
        # It would tell the log of each client that sends what it should not.
        self._parser.logger = _QUIET

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> Part:
        while (event := await self._next()) is not _Mark.END:
            if isinstance(event, Part):
                return event
        raise StopAsyncIteration

    async def data(self) -> AsyncIterator[bytes]:
        """Yield the content of the part that was returned last, as it comes."""
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> _Event:
        from python_multipart.exceptions import FormParserError

        while not self._events:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                raise invalid("body", None, "The body ends before its last boundary") from None
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise self._refusal(error) from error
        return self._events.popleft()

    def _refusal(self, error: Exception) -> ApiError:
        return invalid("body", None, f"No multipart/form-data: {error}") if self._has_begun else not_multipart()

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._has_begun = True
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field = self._value = b""

    def _on_headers(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, parameters = parse_options_header(self._headers.get("content-disposition", ""))
        filename = parameters.get(b"filename")
        self._events.append(
            Part(
                name=_text(parameters.get(b"name", b"")),
                filename=None if filename is None else _text(filename),
                content_type=self._headers.get("content-type", "").partition(";")[0].strip().lower(),
            )
        )


def _text(raw: bytes) -> str:
    # What browsers send is UTF-8; the library reads headers as Latin-1.
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
