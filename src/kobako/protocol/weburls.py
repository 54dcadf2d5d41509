"""URLs that clients hand in, and that somebody is sent on to: where do they lead?

Source: objects, 15.3 and 15.4.
"""

import re
from typing import Final

MAX_LENGTH: Final = 2048

# Narrower than RFC 3986: no user names, and no backslash, which browsers read as a slash.
_FORM: Final = re.compile(
    r"(?P<origin>(?!javascript:|data:|vbscript:)[a-z][a-z0-9+.-]*://(?P<host>[a-z0-9_~-][a-z0-9._~-]*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)"
    r"(?:[/?#][!-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)


def origin_of(url: str) -> str | None:
    """Return scheme, host and port of an absolute URL in small letters, None for what is none.

    >>> origin_of("https://Admin.example:8443/#/auth/"), origin_of("https://good.example\\\\@evil.example/")
    ('https://admin.example:8443', None)
    """
    found = _parsed(url)
    return found["origin"].lower() if found else None


def host_of(url: str) -> str | None:
    """Return the host of an absolute URL in small letters, None for what is none.

    >>> host_of("https://Admin.example:8443/#/auth/"), host_of("javascript:alert(1)")
    ('admin.example', None)
    """
    found = _parsed(url)
    return found["host"].lower() if found else None


def _parsed(url: str) -> re.Match[str] | None:
    return _FORM.fullmatch(url) if len(url) <= MAX_LENGTH else None
