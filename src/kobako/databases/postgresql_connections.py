"""How a connection to PostgreSQL is made, and whether the database behind it can be served.

Source: reliability, 4.4 step 2, O1, O4, O9; design, "One file to a cluster".
"""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

from kobako.databases import postgresql_migrations
from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.databases.postgresql_session import ERRORS, Connection, failure

OLDEST = 14
"""The first version of PostgreSQL that is served: older ones are not maintained any more."""

CONNECT_TIMEOUT_S = 1.0
LOCK_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
IDLE_TIMEOUT_S = 10

ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 5.0
"""How long is waited for a server that should have given up by itself: it may be out of reach."""

LIMITS = {
    "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S}s",
}
"""What a unit may wait for a lock, how long a statement may run, how long a transaction may do nothing."""

# For short statements compiling costs more than it saves. What a worker was doing that is gone ends soon.
SETTINGS = {**LIMITS, "application_name": "kobako", "jit": "off", "client_connection_check_interval": "1s"}

SPREADING = ["citus", "postgres_fdw"]
"""Extensions by which tables are on other servers."""

MOST_PARTITIONS = 1024

REFUSED = ("28", "3D", "42501")
"""The server answers, but not to us: login, name of the database, rights."""


class Address:
    """Where a database is, and how it is spoken to.

    `has_pooler`: something in between shares connections. `partitions`: into how many parts the first migration is
    to divide the tables; None if the URL does not say.
    """

    def __init__(self, url: str, *, has_pooler: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme.partition("+")[0] not in ("postgres", "postgresql"):
            raise UnfitDatabase(f"a PostgreSQL database is named postgresql://user@host/database, not {parts.scheme}:")
        options = parse_qsl(parts.query, keep_blank_values=True)
        poolers = {value for name, value in options if name == "pooler"}
        if not poolers <= {"transaction", "session"}:
            raise UnfitDatabase(f"pooler={poolers.pop()}: a pooler is of the kind transaction or session")
        self.has_pooler = has_pooler or "transaction" in poolers
        self.partitions = max((_partitions(value) for name, value in options if name == "partitions"), default=None)
        kept = urlencode([(name, value) for name, value in options if name not in ("pooler", "partitions")])
        self._url = f"postgresql://{parts.netloc}{parts.path}?{kept}"
        # What stands before the host, or where it should, may be the password.
        self.name = f"PostgreSQL at {parts.hostname or 'localhost'}{parts.path}"

    async def connect(
        self, settings: dict[str, str] = SETTINGS, answer_timeout_s: float | None = ANSWER_TIMEOUT_S
    ) -> Connection:
        """Return a new connection. Raises BackendUnavailable, UnfitDatabase where the server refuses us for good."""
        # With a pooler the next transaction may be on another connection: nothing may be left on one.
        known: dict[str, Any] = {"statement_cache_size": 0} if self.has_pooler else {"server_settings": settings}
        known |= {"max_cached_statement_lifetime": 0, "command_timeout": answer_timeout_s}
        try:
            return await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_S, **known)
        except asyncpg.ClientConfigurationError as error:
            raise UnfitDatabase(f"{self.name}: {error}") from error
        except ValueError:
            # The error may quote the password, if that stands where a port should.
            raise UnfitDatabase(f"{self.name}: its URL has no form that is known") from None
        except Exception as error:
            raise told(error, self.name) from error


def _partitions(value: str) -> int:
    if not (value.isdecimal() and 2 <= int(value) <= MOST_PARTITIONS):
        raise UnfitDatabase(f"partitions={value}: tables are divided into 2 to {MOST_PARTITIONS} partitions")
    return int(value)


def told(error: Exception, name: str) -> Exception:
    """Return why a database can not be used, in the words of the contract. The password is in none of them."""
    reason = f"{name}: {error or type(error).__name__}"
    if isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith(REFUSED):
        return UnfitDatabase(reason)
    return BackendUnavailable(reason) if failure(error) else error


async def check(connection: Connection, name: str) -> None:
    """Raise UnfitDatabase unless a database can be served: version, encoding, schema. Raises BackendUnavailable."""
    try:
        check_server(connection, name)
        await postgresql_migrations.check(connection, name)
    except ERRORS as error:
        raise told(error, name) from error


async def tells_version(connection: Connection, name: str) -> bool:
    """Tell whether a snapshot says all that is committed: not where other servers have a part of the data."""
    try:
        return not await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = ANY($1)", SPREADING)
    except ERRORS as error:
        raise told(error, name) from error


def check_server(connection: Connection, name: str) -> None:
    """Raise UnfitDatabase unless the schema could be made in a database."""
    check_fitness(connection.get_server_version().major, connection.get_settings().server_encoding, name)


def check_fitness(version: int, encoding: str, name: str) -> None:
    """Raise UnfitDatabase for a version of PostgreSQL, or an encoding of the database, that can not be served.

    >>> check_fitness(18, "UTF8", "PostgreSQL at db.example.org/kobako")
    """
    if version < OLDEST:
        raise UnfitDatabase(f"{name} is version {version}: {OLDEST} or later is needed")
    if encoding != "UTF8":
        raise UnfitDatabase(f"{name} has the encoding {encoding}: UTF8 is needed (CREATE DATABASE ... ENCODING 'UTF8')")
