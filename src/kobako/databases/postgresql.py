"""PostgreSQL: any number of workers, on any number of machines.

A unit that writes locks the rows of its lists, in an order that is the same for all, before it reads anything; it
holds them to the commit. So versions of a list grow in the order of commits, and writers of other lists go on. A unit
that reads has one snapshot, and waits for nobody. Nothing is left on a connection between two transactions, so that
a pooler may stand in between.

Source: reliability, 4.4.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial

import msgspec

from kobako.databases import postgresql_connections, postgresql_migrations
from kobako.databases.base import BackendUnavailable, Clock, Foreseen, attempts
from kobako.databases.connections import Connections
from kobako.databases.postgresql_connections import LIMITS, Address
from kobako.databases.postgresql_foreseen import Declared, tells_page
from kobako.databases.postgresql_lists import PREPARE_LOCK, lock_at_once
from kobako.databases.postgresql_optimistic import OptimisticUnit
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_remembered import Remembered
from kobako.databases.postgresql_session import ERRORS, Connection
from kobako.databases.postgresql_together import Together
from kobako.databases.postgresql_units import AnsweredUnit, ReadingUnit, WritingUnit, ask_alone
from kobako.databases.postgresql_version import Versions
from kobako.databases.turns import InTurn, Turns
from kobako.storage.base import Place

READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN"

# Of two at once one waits for the other and then looks again, also where everything is serializable.
MIGRATING = {
    "lock_timeout": "60s",
    "application_name": "kobako migrate",
    "default_transaction_isolation": "read committed",
}

# Writers keep their lists until they are done, and new ones wait: of readers each has its snapshot.
FLUSH = """
    LOCK TABLE lists IN EXCLUSIVE MODE;
    UPDATE metadata SET value = greatest(value + 1, {now}, (SELECT max(last_modified) + 1 FROM lists))
        WHERE key = 'epoch';
    DELETE FROM objects; DELETE FROM lists; DELETE FROM aces; DELETE FROM members"""

AnyUnit = ReadingUnit | WritingUnit

logger = logging.getLogger(__name__)


class PostgreSQLDatabase:
    """Objects and permissions in one database.

    `transaction_pooler`: what gives a connection for a transaction, as PgBouncer may, stands in between; the same as
    `?pooler=transaction` in the URL. `?partitions=16` there divides the tables of a new database, by bucket.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        connections: Connections = Connections(),  # noqa: B008 - it is immutable
        *,
        transaction_pooler: bool = False,
    ) -> None:
        self._address = Address(url, has_pooler=transaction_pooler)
        self._clock = clock
        self._pool = Pool(self._connect, connections)
        self._versions = Versions(partial(ask_alone, self._pool))
        self._turns = Turns()
        self._remembered = Remembered()
        self._together = Together(self._pool, self._remembered)
        self._process: int | None = None
        self._declared: Declared = {}
        self._is_fit = False
        self._tells_version = False

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

    def begin(
        self, lists: Collection[Place] = (), emptied: Collection[str] = ()
    ) -> AbstractAsyncContextManager[AnyUnit]:
        """Begin a unit of work: see the contract."""
        self._check_open()
        if lists or emptied:
            unit = WritingUnit(self._pool, self._clock, self._begin_with(WRITE), lists, emptied)
            return self._in_turn(unit, lists, emptied)
        return ReadingUnit(self._pool, self._clock, self._begin_with(READ))

    def foresee(
        self, asked: Foreseen, lists: Collection[Place] = (), emptied: Collection[str] = ()
    ) -> AbstractAsyncContextManager[AnyUnit]:
        """Begin a unit of work that has its answers: see the contract."""
        self._check_open()
        if lists or emptied:
            # What it writes changes its lists: a page is no use.
            asked = msgspec.structs.replace(asked, selection=None)
            place = self._only(asked, lists, emptied)
            if place and asked.is_all:
                shared = self._turns, self._remembered, self._together
                return OptimisticUnit(self._pool, self._clock, asked, place, *shared)
            lock = lock_at_once(place) if place else None
            unit = WritingUnit(self._pool, self._clock, self._begin_with(WRITE), lists, emptied, asked, lock)
            return self._in_turn(unit, lists, emptied)
        if not self._tells_version:
            asked = msgspec.structs.replace(asked, with_version=False)
        # Behind a pooler a statement has its limits in a transaction only.
        alone = asked.is_all and not self._address.has_pooler and self._tells(asked)
        return (AnsweredUnit if alone else ReadingUnit)(
            self._pool, self._clock, self._begin_with(READ), asked, self._declared
        )

    def ask_version(self, parent: str | None = None) -> "asyncio.Future[Hashable]":
        """Ask for what differs once anything was committed that concerns some lists, or at all: see the contract."""
        self._check_open()
        if self._tells_version:
            return self._versions.ask(parent)
        nobody: asyncio.Future[Hashable] = asyncio.get_running_loop().create_future()
        nobody.set_result(None)
        return nobody

    async def migrate(self) -> list[str]:
        """Create the schema or bring it up to date; return what was done."""
        connection = await self._address.connect(MIGRATING, answer_timeout_s=None)
        try:
            postgresql_connections.check_server(connection, self._address.name)
            return await postgresql_migrations.migrate(
                connection, self._clock, self._address.name, self._address.partitions
            )
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

    def _in_turn(
        self, unit: WritingUnit, lists: Collection[Place], emptied: Collection[str]
    ) -> AbstractAsyncContextManager[AnyUnit]:
        if len(lists) > 1 or emptied:
            self._remembered.forget(lists)
            return unit
        [place] = lists
        return InTurn(self._turns, place, unit, self._together.wait, self._remembered.forget)

    def _only(self, asked: Foreseen, lists: Collection[Place], emptied: Collection[str]) -> Place | None:
        """Return the one list that a unit writes, if that is the one it is asked about."""
        is_one = not emptied and not self._address.has_pooler and [*lists] == [asked.place]
        return asked.place if is_one else None

    def _tells(self, asked: Foreseen) -> bool:
        """Tell whether a statement answers all that is foreseen; for who polls there is mostly nothing to be found."""
        return asked.selection is None or asked.selection.tombstones or tells_page(asked, self._declared)

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
                # Behind a pooler nobody knows which connections are new.
                tells = await postgresql_connections.tells_version(connection, self._address.name)
                self._tells_version = tells and not self._address.has_pooler
            except BaseException:
                connection.terminate()
                raise
            self._is_fit = True
        if not self._address.has_pooler:
            await self._prepare(connection)
        return connection

    async def _prepare(self, connection: Connection) -> None:
        try:
            await connection.execute(PREPARE_LOCK)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, ERRORS):
                raise postgresql_connections.told(error, self._address.name) from error
            raise
