"""The commands that look after what is stored: objects, 26.2; reliability, S20 and P19."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner, Result

from kobako import stock
from kobako.cache.sqlite import SQLiteCache
from kobako.cli import cli
from kobako.databases.sqlite import SQLiteDatabase
from kobako.storage.base import Place
from kobako.testing.fixtures import delete, get, put, read

RECORDS = Place("record", "/buckets/b/collections/c")
COLLECTIONS = Place("collection", "/buckets/b")
BUCKETS = Place("bucket", "")

T = TypeVar("T")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, with these variables."""
    monkeypatch.chdir(tmp_path)
    for name in stock.INI_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments, **environ: CliRunner().invoke(cli, arguments, env=environ)


@pytest.fixture
def database(run: Run) -> SQLiteDatabase:
    """The database of the folder: a bucket with a collection, in it a record and three tombstones."""
    database = SQLiteDatabase(Path("kobako.db"), lambda: time.time_ns() // 1_000_000)
    assert run("migrate").exit_code == 0

    async def fill() -> None:
        await put(database, "b", place=BUCKETS)
        for name in ("c", "gone"):
            await put(database, name, place=COLLECTIONS)
        await delete(database, "gone", place=COLLECTIONS)
        await put(database, "live")
        for n in range(3):
            await put(database, f"r{n}")
            await delete(database, f"r{n}")

    asyncio.run(opened(database, fill))
    return database


async def opened(database: SQLiteDatabase, do: Callable[[], Awaitable[T]]) -> T:
    await database.open()
    try:
        return await do()
    finally:
        await database.close()


def ids(database: SQLiteDatabase, place: Place = RECORDS) -> list[str]:
    """Return what is in a list, tombstones too."""
    found = asyncio.run(opened(database, lambda: read(database, place, tombstones=True)))
    return sorted(each.id for each in found)


def lines(result: Result) -> Sequence[str]:
    return result.stderr.splitlines()


# purge-deleted


def test_so_many_tombstones_of_each_list_are_kept(run: Run, database: SQLiteDatabase) -> None:
    result = run("purge-deleted", "record", "collection", "1")

    assert result.exit_code == 0
    assert lines(result) == ["INFO   Keep only 1 tombstones per parent and resource.", "INFO   2 tombstone(s) deleted."]
    assert ids(database) == ["live", "r2"]
    assert ids(database, COLLECTIONS) == ["c", "gone"]


def test_types_that_are_not_named_are_left(run: Run, database: SQLiteDatabase) -> None:
    assert run("purge-deleted", "record", "0").exit_code == 0

    assert ids(database) == ["live"]
    assert ids(database, COLLECTIONS) == ["c", "gone"]


@pytest.mark.parametrize(("age", "left"), [("1d", ["live", "r0", "r1", "r2"]), ("1s", ["live"])])
def test_what_is_older_is_removed(run: Run, database: SQLiteDatabase, age: str, left: list[str]) -> None:
    until = time.time() + 1.1 if age == "1s" else 0
    while time.time() < until:
        time.sleep(0.05)

    result = run("purge-deleted", "record", "--older-than", age)

    assert result.exit_code == 0
    assert lines(result)[0] == f"INFO   Keep only tombstones of the last {age}."
    assert lines(result)[1] == f"INFO   {4 - len(left)} tombstone(s) deleted."
    assert ids(database) == left


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["record"], "'record' is no maximum"),
        (["1000"], "'1000' is no maximum: give types"),
        (["record", "-5"], "No such option"),
        (["record", "1.5"], "'1.5' is no maximum"),
        (["record", "5", "--older-than", "1d"], "either a maximum or --older-than"),
        (["record", "--older-than", "soon"], "--older-than is 'soon': must be a whole number of 1 or more with a unit"),
        (["record", "--older-than", "0d"], "must be a whole number of 1 or more"),
        (["record", "--older-than", ""], "--older-than is ''"),
        ([], "Missing argument"),
    ],
)
def test_what_is_to_be_purged_has_to_be_said(
    run: Run, database: SQLiteDatabase, arguments: Iterable[str], reason: str
) -> None:
    result = run("purge-deleted", *arguments)

    assert result.exit_code == 2
    assert reason in result.stderr
    assert len(ids(database)) == 4


def test_a_kind_that_there_is_not_is_named(run: Run, database: SQLiteDatabase) -> None:
    result = run("purge-deleted", "record", "recrod", "0")

    assert result.exit_code == 1
    assert "'recrod' is no kind of object: there are bucket, group, collection, record" in result.stderr
    assert len(ids(database)) == 4


def test_p19_nothing_is_purged_in_readonly_mode(run: Run, database: SQLiteDatabase) -> None:
    """P19."""
    result = run("purge-deleted", "record", "0", KOBAKO_READONLY="true")

    assert result.exit_code == 1
    assert lines(result) == ["Cannot purge tombstones while in readonly mode."]
    assert len(ids(database)) == 4


@pytest.mark.parametrize(
    "arguments", [("purge-deleted", "record", "0"), ("delete-collection", "--bucket=b", "--collection=c")]
)
def test_the_memory_of_a_server_is_not_purged_from_outside(run: Run, arguments: Sequence[str]) -> None:
    result = run(*arguments, KOBAKO_STORAGE_BACKEND="memory", KOBAKO_USERID_HMAC_SECRET="long enough, for a test")

    assert result.exit_code == 1
    assert "only the server itself sees what is in it" in result.stderr


# delete-collection


def test_a_collection_goes_with_its_records_and_rights(run: Run, database: SQLiteDatabase) -> None:
    async def share() -> None:
        async with database.begin([COLLECTIONS]) as unit:
            await unit.permission.replace(f"{RECORDS.parent}/records/live", {"read": ["alice"]})

    asyncio.run(opened(database, share))
    result = run("delete-collection", "--bucket", "b", "--collection", "c")

    async def left() -> object:
        async with database.begin() as unit:
            return await unit.permission.acl(f"{RECORDS.parent}/records/live"), await get(database, "c", COLLECTIONS)

    assert result.exit_code == 0
    assert lines(result) == ["INFO   '/buckets/b/collections/c' was deleted, with its records."]
    assert ids(database) == []
    assert asyncio.run(opened(database, left)) == ({}, None)


def test_who_polls_the_collections_learns_that_one_was_deleted(run: Run, database: SQLiteDatabase) -> None:
    run("delete-collection", "--bucket", "b", "--collection", "c")

    found = asyncio.run(opened(database, lambda: read(database, COLLECTIONS, tombstones=True)))

    assert [(each.id, each.deleted) for each in found] == [("c", True), ("gone", True)]


@pytest.mark.parametrize(
    ("bucket", "collection", "status", "reason"),
    [
        ("x", "c", 32, "Bucket '/buckets/x' does not exist."),
        ("b", "x", 33, "Collection '/buckets/b/collections/x' does not exist."),
        ("b", "gone", 33, "Collection '/buckets/b/collections/gone' does not exist."),
    ],
)
def test_what_is_unknown_is_told_by_the_exit_status(
    run: Run, database: SQLiteDatabase, bucket: str, collection: str, status: int, reason: str
) -> None:
    result = run("delete-collection", "--bucket", bucket, "--collection", collection)

    assert result.exit_code == status
    assert lines(result) == [f"ERROR  {reason}"]
    assert len(ids(database)) == 4


def test_p19_no_collection_is_deleted_in_readonly_mode(run: Run, database: SQLiteDatabase) -> None:
    """P19."""
    result = run("delete-collection", "--bucket", "b", "--collection", "c", KOBAKO_READONLY="true")

    assert result.exit_code == 31
    assert lines(result) == ["ERROR  Cannot delete the collection while in readonly mode."]
    assert len(ids(database)) == 4


# flush-cache


def test_the_cache_is_emptied(run: Run, database: SQLiteDatabase) -> None:
    cache = SQLiteCache(Path("kobako-cache.db"), "", lambda: time.time_ns() // 1_000_000)

    async def fill() -> None:
        await cache.set("key", 1, 60)
        await cache.close()

    async def found() -> object:
        try:
            return await cache.get("key")
        finally:
            await cache.close()

    asyncio.run(fill())
    assert asyncio.run(found()) == 1

    result = run("flush-cache")

    assert result.exit_code == 0
    assert lines(result) == ["INFO   Cache has been cleared."]
    assert asyncio.run(found()) is None


def test_a_cache_in_the_memory_of_a_server_is_not_emptied_from_outside(run: Run) -> None:
    result = run("flush-cache", KOBAKO_CACHE_BACKEND="memory")

    assert result.exit_code == 1
    assert "Setting 'cache_backend' is 'memory': only the server itself sees what is in it." in result.stderr
