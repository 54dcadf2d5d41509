"""Writers of SQLite: shared commits, and what becomes of them when the disk, another process or a task gives up."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from kobako.databases import sqlite_writer
from kobako.databases.base import BackendUnavailable
from kobako.databases.line import Line
from kobako.databases.sqlite import SQLiteDatabase
from kobako.databases.sqlite_writer import Writer
from kobako.databases.turnstile import Turnstile
from kobako.testing import Clock
from kobako.testing.fixtures import RECORDS, get, put, read

TIMEOUT_S = 0.5


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things must not end a group by itself."""
    monkeypatch.setattr("kobako.databases.sqlite_writer.LONGEST_GROUP_S", 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(path, Clock(), busy_timeout_s=TIMEOUT_S)
    await database.migrate()
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def writer(database: SQLiteDatabase) -> Writer:
    return database._writer


@pytest.fixture
def commits(writer: Writer) -> list[str]:
    """The commits of the writer, one item each."""
    found: list[str] = []

    def trace(_: object, statement: str, __: object) -> bool:
        if statement == "COMMIT":
            found.append(statement)
        return True

    writer.connection.set_exec_trace(trace)
    return found


@pytest.fixture(params=["fast disk", "slow disk"])
def disk(request: pytest.FixtureRequest, writer: Writer) -> str:
    """Commits are done in the event loop, or in a thread."""
    if request.param == "slow disk":
        writer.connection.set_commit_hook(lambda: time.sleep(0.003) or False)
        writer._slow_commits = 3
    return str(request.param)


class Refused(Exception):
    """Makes a unit fail."""


async def step_by_step(database: SQLiteDatabase, id: str, go_on: asyncio.Event, *, fails: bool = False) -> None:
    """Write an object in a unit that ends when it is told to."""
    async with database.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, id, "{}")
        await go_on.wait()
        if fails:
            raise Refused


async def soon() -> None:
    """Let others run."""
    for _ in range(30):
        await asyncio.sleep(0)


class TestSharedCommits:
    async def test_writers_that_come_at_once_share_a_commit(
        self, database: SQLiteDatabase, commits: list[str], disk: str
    ) -> None:
        written = await asyncio.gather(*(put(database, f"r{n}") for n in range(60)))

        assert len({each.last_modified for each in written}) == 60
        assert len(await read(database)) == 60
        assert len(commits) <= 3

    async def test_a_commit_is_shared_by_at_most_64(self, database: SQLiteDatabase, commits: list[str]) -> None:
        await asyncio.gather(*(put(database, f"r{n}") for n in range(200)))

        assert len(commits) >= 4

    async def test_who_comes_a_turn_of_the_loop_later_shares_it_too(
        self, database: SQLiteDatabase, commits: list[str]
    ) -> None:
        """A request that was sent meanwhile is read after all that is ready, and served in the turn after that."""

        async def come(turn: int) -> None:
            for _ in range(turn):
                await asyncio.sleep(0)
            await put(database, f"r{turn}")

        await asyncio.gather(*(come(turn) for turn in range(20)))

        assert len(commits) == 1

    async def test_it_waits_for_nobody_who_comes_later_than_that(
        self, database: SQLiteDatabase, commits: list[str]
    ) -> None:
        first = asyncio.create_task(put(database, "first"))
        for _ in range(8):
            await asyncio.sleep(0)

        assert first.done()
        assert len(commits) == 1

    async def test_who_writes_alone_is_committed_at_once(self, database: SQLiteDatabase, commits: list[str]) -> None:
        for n in range(3):
            await put(database, "r1")
            assert len(commits) == n + 1

    async def test_c25_a_unit_returns_after_the_commit_it_shares(
        self, database: SQLiteDatabase, commits: list[str], disk: str
    ) -> None:
        """C25."""
        goes_on, stays = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(step_by_step(database, "first", goes_on))
        failing = asyncio.create_task(step_by_step(database, "failing", goes_on, fails=True))
        last = asyncio.create_task(step_by_step(database, "last", stays))
        await soon()

        goes_on.set()
        await soon()
        assert not commits
        assert not first.done()
        assert not failing.done(), "what made it fail may still be lost"
        assert await read(database) == []
        stays.set()
        results = await asyncio.gather(first, failing, last, return_exceptions=True)

        assert [type(each) for each in results] == [type(None), Refused, type(None)]
        assert [each.id for each in await read(database)] == ["last", "first"]
        assert len(commits) == 1

    async def test_c16_a_commit_that_fails_fails_for_all(
        self, database: SQLiteDatabase, writer: Writer, disk: str
    ) -> None:
        """C16: no connection can be cut here; the disk can refuse."""
        writer.connection.set_commit_hook(lambda: True)

        results = await asyncio.gather(*(put(database, f"r{n}") for n in range(10)), return_exceptions=True)

        assert [type(each) for each in results] == [BackendUnavailable] * 10
        assert await read(database) == []
        writer.connection.set_commit_hook(None)
        assert await put(database, "r1") == await get(database, "r1")

    async def test_a_slow_commit_leaves_the_loop_free(self, database: SQLiteDatabase, writer: Writer) -> None:
        writer.connection.set_commit_hook(lambda: time.sleep(0.05) or False)
        for _ in range(3):
            await put(database, "r1")
        released, in_time = threading.Event(), []
        writer.connection.set_commit_hook(lambda: in_time.append(released.wait(30)) or False)
        writing = asyncio.create_task(put(database, "r2"))

        await asyncio.sleep(0.01)

        # A commit that blocked the loop would wait in vain: nobody could release it.
        assert not writing.done()
        released.set()
        await writing
        assert in_time == [True]

    async def test_the_log_of_many_writes_does_not_grow_for_ever(
        self, database: SQLiteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_writer, "CHECKPOINT_PAGES", 1000)
        database._writer._checkpoint_at = 1000
        text = f'"{"x" * 20_000}"'
        for n in range(600):
            await put(database, f"r{n % 50}", {"text": text})

        # 600 times six pages, over three times the size at which it starts afresh.
        assert Path(f"{path}-wal").stat().st_size < 8_000_000  # noqa: ASYNC240

    async def test_a_database_is_closed_after_what_runs(self, path: Path, database: SQLiteDatabase) -> None:
        tasks = [asyncio.create_task(put(database, f"r{n}")) for n in range(100)]
        await asyncio.sleep(0)

        await database.close()

        await asyncio.gather(*tasks)
        await database.open()
        assert len(await read(database)) == 100


class TestCancellation:
    @pytest.mark.parametrize("seed", range(12))
    async def test_the_turn_is_never_lost_whoever_is_cancelled(
        self, database: SQLiteDatabase, disk: str, seed: int
    ) -> None:
        chance = random.Random(seed)
        written: set[str] = set()
        failed: set[str] = set()

        async def write(id: str, pauses: int, fails: bool) -> None:
            try:
                async with database.begin([RECORDS]) as unit:
                    await unit.storage.put(RECORDS, id, "{}")
                    for _ in range(pauses):
                        await asyncio.sleep(0)
                    if fails:
                        raise Refused
                written.add(id)
            except Refused:
                failed.add(id)

        tasks = [asyncio.create_task(write(f"r{n}", chance.randrange(4), chance.random() < 0.2)) for n in range(60)]
        while not all(each.done() for each in tasks):
            await asyncio.sleep(chance.choice([0, 0, 0, 0.0005]))
            chance.choice(tasks).cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        found = {each.id for each in await read(database)}
        assert written <= found
        assert not failed & found
        assert await put(database, "last") == await get(database, "last")

    async def test_a_unit_cancelled_while_it_waits_for_another_process_lets_go(
        self, database: SQLiteDatabase, path: Path
    ) -> None:
        with Lock(path):
            waiting = asyncio.create_task(put(database, "r1"))
            await soon()
            waiting.cancel()
            await asyncio.wait([waiting])

        assert waiting.cancelled()
        assert await put(database, "r2") == await get(database, "r2")

    async def test_a_cancelled_unit_is_cancelled_even_if_its_group_fails(
        self, database: SQLiteDatabase, writer: Writer
    ) -> None:
        never = asyncio.Event()
        task = asyncio.create_task(step_by_step(database, "r1", never))
        await soon()
        writer.connection.execute("ROLLBACK")

        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert await put(database, "r2") == await get(database, "r2")


class Lock:
    """The lock of the file, held by somebody who knows nothing of turns."""

    def __init__(self, path: Path) -> None:
        self.connection = apsw.Connection(str(path))

    def __enter__(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self.connection.execute("ROLLBACK")
        self.connection.close()


class TestOtherProcesses:
    async def test_a_locked_file_is_waited_for_with_the_loop_free(self, database: SQLiteDatabase, path: Path) -> None:
        with Lock(path):
            writing = asyncio.create_task(put(database, "r1"))
            await asyncio.sleep(0.01)
            # Had the loop been blocked, the wait would be over, in vain.
            assert not writing.done()

        assert await writing == await get(database, "r1")

    async def test_a_file_locked_for_too_long_is_unavailable(self, database: SQLiteDatabase, path: Path) -> None:
        with Lock(path):
            began = time.perf_counter()
            results = await asyncio.gather(*(put(database, f"r{n}") for n in range(5)), return_exceptions=True)
            took_s = time.perf_counter() - began
            assert await read(database) == []

        assert [type(each) for each in results] == [BackendUnavailable] * 5
        assert took_s > TIMEOUT_S * 0.9
        assert await put(database, "r1") == await get(database, "r1")

    async def test_who_comes_back_does_not_overtake_who_waits(self, path: Path) -> None:
        first, second = Turnstile(str(path)), Turnstile(str(path))
        later = asyncio.get_running_loop().time() + 5
        assert first.try_pass()
        assert not second.try_pass()
        waiting = asyncio.create_task(second.wait(later))
        await soon()

        first.leave()

        assert not first.try_pass()
        await waiting
        assert not first.try_pass()
        second.leave()
        assert first.try_pass()
        first.close()
        second.close()

    async def test_a_turn_that_is_never_given_back_is_done_without(self, database: SQLiteDatabase, path: Path) -> None:
        forgotten = Turnstile(str(path))
        assert forgotten.try_pass()

        assert await put(database, "r1") == await get(database, "r1")
        forgotten.close()


class TestLine:
    async def test_what_is_handed_to_a_task_cancelled_at_that_moment_is_given_back(self) -> None:
        returned: list[str] = []
        line = Line("a turn", returned.append)
        tasks = [asyncio.create_task(line.wait(1)) for _ in range(2)]
        await soon()

        assert line.serve("first")
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])

        assert tasks[0].cancelled()
        assert returned == ["first"]
        assert line.serve("second")
        assert await tasks[1] == "second"
        assert not line.serve("third")

    async def test_who_has_gone_is_passed_over(self) -> None:
        line: Line[str] = Line("a turn", lambda _: None)
        impatient = asyncio.create_task(line.wait(0))
        cancelled = asyncio.create_task(line.wait(1))
        patient = asyncio.create_task(line.wait(1))
        await asyncio.wait([impatient])
        cancelled.cancel()
        await soon()

        assert line.serve("turn")

        assert await patient == "turn"
        with pytest.raises(BackendUnavailable, match="a turn"):
            await impatient


class TestFullDisk:
    @pytest.fixture
    def limit(self, writer: Writer) -> Callable[[int], None]:
        """Set how many pages the file may grow by."""

        def limit(more: int) -> None:
            (pages,) = writer.connection.execute("PRAGMA page_count").fetchall()[0]
            writer.connection.execute(f"PRAGMA max_page_count = {pages + more}").fetchall()

        return limit

    async def test_o5_a_full_disk_refuses_writes_and_nothing_else(
        self, database: SQLiteDatabase, writer: Writer, limit: Callable[[int], None]
    ) -> None:
        """O5."""
        kept = await put(database, "kept", {"n": 1})
        limit(20)

        results = await asyncio.gather(
            *(put(database, f"r{n}", {"text": "x" * 30_000}) for n in range(10)), return_exceptions=True
        )

        stored = {each.id for each in await read(database)}
        kinds = [type(each).__name__ for each in results]
        assert "BackendUnavailable" in kinds
        assert set(kinds) <= {"BackendUnavailable", "Stored"}
        assert stored == {"kept"} | {each.id for each in results if not isinstance(each, BaseException)}
        assert await get(database, "kept") == kept
        limit(10_000)
        assert await put(database, "again", {"text": "x" * 30_000}) == await get(database, "again")
        assert writer.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    async def test_a_transaction_that_sqlite_undid_is_lost_for_its_whole_group(
        self, database: SQLiteDatabase, writer: Writer
    ) -> None:
        goes_on = asyncio.Event()
        first = asyncio.create_task(step_by_step(database, "first", goes_on))

        async def go_on_after_the_loss() -> None:
            async with database.begin([RECORDS]) as unit:
                # A statement that is interrupted while it writes ends the transaction, as a full disk may.
                writer.connection.set_progress_handler(lambda: True, 1)
                await refused(unit.storage.put(RECORDS, "second", "{}"))
                writer.connection.set_progress_handler(None)
                await refused(unit.storage.put(RECORDS, "third", "{}"))

        second = asyncio.create_task(go_on_after_the_loss())
        await soon()
        goes_on.set()
        results = await asyncio.gather(first, second, return_exceptions=True)

        assert [type(each) for each in results] == [BackendUnavailable] * 2
        assert await read(database) == []
        assert await put(database, "r1") == await get(database, "r1")

    async def test_a_unit_that_can_not_begin_fails_alone(self, database: SQLiteDatabase, writer: Writer) -> None:
        goes_on = asyncio.Event()
        first = asyncio.create_task(step_by_step(database, "first", goes_on))
        second = asyncio.create_task(put(database, "second"))
        await soon()
        interruptions = iter([True])
        writer.connection.set_progress_handler(lambda: next(interruptions, False), 1)

        goes_on.set()
        results = await asyncio.gather(first, second, return_exceptions=True)

        assert [type(each) for each in results] == [type(None), BackendUnavailable]
        assert [each.id for each in await read(database)] == ["first"]


async def refused(work: Awaitable[object]) -> None:
    with pytest.raises(BackendUnavailable):
        await work
