"""PostgreSQL in trouble, and units in each other's way: nothing is lost, nothing hangs, the pool heals."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import Proxy

from kobako.databases import postgresql_connections, postgresql_pool
from kobako.databases.base import BackendUnavailable, TryAgain, attempts
from kobako.databases.connections import Connections
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_units import PostgreSQLUnit
from kobako.protocol import jsontext
from kobako.storage.base import DuplicateTimestamp, Place
from kobako.testing import Clock
from kobako.testing.concurrency import give_time, poll
from kobako.testing.fixtures import OTHERS, RECORDS, Refused, delete, get, ids, put, read

OF_EACH = [RECORDS, *(Place("record", f"/buckets/b{n}/collections/c") for n in range(1, 8))]
"""Lists of which each can be written at the same time."""

pytestmark = pytest.mark.server

SLEEP = "SELECT pg_sleep(60)"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(clock: Clock, emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, clock, Connections(kept=4, wait_s=30))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def other(clock: Clock, emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    """What another worker has: the same database, another pool."""
    database = PostgreSQLDatabase(emptied, clock)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def own() -> Iterator[PostgreSQL]:
    """A server that a test may end. What is committed is with the kernel, and lives through that."""
    server = PostgreSQL("fsync=off", "full_page_writes=off")
    server.start()
    server.sql("CREATE DATABASE kobako")
    yield server
    server.remove()


async def ask(url: str, question: str, *values: object) -> list[tuple[object, ...]]:
    """Ask a database from outside."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(question, *values)]
    finally:
        await connection.close()


async def states(url: str) -> list[str]:
    """Return what our connections are doing, as the server sees them."""
    question = "SELECT state FROM pg_stat_activity WHERE application_name = 'kobako' ORDER BY state"
    return [str(state) for (state,) in await ask(url, question)]


async def process(unit: PostgreSQLUnit) -> int:
    """Return the process of the server that works for a unit."""
    rows = await unit.session.run("SELECT pg_backend_pid()")
    return int(rows[0][0])


class TestTwoWorkers:
    async def test_s1_a_write_that_commits_late_is_not_missed(
        self, database: PostgreSQLDatabase, other: PostgreSQLDatabase, clock: Clock
    ) -> None:
        """S1, S2."""
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            clock.now += 1000
            writing = asyncio.create_task(put(other, "r2"))
            await give_time(writing)
            etag, seen = await poll(other, 0)

        await writing
        _, later = await poll(other, etag)
        assert seen == []
        assert ids(later) == ["r1", "r2"]

    async def test_of_two_creators_of_a_list_one_waits(
        self, database: PostgreSQLDatabase, other: PostgreSQLDatabase
    ) -> None:
        async with database.begin([RECORDS]) as unit:
            assert await unit.storage.get(RECORDS, "r1") is None
            writing = asyncio.create_task(put(other, "r1", {"n": 2}))
            await give_time(writing)
            first = await unit.storage.put(RECORDS, "r1", '{"n":1}')
            assert not writing.done()

        assert (await writing).last_modified > first.last_modified

    async def test_a_list_that_nobody_wrote_can_be_written_by_who_waited(
        self, database: PostgreSQLDatabase, other: PostgreSQLDatabase
    ) -> None:
        async with database.begin([RECORDS]):
            writing = asyncio.create_task(put(other, "r1"))
            await give_time(writing)

        written = await writing
        assert await get(database, "r1") == written

    async def test_writers_of_other_lists_and_readers_do_not_wait(
        self, database: PostgreSQLDatabase, other: PostgreSQLDatabase
    ) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")

            await asyncio.wait_for(put(other, "r1", place=OTHERS), 20)
            assert await asyncio.wait_for(read(other), 20) == []


class TestInTheWay:
    async def test_c15_of_two_that_wait_for_each_other_one_tries_again(
        self, database: PostgreSQLDatabase, other: PostgreSQLDatabase
    ) -> None:
        """C15."""
        met = asyncio.Barrier(2) if hasattr(asyncio, "Barrier") else None
        assert met, "Python 3.11 or later"
        goes = 0

        async def write(database: PostgreSQLDatabase, first: Place, second: Place) -> None:
            nonlocal goes
            for attempt in attempts():
                async with attempt, database.begin([first]) as unit:
                    goes += 1
                    await unit.storage.put(first, "r1", "{}")
                    if goes <= 2:
                        await met.wait()
                    # A list that was not known at the beginning: out of order.
                    await unit.storage.put(second, "r1", "{}")

        await asyncio.gather(write(database, RECORDS, OTHERS), write(other, OTHERS, RECORDS))

        assert goes == 3
        assert [len(await read(database, place)) for place in (RECORDS, OTHERS)] == [1, 1]

    async def test_c15_a_lock_that_is_held_for_too_long_can_be_tried_again(
        self, database: PostgreSQLDatabase, clock: Clock, emptied: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """C15."""
        monkeypatch.setitem(postgresql_connections.SETTINGS, "lock_timeout", "50ms")
        hasty = PostgreSQLDatabase(emptied, clock)
        await hasty.open()
        async with database.begin([RECORDS]) as unit:
            written = await unit.storage.put(RECORDS, "r1", "{}")
            with pytest.raises(TryAgain):
                await put(hasty, "r2")

        assert await read(hasty) == [written]
        await hasty.close()

    async def test_c15_everything_works_where_serializable_is_forced(
        self, postgresql: PostgreSQL, clock: Clock, emptied: str
    ) -> None:
        """C15; design, "One file to a cluster"."""
        database = PostgreSQLDatabase(f"{emptied}?default_transaction_isolation=serializable", clock)
        await database.open()

        async def increment() -> None:
            for attempt in attempts():
                async with attempt, database.begin([RECORDS]) as unit:
                    found = await unit.storage.get(RECORDS, "counter")
                    n = found.data()["n"] + 1 if found else 1
                    await unit.storage.put(RECORDS, "counter", jsontext.encode({"n": n}))

        # More than there are attempts: who waited for a list goes on without one.
        await asyncio.gather(*(increment() for _ in range(20)))

        counter = await get(database, "counter")
        assert counter
        assert counter.data() == {"n": 20, "id": "counter", "last_modified": counter.last_modified}
        await database.close()


class TestFailingUnits:
    async def test_c18_failing_units_leave_a_full_pool_and_no_transaction(
        self, database: PostgreSQLDatabase, emptied: str
    ) -> None:
        """C18: 10,000 of them, of every kind."""
        taken = (await put(database, "taken")).last_modified
        await put(database, "last")

        async def fail(n: int) -> None:
            place = OF_EACH[n % 8]
            with pytest.raises((Refused, DuplicateTimestamp, BackendUnavailable, asyncpg.PostgresError)):  # noqa: PT012
                async with database.begin([place] if n % 5 else []) as unit:
                    if n % 5 == 1:
                        await unit.storage.put(place, "r1", "{}", taken)
                    if n % 5 == 2:
                        await unit.session.run("SELECT 1 / 0")
                    if n % 5 == 3:
                        await unit.storage.put(place, "r1", "{}")
                    if n % 5 == 4:
                        # What went wrong is not told to the unit, so it is at its end.
                        with pytest.raises(asyncpg.PostgresError):
                            await unit.session.run("SELECT nothing")
                        return
                    raise Refused

        async def fail_often(first: int) -> None:
            for n in range(first, 10_000, 8):
                await fail(n)

        await asyncio.gather(*map(fail_often, range(8)))

        assert await states(emptied) == ["idle"] * 4
        assert ids(await read(database)) == ["last", "taken"]

    async def test_cancelled_units_leave_a_pool_that_can_be_used(
        self, database: PostgreSQLDatabase, emptied: str
    ) -> None:
        for pause_s in [*(0.0005 * n for n in range(20)), 0.1]:
            tasks = [asyncio.create_task(put(database, f"r{n}", place=OF_EACH[n % 8])) for n in range(12)]
            await asyncio.sleep(pause_s)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

        async with database.begin(), database.begin(), database.begin(), database.begin() as unit:
            assert await unit.storage.get(RECORDS, "none") is None
        assert "idle in transaction" not in await states(emptied)

    async def test_a_unit_cancelled_in_a_statement_is_undone_and_its_connection_replaced(
        self, database: PostgreSQLDatabase
    ) -> None:
        async def stall() -> None:
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", "{}")
                await unit.session.run(SLEEP)

        tasks = [asyncio.create_task(stall()) for _ in range(4)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

        assert all(task.cancelled() for task in tasks)
        written = await put(database, "r2")
        assert await read(database) == [written]

    async def test_a_unit_whose_statement_failed_is_not_kept_though_it_ends_well(
        self, database: PostgreSQLDatabase
    ) -> None:
        with pytest.raises(BackendUnavailable, match="had failed"):  # noqa: PT012
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", "{}")
                with pytest.raises(asyncpg.PostgresError):
                    await unit.session.run("SELECT 1 / 0")

        assert await read(database) == []

    async def test_a_unit_without_lists_can_not_write(self, database: PostgreSQLDatabase) -> None:
        with pytest.raises(BackendUnavailable, match="read-only"):
            async with database.begin() as unit:
                await unit.storage.put(RECORDS, "r1", "{}")

        assert await read(database) == []

    async def test_nothing_can_be_done_in_a_unit_that_is_over(self, database: PostgreSQLDatabase) -> None:
        async with database.begin([RECORDS]) as written, database.begin() as reading:
            pass

        for unit in (written, reading):
            with pytest.raises(BackendUnavailable, match="over"):
                await unit.storage.put(RECORDS, "r1", "{}")

    def test_o13_a_forked_process_is_refused(self, emptied: str, clock: Clock) -> None:
        """O13."""

        async def use_in_a_fork() -> int:
            database = PostgreSQLDatabase(emptied, clock)
            await database.open()
            child = os.fork()
            if child == 0:
                try:
                    database.begin()
                except BackendUnavailable:
                    os._exit(0)
                finally:
                    os._exit(1)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            await put(database, "r1")
            await database.close()
            return status

        assert asyncio.run(use_in_a_fork()) == 0


class TestPool:
    async def test_o3_an_exhausted_pool_is_waited_for_and_then_told(self, emptied: str, clock: Clock) -> None:
        """O3."""
        database = PostgreSQLDatabase(emptied, clock, Connections(kept=2, wait_s=0.05))
        await database.open()
        async with database.begin(), database.begin():
            with pytest.raises(BackendUnavailable, match=r"waited 0.05 s for a connection to PostgreSQL"):
                await get(database, "r1")
            waiting = asyncio.create_task(get(database, "r1"))
            cancelled = asyncio.create_task(get(database, "r1"))
            await asyncio.sleep(0)
            cancelled.cancel()

        assert await waiting is None
        await database.close()

    async def test_connections_are_opened_when_they_are_needed_up_to_so_many(
        self, database: PostgreSQLDatabase, emptied: str
    ) -> None:
        for n in range(3):
            await put(database, f"r{n}")
        assert len(await states(emptied)) == 1

        await asyncio.gather(*(put(database, "r", place=OF_EACH[n % 8]) for n in range(20)))
        assert len(await states(emptied)) == 4

    async def test_who_waits_to_write_one_list_needs_no_connection(
        self, database: PostgreSQLDatabase, emptied: str
    ) -> None:
        await asyncio.gather(*(put(database, f"r{n}") for n in range(20)))
        assert len(await states(emptied)) == 1
        assert len(await read(database)) == 20

    async def test_a_connection_that_is_old_is_replaced(self, emptied: str, clock: Clock) -> None:
        database = PostgreSQLDatabase(emptied, clock, Connections(use_s=0))
        await database.open()
        processes = set()
        for _ in range(3):
            async with database.begin() as unit:
                processes.add(await process(unit))

        assert len(processes) == 3
        await database.close()

    async def test_connections_beyond_those_kept_are_closed_after_use(self, emptied: str, clock: Clock) -> None:
        database = PostgreSQLDatabase(emptied, clock, Connections(kept=1, overflow=2))
        await database.open()
        async with database.begin(), database.begin(), database.begin():
            assert len(await states(emptied)) == 3

        # They end by themselves, soon.
        for _ in range(500):
            if len(await states(emptied)) == 1:
                break
            await asyncio.sleep(0.01)
        assert len(await states(emptied)) == 1
        await database.close()

    async def test_o3_when_too_many_wait_no_more_do(self, emptied: str, clock: Clock) -> None:
        """O3."""
        database = PostgreSQLDatabase(emptied, clock, Connections(kept=1, backlog=1))
        await database.open()
        async with database.begin():
            waiting = asyncio.create_task(get(database, "r1"))
            await asyncio.sleep(0)
            with pytest.raises(BackendUnavailable, match="1 others wait for a connection"):
                await get(database, "r1")

        assert await waiting is None
        await database.close()

    async def test_closing_waits_for_units_and_ends_all_connections(self, emptied: str, clock: Clock) -> None:
        database = PostgreSQLDatabase(emptied, clock)
        await database.open()
        async with database.begin([RECORDS]) as unit:
            closing = asyncio.create_task(database.close())
            await give_time(closing)
            await unit.storage.put(RECORDS, "r1", "{}")
        await closing

        assert await states(emptied) == []
        assert await ask(emptied, "SELECT id FROM objects") == [("r1",)]
        with pytest.raises(BackendUnavailable, match="not open"):
            database.begin()


class TestOutages:
    async def test_o1_a_database_that_is_down_is_used_as_soon_as_it_is_up(self, own: PostgreSQL, clock: Clock) -> None:
        """O1."""
        database = PostgreSQLDatabase(own.url("kobako"), clock)
        await database.migrate()
        own.stop()

        await database.open()
        for _ in range(3):
            assert not await database.check()
            with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1/kobako"):
                await put(database, "r1")
        own.start()
        await asyncio.sleep(postgresql_pool.PAUSE_S)

        assert await put(database, "r1") == await get(database, "r1")
        await database.close()

    async def test_o1_a_database_that_comes_up_unfit_says_why(self, own: PostgreSQL, clock: Clock) -> None:
        """O1, O9."""
        database = PostgreSQLDatabase(own.url("kobako"), clock)
        own.stop()
        await database.open()
        own.start()
        await asyncio.sleep(postgresql_pool.PAUSE_S)

        with pytest.raises(BackendUnavailable, match="run kobako migrate"):
            await put(database, "r1")
        await database.migrate()
        assert await put(database, "r1") == await get(database, "r1")
        await database.close()

    @pytest.mark.parametrize("how", ["restart", "crash", "child"])
    async def test_o2_an_outage_under_load_loses_nothing_and_is_over_by_itself(
        self, own: PostgreSQL, clock: Clock, how: str
    ) -> None:
        """O2, C25, S27: a restart, a crash, a process of the server that is killed."""
        database = PostgreSQLDatabase(own.url("kobako"), clock)
        await database.migrate()
        await database.open()
        acknowledged: dict[str, int] = {}
        over = asyncio.Event()

        async def write(writer: int) -> None:
            n = 0
            while not over.is_set():
                id = f"w{writer}-{n}"
                try:
                    acknowledged[id] = (await put(database, id)).last_modified
                    n += 1
                except BackendUnavailable:
                    await asyncio.sleep(0.02)

        async def reach(count: int) -> None:
            while len(acknowledged) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        writing = [asyncio.create_task(write(n)) for n in range(6)]
        for _ in range(3):
            await reach(len(acknowledged) + 20)
            if how == "child":
                [(victim,)] = await ask(
                    own.url("kobako"),
                    "SELECT pid FROM pg_stat_activity WHERE application_name = 'kobako' LIMIT 1",
                )
                os.kill(int(str(victim)), signal.SIGKILL)
            else:
                await asyncio.to_thread(own.kill if how == "crash" else own.stop)
                await asyncio.to_thread(own.start)
        await asyncio.wait_for(reach(len(acknowledged) + 20), 60)
        over.set()
        await asyncio.gather(*writing)

        found = {each.id: each.last_modified for each in await read(database)}
        assert acknowledged.items() <= found.items()
        assert len(set(found.values())) == len(found)
        assert (await put(database, "later")).last_modified > max(found.values())
        assert "idle in transaction" not in await states(own.url("kobako"))
        await database.close()

    async def test_s27_versions_go_on_after_a_crash_though_the_clock_is_behind(
        self, own: PostgreSQL, clock: Clock
    ) -> None:
        """S27."""
        database = PostgreSQLDatabase(own.url("kobako"), clock)
        await database.migrate()
        await database.open()
        await put(database, "r1", wanted=clock.now + 60_000)
        [last] = await delete(database, "r1")
        own.kill()
        own.start()
        clock.now -= 1000

        written = await put(database, "r1")

        assert written.last_modified > last.last_modified
        await database.close()

    async def test_a_connection_that_was_ended_while_idle_is_replaced_without_a_failure(
        self, database: PostgreSQLDatabase, emptied: str
    ) -> None:
        await asyncio.gather(*(put(database, "r", place=each) for each in OF_EACH))
        ended = await ask(
            emptied, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kobako'"
        )

        assert len(ended) == 4
        for n in range(8):
            await put(database, f"s{n}")

    async def test_a_connection_that_was_ended_in_a_unit_fails_that_unit(
        self, database: PostgreSQLDatabase, emptied: str
    ) -> None:
        with pytest.raises(BackendUnavailable):  # noqa: PT012
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", "{}")
                await ask(emptied, "SELECT pg_terminate_backend($1)", await process(unit))
                await unit.storage.put(RECORDS, "r2", "{}")

        assert await read(database) == []
        assert await put(database, "r3") == await get(database, "r3")

    async def test_o4_a_statement_that_takes_too_long_is_ended_and_others_go_on(
        self, emptied: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """O4."""
        monkeypatch.setitem(postgresql_connections.SETTINGS, "statement_timeout", "500ms")
        database = PostgreSQLDatabase(emptied, clock)
        await database.open()

        async def stall() -> None:
            async with database.begin([RECORDS]) as unit:
                await unit.storage.put(RECORDS, "r1", "{}")
                await unit.session.run(SLEEP)

        stalling = asyncio.create_task(stall())
        await asyncio.sleep(0.05)
        await put(database, "r1", place=OTHERS)
        with pytest.raises(BackendUnavailable, match="statement timeout") as told:
            await stalling

        assert not isinstance(told.value, TryAgain)
        assert await read(database) == []
        await database.close()

    @pytest.mark.parametrize("is_told", [True, False])
    async def test_c16_a_unit_cut_at_its_commit_is_there_once_or_not_at_all(
        self, postgresql: PostgreSQL, emptied: str, clock: Clock, is_told: bool
    ) -> None:
        """C16: and nobody tries again what may have been kept."""
        async with Proxy(postgresql.port) as proxy:
            database = PostgreSQLDatabase(f"postgresql://kobako@127.0.0.1:{proxy.port}/kobako", clock)
            await database.open()
            before = await put(database, "r0")
            proxy.cut_at, proxy.is_told = b"COMMIT", is_told

            with pytest.raises(BackendUnavailable) as told:
                await put(database, "r1")

            assert not isinstance(told.value, TryAgain)
            assert proxy.cuts == 1
            assert ids(await read(database)) == (["r1", "r0"] if is_told else ["r0"])
            assert (await put(database, "r2")).last_modified > before.last_modified + is_told
            await database.close()

    async def test_a_connection_that_is_cut_at_its_begin_is_replaced_without_a_failure(
        self, postgresql: PostgreSQL, emptied: str, clock: Clock
    ) -> None:
        async with Proxy(postgresql.port) as proxy:
            database = PostgreSQLDatabase(f"postgresql://kobako@127.0.0.1:{proxy.port}/kobako", clock)
            await database.open()
            proxy.cut_at = b"BEGIN"

            written = await put(database, "r1")

            assert proxy.cuts == 1
            assert await get(database, "r1") == written
            await database.close()


async def test_it_differs_after_the_server_failed_even_where_transactions_were_lost(own: PostgreSQL) -> None:
    """What was committed last may be gone, and its number be given again."""
    database = PostgreSQLDatabase(own.url("kobako"), Clock())
    await database.migrate()
    await database.open()
    before = await database.ask_version()
    async with database.begin() as unit:
        [(process,)] = await unit.session.run("SELECT pg_backend_pid()")
    own.sql("CHECKPOINT")
    os.kill(process, signal.SIGKILL)
    after = None
    for _ in range(100):
        try:
            after = await database.ask_version()
            break
        except BackendUnavailable:
            await asyncio.sleep(0.1)
    await database.close()

    assert after is not None
    assert after != before
