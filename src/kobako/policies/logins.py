"""Logins at other servers: begun here, and ended here, once, by the browser that comes back with a state.

Source: RFC 6749, 4.1 and 10.12; objects, 15.3 and 15.4.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from kobako.cache.base import Cache
from kobako.protocol.errors import InvalidParameters, Problem, invalid
from kobako.protocol.messages import Request, Response

INVALID_TOKEN: Final = 105
"""The errno inside of the details (HTTP API, 2.2)."""

_STATE: Final = re.compile(r"[0-9a-f]{1,2048}")


class Logins(msgspec.Struct, frozen=True):
    """The logins that have begun, kept in the cache: what is known of each, by the state that its browser carries."""

    cache: Cache
    prefix: str

    async def begin(self, about: Any, ttl_s: float, length: int = 32) -> str:
        """Keep what is known of a login; return its state, of so many random bytes."""
        state = secrets.token_hex(length)
        await self.cache.set(self.prefix + state, about, ttl_s)
        return state

    async def end(self, state: str) -> Any:
        """Return what was kept, None for an unknown state; whoever asks again, or at the same moment, gets None."""
        return await self.cache.delete(self.prefix + state) if _STATE.fullmatch(state) else None


def parameters(request: Request) -> dict[str, str]:
    """Return the parameters of a URL."""
    return dict(parse_qsl(request.query, keep_blank_values=True))


def missing(given: Mapping[str, str], names: Sequence[str]) -> list[Problem]:
    """Return what is wrong with parameters of which all of these are needed."""
    problems = [Problem("querystring", name, "Required") for name in names if not given.get(name)]
    if problems and given.get("error"):
        # It came back without a code: what the other server says of it helps more than that (RFC 6749, 4.1.2.1).
        problems.append(Problem("querystring", "error", f"The provider answered: {given['error'][:100]}"))
    return problems


def refused(name: str, description: str) -> InvalidParameters:
    """Return the error for a login that ends without a token."""
    error = invalid("querystring", name, description)
    error.details[0]["errno"] = INVALID_TOKEN
    return error


def redirect(url: str, status: int) -> Response:
    """Return an answer that sends a browser on. What is in its URL is for that one, and no other site."""
    kept_nowhere = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status=status, headers={"Location": url, **kept_nowhere})
