"""A real memcached for tests: that of the machine, or the program named by KOBAKO_TEST_MEMCACHED.

Where there is neither, and the system has Debian's packages, they are unpacked into the folder .cache, once.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.servers import packages
from tests.servers.daemon import Daemon


class Memcached(Daemon):
    """A server with 64 MB; `options` are arguments of memcached."""

    def __init__(self, *options: str) -> None:
        super().__init__("memcached")
        self.program = packages.find("memcached")
        self.options = options

    @property
    def host(self) -> str:
        """What a client connects to."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str | Path]:
        # It refuses to be root, and becomes nobody by itself.
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        return [*self.program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "64", *user, *self.options]
