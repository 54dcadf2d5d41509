"""Statements on a connection to PostgreSQL: errors in the words of the contract, and what is known of the connection.

Source: reliability, 4.4 step 7.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, TypeAlias

import asyncpg

from kobako.databases.base import BackendUnavailable, NotForeseen, TryAgain

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Rows = list[asyncpg.Record]

Send = Callable[[Sequence[Any]], list["Write"]]
"""(writes of one kind, in their order) -> the statements that do them."""

CHUNK = 500
"""How many rows are fetched at a time where there may be very many."""

READ_ONLY = "25006"
STANDBY = " (a standby can only be read: set readonly there, or name the primary)"

IN_THE_WAY = {"40001", "40P01", "55P03"}
"""Serialization failure, deadlock, lock not available in time: the same unit may succeed another time."""

# What is no defect of ours: resources (53), the operator (57), a connection that is gone, a system error (58),
# a transaction that is over or reads only (25), a refused login, configuration limits.
UNAVAILABLE = ("08", "25", "28", "3D", "53", "55", "57", "58", "XX")

LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The connection is gone, or has no answer; `OSError` includes timeouts."""

ERRORS = (asyncpg.PostgresError, *LOST)
"""What the driver raises."""

HARMLESS = (asyncpg.PostgresError, asyncpg.DataError)
"""What leaves the connection in a known state: told by the server, or never sent."""


def failure(error: BaseException) -> Exception | None:
    """Return an error of the driver in the words of the contract; None for what has to go through as it is."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        # The last: a plan that was made before a migration.
        if state in IN_THE_WAY or isinstance(error, asyncpg.InvalidCachedStatementError):
            return TryAgain(f"PostgreSQL: {error}")
        told = f"PostgreSQL: {error}{STANDBY if state == READ_ONLY else ''}"
        return BackendUnavailable(told) if state.startswith(UNAVAILABLE) else None
    if isinstance(error, LOST) and not isinstance(error, asyncpg.DataError):
        return BackendUnavailable(f"PostgreSQL: {error or type(error).__name__}")
    return None


class Statement(NamedTuple):
    """A statement that writes: `auxiliary` are those that it begins WITH, under names of their own; `main` the last."""

    auxiliary: str
    main: str

    @property
    def sql(self) -> str:
        """The whole."""
        return f"WITH {self.auxiliary} {self.main}"


Write = tuple[Statement, tuple[Any, ...]]
"""A statement, and its values."""


@lru_cache(64)
def joined(statements: tuple[Statement, ...], counts: tuple[int, ...]) -> str:
    """Return statements as one: each has so many parameters, and writes other rows than the others."""
    *others, last = [
        Statement(*(_PARAMETER.sub(lambda found: f"${int(found[1]) + before}", part) for part in each))  # noqa: B023
        for each, before in zip(statements, accumulate(counts, initial=0), strict=False)
    ]
    first = "".join(f"{each.auxiliary}, write{number} AS ({each.main}), " for number, each in enumerate(others))
    return f"WITH {first}{last.auxiliary} {last.main}"


_PARAMETER = re.compile(r"\$(\d+)")


class Pending(Protocol):
    """Writes that wait (`postgresql_pending.py`)."""

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        ...

    async def send(self) -> None:
        """Send them."""
        ...

    def add(self, send: "Send", write: Any) -> None:
        """Let another one wait."""
        ...


class Concerns:
    """Whom it concerns what a unit writes: those who read certain lists, or everybody.

    Of lists that were written their rows tell it. So what is left is what changed besides: `acls` has the parents of
    the lists that objects are in whose ACLs were; `are_all` is set for more than that.
    """

    __slots__ = ("acls", "are_all")

    def __init__(self) -> None:
        self.acls: set[str] = set()
        self.are_all = False


class Session:
    """A connection, for the time of one unit of work: what storage and permissions run their SQL on."""

    __slots__ = ("_connection", "_refusal", "concerns", "is_lost", "pending")

    def __init__(self, connection: "Connection | None") -> None:
        """Without a connection all was told before: NotForeseen is raised for any statement."""
        self._connection = connection
        self._refusal: type[Exception] | None = None
        self.pending: Pending | None = None
        """Writes that are sent before anything else is."""
        self.concerns = Concerns()
        self.is_lost = False
        """Whether nobody knows what the server makes of the last statement: the connection can not be used again."""

    async def run(self, sql: str, *values: Any) -> Rows:
        """Run a statement and return its rows. Raises BackendUnavailable, TryAgain."""
        connection = self._asked()
        if self.pending:
            await self.pending.send()
        try:
            return await connection.fetch(sql, *values)
        except BaseException as error:
            self._note(connection, error)
            if told := failure(error):
                raise told from error
            raise

    async def execute(self, sql: str, timeout_s: float | None = None) -> str:
        """Run statements without values; return the tag of the last. Raises BackendUnavailable, TryAgain."""
        connection = self._asked()
        if self.pending:
            await self.pending.send()
        try:
            return await connection.execute(sql, timeout=timeout_s)
        except BaseException as error:
            self._note(connection, error)
            if told := failure(error):
                raise told from error
            raise

    async def stream(self, sql: str, *values: Any) -> AsyncIterator[Rows]:
        """Yield the rows of a statement in chunks, for what may be too much at once; to its end, or to the unit's."""
        # Not a cursor of the driver: that prepares a statement, which a pooler may lose.
        await self.run(f"DECLARE found NO SCROLL CURSOR FOR {sql}", *values)
        while rows := await self.run(f"FETCH {CHUNK} FROM found"):
            yield rows
        await self.execute("CLOSE found")

    def end(self, refusal: type[Exception] = BackendUnavailable) -> None:
        """Refuse statements from now on: outside its unit they would be in somebody else's, or in none."""
        self._refusal = refusal

    def check_not_over(self) -> None:
        """Raise what a unit raises whose time is over."""
        if self._refusal:
            raise self._refusal("the unit of work is over")

    def _asked(self) -> Connection:
        self.check_not_over()
        if self._connection is None:
            raise NotForeseen
        return self._connection

    def _note(self, connection: Connection, error: BaseException) -> None:
        is_fatal = isinstance(error, asyncpg.PostgresError) and error.severity_en in ("FATAL", "PANIC")
        if is_fatal or not isinstance(error, HARMLESS) or connection.is_closed():
            self.is_lost = True
