"""Request and Response: plain data, the same for a client on the network and for a part of a batch."""

from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

# What a request may bring, from the network or as a part of a batch: in characters, but for the number of headers.
# What servers in front refuse anyway lies below; pages of ids fit.
MAX_QUERY: Final = 65_536
MAX_HEADERS: Final = 200
MAX_HEADER_SIZE: Final = 65_536


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: the names of headers are lower-cased, the path is decoded and begins with the version prefix.

    `query` is the query string as it was sent; `origin` is scheme and host, as the client sees the server; `client` is
    its address, empty where it is not known. `stream` is the body where that is read piece by piece, as it comes.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    origin: str = "http://localhost"
    client: str = ""

    @property
    def url(self) -> str:
        """The absolute URL without its query string."""
        return self.origin + quote(self.path, safe="/~@:!$&'()*+,;=")


class Response(msgspec.Struct, kw_only=True):
    """What is answered: names of headers are spelled as the API spells them, the body is JSON text or empty.

    A header that is sent several times (WWW-Authenticate) has a line for each. `errno` is that of an error, 0 for none.
    A body that is sent piece by piece is a `stream` of as many bytes as `length` says.
    """

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    errno: int = 0
    stream: AsyncIterator[bytes] | None = None
    length: int = 0

    @property
    def size(self) -> int:
        """The bytes of the body."""
        return len(self.body) if self.stream is None else self.length
