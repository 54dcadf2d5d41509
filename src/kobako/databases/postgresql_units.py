"""Units of work on PostgreSQL: a connection of the pool and a transaction on it, from the begin to the commit.

A connection goes back to the pool only when the server has said that the transaction is over; one that nobody knows
the state of, since it was cut or its task cancelled, is ended.
"""

import time
from collections.abc import Collection, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from types import TracebackType
from typing import ClassVar, Self

import asyncpg

from kobako.databases.base import BackendUnavailable, Clock, Foreseen, NotForeseen, UnfitDatabase
from kobako.databases.postgresql_foreseen import AnsweredPermission, AnsweredStorage, Answers, Declared, ask
from kobako.databases.postgresql_lists import LOCKED, Lists
from kobako.databases.postgresql_pending import Pending
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_session import Connection, Rows, Session
from kobako.databases.postgresql_version import TOUCH, Question
from kobako.permission.postgresql import PostgreSQLPermission
from kobako.storage.base import Place
from kobako.storage.postgresql import PostgreSQLStorage

LONGEST_BEGIN_S = 5.0
"""How long a unit begins anew: as long as it waits for a lock."""


class PostgreSQLUnit:
    """A unit of work on one connection."""

    __slots__ = (
        "_asked",
        "_begin",
        "_clock",
        "_connection",
        "_declared",
        "_pool",
        "lists",
        "permission",
        "session",
        "storage",
        "version",
    )

    is_snapshot: ClassVar[bool]
    session: Session
    lists: Lists
    storage: PostgreSQLStorage
    permission: PostgreSQLPermission

    def __init__(
        self, pool: Pool, clock: Clock, begin: str, asked: Foreseen | None = None, declared: Declared | None = None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._begin = begin
        self._asked = asked
        self._declared: Declared = {} if declared is None else declared
        self.version: Hashable = None
        """That of all it reads; None if it was not asked for, or nobody can tell."""

    async def _enter(self) -> None:
        """Begin the transaction. A connection that died while nobody used it is replaced, once."""
        for is_last in (False, True):
            self._use(await _take(self._pool))
            try:
                await self._start()
                return
            except BaseException as error:
                is_dead = self.session.is_lost and isinstance(error, BackendUnavailable)
                await self._undo()
                if is_last or not is_dead:
                    raise
                # Whatever ended it has ended those that are as old.
                self._pool.discard_idle()

    async def _start(self) -> None:
        await self.session.execute(self._begin)

    async def _ask(self, *, is_locked: bool = False) -> Answers | None:
        """Ask what is foreseen. Where only is read, the list stays as it is, and so it does where it `is_locked`."""
        answers = None
        if self._asked:
            made = self._pool.made
            answers = await ask(self.session, self._asked, self._declared, has_list=is_locked)
            if self.is_snapshot and answers.version:
                self.version = made, answers.version
            self._take_in(answers, is_fixed=self.is_snapshot or is_locked)
        return answers

    def _take_in(self, answers: Answers, *, is_fixed: bool) -> None:
        """Have answers, in which the state of the list `is_fixed`, or not."""
        if is_fixed and self._asked and self._asked.place and answers.state:
            self.lists.learn(self._asked.place, answers.state)
        self.storage = AnsweredStorage(self.session, self.lists, self._clock, answers)
        self.permission = AnsweredPermission(self.session, answers)

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        self._run_in(Session(connection))

    def _run_in(self, session: Session) -> None:
        self.session = session
        self.lists = Lists(session, is_snapshot=self.is_snapshot)
        self.storage = PostgreSQLStorage(session, self.lists, self._clock)
        self.permission = PostgreSQLPermission(session)

    async def _commit(self) -> None:
        """End the transaction so that it is kept. Raises BackendUnavailable when it is not, or nobody knows."""
        try:
            # A transaction in which a statement failed can be ended, but not kept: PostgreSQL says so in the tag.
            if self.session.is_lost or await self.session.execute("COMMIT") != "COMMIT":
                raise BackendUnavailable("PostgreSQL: a statement of the unit of work had failed")
        finally:
            self._release()

    async def _undo(self) -> None:
        """End the transaction. Without a connection that has happened by itself."""
        try:
            if not self.session.is_lost:
                with suppress(BackendUnavailable):
                    await self.session.execute("ROLLBACK")
        finally:
            self._release()

    def _release(self) -> None:
        _release(self._pool, self._connection, self.session)


class ReadingUnit(PostgreSQLUnit):
    """A unit of work that reads: all of it sees one snapshot, taken at the first statement."""

    __slots__ = ()
    is_snapshot = True

    async def __aenter__(self) -> Self:
        await self._enter()
        try:
            await self._ask()
        except BaseException:
            await self._undo()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._undo()

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Nothing was written, so there is nothing to undo."""
        return nullcontext()


class AnsweredUnit(ReadingUnit):
    """A unit of work that reads what was foreseen and nothing else: for the database it is over when it begins."""

    __slots__ = ()

    async def __aenter__(self) -> Self:
        await self._enter()
        self._release()
        self.session.end(NotForeseen)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.session.end()

    async def _start(self) -> None:
        await self._ask()

    async def _undo(self) -> None:
        self._release()


async def ask_alone(pool: Pool, question: Question, *, is_last: bool = False) -> tuple[int, Rows]:
    """Ask one question, in a snapshot of its own; return the number of the connection (`Pool.made`), and the rows.

    A connection that died while nobody used it is replaced, once. Raises BackendUnavailable.
    """
    session = Session(connection := await _take(pool))
    # Once it has a connection: one that is new says that the server may have failed.
    made = pool.made
    try:
        return made, await session.run(*question)
    except BackendUnavailable:
        if is_last or not session.is_lost:
            raise
    finally:
        _release(pool, connection, session)
    pool.discard_idle()
    return await ask_alone(pool, question, is_last=True)


async def write_alone(pool: Pool, made: int, question: Question) -> tuple[int, Rows]:
    """Run a statement that is a transaction of its own; return the number of the connection, and the rows.

    It is not run if the server may have failed since connections had the number `made`. Raises BackendUnavailable: then
    nobody knows whether it was kept.
    """
    session = Session(connection := await _take(pool))
    now = pool.made
    try:
        return now, await session.run(*question) if now == made else []
    finally:
        _release(pool, connection, session)


async def _take(pool: Pool) -> Connection:
    try:
        return await pool.take()
    except UnfitDatabase as error:
        # It could not be looked at when it was opened.
        raise BackendUnavailable(str(error)) from error


def _release(pool: Pool, connection: Connection, session: Session) -> None:
    """Give a connection back, unless something is left on it."""
    session.end()
    if session.is_lost or connection.is_in_transaction():
        pool.discard(connection)
    else:
        pool.give_back(connection)


class WritingUnit(PostgreSQLUnit):
    """A unit of work that writes: its lists are its own, from its beginning to its commit."""

    __slots__ = ("_emptied", "_is_locked", "_lock", "_places", "pending")
    pending: Pending
    is_snapshot = False

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        begin: str,
        places: Collection[Place] = (),
        emptied: Collection[str] = (),
        asked: Foreseen | None = None,
        lock: str | None = None,
    ) -> None:
        """`lock`: the statement that locks all its lists, the one it is asked about, along with the begin."""
        super().__init__(pool, clock, begin, asked)
        self._places = places
        self._emptied = emptied
        self._lock = lock
        self._is_locked = False

    def _run_in(self, session: Session) -> None:
        super()._run_in(session)
        session.pending = self.pending = Pending(session)

    async def __aenter__(self) -> "WritingUnit":
        """Lock the lists. Where everything is serializable, who waited has too old a snapshot: it begins anew."""
        deadline = time.monotonic() + LONGEST_BEGIN_S
        while True:
            try:
                await self._begin_locked()
                return self
            except BaseException as error:
                is_old = isinstance(error.__cause__, asyncpg.SerializationError)
                if not is_old or time.monotonic() > deadline:
                    raise

    async def _begin_locked(self) -> None:
        await self._enter()
        try:
            if not self._is_locked:
                await self.lists.lock_all(self._places, self._emptied)
            await self._ask(is_locked=self._is_locked)
            # How a list is that was locked at once, is among the answers: this asks for nothing.
            await self.lists.lock_all(self._places, ())
        except BaseException:
            await self._undo()
            raise

    async def _start(self) -> None:
        if self._lock is None:
            await super()._start()
        else:
            self._is_locked = await self.session.execute(f"{self._begin}; {self._lock}") == LOCKED

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is not None:
            await self._undo()
            return
        try:
            await self.pending.send()
            await self.lists.remove_unused()
            if self._concerns_all():
                await self.session.run(TOUCH)
            if self.pending.is_lost:
                raise BackendUnavailable("PostgreSQL: a write of the unit of work had failed")
        except BaseException:
            await self._undo()
            raise
        await self._commit()

    def _concerns_all(self) -> bool:
        """Tell whether something was changed that the rows of lists say nothing of."""
        concerns = self.session.concerns
        return concerns.are_all or not concerns.acls <= self.lists.written

    async def _undo(self) -> None:
        self.pending.forget()
        await super()._undo()

    def savepoint(self) -> "Savepoint":
        """Undo what was done inside when an exception leaves it."""
        return Savepoint(self)


class Savepoint:
    """A part of a unit that may be undone alone."""

    __slots__ = ("_known", "_part", "_unit")

    def __init__(self, unit: WritingUnit) -> None:
        self._unit = unit

    async def __aenter__(self) -> None:
        self._known, self._part = self._unit.lists.known(), self._unit.pending.begin_part()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._unit.pending.end_part(self._part)
            return
        await self._unit.pending.undo_part(self._part)
        if not self._unit.session.is_lost:
            self._unit.lists.forget_since(self._known)
