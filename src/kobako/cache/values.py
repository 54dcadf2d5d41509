"""What the caches share: values as JSON text, the moment they expire, and the heartbeat.

A cache counts time by the clock it is given, also where a server has one of its own: the moment is kept with the
value, and a server is only told to clear up what nobody can see any more, SPARE_S later.
"""

import json
from typing import Any, NamedTuple
from uuid import uuid4

from kobako.cache.base import Cache
from kobako.databases.base import BackendUnavailable, UnfitDatabase

SPARE_S = 60
"""How much longer a server keeps a value than it counts: its clock is not ours, and may count in whole seconds."""


def encode(value: Any) -> str:
    """Return a value as JSON text. Raises TypeError if it is not JSON."""
    # Not msgspec: it would make text of bytes, times and sets without a word.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def expiry(now: int, ttl_s: float) -> int:
    """Return when a value expires that is set now, in milliseconds.

    >>> expiry(1_700_000_000_000, 0.5)
    1700000000500
    """
    return now + round(ttl_s * 1000)


class Entry(NamedTuple):
    """A value as JSON text, and until when it counts, in milliseconds since the epoch."""

    expires: int
    text: str

    @property
    def value(self) -> Any:
        """The value, a new one each time."""
        return json.loads(self.text)

    def left_s(self, now: int) -> float:
        """Return the seconds it has left; it counts no more when there are none."""
        return (self.expires - now) / 1000

    def pack(self) -> bytes:
        """Return it as one value, for servers that keep nothing beside one.

        >>> Entry(1_700_000_000_500, '{"a":1}').pack()
        b'1700000000500 {"a":1}'
        """
        return f"{self.expires} {self.text}".encode()


def unpack(packed: bytes) -> Entry:
    """Return what `Entry.pack` made.

    >>> unpack(b'1700000000500 {"a":1}').value
    {'a': 1}
    """
    expires, _, text = packed.decode().partition(" ")
    return Entry(int(expires), text)


async def round_trip(cache: Cache) -> bool:
    """Tell whether a value can be written and read back (heartbeat)."""
    # Processes of several machines share a cache and check it at the same moment: a key for each.
    key = f"__check__{uuid4()}"
    try:
        await cache.set(key, key, 10)
        return bool(await cache.delete(key) == key)
    except (BackendUnavailable, UnfitDatabase):
        return False
