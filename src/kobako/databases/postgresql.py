"""PostgreSQL: any number of workers, on any number of machines.

A unit that writes locks the rows of its lists, in an order that is the same for all, before it reads anything; it
holds them to the commit. So versions of a list grow in the order of commits, and writers of other lists go on. A unit
that reads has one snapshot, and waits for nobody. Nothing is left on a connection between two transactions, so that
a pooler may stand in between.

Source: reliability, 4.4.
"""

import logging
import os
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from types import TracebackType

from kobako.databases import postgresql_connections, postgresql_migrations
from kobako.databases.base import BackendUnavailable, Clock, UnfitDatabase, attempts
from kobako.databases.postgresql_connections import LIMITS, Address
from kobako.databases.postgresql_lists import Lists
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_session import ERRORS, Connection, Session
from kobako.permission.postgresql import PostgreSQLPermission
from kobako.storage.base import Place
from kobako.storage.postgresql import PostgreSQLStorage

READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN"

MIGRATING = {"lock_timeout": "60s", "application_name": "kobako migrate"}

# Writers keep their lists until they are done, and new ones wait: of readers each has its snapshot.
FLUSH = """
    LOCK TABLE lists IN EXCLUSIVE MODE;
    UPDATE metadata SET value = greatest(value + 1, {now}, (SELECT max(last_modified) + 1 FROM lists))
        WHERE key = 'epoch';
    DELETE FROM objects; DELETE FROM lists; DELETE FROM aces; DELETE FROM members"""

logger = logging.getLogger(__name__)


class PostgreSQLDatabase:
    """Objects and permissions in one database.

    `pool_size`: connections of this process. `pool_timeout_s`: how long a unit waits for one. `pool_recycle_s`: how
    long one is used, -1 for ever. `transaction_pooler`: one that gives a connection for a transaction, as PgBouncer
    may, stands in between; the same as `?pooler=transaction` in the URL.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        pool_size: int = 10,
        pool_timeout_s: float = 5.0,
        pool_recycle_s: float = -1,
        transaction_pooler: bool = False,
    ) -> None:
        self._address = Address(url, has_pooler=transaction_pooler)
        self._clock = clock
        self._pool = Pool(self._connect, size=pool_size, timeout_s=pool_timeout_s, recycle_s=pool_recycle_s)
        self._process: int | None = None
        self._is_fit = False

    async def open(self) -> None:
        """Connect, or leave that to the first unit while there is no answer. Raises UnfitDatabase."""
        if self._process == os.getpid():
            return
        try:
            self._pool.give_back(await self._pool.take())
        except BackendUnavailable as error:
            logger.warning("%s; it is tried again when it is needed", error)
        self._process = os.getpid()

    async def close(self) -> None:
        """Finish what is running, and let go of connections."""
        if self._process == os.getpid():
            self._process = None
            await self._pool.close()

    def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> "ReadingUnit | WritingUnit":
        """Begin a unit of work: see the contract."""
        self._check_open()
        if lists or emptied:
            return WritingUnit(self._pool, self._clock, self._begin_with(WRITE), lists, emptied)
        return ReadingUnit(self._pool, self._clock, self._begin_with(READ))

    async def migrate(self) -> list[str]:
        """Create the schema or bring it up to date; return what was done."""
        connection = await self._address.connect(MIGRATING, answer_timeout_s=None)
        try:
            postgresql_connections.check_server(connection, self._address.name)
            return await postgresql_migrations.migrate(connection, self._clock, self._address.name)
        except ERRORS as error:
            raise postgresql_connections.told(error, self._address.name) from error
        finally:
            await connection.close()

    async def flush(self) -> None:
        """Remove everything. Timestamps start anew above all there were."""
        self._check_open()
        for attempt in attempts():
            async with attempt, WritingUnit(self._pool, self._clock, "BEGIN; SET LOCAL statement_timeout = 0") as unit:
                await unit.session.execute(FLUSH.format(now=int(self._clock())), timeout_s=3600)

    async def check(self) -> bool:
        """Tell whether the database answers."""
        try:
            async with self.begin() as unit:
                return await unit.storage.epoch() is not None
        except BackendUnavailable:
            return False

    def _begin_with(self, begin: str) -> str:
        if not self._address.has_pooler:
            return begin
        return "; ".join([begin, *(f"SET LOCAL {name} = '{value}'" for name, value in LIMITS.items())])

    def _check_open(self) -> None:
        # The process is asked each time: connections must not be used in another one after a fork.
        if self._process != os.getpid():
            raise BackendUnavailable(f"{self._address.name} is not open in this process")

    async def _connect(self) -> Connection:
        """Return a new connection to a database that can be served. Raises UnfitDatabase, BackendUnavailable."""
        connection = await self._address.connect()
        if not self._is_fit:
            try:
                await postgresql_connections.check(connection, self._address.name)
            except BaseException:
                connection.terminate()
                raise
            self._is_fit = True
        return connection


class PostgreSQLUnit:
    """A unit of work on one connection."""

    __slots__ = ("_begin", "_clock", "_connection", "_pool", "lists", "permission", "session", "storage")

    session: Session
    lists: Lists
    storage: PostgreSQLStorage
    permission: PostgreSQLPermission

    def __init__(self, pool: Pool, clock: Clock, begin: str) -> None:
        self._pool = pool
        self._clock = clock
        self._begin = begin

    async def _enter(self) -> None:
        """Begin the transaction. A connection that died while nobody used it is replaced, once."""
        for is_last in (False, True):
            self._use(await self._take())
            try:
                await self.session.execute(self._begin)
                return
            except BaseException as error:
                is_dead = self.session.is_lost and isinstance(error, BackendUnavailable)
                await self._undo()
                if is_last or not is_dead:
                    raise
                # Whatever ended it has ended those that are as old.
                self._pool.discard_idle()

    async def _take(self) -> Connection:
        try:
            return await self._pool.take()
        except UnfitDatabase as error:
            # It could not be looked at when it was opened.
            raise BackendUnavailable(str(error)) from error

    def _use(self, connection: Connection) -> None:
        self._connection = connection
        self.session = session = Session(connection)
        self.lists = Lists(session)
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
        """Give the connection back, unless something is left on it."""
        self.session.end()
        if self.session.is_lost or self._connection.is_in_transaction():
            self._pool.discard(self._connection)
        else:
            self._pool.give_back(self._connection)


class ReadingUnit(PostgreSQLUnit):
    """A unit of work that reads: all of it sees one snapshot, taken at the first statement."""

    __slots__ = ()

    async def __aenter__(self) -> "ReadingUnit":
        await self._enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._undo()

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Nothing was written, so there is nothing to undo."""
        return nullcontext()


class WritingUnit(PostgreSQLUnit):
    """A unit of work that writes: its lists are its own, from its beginning to its commit."""

    __slots__ = ("_emptied", "_places")

    def __init__(
        self, pool: Pool, clock: Clock, begin: str, places: Collection[Place] = (), emptied: Collection[str] = ()
    ) -> None:
        super().__init__(pool, clock, begin)
        self._places = places
        self._emptied = emptied

    async def __aenter__(self) -> "WritingUnit":
        await self._enter()
        try:
            await self.lists.lock_all(self._places, self._emptied)
        except BaseException:
            await self._undo()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is not None:
            await self._undo()
            return
        try:
            await self.lists.remove_unused()
        except BaseException:
            await self._undo()
            raise
        await self._commit()

    def savepoint(self) -> "Savepoint":
        """Undo what was done inside when an exception leaves it."""
        return Savepoint(self.session, self.lists)


class Savepoint:
    """A part of a unit that may be undone alone. Of the same names PostgreSQL means the innermost."""

    __slots__ = ("_known", "_lists", "_session")

    def __init__(self, session: Session, lists: Lists) -> None:
        self._session = session
        self._lists = lists

    async def __aenter__(self) -> None:
        self._known = self._lists.known()
        await self._session.execute("SAVEPOINT part")

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._session.execute("RELEASE part")
        elif not self._session.is_lost:
            await self._session.execute("ROLLBACK TO part; RELEASE part")
            self._lists.forget_since(self._known)
