"""The backends that the oracle runs on: a row each.

A backend with a server of its own names what makes one (`tests/servers`); connections to it go through the oracle's
proxy, which cuts them, at the bytes that end a write too.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tests.consistency.hooks import Pause
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import DURABLE, Valkey


class DatabaseServer(Protocol):
    """A database server that a run starts, kills and starts again, on the same port and data."""

    port: int
    process: "subprocess.Popen[bytes] | None"

    def url(self) -> str:
        """Return what a client connects to."""
        ...

    def start(self) -> None:
        """Run it, after a kill too; return once it serves."""
        ...

    def kill(self) -> None:
        """End it with all its processes at once."""
        ...

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        ...


@dataclass(frozen=True, kw_only=True)
class Backend:
    """`server` makes the database's server, None where there is none. `commit`: the bytes that end a write.

    `faults`: those of `nemesis.py` that make sense here; one that stands there twice is done twice as often. `pauses`:
    where the server sleeps, how often and how long.
    """

    name: str
    faults: tuple[str, ...]
    pauses: dict[str, Pause]
    server: Callable[[], DatabaseServer] | None = None
    commit: bytes = b""

    def environ(self, url: str) -> dict[str, str]:
        """Return the settings for a database; the files of SQLite are where the server is started."""
        if not url:
            return {}
        kinds = ("STORAGE", "PERMISSION", "CACHE")
        return {f"KOBAKO_{kind}_BACKEND": self.name for kind in kinds} | {f"KOBAKO_{kind}_URL": url for kind in kinds}


# Writers of other lists go on.
OF_SERVERS = {
    "before_lock": Pause(0.05, 20),
    "after_lock": Pause(0.05, 20),
    "before_list": Pause(0.1, 20),
    "before_commit": Pause(0.05, 20),
    "before_answer": Pause(0.05, 20),
}

BACKENDS = {
    each.name: each
    for each in (
        Backend(
            name="sqlite",
            faults=(
                *("worker", "point", "worker", "point", "everything", "master"),
                *("freeze", "clock", "disk_full", "file_limit", "stop"),
            ),
            # One writer at a time: all others wait for whoever sleeps.
            pauses={
                "before_lock": Pause(0.05, 20),
                "after_lock": Pause(0.02, 10),
                "before_list": Pause(0.1, 20),
                "before_commit": Pause(0.02, 20),
                "before_answer": Pause(0.02, 20),
            },
        ),
        Backend(
            name="postgresql",
            server=PostgreSQL,
            commit=b"COMMIT",
            faults=(
                *("worker", "point", "worker", "point", "everything", "master", "database", "backend"),
                *("freeze", "clock", "cut", "cut_at_commit", "cut_at_commit", "delay", "hold", "stop"),
            ),
            pauses=OF_SERVERS,
        ),
        Backend(
            name="redis",
            server=partial(Valkey, *DURABLE),
            commit=b"EVALSHA",
            faults=(
                *("worker", "point", "worker", "point", "everything", "master", "database"),
                *("freeze", "clock", "cut", "cut_at_commit", "delay", "hold", "stop"),
            ),
            pauses=OF_SERVERS,
        ),
    )
}
