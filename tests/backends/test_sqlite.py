"""SQLite: the contracts, and what only this backend has. Writers are in test_sqlite_writer.py."""

import asyncio
import gc
import os
import re
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from kobako.databases import sqlite_fitness, sqlite_migrations, sqlite_session
from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.databases.sqlite_session import ROWS_IN_A_TURN
from kobako.permission import sqlite as permission
from kobako.protocol import jsontext
from kobako.protocol.filters import MEANINGS
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Selection, Sort
from kobako.storage import sql
from kobako.storage import sqlite as storage
from kobako.storage.base import DuplicateTimestamp, ListState, Stored
from kobako.storage.selecting import select
from kobako.storage.sqlite import MANY
from kobako.storage.sqlite_columns import DIALECT
from kobako.testing import Clock, DatabaseContract, PermissionContract, StorageContract
from kobako.testing.fixtures import RECORDS, Refused, get, ids, put, read, refused


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


@pytest.fixture
async def database(clock: Clock, path: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(path, clock, busy_timeout_s=0.5)
    await database.migrate()
    await database.open()
    yield database
    await database.close()


class TestSQLite(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock, path: Path) -> AsyncIterator[SQLiteDatabase]:
        database = SQLiteDatabase(path, clock)
        await database.migrate()
        await database.open()
        yield database
        await database.close()


class TestFitness:
    @pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.49.9", "3.50.6", "3.51.2"])
    def test_o10_a_version_that_can_corrupt_files_is_refused(self, version: str) -> None:
        """O10."""
        with pytest.raises(UnfitDatabase, match=version):
            sqlite_fitness.check_version(version)

    @pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.54.1", "4.0.0"])
    def test_a_version_without_the_defect_is_accepted(self, version: str) -> None:
        sqlite_fitness.check_version(version)

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            pytest.param("/srv/data/objects.db", "nfs4", id="below a mount"),
            pytest.param("/srv/my data/objects.db", "cifs", id="a mount with a space"),
            pytest.param("/home/me/box/objects.db", "fuse.sshfs", id="fuse"),
            pytest.param("/over/objects.db", "nfs", id="mounted over another"),
        ],
    )
    def test_o10_a_network_file_system_is_refused(self, path: str, kind: str) -> None:
        """O10."""
        with pytest.raises(UnfitDatabase, match=kind):
            sqlite_fitness.check_file_system(Path(path), MOUNTS)

    @pytest.mark.parametrize("path", ["/objects.db", "/srv/database/objects.db", "/srv/local/objects.db"])
    def test_a_local_file_system_is_accepted(self, path: str) -> None:
        sqlite_fitness.check_file_system(Path(path), MOUNTS)

    async def test_a_missing_folder_is_refused(self, tmp_path: Path, clock: Clock) -> None:
        with pytest.raises(UnfitDatabase, match="there is no folder"):
            await SQLiteDatabase(tmp_path / "nowhere" / "objects.db", clock).migrate()


MOUNTS = r"""
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:31 / /srv rw - ext4 /dev/vdb rw
31 30 0:32 / /srv/data rw,relatime shared:5 - nfs4 host:/x rw
32 30 0:33 / /srv/my\040data rw - cifs //host/x rw
33 21 0:34 / /home/me/box rw - fuse.sshfs me@host: rw
34 21 0:35 / /over rw - ext4 /dev/vdc rw
35 34 0:36 / /over rw - nfs host:/y rw
""".strip()


class TestMigrations:
    def test_o9_a_file_that_was_not_migrated_is_not_served(self, path: Path, clock: Clock) -> None:
        """O9."""
        with pytest.raises(UnfitDatabase, match="run kobako migrate"):
            asyncio.run(SQLiteDatabase(path, clock).open())

        assert not path.exists()
        path.touch()
        with pytest.raises(UnfitDatabase, match="run kobako migrate"):
            asyncio.run(SQLiteDatabase(path, clock).open())

    @pytest.mark.parametrize(("version", "reason"), [(0, "run kobako migrate"), (1000, "newer than this kobako")])
    async def test_o9_another_schema_is_not_served(self, path: Path, clock: Clock, version: int, reason: str) -> None:
        """O9."""
        await SQLiteDatabase(path, clock).migrate()
        sqlite3_execute(path, "UPDATE metadata SET value = ? WHERE key = 'schema_version'", version)

        with pytest.raises(UnfitDatabase, match=reason):
            await SQLiteDatabase(path, clock).open()

    async def test_a_migration_says_what_it_did(self, path: Path, clock: Clock) -> None:
        database = SQLiteDatabase(path, clock)

        assert (await database.migrate())[0].endswith("0001_objects_and_permissions")
        assert await database.migrate() == []

    def test_o9_a_migration_killed_at_any_statement_can_be_run_again(self, tmp_path: Path) -> None:
        """O9."""
        for statement in range(1, 100):
            path = tmp_path / f"{statement}.db"
            killed = in_a_fork(lambda path=path, statement=statement: migrate_and_die(path, statement))
            asyncio.run(self.complete(path))
            if not killed:
                break

        assert statement > 10, "there were fewer statements than a schema needs"

    async def complete(self, path: Path) -> None:
        database = SQLiteDatabase(path, Clock())
        await database.migrate()
        await database.open()
        await put(database, "r1")
        await database.close()

    async def test_o9_of_two_migrations_at_once_one_works(self, path: Path, clock: Clock) -> None:
        """O9."""
        done = await asyncio.gather(*(SQLiteDatabase(path, clock).migrate() for _ in range(4)))

        assert sorted(map(len, done)) == [0, 0, 0, len(sqlite_migrations.steps())]
        await self.complete(path)


def migrate_and_die(path: Path, statement: int) -> None:
    """Kill this process when the migration begins its statement of this number."""
    count = 0

    def trace(*_: object) -> bool:
        nonlocal count
        count += 1
        if count == statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    apsw.connection_hooks.append(lambda connection: connection.set_exec_trace(trace))
    asyncio.run(SQLiteDatabase(path, Clock()).migrate())


def in_a_fork(work: Callable[[], None]) -> bool:
    """Run a function in a forked process; tell whether that was killed or failed."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] != 0


def sqlite3_execute(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Run a statement from outside, on a database that is not open."""
    with sqlite3.connect(path) as connection:
        return connection.execute(statement, values).fetchall()


class TestReading:
    async def test_a_unit_without_lists_can_not_write(self, database: SQLiteDatabase) -> None:
        with pytest.raises(BackendUnavailable, match="readonly"):
            async with database.begin() as unit:
                await unit.storage.put(RECORDS, "r1", "{}")

        assert await read(database) == []

    async def test_nothing_can_be_done_in_a_unit_that_is_over(self, database: SQLiteDatabase) -> None:
        async with database.begin([RECORDS]) as written, database.begin() as reading:
            pass

        for unit in (written, reading):
            with pytest.raises(BackendUnavailable, match="over"):
                await unit.storage.put(RECORDS, "r1", "{}")

    async def test_o3_more_readers_than_connections_wait_for_one(self, path: Path, clock: Clock) -> None:
        """O3."""
        database = SQLiteDatabase(path, clock, readers=2, busy_timeout_s=0.05)
        await database.migrate()
        await database.open()
        async with database.begin(), database.begin():
            with pytest.raises(BackendUnavailable, match="a connection to read with"):
                await get(database, "r1")
            waiting = asyncio.create_task(get(database, "r1"))
            cancelled = asyncio.create_task(get(database, "r1"))
            await asyncio.sleep(0)
            cancelled.cancel()

        assert await waiting is None
        await database.close()

    async def test_c18_failing_units_leave_readers_and_the_writer_free(
        self, database: SQLiteDatabase, path: Path
    ) -> None:
        """C18: 10,000 of them, of every kind."""
        taken = (await put(database, "taken")).last_modified
        await put(database, "last")

        async def fail(n: int) -> None:
            with pytest.raises((Refused, DuplicateTimestamp, apsw.Error)):  # noqa: PT012
                async with database.begin([RECORDS] if n % 4 else []) as unit:
                    if n % 4 == 1:
                        await unit.storage.put(RECORDS, "r1", "{}", taken)
                    if n % 4 == 2:
                        unit.session.run("SELECT nothing")
                    await unit.storage.get(RECORDS, "last")
                    if n % 4 == 3:
                        await unit.storage.put(RECORDS, "r1", "{}")
                    raise Refused

        async def fail_often(first: int) -> None:
            for n in range(first, 10_000, 8):
                await fail(n)

        await asyncio.gather(*map(fail_often, range(8)))

        assert ids(await read(database)) == ["last", "taken"]
        apsw.Connection(str(path)).execute("BEGIN EXCLUSIVE; ROLLBACK")
        # All that readers hold is theirs again: the log can be taken up to its end.
        busy, left, moved = apsw.Connection(str(path)).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
        assert (busy, left) == (0, moved)

    @pytest.mark.timeout(60)
    async def test_a_long_search_leaves_the_loop_free_and_ends_when_it_is_cancelled(
        self, database: SQLiteDatabase
    ) -> None:
        numbers = jsontext.encode({"a": list(range(5000))})
        async with database.begin([RECORDS]) as unit:
            for n in range(600):
                await unit.storage.put(RECORDS, f"r{n}", numbers)
        # Looks at every number of every object, hundreds of times: nobody waits for the end of that.
        slow = Filter("a", Operator.CONTAINS, (4999,))
        searching = asyncio.create_task(read(database, filters=(slow,) * 300))
        before = time.perf_counter()
        while time.perf_counter() - before < 0.1:
            await asyncio.sleep(0.001)
            assert not searching.done()

        searching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await searching

        assert await get(database, "r1") is not None

    def test_o13_a_forked_process_is_refused(self, path: Path, clock: Clock) -> None:
        """O13."""

        async def use_in_a_fork() -> bool:
            database = SQLiteDatabase(path, clock)
            await database.migrate()
            await database.open()
            failed = in_a_fork(lambda: refused_in_the_child(database, path))
            await put(database, "r1")
            await database.close()
            return failed

        assert not asyncio.run(use_in_a_fork())


def refused_in_the_child(database: SQLiteDatabase, path: Path) -> None:
    """Fail unless what the parent opened, and the file itself, are refused here."""
    with pytest.raises(BackendUnavailable, match="not open in this process"):
        database.begin([RECORDS])
    opening = SQLiteDatabase(path, Clock()).open()
    with pytest.raises(UnfitDatabase, match="forked"):
        opening.send(None)


NEW = (Filter("last_modified", Operator.GT, MANY),)

VERBS = {"SELECT", "INSERT", "UPDATE", "DELETE"}


class TestSQL:
    def test_every_operator_has_its_sql(self) -> None:
        assert set(sql.OPERATORS) == set(MEANINGS) == set(Operator)

    @pytest.mark.parametrize(
        ("selection", "plan"),
        [
            pytest.param(Selection(limit=10), ["(list=?)"], id="newest first"),
            pytest.param(
                Selection(limit=10, after=(5,)), ["(list=? AND last_modified<?)"], id="a later page, newest first"
            ),
            pytest.param(
                Selection(filters=(Filter("last_modified", Operator.GT, 5),), tombstones=True),
                ["(list=? AND last_modified>?)"],
                id="since",
            ),
            pytest.param(
                Selection(
                    filters=(Filter("last_modified", Operator.GT, 5), Filter("n", Operator.EQ, 5)),
                    sort=(Sort("last_modified"),),
                    after=(7,),
                ),
                ["(list=? AND last_modified>?)"],
                id="a later page of since, oldest first, filtered",
            ),
            pytest.param(Selection(sort=(Sort("id"),), limit=10), ["(list=?)"], id="by id"),
            pytest.param(Selection(filters=(Filter("id", Operator.EQ, "r1"),)), ["(list=? AND id=?)"], id="one id"),
        ],
    )
    async def test_an_index_leads_to_the_objects(
        self, database: SQLiteDatabase, selection: Selection, plan: list[str]
    ) -> None:
        statement, values = sql.page(DIALECT, RECORDS.parent, RECORDS.resource, selection)

        async with database.begin() as unit:
            steps = [row[3] for row in unit.session.run(f"EXPLAIN QUERY PLAN {statement}", values)]

        searched = [step.rpartition(" (")[2] for step in steps if step.startswith("SEARCH o ")]
        assert [f"({each}" for each in searched] == plan
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN") for step in steps)

    @pytest.mark.parametrize(
        "selection",
        [
            pytest.param(Selection(limit=10), id="a page"),
            pytest.param(Selection(), id="all"),
            pytest.param(Selection(limit=10, after=(5,)), id="a later page"),
            pytest.param(Selection(filters=(Filter("last_modified", Operator.GT, 5),)), id="since"),
            pytest.param(Selection(filters=(Filter("f", Operator.EQ, 5),), limit=10), id="with a filter"),
        ],
    )
    async def test_objects_whose_ids_are_given_are_looked_up_by_these(
        self, database: SQLiteDatabase, selection: Selection
    ) -> None:
        given = msgspec.structs.replace(selection, ids=frozenset({"r1", "r2"}))

        for statement, values in (
            sql.page(DIALECT, RECORDS.parent, RECORDS.resource, given, ("f",)),
            sql.count(DIALECT, RECORDS.parent, RECORDS.resource, given, ("f",)),
        ):
            async with database.begin() as unit:
                steps = [row[3] for row in unit.session.run(f"EXPLAIN QUERY PLAN {statement}", values)]

            assert "SEARCH o USING INDEX sqlite_autoindex_objects_1 (list=? AND id=?)" in steps, steps
            assert not any(step.startswith("SCAN") and "VIRTUAL TABLE" not in step for step in steps)

    @pytest.mark.parametrize(
        ("selection", "plan"),
        [
            pytest.param(Selection(filters=(Filter("g", Operator.EQ, "a"),)), "key2=?)", id="equal"),
            pytest.param(Selection(filters=(Filter("g", Operator.EQ, "a"),), limit=5), "key2=?)", id="equal, a page"),
            pytest.param(Selection(filters=(Filter("f", Operator.IN, (1, 2)),)), "key1=?)", id="one of some"),
            pytest.param(
                Selection(sort=(Sort("f"), Sort("last_modified")), limit=5), "key1>?)", id="in the order of a field"
            ),
            pytest.param(
                Selection(sort=(Sort("f", descending=True),), after=(7,), limit=5), "key1<?)", id="a later page"
            ),
        ],
    )
    async def test_a_declared_index_leads_to_the_objects(
        self, database: SQLiteDatabase, selection: Selection, plan: str
    ) -> None:
        fields = ("f", "g")
        statement, values = sql.page(DIALECT, RECORDS.parent, RECORDS.resource, selection, fields)

        async with database.begin() as unit:
            steps = [row[3] for row in unit.session.run(f"EXPLAIN QUERY PLAN {statement}", values)]

        searched = [step for step in steps if step.startswith("SEARCH o ")]
        assert len(searched) == 1, steps
        assert "objects_by_key" in searched[0], steps
        assert searched[0].endswith(plan), steps

    @pytest.mark.parametrize(
        ("selection", "plan"),
        [
            pytest.param(Selection(), "(list=?)", id="all"),
            pytest.param(Selection(filters=NEW, tombstones=True), "(list=? AND last_modified>?)", id="since"),
            pytest.param(
                Selection(filters=(Filter("last_modified", Operator.LT, 5), Filter("n", Operator.EQ, 5))),
                "(list=? AND last_modified<?)",
                id="before, filtered",
            ),
        ],
    )
    async def test_what_is_counted_is_in_a_range_of_an_index(
        self, database: SQLiteDatabase, selection: Selection, plan: str
    ) -> None:
        place = (RECORDS.parent, RECORDS.resource)
        statements = [sql.count(DIALECT, *place, selection), sql.effort(DIALECT, *place, selection, (), MANY)]

        for statement, values in statements:
            async with database.begin() as unit:
                steps = [row[3] for row in unit.session.run(f"EXPLAIN QUERY PLAN {statement}", values)]

            assert any(step.startswith("SEARCH o ") and step.endswith(plan) for step in steps), steps
            assert not any(step.startswith("SCAN o") for step in steps)

    @pytest.mark.parametrize(
        "statement",
        [
            pytest.param(statement, id=f"{module.__name__.split('.')[1]} {name}")
            for module in (storage, permission)
            for name, statement in vars(module).items()
            if isinstance(statement, str) and statement.split()[:1] and statement.split()[0] in VERBS
            # The counters endpoint counts everything there is.
            if name != "TOTALS"
        ],
    )
    async def test_no_statement_goes_through_a_table(self, database: SQLiteDatabase, statement: str) -> None:
        numbered = [int(each) for each in re.findall(r"\?(\d+)", statement)]
        values = [None] * max(numbered, default=statement.count("?"))
        async with database.begin() as unit:
            steps = [row[3] for row in unit.session.run(f"EXPLAIN QUERY PLAN {statement}", values)]

        assert not any(re.match(r"SCAN (objects|o|lists|l|aces|members)\b", step) for step in steps), steps

    async def test_i8_thousands_of_filters_are_answered(self, database: SQLiteDatabase) -> None:
        """I8."""
        written = await put(database, "r1", {"n": 1})
        filters = tuple(Filter("n", Operator.MIN, -n) for n in range(3000))

        assert await read(database, filters=filters) == [written]

    async def test_s20_a_list_closed_without_tombstones_says_what_it_lacks(self, database: SQLiteDatabase) -> None:
        """S20."""
        last = (await put(database, "r1")).last_modified

        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=False)
            rows = unit.session.run("SELECT purged_before, last_modified FROM lists")

        assert rows == [(last + 1, last + 1)]


class TestGrantsInAWritingUnit:
    """What a unit that writes has asked about ACLs it does not ask again: nobody else writes meanwhile."""

    ALICE = ("/buckets/a", "write")
    PRINCIPALS = ("basicauth:alice", "system.Everyone")

    async def granted(self, unit: Any) -> set[tuple[str, str]]:
        return set(await unit.permission.granted(self.PRINCIPALS, ["/buckets/a", "/buckets/b"]))

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The objects whose ACL was read, each time."""
        asked, run = list[str](), sqlite_session.Session.run

        def note(self: sqlite_session.Session, statement: str, values: Any = ()) -> Any:
            if statement == permission.ACES:
                asked.append(values[0])
            return run(self, statement, values)

        monkeypatch.setattr(sqlite_session.Session, "run", note)
        return asked

    async def test_each_object_is_asked_for_once(self, database: SQLiteDatabase, asked: list[str]) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.grant({"/buckets/a": {"write": ["basicauth:alice"]}})
            found = [await self.granted(unit) for _ in range(2)]
            await unit.permission.granted(self.PRINCIPALS, ["/buckets/a", "/buckets/c"])
            assert await unit.permission.granted(["basicauth:bob"], ["/buckets/a"]) == set()
            assert await unit.permission.acl("/buckets/a") == {"write": ["basicauth:alice"]}

        assert found == [{self.ALICE}] * 2
        assert asked == ["/buckets/a", "/buckets/b", "/buckets/c"]

    @pytest.mark.parametrize("many", [permission.FEW - 1, permission.FEW, permission.FEW + 1])
    async def test_of_a_long_acl_is_asked_what_matters(
        self, database: SQLiteDatabase, asked: list[str], many: int
    ) -> None:
        others = [f"basicauth:user{number:03}" for number in range(many)]
        async with database.begin([RECORDS]) as unit:
            await unit.permission.grant({"/buckets/a": {"write": ["basicauth:alice"], "read": others}})
        async with database.begin() as unit:
            found = [await self.granted(unit) for _ in range(2)]
            acl = await unit.permission.acl("/buckets/a")

        assert found == [{self.ALICE}] * 2
        assert acl == {"read": others, "write": ["basicauth:alice"]}
        assert asked == ["/buckets/a", "/buckets/b"]

    @pytest.mark.parametrize(
        ("act", "left"),
        [
            pytest.param(lambda acls: acls.replace("/buckets/a", {"write": []}), set(), id="replace"),
            pytest.param(lambda acls: acls.forget(["/buckets"]), set(), id="forget"),
            pytest.param(lambda acls: acls.erase("basicauth:alice"), set(), id="erase"),
            pytest.param(
                lambda acls: acls.grant({"/buckets/b": {"read": ["system.Everyone"]}}),
                {ALICE, ("/buckets/b", "read")},
                id="grant",
            ),
        ],
    )
    async def test_what_is_written_is_asked_again(
        self, database: SQLiteDatabase, act: Callable[[Any], Any], left: set[tuple[str, str]]
    ) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.grant({"/buckets/a": {"write": ["basicauth:alice"]}})
            assert await self.granted(unit) == {self.ALICE}
            with refused():
                async with unit.savepoint():
                    await act(unit.permission)
                    assert await self.granted(unit) == left
                    raise Refused
            assert await self.granted(unit) == {self.ALICE}
            await act(unit.permission)
            assert await self.granted(unit) == left


class TestLongReads:
    """A query that would take minutes is ended: nobody can keep the connections, or all who write, for so long."""

    ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    ENDLESS_ROWS = ENDLESS.replace("max(i)", "i")

    @pytest.fixture
    def asides(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The statements that were run in a thread."""
        asides = list[str]()
        read_aside = sqlite_session.Session.read_aside

        async def note(self: sqlite_session.Session, statement: str, values: Any) -> Any:
            asides.append(statement)
            return await read_aside(self, statement, values)

        monkeypatch.setattr(sqlite_session.Session, "read_aside", note)
        return asides

    async def test_a_statement_that_reads_for_too_long_is_ended(
        self, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_session, "LONGEST_READ_S", 0.05)
        with pytest.raises(BackendUnavailable):
            async with database.begin() as unit:
                await unit.session.read_aside(self.ENDLESS, ())
        assert await database.check()

    async def test_what_its_unit_wrote_before_is_kept_if_the_unit_goes_on(
        self, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_session, "LONGEST_READ_TO_WRITE_S", 0.05)
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r", "{}")
            with pytest.raises(BackendUnavailable):
                await unit.session.read_aside(self.ENDLESS, ())
        assert await get(database, "r")

    async def test_an_acl_of_many_principals_is_written_aside(self, database: SQLiteDatabase) -> None:
        principals = [f"account:{number}" for number in range(permission.MANY + 1)]
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace("/buckets/b", {"read": principals})
            assert sorted((await unit.permission.acl("/buckets/b"))["read"]) == sorted(principals)

    async def test_many_filters_leave_the_event_loop_whatever_the_number_of_objects(
        self, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_session, "LONGEST_READ_S", 0.05)
        for number in range(100):
            await put(database, f"r{number}", {"a": "x" * 5000})
        filters = (Filter("a", Operator.LIKE, "*x*x*x*"),) * 990
        with pytest.raises(BackendUnavailable):
            await read(database, filters=filters)

    @pytest.mark.parametrize(
        ("selection", "leaves"),
        [
            pytest.param(Selection(filters=NEW, tombstones=True), False, id="a poll that finds little"),
            pytest.param(Selection(filters=NEW, limit=10_001), False, id="the same, in large pages"),
            pytest.param(Selection(filters=(*NEW, Filter("n", Operator.EQ, 7))), False, id="the same, filtered"),
            pytest.param(Selection(filters=NEW, sort=(Sort("n"),)), True, id="in another order"),
            pytest.param(Selection(filters=(Filter("n", Operator.NOT, 7),)), True, id="one that finds much"),
        ],
    )
    async def test_what_may_go_through_many_objects_leaves_the_event_loop(
        self, database: SQLiteDatabase, asides: list[str], selection: Selection, leaves: bool
    ) -> None:
        objects = [Stored(f"r{n}", n, f'{{"n":{n}}}') for n in range(1, MANY + 10)]
        async with database.begin([RECORDS]) as unit:
            await unit.storage.restore(ListState(RECORDS, MANY + 10, True), objects)
            found = await unit.storage.list(RECORDS, selection)
            count = await unit.storage.count(RECORDS, selection)

        assert {each.id for each in found} == {each.id for each in select(objects, selection)}
        assert count == len(found)
        assert bool(asides) == leaves

    @pytest.mark.parametrize(("value", "leaves"), [("few", False), ("many", True), ("none", False)])
    async def test_what_an_index_leads_to_is_read_at_once_where_it_is_not_much(
        self, database: SQLiteDatabase, asides: list[str], value: str, leaves: bool
    ) -> None:
        """Nobody counts beforehand; a statement that takes long is given up, and counted."""
        objects = [Stored(f"r{n}", n, f'{{"f":"{"few" if n % 100 == 0 else "many"}"}}') for n in range(1, 3000)]
        selection = Selection(filters=(Filter("f", Operator.EQ, value),), sort=(Sort("f"), *NEWEST_FIRST))
        async with database.begin([RECORDS]) as unit:
            await unit.storage.restore(ListState(RECORDS, 3000, True), objects)
            await unit.storage.index(RECORDS, ["f"])

        async with database.begin() as unit:
            found = await unit.storage.list(RECORDS, selection)
            count = await unit.storage.count(RECORDS, selection)

        assert list(found) == select(objects, selection)
        assert count == len(found)
        assert bool(asides) == leaves

    @pytest.mark.parametrize(
        ("value", "looks"),
        [("short", False), (7, False), (None, False), (True, False), ("x" * 200, True), (2**60, True)],
    )
    def test_what_a_key_tells_nobody_looks_for_in_the_json(self, value: Any, looks: bool) -> None:
        for operator, wanted in ((Operator.EQ, value), (Operator.IN, (value, "other"))):
            selection = Selection(filters=(Filter("f", operator, wanted),))
            for compiled in (sql.page, sql.count):
                statement, _ = compiled(DIALECT, RECORDS.parent, RECORDS.resource, selection, ("f",))
                assert ("json" in statement) == looks
                assert "json" in compiled(DIALECT, RECORDS.parent, RECORDS.resource, selection)[0]

    @pytest.mark.parametrize(
        "selection",
        [
            pytest.param(Selection(filters=(Filter("last_modified", Operator.GT, 1),)), id="one that finds much"),
            pytest.param(Selection(filters=(Filter("last_modified", Operator.NOT, 1),)), id="no bound"),
            pytest.param(Selection(limit=ROWS_IN_A_TURN), id="as many as in a turn"),
            pytest.param(Selection(limit=2 * ROWS_IN_A_TURN + 1), id="a page of many, and one more"),
            pytest.param(Selection(), id="all"),
        ],
    )
    async def test_many_objects_that_follow_each_other_are_read_in_turns(
        self, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch, selection: Selection
    ) -> None:
        # However busy the machine is.
        monkeypatch.setattr(sqlite_session, "LONGEST_TURN_S", 60)
        monkeypatch.setattr(sqlite_session.Session, "aside", None)
        objects = [Stored(f"r{n}", n, f'{{"n":{n}}}') for n in range(1, 3 * ROWS_IN_A_TURN)]
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with database.begin([RECORDS]) as unit:
            unit.storage._restore(ListState(RECORDS, len(objects), True), objects)  # type: ignore[attr-defined]
        async with database.begin() as unit:
            other = asyncio.create_task(count_turns())
            found = await unit.storage.list(RECORDS, selection)
            other.cancel()

        assert {each.id for each in found} == {each.id for each in select(objects, selection)}
        assert turns == len(found) // ROWS_IN_A_TURN

    async def test_a_page_behind_many_tombstones_is_read_in_a_thread(
        self, database: SQLiteDatabase, asides: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_session, "LONGEST_TURN_S", 0.0)
        gone = [Stored(f"r{number:04}", number, '{"deleted":true}', True) for number in range(10, 5000)]
        async with database.begin([RECORDS]) as unit:
            await unit.storage.restore(ListState(RECORDS, 5000, True), [Stored("first", 1, "{}"), *gone])
            assert not await unit.storage.list(
                RECORDS, Selection(filters=(Filter("last_modified", Operator.GT, 4990),))
            )
            assert asides == []
            found = await unit.storage.list(RECORDS, Selection(limit=101))
            await unit.storage.put(RECORDS, "second", "{}")

        assert [each.id for each in found] == ["first"]
        assert len(asides) == 1
        async with database.begin() as unit:
            assert len(await unit.storage.list(RECORDS)) == 2

    async def test_a_read_in_turns_is_ended_as_well(
        self, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_session, "LONGEST_READ_S", 0.05)
        with pytest.raises(BackendUnavailable):
            async with database.begin() as unit:
                await unit.session.read_in_turns(self.ENDLESS_ROWS, ())
        assert await database.check()

    async def test_a_unit_goes_on_after_a_read_in_turns_was_cancelled(
        self, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_session, "LONGEST_TURN_S", 60)
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "a", "{}")
            reading = asyncio.create_task(unit.session.read_in_turns(self.ENDLESS_ROWS, ()))  # type: ignore[attr-defined]
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await unit.storage.put(RECORDS, "b", "{}")

        async with database.begin() as unit:
            assert len(await unit.storage.list(RECORDS)) == 2

    async def test_a_read_that_is_cancelled_leaves_no_complaint_behind(self, database: SQLiteDatabase) -> None:
        complaints = list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))

        async def endless() -> None:
            async with database.begin() as unit:
                await unit.session.read_aside(self.ENDLESS, ())

        task = asyncio.create_task(endless())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        del task
        gc.collect()
        assert complaints == []
