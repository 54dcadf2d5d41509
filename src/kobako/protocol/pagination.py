"""Page tokens: a place in a sorted list, and the timestamp of the list when its first page was read.

A token is opaque to clients, and not signed: it says after which values of the sort keys to go on, in the list of
the URL that it comes with; so an edited one shows nothing that another `_sort` or filter would not. Every page
answers the first page's ETag, so that a client which keeps the last one's misses no change (reliability, V2).

Source: HTTP API, section 9.8; reliability, 4.7.
"""

import base64
import binascii
from typing import Any

import msgspec

from kobako.protocol import jsontext
from kobako.protocol.errors import InvalidParameters, invalid
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import MISSING, Sort

MAX_LENGTH = 16384
"""Characters of a token: it has to fit into a URL, with what else the client asks."""


class Token(msgspec.Struct, frozen=True):
    """After which values to go on, one for each sort key; the ETag of page 1; `nonce` if it serves only once."""

    after: tuple[Any, ...]
    timestamp: int
    nonce: str = ""


class _Wire(msgspec.Struct):
    last_object: JsonObject
    timestamp: int
    nonce: str


def write(token: Token, sort: tuple[Sort, ...]) -> str:
    """Return the text of a token for the next page of a list in this order.

    Raises InvalidParameters where the values to go on from are too large for a URL.
    """
    pairs = zip(sort, token.after, strict=True)
    last_object = {key.field: value for key, value in pairs if value is not MISSING}
    text = jsontext.encode(_Wire(last_object, token.timestamp, token.nonce))
    encoded = base64.urlsafe_b64encode(text.encode()).decode()
    if len(encoded) > MAX_LENGTH:
        largest = max(last_object, key=lambda field: len(jsontext.encode(last_object[field])))
        raise invalid("querystring", "_sort", f"The values of '{largest[:200]}' are too large to read page by page")
    return encoded


def read(text: str, sort: tuple[Sort, ...], *, sparse: bool = False) -> Token | None:
    """Return the token in a `_token` parameter, None if it is empty; in a `sparse` list ids may be missing.

    Raises InvalidParameters for anything that `write` could not have made for this order.
    """
    if text in ("", "null"):
        return None
    if len(text) > MAX_LENGTH:
        raise _refusal()
    try:
        # Clients may have decoded a "+" of the standard alphabet to a space; the URL-safe one has none.
        decoded = base64.b64decode(text, altchars=b"-_", validate=True)
        jsontext.check(msgspec.json.decode(decoded))
        wire = msgspec.json.decode(decoded, type=_Wire)
    except (binascii.Error, msgspec.MsgspecError, ValueError, RecursionError):
        raise _refusal() from None
    after = tuple(wire.last_object.get(key.field, MISSING) for key in sort)
    if (
        wire.timestamp < 0
        or wire.timestamp >= 2**63
        or not all(_plausible(*each, sparse) for each in zip(sort, after, strict=True))
    ):
        raise _refusal()
    return Token(after, wire.timestamp, wire.nonce)


def _plausible(key: Sort, value: Any, sparse: bool) -> bool:
    """Tell whether an object can have this value: the fields of the server have one type."""
    if key.field == "last_modified":
        return type(value) is int and 0 <= value < 2**63
    return key.field != "id" or isinstance(value, str) or (sparse and value is MISSING)


def _refusal() -> InvalidParameters:
    return invalid("querystring", None, "_token has invalid content")
