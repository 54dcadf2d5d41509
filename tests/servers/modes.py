"""PostgreSQL as installations have it, chosen by KOBAKO_TEST_POSTGRESQL_MODE: see `make test-postgresql`.

What clusters and services ask for is held on stock PostgreSQL. Source: design, "One file to a cluster".
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import QUICK, PostgreSQL

from kobako.databases.base import TryAgain
from kobako.databases.postgresql import PostgreSQLDatabase

MODES = ("", "pooler", "partitioned", "serializable")
"""As it comes, through PgBouncer, with tables in partitions, with the strictest isolation for whoever names none."""

STRICT = "default_transaction_isolation=serializable"


class Served:
    """A server with a migrated database, `kobako`, and what Kobako is told to reach it."""

    def __init__(self, server: PostgreSQL, pooler: PgBouncer | None) -> None:
        self.server = server
        self.pooler = pooler

    def url(self, database: str = "kobako") -> str:
        """Return the URL of a database for Kobako; a test itself asks the server."""
        return self.pooler.url(database) if self.pooler else self.server.url(database)


def chosen() -> str:
    """Return the mode of this run."""
    mode = os.environ.get("KOBAKO_TEST_POSTGRESQL_MODE", "")
    assert mode in MODES, f"KOBAKO_TEST_POSTGRESQL_MODE={mode}: it is one of {', '.join(MODES[1:])}"
    return mode


def in_nobodys_way() -> AbstractContextManager[None]:
    """What may happen to a unit of work that waits: nothing, or where everything is serializable, that it is undone.

    There a request is served again, which units are not.
    """
    return suppress(TryAgain) if chosen() == "serializable" else nullcontext()


@contextmanager
def served(mode: str) -> Iterator[Served]:
    """Run a server in a mode, with what it needs."""
    server = PostgreSQL(*QUICK, *([STRICT] if mode == "serializable" else []))
    pooler = PgBouncer(server.port) if mode == "pooler" else None
    try:
        server.start()
        if pooler:
            pooler.start()
        server.sql("CREATE DATABASE kobako")
        options = "?partitions=4" if mode == "partitioned" else ""
        asyncio.run(PostgreSQLDatabase(server.url("kobako") + options, lambda: 1).migrate())
        yield Served(server, pooler)
    finally:
        if pooler:
            pooler.remove()
        server.remove()
