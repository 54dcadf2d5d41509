"""ETags and preconditions: the optimistic lock of the HTTP API.

A timestamp is an int, in milliseconds since the epoch; on the wire it stands between double quotes. Nothing here
reads or waits: the caller brings the timestamp of what is stored, None when nothing is.

Source: HTTP API, sections 7.2 and 8; RFC 9110, section 13.
"""

import re
from collections.abc import Mapping
from email.utils import formatdate
from enum import Enum
from functools import lru_cache
from typing import Final

import msgspec

from kobako.protocol.errors import Problem


class Wildcard(Enum):
    """The version ``*`` of a precondition: whatever is stored, if something is."""

    ANY = "*"


ANY: Final = Wildcard.ANY
Version = int | Wildcard

# Longer numbers are no timestamps; int() need not look at 10 kB of digits.
_QUOTED = re.compile(r'"([0-9]{1,19})"')


class Preconditions(msgspec.Struct, frozen=True):
    """The version a client says it knows, from the two headers that can carry one."""

    if_match: Version | None = None
    if_none_match: Version | None = None

    def unchanged(self, stored: int | None) -> bool:
        """Tell whether a reader has this version already: the answer is 304."""
        return stored is not None and self.if_none_match == stored

    def allow(self, stored: int | None) -> bool:
        """Tell whether the request may go on with what is stored (None: nothing is); if not, the answer is 412."""
        if self.if_none_match is ANY:
            return stored is None
        if self.if_match is ANY:
            return stored is not None
        return self.if_match is None or self.if_match == stored


UNCONDITIONAL: Final = Preconditions()


def parse(header: str) -> Version:
    """Return the timestamp in an If-Match or If-None-Match header, or ANY for ``*``.

    Raises ValueError for anything but digits between double quotes.

    >>> parse('"1700000000000"')
    1700000000000
    """
    if header == "*":
        return ANY
    if found := _QUOTED.fullmatch(header):
        return int(found[1])
    raise ValueError("The value should be integer between double quotes.")


def read(headers: Mapping[str, str], problems: list[Problem]) -> Preconditions:
    """Return the preconditions among the headers (names in lower case); what is wrong with them joins `problems`."""
    if "if-match" not in headers and "if-none-match" not in headers:
        return UNCONDITIONAL

    def version(name: str) -> Version | None:
        try:
            return parse(headers[name.lower()]) if name.lower() in headers else None
        except ValueError as error:
            problems.append(Problem("header", name, str(error)))
            return None

    return Preconditions(version("If-Match"), version("If-None-Match"))


def headers_for(timestamp: int) -> dict[str, str]:
    """Return the two headers that tell a client a version: ETag and, in whole seconds, Last-Modified."""
    return {"ETag": f'"{timestamp}"', "Last-Modified": _http_date(timestamp // 1000)}


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
