"""The backends that the oracle runs on: a row each.

A backend with a server of its own names a class with start(), stop(), kill(), restart() and url; connections to it go
through the oracle's proxy, which cuts them, at the bytes of a COMMIT too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.consistency.hooks import Pause


class DatabaseServer(Protocol):
    """A database server that a run starts, kills and starts again, on the same port and data."""

    url: str

    def start(self) -> None:
        """Start it; return when it answers."""
        ...

    def stop(self) -> None:
        """Stop it in good order."""
        ...

    def kill(self) -> None:
        """Kill it with all its processes."""
        ...

    def restart(self) -> None:
        """Start it again, after a kill too."""
        ...


@dataclass(frozen=True)
class Backend:
    """`server` makes the database's server in a folder, None where there is none. `commit`: bytes that end a write.

    `pauses`: where the server sleeps, how often and how long. `faults`: those that make sense here.
    """

    name: str
    faults: tuple[str, ...]
    pauses: dict[str, Pause]
    server: Callable[[Path], DatabaseServer] | None = None
    commit: bytes = b""

    def environ(self, url: str) -> dict[str, str]:
        """Return the settings for a database."""
        kinds = ("STORAGE", "PERMISSION")
        return {f"KOBAKO_{kind}_{key}": value for kind in kinds for key, value in self._settings(url).items()}

    def _settings(self, url: str) -> dict[str, Any]:
        return {"BACKEND": self.name, "URL": url}


BACKENDS = {
    each.name: each
    for each in (
        Backend(
            "sqlite",
            faults=("worker", "worker", "worker", "freeze", "clock", "disk_full", "master", "everything"),
            # One writer at a time: all others wait for whoever sleeps.
            pauses={
                "before_lock": Pause(0.05, 20),
                "before_part": Pause(0.02, 5),
                "before_list": Pause(0.1, 20),
                "before_commit": Pause(0.02, 20),
                "before_answer": Pause(0.02, 20),
            },
        ),
    )
}
