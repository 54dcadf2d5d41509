"""A real PgBouncer for tests: that of the machine, or the program named by KOBAKO_TEST_PGBOUNCER.

Where there is neither, and the system has Debian's packages, they are unpacked into the folder .cache, once.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.servers import packages
from tests.servers.daemon import Daemon

INI = """
[databases]
* = host=127.0.0.1 port={server} user=kobako

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
"""


class PgBouncer(Daemon):
    """A pooler before the PostgreSQL at a port: each transaction is in any of a few sessions."""

    def __init__(self, server: int, sessions: int = 5) -> None:
        super().__init__("pgbouncer")
        self.program = packages.find("pgbouncer")
        self._ini = self.folder / "pgbouncer.ini"
        self._ini.write_text(INI.format(server=server, port=self.port, sessions=sessions))

    def url(self, database: str) -> str:
        """Return what Kobako is told."""
        return f"postgresql://kobako@127.0.0.1:{self.port}/{database}?pooler=transaction"

    def command(self) -> Sequence[str | Path]:
        # It refuses to be root, and becomes nobody by itself.
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        return [*self.program, *user, self._ini]
