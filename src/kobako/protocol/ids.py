"""Ids of objects: which are acceptable, and how new ones are made.

Source: HTTP API, section 10.1; objects, 1.3.
"""

import re
import secrets
import string
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

MAX_LENGTH: Final = 255
"""Characters of an id; longer ones would not fit the index pages of every database."""

_ALPHANUMERIC = string.ascii_letters + string.digits


class IdGenerator(msgspec.Struct, frozen=True):
    """A pattern that ids match as a whole, and a function that makes one; without it, whoever creates has to say.

    `never_again`: nobody has had an id that it makes, so nothing is looked for under it.
    """

    pattern: re.Pattern[str]
    generate: Callable[[], str] | None = None
    never_again: bool = False

    def accepts(self, id: object) -> bool:
        """Tell whether an object may have this id.

        >>> NAME.accepts("abc"), NAME.accepts("abc\\n"), NAME.accepts(12)
        (True, False, False)
        """
        return isinstance(id, str) and len(id) <= MAX_LENGTH and self.pattern.fullmatch(id) is not None


def _uuid4() -> str:
    """Return a UUID that begins with the time, in minutes or so: what is created together is together in an index.

    Where all of it is random, each new object is on another page of the database, to be read, logged and written.
    """
    minutes = _now_ms() >> 16
    return str(uuid.UUID(bytes=minutes.to_bytes(4) + secrets.token_bytes(12), version=4))


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _name() -> str:
    return secrets.choice(_ALPHANUMERIC) + "".join(secrets.choice(_ALPHANUMERIC + "-_") for _ in range(7))


_NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*")

UUID4: Final = IdGenerator(re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), _uuid4, True)
"""Version 4, in lower case: the default. 90 bits of those that it makes are random."""

RELAXED_UUID: Final = IdGenerator(_NAME_PATTERN, _uuid4, True)
"""Names, of which new ones are UUIDs."""

NAME: Final = IdGenerator(_NAME_PATTERN, _name)
"""Names: letters, digits, - and _; new ones have eight characters."""
