"""Moving to another database: the copy is equal, or the reason is told. Source: design, "One file to a cluster"."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from tests.servers.modes import Served
from tests.servers.valkey import Valkey

from kobako import moving
from kobako.cli import cli
from kobako.databases.base import Database
from kobako.databases.memory import MemoryDatabase
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.redis import RedisDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.protocol.selection import Selection
from kobako.storage.base import Place
from kobako.testing.fixtures import RECORDS, Clock, put, timestamp

ROOT = Place("bucket", "")
MANY = 2 * moving.PAGE + 3


def quietly(*_: Any) -> None:
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def source(clock: Clock) -> MemoryDatabase:
    """A database with lists of every kind: long, short, empty, closed, purged; and with rights."""
    database = MemoryDatabase(clock)
    empty = Place("group", "/buckets/b")
    async with database.begin([ROOT]) as unit:
        await unit.storage.put(ROOT, "b", "{}")
        await unit.storage.put(Place("record", "/buckets/gone/collections/c"), "r", "{}")
        await unit.storage.put(Place("record", "/buckets/b/collections/left"), "r", "{}")
        await unit.storage.close_under("/buckets/gone", tombstones=False)
        await unit.storage.close_under("/buckets/b/collections/left", tombstones=True)
        await unit.storage.open(empty)
        for n in range(MANY):
            await unit.storage.put(RECORDS, f"r{n}", f'{{"n":{n},"é":1e300}}')
        await unit.storage.delete(RECORDS, ["r1", "r5"])
        for n in range(MANY):
            await unit.permission.replace(f"{RECORDS.parent}/records/r{n}", {"read": ["basicauth:a", f"basicauth:{n}"]})
            await unit.permission.join(f"/buckets/b/groups/{n}", ["basicauth:a"])
    clock.now += 60_000
    return database


@pytest.fixture
async def target(clock: Clock, tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(tmp_path / "target.db", clock)
    await database.migrate()
    await database.open()
    yield database
    await database.close()


async def everything(database: Database) -> list[Any]:
    async with database.begin() as unit:
        states = await unit.storage.states(None, 10**6)
        lists = [await unit.storage.list(each.place, Selection(tombstones=True)) for each in states]
        acls, members = await unit.permission.acls("", 10**6), await unit.permission.members("", 10**6)
        rights = {uri: {each: sorted(acl[each]) for each in acl} for uri, acl in acls.items()}
        return [await unit.storage.epoch(), states, lists, rights, {each: sorted(members[each]) for each in members}]


async def test_indexes_that_collections_declare_are_there_after_it(
    source: MemoryDatabase, target: SQLiteDatabase
) -> None:
    async with source.begin([ROOT]) as unit:
        await unit.storage.put(Place("collection", "/buckets/b"), "c", '{"indexes":["n"]}')

    await moving.move(source, target, quietly)

    async with target.begin() as unit:
        assert unit.session.run("SELECT parent FROM lists WHERE indexes = '[\"n\"]'") == [(RECORDS.parent,)]
        assert unit.session.run("SELECT count(*) FROM objects WHERE key1 IS NOT NULL") == [(MANY - 2,)]


async def test_everything_is_copied_there_and_back(
    source: MemoryDatabase, target: SQLiteDatabase, clock: Clock
) -> None:
    again = MemoryDatabase(clock)

    moved = await moving.move(source, target, quietly)
    back = await moving.move(target, again, quietly)

    # b, its records, groups and the closed list; the list whose bucket is gone
    assert (moved.lists, moved.objects, moved.acls, moved.groups) == (5, MANY + 2, MANY, MANY)
    assert back == moved
    assert await everything(source) == await everything(target) == await everything(again)


async def test_a_client_goes_on_where_it_was(source: MemoryDatabase, target: SQLiteDatabase) -> None:
    etag = await timestamp(source)

    await moving.move(source, target, quietly)

    assert await timestamp(target) == etag
    assert (await put(target, "new")).last_modified > etag


async def test_progress_is_told(source: MemoryDatabase, target: SQLiteDatabase) -> None:
    told: dict[str, int] = {}

    def tell(doing: str, objects: int) -> None:
        told[doing] = told.get(doing, 0) + objects

    await moving.move(source, target, tell)

    assert told == {"Copying": MANY + 2, "Comparing": MANY + 2}


@pytest.mark.parametrize("held", ["objects", "lists", "acls", "members"])
async def test_a_target_that_is_not_empty_is_refused(source: MemoryDatabase, target: SQLiteDatabase, held: str) -> None:
    async with target.begin([ROOT]) as unit:
        match held:
            case "objects":
                await unit.storage.put(ROOT, "b", "{}")
            case "lists":
                await unit.storage.open(ROOT)
            case "acls":
                await unit.permission.replace("/buckets/b", {"read": ["basicauth:a"]})
            case _:
                await unit.permission.join("/buckets/b/groups/g", ["basicauth:a"])
    before = await everything(target)

    with pytest.raises(moving.CannotMove, match="not empty"):
        await moving.move(source, target, quietly)

    assert await everything(target) == before


@pytest.mark.parametrize("changed", ["object", "list", "acl", "membership"])
async def test_what_changes_meanwhile_is_found(source: MemoryDatabase, target: SQLiteDatabase, changed: str) -> None:
    async def change() -> None:
        async with source.begin([RECORDS]) as unit:
            match changed:
                case "object":
                    state = next(each for each in await unit.storage.states() if each.place == RECORDS)
                    found = await unit.storage.list(RECORDS, Selection(limit=1))
                    # Nothing but the text of one object is another.
                    await unit.storage.restore(state, [msgspec.structs.replace(found[0], text='{"n":0}')])
                case "list":
                    await unit.storage.put(RECORDS, "new", "{}")
                case "acl":
                    await unit.permission.replace(f"{RECORDS.parent}/records/r0", {"write": ["basicauth:b"]})
                case _:
                    await unit.permission.leave("/buckets/b/groups/0", ["basicauth:a"])

    copy = moving._compare

    async def compare_after_a_change(*what: Any) -> None:
        await change()
        await copy(*what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving, "_compare", compare_after_a_change)
        with pytest.raises(moving.CannotMove, match="written to meanwhile"):
            await moving.move(source, target, quietly)


# Real servers


@pytest.fixture(params=["postgresql", "redis"])
def closed(request: pytest.FixtureRequest, clock: Clock) -> Database:
    """A database on a server, as other tests left it."""
    if request.param == "postgresql":
        served: Served = request.getfixturevalue("served")
        return PostgreSQLDatabase(served.url(), clock)
    valkey: Valkey = request.getfixturevalue("valkey")
    return RedisDatabase(valkey.url(), clock, prefix=f"{uuid.uuid4()}:")


@pytest.fixture
async def server(closed: Database) -> AsyncIterator[Database]:
    await closed.open()
    await closed.flush()
    yield closed
    await closed.close()


@pytest.mark.server
async def test_everything_is_copied_to_a_server_and_back(
    source: MemoryDatabase, target: SQLiteDatabase, server: Database, clock: Clock, tmp_path: Path
) -> None:
    again = SQLiteDatabase(tmp_path / "again.db", clock)
    await again.migrate()
    await again.open()

    await moving.move(source, target, quietly)
    moved = await moving.move(target, server, quietly)
    back = await moving.move(server, again, quietly)

    assert (moved.objects, moved.acls, moved.groups) == (MANY + 2, MANY, MANY)
    assert back == moved
    assert await everything(target) == await everything(server) == await everything(again)
    await again.close()


# The command


async def filled(path: Path) -> None:
    database = SQLiteDatabase(path, Clock())
    await database.migrate()
    await database.open()
    await put(database, "r1")
    await database.close()


def test_the_command_copies_and_says_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(filled(tmp_path / "old.db"))

    result = CliRunner().invoke(cli, ["move", "--from", "sqlite:///old.db", "--to", "sqlite:///new.db"])

    assert result.exit_code == 0, result.output
    assert "1 lists with 1 objects and tombstones, 0 ACLs, 0 groups." in result.stderr


@pytest.mark.parametrize(
    ("urls", "reason"),
    [
        (("sqlite:///nothing.db", "sqlite:///new.db"), "nothing.db is not migrated"),
        (("sqlite:///old.db", "sqlite:///old.db"), "not empty"),
        (("mysql://me:password@host/db", "sqlite:///new.db"), "--from is 'mysql://***@host/db'"),
        (("sqlite:///old.db", "new.db"), "--to is 'new.db'"),
    ],
)
def test_the_command_says_why_it_can_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urls: tuple[str, str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(filled(tmp_path / "old.db"))

    result = CliRunner().invoke(cli, ["move", "--from", urls[0], "--to", urls[1]])

    assert result.exit_code == 1
    assert reason in result.stderr
