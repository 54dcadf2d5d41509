"""SQLite: one file, any number of processes on one machine.

One connection writes (`sqlite_writer.py`: turns and shared commits), others read, each unit from one snapshot.
BEGIN IMMEDIATE takes the lock of the whole file before anything is read, so versions grow in the order of commits;
with the write-ahead log readers never wait, and `synchronous=FULL` keeps commits through loss of power.

Source: reliability, 4.5.
"""

import asyncio
import os
from collections.abc import Collection, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import apsw

from kobako.databases import sqlite_fitness, sqlite_migrations
from kobako.databases.base import BackendUnavailable, Clock, UnfitDatabase
from kobako.databases.sqlite_changes import Changes
from kobako.databases.sqlite_readers import Readers
from kobako.databases.sqlite_session import UNAVAILABLE, Session, unavailable
from kobako.databases.sqlite_writer import Writer
from kobako.databases.turnstile import Turnstile
from kobako.permission.sqlite import Kept, SQLitePermission
from kobako.storage.base import Place
from kobako.storage.sqlite import SQLiteStorage
from kobako.storage.sqlite_columns import FUNCTIONS

PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA cache_size = -8000",
    # After a long reader the log shrinks again.
    "PRAGMA journal_size_limit = 67108864",
)

READER_WAIT_MS = 1000
"""Readers wait for nobody, but for a process that repairs the log after a crash."""


def is_empty(path: Path) -> bool:
    """Tell whether there is no database yet, or one without a table. Raises BackendUnavailable."""
    try:
        return sqlite_migrations.is_empty(path)
    except UNAVAILABLE as error:
        raise BackendUnavailable(f"{path}: {unavailable(error)}") from error


class SQLiteDatabase:
    """Objects and permissions in one file. `busy_timeout_s`: how long a unit waits for its turn or for a lock."""

    # Files that this process, or the one it was forked from, has open: path -> process.
    _opened_by: ClassVar[dict[Path, int]] = {}

    def __init__(self, path: str | Path, clock: Clock, *, busy_timeout_s: float = 5.0, readers: int = 8) -> None:
        self._path = Path(path).absolute()
        self._clock = clock
        self._timeout_s = busy_timeout_s
        self._most_readers = readers
        self._process: int | None = None
        self._writer: Writer
        self._readers: Readers
        self._watch: apsw.Connection
        self._changes: Changes

    async def open(self) -> None:
        """Connect. Raises UnfitDatabase, BackendUnavailable."""
        if self._process == os.getpid():
            return
        sqlite_fitness.check(self._path)
        self._check_not_forked()
        if not self._path.exists():
            raise UnfitDatabase(f"{self._path} is not migrated: run kobako migrate")
        connection = self._connect_writer()
        self._watch = self._connect_reader()
        self._changes = Changes(self._watch, connection)
        self._writer = Writer(connection, self._changes, Turnstile(str(self._path)), self._timeout_s)
        self._readers = Readers(self._connect_reader, self._most_readers, self._timeout_s)
        self._process = self._opened_by[self._path] = os.getpid()

    async def close(self) -> None:
        """Finish what is running, and let go of files and connections."""
        if self._process != os.getpid():
            return
        self._process = None
        self._watch.close(True)
        await self._readers.close()
        await self._writer.close()
        self._opened_by.pop(self._path, None)

    def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> "ReadingUnit | WritingUnit":
        """Begin a unit of work: see the contract. Any list takes the lock of the whole file."""
        self._check_open()
        if lists:
            return WritingUnit(self._writer, self._clock)
        return ReadingUnit(self._readers, self._clock)

    def version(self) -> Hashable:
        """Return what differs once anything was committed."""
        self._check_open()
        try:
            return self._changes.version()
        except UNAVAILABLE as error:
            raise unavailable(error) from error

    def version_of(self, parent: str) -> Hashable:
        """Return what differs once something was committed that concerns the lists below an object."""
        return self._changes.version_of(parent)

    async def migrate(self) -> list[str]:
        """Create the file and its schema, or bring it up to date; return what was done."""
        sqlite_fitness.check(self._path)
        self._check_not_forked()
        try:
            return await asyncio.to_thread(self._migrate)
        except UNAVAILABLE as error:
            raise unavailable(error) from error

    async def flush(self) -> None:
        """Remove everything. Timestamps start anew above all there were."""
        self._check_open()
        async with WritingUnit(self._writer, self._clock) as unit:
            await unit.session.aside(_remove_everything, unit.session, self._clock())
            unit.permission.look_again()

    async def check(self) -> bool:
        """Tell whether the file can be read."""
        try:
            async with self.begin() as unit:
                return await unit.storage.epoch() is not None
        except BackendUnavailable:
            return False

    def _check_open(self) -> None:
        # The process is asked each time: connections must not be used in another one after a fork.
        if self._process != os.getpid():
            raise BackendUnavailable(f"{self._path} is not open in this process")

    def _check_not_forked(self) -> None:
        # SQLite would take the locks of the parent process for its own.
        if self._opened_by.get(self._path, os.getpid()) != os.getpid():
            raise UnfitDatabase(f"{self._path} was open when this process was forked: start it afresh (spawn)")

    def _connect(self, flags: int = apsw.SQLITE_OPEN_READWRITE) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=flags, statementcachesize=200)
        connection.set_busy_timeout(READER_WAIT_MS)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        for name, (function, arguments) in FUNCTIONS.items():
            connection.create_scalar_function(name, function, arguments, deterministic=True)
        return connection

    def _connect_writer(self) -> apsw.Connection:
        try:
            connection = self._connect()
            try:
                sqlite_migrations.check(connection)
                sqlite_migrations.use_wal(connection, self._timeout_s)
            except BaseException:
                connection.close(True)
                raise
        except UNAVAILABLE as error:
            raise unavailable(error) from error
        # It waits for others without SQLite, so that the event loop goes on.
        connection.set_busy_timeout(0)
        return connection

    def _connect_reader(self) -> apsw.Connection:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _migrate(self) -> list[str]:
        connection = self._connect(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        try:
            return sqlite_migrations.migrate(connection, self._clock, max(self._timeout_s, 30))
        finally:
            connection.close(True)


class SQLiteUnit:
    """A unit of work on one connection."""

    __slots__ = ("_clock", "permission", "session", "storage")

    session: Session
    storage: SQLiteStorage
    permission: SQLitePermission

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def _use(self, connection: apsw.Connection, kept: Kept, changed: set[str] | None = None) -> None:
        """Have the unit on this connection, which keeps what it reads of permissions."""
        self.session = session = Session(connection, changed)
        self.storage = SQLiteStorage(session, self._clock)
        self.permission = SQLitePermission(session, kept)


class ReadingUnit(SQLiteUnit):
    """A unit of work that reads: all of it sees one snapshot, taken at the first statement."""

    __slots__ = ("_reader", "_readers")

    def __init__(self, readers: Readers, clock: Clock) -> None:
        super().__init__(clock)
        self._readers = readers

    async def __aenter__(self) -> "ReadingUnit":
        self._reader = await self._readers.take()
        self._use(self._reader.connection, self._reader.kept)
        try:
            self.session.run("BEGIN")
        except BaseException:
            self._readers.give_back(self._reader)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._reader.connection.in_transaction:
                self.session.run("ROLLBACK")
        finally:
            self.session.end()
            self._readers.give_back(self._reader)

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Nothing was written, so there is nothing to undo."""
        return nullcontext()


class WritingUnit(SQLiteUnit):
    """A unit of work that writes: nobody else does, from its beginning to its commit."""

    __slots__ = ("_writer",)

    def __init__(self, writer: Writer, clock: Clock) -> None:
        super().__init__(clock)
        self._writer = writer

    async def __aenter__(self) -> "WritingUnit":
        await self._writer.enter()
        self._use(self._writer.connection, self._writer.kept, self._writer.changes.changed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.session.end()
        try:
            await self._writer.leave(keep=kind is None)
        except BackendUnavailable:
            # A cancelled task has to end as cancelled, whatever became of the others in its group.
            if not isinstance(error, asyncio.CancelledError):
                raise

    def savepoint(self) -> "Savepoint":
        """Undo what was done inside when an exception leaves it."""
        return Savepoint(self)


class Savepoint:
    """A part of a unit that may be undone alone. Of the same names SQLite means the innermost."""

    __slots__ = ("_session", "_unit")

    def __init__(self, unit: WritingUnit) -> None:
        self._unit = unit
        self._session = unit.session

    async def __aenter__(self) -> None:
        self._session.run("SAVEPOINT part")

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._session.is_over:
            if kind is not None:
                self._session.run("ROLLBACK TO part")
                self._unit.permission.look_again()
            self._session.run("RELEASE part")


def _remove_everything(session: Session, now: int) -> None:
    session.run(
        "UPDATE metadata SET value = max(value + 1, ?, coalesce((SELECT max(last_modified) + 1 FROM lists), 0))"
        " WHERE key = 'epoch'",
        (now,),
    )
    for table in ("objects", "lists", "aces", "members"):
        session.run(f"DELETE FROM {table}")
