"""Statements on an SQLite connection: errors in the words of the contract, long work out of the event loop.

A statement takes microseconds, less than a change of threads: it runs in the event loop. What reads through a
whole list, or writes thousands of rows, goes through `aside`; apsw lets other threads run meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NoReturn, ParamSpec, TypeVar

import apsw

from kobako.databases.base import BackendUnavailable

P = ParamSpec("P")
T = TypeVar("T")
Rows = list[tuple[Any, ...]]

LONGEST_READ_S = 30.0
"""How long a unit may go through lists: it keeps one of few connections."""

LONGEST_READ_TO_WRITE_S = 3.0
"""The same in a unit that writes: all others wait for it, and give up after 5 s."""

ROWS_IN_A_TURN = 500
"""Rows that are read before others have their turn: less than half a millisecond."""

LONGEST_TURN_S = 0.005
"""How long a statement may look for these rows in the event loop."""

STEPS = 5000
"""Instructions of SQLite's after which that is looked at: less than half a millisecond."""

SHORT_STEPS = 10_000
"""Instructions after which a statement is no short one: about a millisecond, or 500 rows."""

# Errors that are no defect of ours: the file, the disk, the locks. Others go through as they are.
UNAVAILABLE = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.ConnectionClosedError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.InterruptError,
    apsw.IOError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
)


def unavailable(error: BaseException) -> BackendUnavailable:
    """Return an error of SQLite in the words of the contract, as its cause."""
    failure = BackendUnavailable(f"SQLite: {error}")
    failure.__cause__ = error
    return failure


class Session:
    """A connection, for the time of one unit of work: what storage and permissions run their SQL on.

    A unit that writes has `changed`, where it notes what.
    """

    __slots__ = ("_changed", "_connection", "_execute", "_left_s", "writes")

    def __init__(self, connection: apsw.Connection, changed: set[str] | None = None) -> None:
        self._connection = connection
        self._changed = changed
        self._execute: Callable[..., apsw.Cursor] = connection.execute
        self.writes = changed is not None
        self._left_s = LONGEST_READ_TO_WRITE_S if self.writes else LONGEST_READ_S

    def note(self, changed: str) -> None:
        """Note the parent of a list before anything in it is changed, or in the ACLs of its objects; or EVERYWHERE."""
        if self._changed is not None:
            self._changed.add(changed)

    def run(self, sql: str, bindings: Sequence[Any] = ()) -> Rows:
        """Run a statement and return its rows. Raises BackendUnavailable."""
        try:
            return self._execute(sql, bindings).fetchall()
        except UNAVAILABLE as error:
            raise self._failed(error) from error

    def run_short(self, sql: str, bindings: Sequence[Any]) -> Rows | None:
        """Run a statement that reads, unless it takes long: None. Raises BackendUnavailable."""
        self._connection.set_progress_handler(_is_long, SHORT_STEPS)
        try:
            return self._execute(sql, bindings).fetchall()
        except apsw.InterruptError:
            return None
        except UNAVAILABLE as error:
            raise self._failed(error) from error
        finally:
            self._connection.set_progress_handler(None)

    async def read_in_turns(self, sql: str, bindings: Sequence[Any]) -> Rows:
        """Run a statement that finds each row at once, however many there are: others have their turns in between.

        Raises BackendUnavailable, too, when the unit reads for too long.
        """
        # Not in a thread: the driver lets go of the interpreter at each row, and threads that take it from each
        # other then take thrice the time.
        try:
            return await self._read_in_turns(sql, bindings)
        except apsw.InterruptError:
            # It passes much that is not asked for: tombstones.
            return await self.read_aside(sql, bindings)
        except UNAVAILABLE as error:
            raise self._failed(error) from error

    async def _read_in_turns(self, sql: str, bindings: Sequence[Any]) -> Rows:
        rows: Rows = []
        began = turn_began = time.monotonic()
        self._connection.set_progress_handler(lambda: time.monotonic() - turn_began > LONGEST_TURN_S, STEPS)
        try:
            with closing(self._execute(sql, bindings)) as found:
                while part := list(islice(found, ROWS_IN_A_TURN)):
                    rows += part
                    if len(part) == ROWS_IN_A_TURN:
                        await asyncio.sleep(0)
                        self._require_time(began)
                        turn_began = time.monotonic()
        finally:
            self._connection.set_progress_handler(None)
        self._left_s -= time.monotonic() - began
        return rows

    def run_many(self, sql: str, bindings: Iterable[Sequence[Any]]) -> None:
        """Run a statement that returns nothing once for each set of values."""
        for each in bindings:
            self.run(sql, each)

    async def aside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that uses this session in a thread, and return its result."""
        running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # The connection belongs to the thread until it is done. To interrupt a statement that writes
            # would undo the whole transaction, with what others wrote in it.
            if not self.writes:
                self._connection.interrupt()
            await _settled(running)
            raise

    async def read_aside(self, sql: str, bindings: Sequence[Any]) -> Rows:
        """Run a statement that reads in a thread. Raises BackendUnavailable, too, when the unit reads for too long."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Of what only reads the transaction survives the interruption.
        alarm = loop.call_later(max(self._left_s, 0), self._connection.interrupt)
        try:
            return await self.aside(self.run, sql, bindings)
        finally:
            alarm.cancel()
            self._left_s -= loop.time() - began

    @property
    def is_over(self) -> bool:
        """Whether statements are refused."""
        return self._execute is _refuse

    def end(self) -> None:
        """Refuse statements from now on: outside its unit they would be in somebody else's, or in none."""
        self._execute = _refuse

    def _require_time(self, began: float) -> None:
        if time.monotonic() - began > self._left_s:
            raise BackendUnavailable("SQLite: a unit of work went through lists for too long")

    def _failed(self, error: Exception) -> BackendUnavailable:
        # A full disk may end the whole transaction: what follows must not be committed by itself.
        if self.writes and not self._connection.in_transaction:
            self.end()
        return unavailable(error)


def _is_long() -> bool:
    return True


def _refuse(*_: object) -> NoReturn:
    raise BackendUnavailable("the unit of work is over")


async def _settled(running: "asyncio.Future[Any]") -> None:
    """Wait for the end, however often we are cancelled meanwhile."""
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue
    # Nobody is left to be told how it failed; asyncio would log that as a defect.
    if not running.cancelled():
        running.exception()
