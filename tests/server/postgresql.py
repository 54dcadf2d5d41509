"""What `kobako start` is told to serve a PostgreSQL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.postgresql import QUICK, PostgreSQL

from kobako.databases.postgresql import PostgreSQLDatabase

WORKERS = ("--workers", "4")


def environ(url: str, **more: str) -> dict[str, str]:
    """Return the environment of a server on a database; the cache, shared by the workers, is in a file."""
    backend = url.partition("://")[0]
    both = {f"KOBAKO_{part}_{name}": value for part in ("STORAGE", "PERMISSION")
            for name, value in (("BACKEND", backend), ("URL", url))}  # fmt: skip
    cache = {"KOBAKO_CACHE_BACKEND": "sqlite", "KOBAKO_CACHE_URL": "sqlite:///cache.db"}
    secret = {"KOBAKO_USERID_HMAC_SECRET": "only for tests, and long enough"}
    return {**both, **cache, **secret, **more}


@contextmanager
def migrated(*options: str) -> Iterator[PostgreSQL]:
    """Run a server of the test's own, with a migrated database `kobako`; `options` are lines of postgresql.conf."""
    server = PostgreSQL(*QUICK, *options)
    try:
        server.start()
        server.sql("CREATE DATABASE kobako")
        asyncio.run(PostgreSQLDatabase(server.url("kobako"), lambda: 1).migrate())
        yield server
    finally:
        server.remove()
