"""What happened in a run: one event a line, in the order in which the events ended, so that a run can be judged again.

Times are seconds since the run began, on the driver's clock, which nobody sets back. Versions are those of the server.
A token names one write, and is part of what is written: whoever sees it knows whose version it is.

Source: reliability, 3.2.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

UNKNOWN = 0
"""The status of a request that nobody answered. 503 means the same: it may have been done."""


class Op(msgspec.Struct, frozen=True, kw_only=True, tag="op", omit_defaults=True):
    """A request of a writer, or one part of it: each object that it bears on has an event of its own.

    `version`: of the object after it, 0 if it is not told. `if_match`: the version it asks for. `fields`: the object's
    own, as written or answered. `patch`: what a merge patch brought. `count`: how long an array was after an append.
    """

    start: float
    end: float
    writer: str
    kind: str
    list: str
    id: str = ""
    token: str = ""
    status: int = UNKNOWN
    version: int = 0
    if_match: int = 0
    if_none_match: bool = False
    fields: dict[str, Any] | None = None
    patch: dict[str, Any] | None = None
    count: int = 0
    batch: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it was acknowledged."""
        return 200 <= self.status < 300

    @property
    def is_unknown(self) -> bool:
        """Whether it may have been done or not."""
        return self.status == UNKNOWN or self.status >= 500

    @property
    def is_refused(self) -> bool:
        """Whether it was not done, as the server says."""
        return 400 <= self.status < 500

    @property
    def is_write(self) -> bool:
        """Whether it was acknowledged as a new version of an object."""
        return self.is_done and self.version > 0 and self.kind != "get" and (self.kind != "post" or self.status == 201)

    @property
    def deletes(self) -> bool:
        """Whether what it leaves is a tombstone."""
        return self.kind == "delete"


class Seen(NamedTuple):
    """An object in a list, as somebody saw it: a tombstone has no token. `count`: how long its array is."""

    id: str
    version: int
    token: str = ""
    count: int = 0


class Poll(msgspec.Struct, frozen=True, kw_only=True, tag="poll", omit_defaults=True):
    """All pages that a poller read since its cursor; `after` is the cursor it keeps, the same if it had to give up."""

    start: float
    end: float
    poller: str
    list: str
    style: str
    cursor: int = 0
    after: int = 0
    etags: list[int] = []
    changes: list[Seen] = []
    status: int = 200
    slowest: tuple[float, float] | None = None
    """When the request began and ended that took longest: of one page."""

    @property
    def is_complete(self) -> bool:
        """Whether the last page was reached, or there was nothing new (304)."""
        return self.status in (200, 304)

    @property
    def is_settled(self) -> bool:
        """Whether to ask again would bring nothing else: a refusal is an answer too, an outage is none."""
        return self.status not in (UNKNOWN, 503)


class Fault(msgspec.Struct, frozen=True, kw_only=True, tag="fault", omit_defaults=True):
    """Something that was done to the server, until it was put right; `problem`: how it took it, if not well."""

    start: float
    end: float
    kind: str
    problem: str = ""


class Rest(msgspec.Struct, frozen=True, kw_only=True, tag="rest", omit_defaults=True):
    """A whole list, tombstones too, read when nobody wrote and every poller had come to its end."""

    end: float
    list: str
    etag: int
    objects: list[Seen]
    arrays: dict[str, list[str]] = {}
    """The elements of each record that only grows."""


Event = Op | Poll | Fault | Rest

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


class Log:
    """A history that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")

    def add(self, event: Event) -> None:
        """Write an event."""
        self._file.write(_encode(event) + b"\n")

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a history."""
    with path.open("rb") as lines:
        for line in lines:
            yield _decode(line)
