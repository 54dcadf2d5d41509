"""PostgreSQL: the contracts, and what only this backend has. Failures are in test_postgresql_failures.py."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.servers.modes import Served, in_nobodys_way
from tests.servers.postgresql import PostgreSQL

from kobako.databases import postgresql_foreseen as foreseen
from kobako.databases import postgresql_migrations
from kobako.databases.base import Foreseen, Sought, UnfitDatabase, attempts
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_connections import LIMITS, Address, check_fitness
from kobako.databases.postgresql_session import Session
from kobako.databases.postgresql_together import if_same
from kobako.permission import postgresql as permission
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Selection, Sort
from kobako.storage import postgresql as storage
from kobako.storage import sql
from kobako.storage.base import Place
from kobako.storage.postgresql_columns import DIALECT
from kobako.testing import Clock, DatabaseContract, PermissionContract, StorageContract
from kobako.testing.concurrency import give_time
from kobako.testing.fixtures import OTHERS, RECORDS, Refused, get, open_list, put, read, refused
from kobako.testing.selections import differences, fill, selections

pytestmark = pytest.mark.server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(clock: Clock, emptied: str, served: Served) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(served.url(), clock)
    await database.open()
    yield database
    await database.close()


class TestPostgreSQL(DatabaseContract, StorageContract, PermissionContract):
    @pytest.fixture
    async def database(self, clock: Clock, emptied: str, served: Served) -> AsyncIterator[PostgreSQLDatabase]:
        database = PostgreSQLDatabase(served.url(), clock)
        await database.open()
        yield database
        await database.close()


class TestForAPooler(DatabaseContract):
    """What a pooler in between asks for: nothing is left on a connection, no statement is prepared by name."""

    @pytest.fixture
    async def database(self, clock: Clock, emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
        database = PostgreSQLDatabase(f"{emptied}?pooler=transaction", clock)
        await database.open()
        yield database
        await database.close()

    async def test_statements_have_limits_there_too(self, database: PostgreSQLDatabase) -> None:
        for lists in ([], [RECORDS]):
            async with database.begin(lists) as unit:
                shown = {name: (await unit.session.run(f"SHOW {name}"))[0][0] for name in LIMITS}

            assert shown == LIMITS

    async def test_nothing_is_left_on_a_connection(self, database: PostgreSQLDatabase) -> None:
        await put(database, "r1", {"a": "b"})
        await read(database, filters=(Filter("a", Operator.LIKE, "b"),))

        async with database.begin() as unit:
            assert [row[0] for row in await unit.session.run("SELECT name FROM pg_prepared_statements")] == []
            changed = await unit.session.run("SELECT name FROM pg_settings WHERE source = 'session' AND name = ANY($1)",
                                             [*LIMITS])  # fmt: skip
        assert len(changed) == len(LIMITS), "set for the transaction"


class TestAddress:
    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
    def test_a_password_is_in_no_name(self, scheme: str) -> None:
        address = Address(f"{scheme}://kobako:secret@db.example.org:5433/box")

        assert address.name == "PostgreSQL at db.example.org/box"
        assert not address.has_pooler

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            pytest.param("mysql://kobako:secret@localhost/box", "not mysql:", id="another database"),
            pytest.param("postgresql://kobako@localhost/box?pooler=often", "pooler=often", id="an unknown pooler"),
            pytest.param("postgresql://kobako@localhost/box?partitions=1", "partitions=1", id="one partition"),
            pytest.param("postgresql://kobako@localhost/box?partitions=many", "partitions=many", id="no number"),
            pytest.param("postgresql://kobako:secret", "its URL has no form", id="no host"),
            pytest.param("postgresql://kobako:secret@localhost/box?sslmode=often", "sslmode", id="a TLS option"),
        ],
    )
    async def test_a_url_that_can_not_be_used_is_refused_without_its_password(self, url: str, reason: str) -> None:
        with pytest.raises(UnfitDatabase, match=reason) as told:
            await PostgreSQLDatabase(url, Clock()).open()

        assert "secret" not in str(told.value)


class TestFitness:
    @pytest.mark.parametrize("version", [9, 12, 13])
    def test_a_version_that_is_not_maintained_is_refused(self, version: int) -> None:
        with pytest.raises(UnfitDatabase, match=f"version {version}: 14 or later"):
            check_fitness(version, "UTF8", "PostgreSQL at localhost/box")

    async def test_another_encoding_is_refused(self, postgresql: PostgreSQL, clock: Clock) -> None:
        postgresql.sql("DROP DATABASE IF EXISTS ascii")
        postgresql.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
        database = PostgreSQLDatabase(postgresql.url("ascii"), clock)

        for step in (database.open, database.migrate):
            with pytest.raises(UnfitDatabase, match="SQL_ASCII: UTF8 is needed"):
                await step()

    async def test_a_database_that_does_not_exist_is_refused(self, postgresql: PostgreSQL, clock: Clock) -> None:
        with pytest.raises(UnfitDatabase, match='"nowhere" does not exist'):
            await PostgreSQLDatabase(postgresql.url("nowhere"), clock).open()

    async def test_a_role_without_rights_is_told_which_it_lacks(self, postgresql: PostgreSQL, clock: Clock) -> None:
        postgresql.sql("DROP DATABASE IF EXISTS strict", "postgres")
        postgresql.sql("DROP ROLE IF EXISTS poor")
        postgresql.sql("CREATE ROLE poor LOGIN")
        postgresql.sql("CREATE DATABASE strict")
        poor = PostgreSQLDatabase(postgresql.url("strict").replace("kobako@", "poor@"), clock)

        with pytest.raises(UnfitDatabase, match="permission denied for schema public"):
            await poor.migrate()
        await PostgreSQLDatabase(postgresql.url("strict"), clock).migrate()
        with pytest.raises(UnfitDatabase, match="permission denied for table metadata"):
            await poor.open()


PARTITIONS = """
    SELECT inhparent::regclass::text, count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
    WHERE relkind = 'r' GROUP BY 1"""


class Mortal(asyncpg.Connection):  # type: ignore[type-arg, unused-ignore]
    """A connection that is lost before its statement of this number."""

    left = 0

    async def execute(self, *args: Any, **kwargs: Any) -> str:
        self.live()
        return await super().execute(*args, **kwargs)

    async def fetchval(self, *args: Any, **kwargs: Any) -> Any:
        self.live()
        return await super().fetchval(*args, **kwargs)

    def live(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.terminate()


class TestMigrations:
    @pytest.fixture
    async def blank(self, postgresql: PostgreSQL) -> str:
        """The URL of a database without a table."""
        postgresql.sql("DROP DATABASE IF EXISTS blank")
        postgresql.sql("CREATE DATABASE blank")
        return postgresql.url("blank")

    async def test_o9_a_database_that_was_not_migrated_is_not_served(self, blank: str, clock: Clock) -> None:
        """O9."""
        with pytest.raises(UnfitDatabase, match="not migrated: run kobako migrate"):
            await PostgreSQLDatabase(blank, clock).open()

    @pytest.mark.parametrize(
        ("version", "reason"),
        [(0, "not migrated: run"), (1, "its schema is 1, "), (1000, "newer than this kobako")],
    )
    async def test_o9_another_schema_is_not_served(self, blank: str, clock: Clock, version: int, reason: str) -> None:
        """O9."""
        await PostgreSQLDatabase(blank, clock).migrate()
        connection = await asyncpg.connect(blank)
        await connection.execute("UPDATE metadata SET value = $1 WHERE key = 'schema_version'", version)
        await connection.close()

        with pytest.raises(UnfitDatabase, match=reason):
            await PostgreSQLDatabase(blank, clock).open()

    async def test_a_migration_says_what_it_did(self, blank: str, clock: Clock) -> None:
        database = PostgreSQLDatabase(blank, clock)

        assert (await database.migrate())[0] == "PostgreSQL at 127.0.0.1/blank: 0001_lists"
        assert await database.migrate() == []

    async def test_tables_are_divided_by_bucket_at_the_first_migration(self, blank: str, clock: Clock) -> None:
        await PostgreSQLDatabase(f"{blank}?partitions=3", clock).migrate()

        assert await self.partitions(blank) == dict.fromkeys(("lists", "objects", "aces", "members"), 3)
        # Whoever does not say a number takes them as they are.
        await self.complete(blank)
        assert await PostgreSQLDatabase(f"{blank}?partitions=3", clock).migrate() == []

    @pytest.mark.parametrize(
        ("first", "later", "reason"),
        [
            pytest.param("", "?partitions=8", "tables in no partitions, not in 8", id="undivided"),
            pytest.param("?partitions=4", "?partitions=8", "tables in 4 partitions, not in 8", id="another number"),
        ],
    )
    async def test_tables_are_not_divided_later(
        self, blank: str, clock: Clock, first: str, later: str, reason: str
    ) -> None:
        await PostgreSQLDatabase(blank + first, clock).migrate()
        before = await self.partitions(blank)

        with pytest.raises(UnfitDatabase, match=f"{reason}.*kobako move"):
            await PostgreSQLDatabase(blank + later, clock).migrate()

        assert await self.partitions(blank) == before

    async def test_a_database_older_than_the_choice_is_undivided(self, blank: str, clock: Clock) -> None:
        await PostgreSQLDatabase(blank, clock).migrate()
        connection = await asyncpg.connect(blank)
        await connection.execute("DELETE FROM metadata WHERE key = 'partitions'")
        await connection.close()

        with pytest.raises(UnfitDatabase, match="tables in no partitions, not in 8"):
            await PostgreSQLDatabase(f"{blank}?partitions=8", clock).migrate()
        assert await PostgreSQLDatabase(blank, clock).migrate() == []

    async def partitions(self, url: str) -> dict[str, int]:
        connection = await asyncpg.connect(url)
        try:
            return dict(await connection.fetch(PARTITIONS))
        finally:
            await connection.close()

    async def test_o9_of_migrations_at_once_each_step_is_done_by_one(self, blank: str, clock: Clock) -> None:
        """O9."""
        done = await asyncio.gather(*(PostgreSQLDatabase(blank, clock).migrate() for _ in range(4)))

        assert sum(map(len, done)) == len(postgresql_migrations.steps())
        await self.complete(blank)

    async def test_o9_a_migration_cut_at_any_statement_can_be_run_again(self, blank: str, clock: Clock) -> None:
        """O9."""
        for statement in range(1, 100):
            connection = await asyncpg.connect(blank, connection_class=Mortal)
            await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            connection.left = statement
            with suppress(asyncpg.InterfaceError):
                await postgresql_migrations.migrate(connection, clock, "PostgreSQL")
            lives = not connection.is_closed()
            connection.terminate()
            await self.complete(blank)
            if lives:
                break

        assert statement > 20, "there were fewer statements than a schema needs"

    async def complete(self, url: str) -> None:
        database = PostgreSQLDatabase(url, Clock())
        await database.migrate()
        await database.open()
        await put(database, "r1")
        await database.close()


BEYOND = [
    *(2**53, 2**53 + 1, 2.0**53, 2**62, 2.0**62, 4611686018427388000, 4.611686018427388e18, 2**63, 2.0**63),
    *(2**64, 2**64 + 1, 2.0**64, 1e16, 10**16, 1e21, 10**21, 10**299, 1e299, 1e308, -(2**63), -(2.0**63), -(2**63) - 1),
    *(1e-7, 0.0000001, 1.5e-10, -0.0, 0, [1e21], [10**21], {"a": 2**64 + 1}, {"a": 2.0**64}, "1e21", 'a":1e21'),
]
"""Numbers whose text does not say which are equal."""

LETTERS = ["K", "K", "k", "İ", "i", "i̇", "ß", "SS", "ΌΣΟΣ", "όσος", "όσοσ", "ÉTÉ", "été", "ﬁ", "50%", "a_b", "a\\b"]
"""Kelvin and i with a dot become ASCII letters, as small ones; a sigma depends on where it stands."""


class TestSelections:
    async def test_numbers_are_equal_as_on_every_backend(self, database: PostgreSQLDatabase) -> None:
        objects = await fill(database, [{"f": each} for each in BEYOND])
        asked = [
            each
            for operator in (Operator.EQ, Operator.NOT, Operator.LT, Operator.MAX, Operator.GT, Operator.MIN)
            for each in selections("f", operator, BEYOND)
        ]
        asked += selections("f", Operator.CONTAINS, [(1e21,), (10**21,)])
        asked += [Selection(sort=(Sort("f", down), *NEWEST_FIRST), limit=9) for down in (True, False)]

        assert await differences(database, objects, asked) == []

    async def test_what_is_stored_keeps_the_spelling_of_numbers_and_the_order_of_keys(
        self, database: PostgreSQLDatabase
    ) -> None:
        text = '{"z":1.0,"a":18446744073709551617,"b":[1e21,1e-7],"aa":-0.0}'
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", text)

        found = await get(database, "r1")
        assert found
        assert found.text == text

    async def test_letters_are_small_or_large_as_on_every_backend(self, database: PostgreSQLDatabase) -> None:
        objects = await fill(database, [{"f": each} for each in [*LETTERS, LETTERS, {"f": LETTERS}]])
        asked = selections("f", Operator.LIKE, [*LETTERS, *(f"*{each}*" for each in LETTERS)])
        asked += selections("id", Operator.LIKE, LETTERS)

        assert await differences(database, objects, asked) == []

    async def test_a_search_through_many_objects_keeps_few(self, database: PostgreSQLDatabase) -> None:
        objects = await fill(database, [{"f": f"É{n % 7}", "g": [n % 10]} for n in range(2300)])
        by_array = (Sort("g"), *NEWEST_FIRST)
        asked = [
            Selection(filters=(Filter("f", Operator.LIKE, "é3"),), sort=sort, limit=limit, after=after)
            for sort, after in ((NEWEST_FIRST, None), (by_array, None), (by_array, ([4], 0)))
            for limit in (3, None)
        ]

        assert await differences(database, objects, asked) == []

    async def test_i8_thousands_of_filters_are_answered(self, database: PostgreSQLDatabase) -> None:
        """I8."""
        written = await put(database, "r1", {"n": 1})
        filters = tuple(Filter("n", Operator.MIN, -n) for n in range(3000))

        assert await read(database, filters=filters) == [written]


async def whole(session: Session, plan: str) -> str:
    """Return a plan in which tables and indexes are called what the whole is called that they are a partition of."""
    rows = await session.run(
        "SELECT part.relname, whole.relname FROM pg_inherits"
        " JOIN pg_class AS part ON part.oid = inhrelid JOIN pg_class AS whole ON whole.oid = inhparent"
    )
    for part, name in rows:
        plan = re.sub(rf"\b{part}\b", name, plan)
    return plan


class TestPlans:
    @pytest.fixture
    async def filled(self, database: PostgreSQLDatabase) -> PostgreSQLDatabase:
        """A database with enough in it for indexes to pay."""
        async with database.begin([RECORDS]) as unit:
            await unit.session.run(
                "INSERT INTO objects SELECT 'b', parent, 'record', 'r' || n, n, false, '{}', '{}' FROM"
                " unnest($1::text[]) AS p (parent), generate_series(1, 5000) AS n",
                [RECORDS.parent, "/buckets/b/collections/d"],
            )
            await unit.session.run(
                "INSERT INTO aces SELECT 'b' || b, '/buckets/b' || b || '/collections/c/records/r' || n, p || n % 500,"
                " 'read' FROM generate_series(1, 25) AS b, generate_series(1, 200) AS n, unnest($1::text[]) AS p (p)",
                ["basicauth:alice", "basicauth:bob", "/buckets/b/groups/g"],
            )
            await unit.session.run(
                "INSERT INTO members SELECT 'b' || g, '/buckets/b' || g || '/groups/' || g, 'u' || n FROM"
                " generate_series(1, 50) AS g, generate_series(1, 100) AS n"
            )
            await unit.session.run(
                "INSERT INTO lists (bucket, parent, resource, last_modified, open)"
                " SELECT 'b' || n, '/buckets/b' || n, 'collection', n, true FROM generate_series(1, 5000) AS n"
            )
        async with database.begin([RECORDS]) as unit:
            for table in ("objects", "aces", "members", "lists"):
                await unit.session.run(f"ANALYZE {table}")
        return database

    async def plan(self, database: PostgreSQLDatabase, statement: str, *values: Any) -> str:
        async with database.begin([RECORDS]) as unit:
            found = "\n".join(row[0] for row in await unit.session.run(f"EXPLAIN {statement}", *values))
            return await whole(unit.session, found)

    @pytest.mark.parametrize(
        ("selection", "condition"),
        [
            pytest.param(Selection(limit=10), "", id="newest first"),
            pytest.param(Selection(limit=10, after=(5,)), "last_modified < ", id="a later page, newest first"),
            pytest.param(
                Selection(filters=(Filter("last_modified", Operator.GT, 4990),), tombstones=True),
                "last_modified > ",
                id="since",
            ),
            pytest.param(
                Selection(
                    filters=(Filter("last_modified", Operator.GT, 5), Filter("n", Operator.EQ, 5)),
                    sort=(Sort("last_modified"),),
                    after=(7,),
                    limit=10,
                ),
                "last_modified > ",
                id="a later page of since, oldest first, filtered",
            ),
            pytest.param(
                Selection(
                    filters=(Filter("last_modified", Operator.LT, 10), Filter("n", Operator.HAS, True)), limit=10
                ),
                "last_modified < ",
                id="before, filtered",
            ),
        ],
    )
    async def test_an_index_leads_to_the_objects(
        self, filled: PostgreSQLDatabase, selection: Selection, condition: str
    ) -> None:
        statement, values = sql.page(DIALECT, RECORDS.parent, RECORDS.resource, selection)

        plan = await self.plan(filled, statement, *values)

        assert re.search(rf"Index Cond: .*{condition}", plan), plan
        assert "objects_bucket_parent_resource_last_modified_key" in plan
        assert "Sort" not in plan
        assert "Seq Scan" not in plan

    @pytest.mark.parametrize(
        ("selection", "condition"),
        [
            pytest.param(Selection(filters=(Filter("g", Operator.EQ, 7),), limit=10001), "key2 = ", id="equal"),
            pytest.param(Selection(filters=(Filter("g", Operator.IN, (7, 8)),)), "key2 = ANY", id="one of some"),
            pytest.param(Selection(filters=(Filter("g", Operator.LT, 1),)), "key2 <= ", id="less"),
            pytest.param(
                Selection(sort=(Sort("g"), *NEWEST_FIRST), limit=5), "parent = ", id="in the order of a field"
            ),
        ],
    )
    async def test_a_declared_index_leads_to_the_objects(
        self, filled: PostgreSQLDatabase, selection: Selection, condition: str
    ) -> None:
        async with filled.begin([RECORDS]) as unit:
            await unit.storage.open(RECORDS)
            await unit.session.run(
                "UPDATE objects SET data = t.text, fields = t.text::jsonb FROM"
                " (SELECT id, '{\"g\":' || last_modified % 500 || '}' AS text FROM objects WHERE parent = $1) AS t"
                " WHERE objects.id = t.id AND parent = $1",
                RECORDS.parent,
            )
            await unit.storage.index(RECORDS, ("f", "g"))
            await unit.session.run("ANALYZE objects")
        statement, values = sql.page(DIALECT, RECORDS.parent, RECORDS.resource, selection, ("f", "g"))

        plan = await self.plan(filled, statement, *values)

        assert re.search(rf"Index Cond: .*{condition}", plan), plan
        assert "objects_by_key2" in plan
        assert "Seq Scan" not in plan

    async def test_what_is_counted_is_in_a_range_of_an_index(self, filled: PostgreSQLDatabase) -> None:
        new = Selection(filters=(Filter("last_modified", Operator.GT, 4990),), tombstones=True)
        statement, values = sql.count(DIALECT, RECORDS.parent, RECORDS.resource, new)

        plan = await self.plan(filled, statement, *values)

        assert re.search(r"Index Cond: .*last_modified > ", plan), plan
        assert "Seq Scan" not in plan

    @pytest.mark.parametrize(
        "selection",
        [
            pytest.param(Selection(limit=101), id="a page"),
            pytest.param(Selection(), id="all"),
            pytest.param(Selection(filters=(Filter("last_modified", Operator.GT, 5),), limit=101), id="since"),
            pytest.param(Selection(filters=(Filter("n", Operator.EQ, 5),), limit=101), id="with a filter"),
        ],
    )
    async def test_objects_whose_ids_are_given_are_looked_up_by_these(
        self, filled: PostgreSQLDatabase, selection: Selection
    ) -> None:
        given = msgspec.structs.replace(selection, ids=frozenset(f"r{n}" for n in range(0, 5000, 50)))
        statement, values = sql.page(DIALECT, RECORDS.parent, RECORDS.resource, given)

        plan = await self.plan(filled, statement, *values)

        assert "objects_pkey" in plan, plan
        assert "Seq Scan" not in plan

    @pytest.mark.parametrize(
        ("objects", "indexes"),
        [([], {"lists_pkey"}), (["r7"], {"objects_pkey"}), (["r7", "r8"], {"objects_pkey", "lists_pkey"})],
    )
    async def test_indexes_lead_to_what_is_foreseen(
        self, filled: PostgreSQLDatabase, objects: list[str], indexes: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run, ran = Session.run, list[tuple[str, tuple[Any, ...]]]()

        async def noted(self: Session, sql: str, *values: Any) -> Any:
            ran.append((sql, values))
            return await run(self, sql, *values)

        uris = tuple(f"{RECORDS.parent}/records/{id}" for id in objects)
        asked = Foreseen(
            user="u1",
            principals=frozenset({"u1"}),
            uris=(*uris, RECORDS.parent, "/buckets/b"),
            objects=tuple(Sought(RECORDS, id, uri) for id, uri in zip(objects, uris, strict=True)),
            place=RECORDS if len(objects) < 2 else None,
        )
        async with filled.begin() as unit:
            with monkeypatch.context() as patched:
                patched.setattr(Session, "run", noted)
                await foreseen.ask(unit.session, asked, {})

        [(statement, values)] = ran
        plan = await self.plan(filled, statement, *values)

        for index in indexes:
            assert index in plan, plan
        # A partition that has nothing in it costs nothing, or the one page that it has had something in.
        assert not re.search(r"Seq Scan .*\.\.(?![01]\.00 )", plan), plan

    @pytest.mark.parametrize(
        ("selection", "index", "declared"),
        [
            (Selection(limit=101), "last_modified_key", []),
            (Selection(limit=101, after=(70,)), "last_modified_key", []),
            (Selection(limit=101, filters=(Filter("last_modified", Operator.GT, 4990),)), "last_modified_key", []),
            (Selection(limit=101, filters=(Filter("g", Operator.EQ, 7),)), "key2", ["f", "g"]),
        ],
    )
    async def test_a_page_that_is_foreseen_is_read_from_an_index_and_only_for_who_may_see_something(
        self,
        filled: PostgreSQLDatabase,
        selection: Selection,
        index: str,
        declared: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async with filled.begin([RECORDS]) as unit:
            await unit.storage.open(RECORDS)
            await unit.storage.index(RECORDS, declared)
            await unit.permission.grant({RECORDS.parent: {"read": ["somebody"]}})
            await unit.session.run("ANALYZE objects")
        run, ran = Session.run, list[tuple[str, tuple[Any, ...]]]()

        async def noted(self: Session, sql: str, *values: Any) -> Any:
            ran.append((sql, values))
            return await run(self, sql, *values)

        for user, is_read in (("somebody", True), ("nobody", False)):
            asked = Foreseen(
                user=user,
                principals=frozenset({user}),
                uris=(RECORDS.parent, "/buckets/b"),
                place=RECORDS,
                selection=selection,
            )
            ran.clear()
            async with filled.begin() as unit:
                with monkeypatch.context() as patched:
                    patched.setattr(Session, "run", noted)
                    await foreseen.ask(unit.session, asked, {RECORDS: declared})
                [(statement, values)] = ran
                rows = await unit.session.run(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *values)
                plan = await whole(unit.session, "\n".join(row[0] for row in rows))

            page = plan.partition("One-Time Filter")[2]
            scans = [line for line in page.splitlines() if re.search(r"Scan.* on objects", line)]
            # Of a table in partitions, one is that of the bucket.
            ran_through = [each for each in scans if "never executed" not in each]
            assert bool(ran_through) == is_read, plan
            assert not any("Seq Scan" in each for each in ran_through), plan
            assert index in page, plan

    async def test_an_index_leads_to_one_object(self, filled: PostgreSQLDatabase) -> None:
        by_id, values = sql.page(DIALECT, *("/buckets/b/collections/c", "record"), Selection(ids=frozenset(["r7"])))

        for plan in (
            await self.plan(filled, storage.GET, "b", RECORDS.parent, "record", "r7"),
            await self.plan(filled, by_id, *values),
        ):
            assert "Index Scan using objects_pkey" in plan
            assert "Seq Scan" not in plan

    async def test_an_object_that_is_written_if_nobody_else_does_is_found_by_keys(
        self, filled: PostgreSQLDatabase
    ) -> None:
        place = ("b", RECORDS.parent, "record")
        put = (storage.PUT, (*place, "r7", 2_000_000_000_000, 2_000_000_000_000, "{}", None))
        for acl in (
            (permission.REPLACE_BY_ONE, ("b", "/uri", "write", "user")),
            (permission.REPLACE, ("b", "/uri", ["read"], ["read"], ["user"])),
        ):
            statement, *values = if_same([put, acl], "1")
            plan = await self.plan(filled, statement, *values)
            assert "Seq Scan" not in plan, plan
            assert plan.count("Index") >= 2, plan

    async def test_so_are_those_that_are_written_together(self, filled: PostgreSQLDatabase) -> None:
        place, put_ids, uris = ("b", RECORDS.parent, "record"), ["r7", "r8"], ["/uri7", "/uri8"]
        versions = [2_000_000_000_000, 2_000_000_000_001]
        named = (["b", "b"], uris, ["write", "write"])
        statement, *values = if_same(
            [
                (storage.PUT_ALL, (*place, versions[-1], put_ids, versions, ["{}", "{}"], [None, None])),
                (permission.REPLACE_ALL, (*named, *named, ["user", "user"])),
            ],
            "1",
            "2",
        )
        plan = await self.plan(filled, statement, *values)
        assert "Seq Scan" not in plan, plan

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("GRANTED", [["b1"], ["/buckets/b1/collections/c/records/r7"], ["basicauth:alice", "system.Everyone"]]),
            ("SHARED", [["basicauth:alice"], "/buckets/b1/collections/d/records", ["read"]]),
            ("ACL", ["b1", "/buckets/b1/collections/c/records/r7"]),
            ("GROUPS", [["u7", "system.Authenticated"]]),
            ("FORGET", [["b1"], ["/buckets/b1/collections/c/records/r7"]]),
            ("HAVE_SOME_UNDER", [["b1"], ["/buckets/b1/collections/c/records/r7"]]),
            ("FORGET_UNDER", ["b1", "/buckets/b1/collections/c/records/r7"]),
            ("REPLACE", ["b1", "/buckets/b1", ["read"], ["read"], ["basicauth:alice"]]),
            ("REPLACE_BY_ONE", ["b1", "/buckets/b1", "read", "basicauth:alice"]),
        ],
    )
    async def test_an_index_leads_to_permissions(
        self, filled: PostgreSQLDatabase, name: str, values: list[Any]
    ) -> None:
        statement = getattr(permission, name)
        plan = await self.plan(filled, getattr(statement, "sql", statement), *values)

        assert "Index" in plan
        assert "Seq Scan" not in plan, plan


class TestLists:
    async def rows(self, database: PostgreSQLDatabase) -> list[tuple[Any, ...]]:
        async with database.begin() as unit:
            found = await unit.session.run("SELECT parent, open, last_modified, purged_before FROM lists")
            return [tuple(row) for row in found]

    async def test_a_list_that_was_locked_and_not_written_leaves_no_row(self, database: PostgreSQLDatabase) -> None:
        async with database.begin([RECORDS]) as unit:
            assert await unit.storage.delete(RECORDS, ["r1"]) == []
            with refused():
                async with unit.savepoint():
                    await unit.storage.put(OTHERS, "r1", "{}")
                    raise Refused

        assert await self.rows(database) == []

    async def test_s20_a_list_closed_without_tombstones_says_what_it_lacks(self, database: PostgreSQLDatabase) -> None:
        """S20."""
        last = (await put(database, "r1")).last_modified

        async with database.begin([RECORDS]) as unit:
            await unit.storage.close_under(RECORDS.parent, tombstones=False)

        assert await self.rows(database) == [(RECORDS.parent, False, last + 1, last + 1)]

    async def test_c9_a_list_made_while_those_under_an_object_are_locked_is_closed_too(
        self, database: PostgreSQLDatabase
    ) -> None:
        """C9."""
        collections = Place("collection", "/buckets/b")
        await put(database, "c", place=collections)
        async with database.begin([collections]) as creating:
            closing = asyncio.create_task(self.close(database, collections))
            await give_time(closing)
            # The other has looked for lists under the bucket by now, and waits for this one.
            await creating.storage.open(RECORDS)
            await creating.storage.put(RECORDS, "r1", "{}")
        await closing

        assert await get(database, "r1") is None
        assert [is_open for _, is_open, _, _ in await self.rows(database)] == [False, False]

    async def close(self, database: PostgreSQLDatabase, *places: Place) -> None:
        for attempt in attempts():
            async with attempt, database.begin(places, ["/buckets/b"]) as unit:
                await unit.storage.close_under("/buckets/b", tombstones=False)

    async def test_c14_units_that_lock_in_one_order_are_in_nobodys_way(self, database: PostgreSQLDatabase) -> None:
        """C14: no deadlock, so none that had to be resolved."""
        buckets, collections = Place("bucket", ""), Place("collection", "/buckets/b")
        records = [Place("record", f"/buckets/b/collections/c{n}") for n in range(4)]
        before = await self.deadlocks(database)

        for place in (*records, collections, buckets):
            await open_list(database, place)

        async def write(n: int) -> None:
            places = [records[n % 4], collections, records[(n * 3 + 1) % 4], buckets][: n % 4 + 1]
            with in_nobodys_way():
                async with database.begin(places[:: -1 if n % 2 else 1]) as unit:
                    for place in places:
                        await unit.storage.put(place, f"r{n}", "{}")

        await asyncio.gather(*(self.close(database, buckets) if n % 9 == 8 else write(n) for n in range(150)))

        assert await self.deadlocks(database) == before

    async def deadlocks(self, database: PostgreSQLDatabase) -> int:
        async with database.begin() as unit:
            rows = await unit.session.run("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            return int(rows[0][0])
