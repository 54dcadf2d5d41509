"""SQLite: what was read of permissions is kept until something is committed, and not a moment longer (P13)."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from kobako.databases.base import BackendUnavailable
from kobako.databases.sqlite import SQLiteDatabase
from kobako.permission import sqlite as permission
from kobako.permission.sqlite import Kept
from kobako.storage.base import Place
from kobako.testing import Clock
from kobako.testing.fixtures import RECORDS, put

URI = "/buckets/b"

FROM_ELSEWHERE = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("DELETE FROM aces")
connection.execute("DELETE FROM members")
"""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(tmp_path / "objects.db", Clock())
    await database.migrate()
    await database.open()
    async with database.begin([RECORDS]) as unit:
        await unit.permission.join("/buckets/b/groups/g", ["user"])
        await unit.permission.replace(URI, {"read": ["user"]})
    yield database
    await database.close()


async def seen(database: SQLiteDatabase, *lists: Place) -> tuple[set[str], set[tuple[str, str]]]:
    async with database.begin(lists) as unit:
        return {*await unit.permission.groups("user")}, {*await unit.permission.granted(["user"], [URI])}


ALL = ({"/buckets/b/groups/g"}, {(URI, "read")})


async def test_a_permission_that_is_taken_is_gone_for_the_next_unit(database: SQLiteDatabase) -> None:
    assert await seen(database) == ALL
    async with database.begin([RECORDS]) as unit:
        await unit.permission.replace(URI, {"read": []})
        await unit.permission.leave("/buckets/b/groups/g", ["user"])
    assert await seen(database) == (set(), set())


async def test_what_another_process_takes_is_gone_too(database: SQLiteDatabase, tmp_path: Path) -> None:
    assert await seen(database) == ALL
    command = [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "objects.db"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    assert await seen(database) == (set(), set())


async def test_a_unit_has_its_snapshot_and_leaves_nothing_of_it_to_the_next(database: SQLiteDatabase) -> None:
    async with database.begin() as old:
        assert await old.storage.timestamp(RECORDS) is None
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(URI, {"read": [], "write": ["user"]})
        assert await old.permission.granted(["user"], [URI]) == {(URI, "read")}
    # The same connection, by then of another version.
    assert (await seen(database))[1] == {(URI, "write")}


async def test_a_unit_that_writes_sees_what_it_wrote(database: SQLiteDatabase) -> None:
    async with database.begin([RECORDS]) as unit:
        assert await unit.permission.granted(["user"], [URI]) == {(URI, "read")}
        await unit.permission.replace(URI, {"read": []})
        assert not await unit.permission.granted(["user"], [URI])


async def test_units_that_write_keep_what_they_read_and_leave_as_it_is(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await seen(database, RECORDS) == ALL
    await put(database, "r1", "{}")
    async with database.begin([RECORDS]) as unit:
        await unit.permission.replace("/buckets/other", {"read": ["user"]})
    for name in ("GROUPS", "ACES", "GRANTED"):
        monkeypatch.setattr(permission, name, "no SQL")
    assert await seen(database, RECORDS) == ALL


@pytest.mark.parametrize(
    "write",
    [
        lambda unit: unit.permission.replace(URI, {"read": ["other"]}),
        lambda unit: unit.permission.grant({URI: {"write": ["user"]}}),
        lambda unit: unit.permission.forget([URI]),
        lambda unit: unit.permission.forget(["/buckets/b/groups/g"]),
        lambda unit: unit.permission.erase("user"),
        lambda unit: unit.permission.join("/buckets/b/groups/h", ["user"]),
        lambda unit: unit.permission.join("/buckets/b/groups/h", ["system.Authenticated"]),
        lambda unit: unit.permission.leave("/buckets/b/groups/g", ["user"]),
    ],
)
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("as_a_part", [True, False])
async def test_they_keep_nothing_that_was_changed_or_undone(
    database: SQLiteDatabase, write: Callable[[Any], Awaitable[None]], is_kept: bool, as_a_part: bool
) -> None:
    async def change() -> None:
        async with database.begin([RECORDS]) as unit, unit.savepoint() if as_a_part else nullcontext():
            await write(unit)
            during = (
                {*await unit.permission.groups("user")},
                {*await unit.permission.granted(["user"], [URI])},
            )
            assert during != ALL
            if not is_kept:
                raise ZeroDivisionError

    assert await seen(database, RECORDS) == ALL
    with nullcontext() if is_kept else pytest.raises(ZeroDivisionError):
        await change()
    assert (await seen(database, RECORDS) == ALL) != is_kept
    assert await seen(database, RECORDS) == await seen(database)


async def test_nor_what_was_changed_in_a_part_that_is_undone(database: SQLiteDatabase) -> None:
    async with database.begin([RECORDS]) as unit:
        with suppress(ZeroDivisionError):
            async with unit.savepoint():
                await unit.permission.replace(URI, {"read": []})
                await unit.permission.leave("/buckets/b/groups/g", ["user"])
                assert not await unit.permission.granted(["user"], [URI])
                assert not await unit.permission.groups("user")
                raise ZeroDivisionError
        assert await unit.permission.granted(["user"], [URI]) == ALL[1]
        assert await unit.permission.groups("user") == ALL[0]
    assert await seen(database, RECORDS) == ALL


async def test_they_see_what_another_process_takes(database: SQLiteDatabase, tmp_path: Path) -> None:
    assert await seen(database, RECORDS) == ALL
    command = [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "objects.db"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    assert await seen(database, RECORDS) == (set(), set())


async def test_they_see_that_everything_was_removed(database: SQLiteDatabase) -> None:
    assert await seen(database, RECORDS) == ALL
    await database.flush()
    assert await seen(database, RECORDS) == (set(), set())


async def test_what_a_commit_that_failed_would_have_changed_is_not_known(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take() -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(URI, {"read": []})
            assert not await unit.permission.granted(["user"], [URI])

    with monkeypatch.context() as patched:
        patched.setattr(database._writer, "_commit", lambda: apsw.FullError("the disk is full"))
        with pytest.raises(BackendUnavailable):
            await take()
    assert await seen(database, RECORDS) == ALL


async def test_nor_what_a_unit_saw_of_another_of_its_group_that_was_undone(database: SQLiteDatabase) -> None:
    """The second begins before the first is committed."""
    begun = asyncio.Event()

    async def take() -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(URI, {"read": []})
            begun.set()
            await asyncio.sleep(0)
            assert not await unit.permission.granted(["user"], [URI])
            raise ZeroDivisionError

    first = asyncio.create_task(take())
    await begun.wait()
    second = asyncio.create_task(seen(database, RECORDS))
    with pytest.raises(ZeroDivisionError):
        await first
    assert await second == ALL


async def test_a_change_that_is_undone_was_never_seen(database: SQLiteDatabase) -> None:
    async def fail() -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(URI, {"read": []})
            assert await seen(database) == ALL
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await seen(database) == ALL


async def test_nothing_is_asked_twice_while_nothing_is_committed(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seen(database)
    monkeypatch.setattr(permission, "GROUPS", "no SQL")
    monkeypatch.setattr(permission, "ACES", "no SQL")
    monkeypatch.setattr(permission, "GRANTED", "no SQL")
    assert await seen(database) == ALL
    monkeypatch.undo()
    await put(database, "r1", "{}")
    monkeypatch.setattr(permission, "GROUPS", "no SQL")
    with pytest.raises(Exception, match="syntax error"):
        await seen(database)


def test_answers_are_not_kept_without_end() -> None:
    kept = Kept()
    for each in range(permission.MOST_KEPT + 1):
        kept.at(1)[each] = True
    assert len(kept) == permission.MOST_KEPT + 1
    assert not kept.at(1)


async def test_the_version_tells_of_commits_whoever_makes_them(database: SQLiteDatabase, tmp_path: Path) -> None:
    versions = [database.version(), database.version()]
    await put(database, "r1", "{}")
    versions.append(database.version())
    command = [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "objects.db"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    versions.append(database.version())
    await seen(database)
    versions.append(database.version())

    assert versions[0] == versions[1]
    assert len({*versions}) == 3
    assert versions[-1] == versions[-2]


async def test_a_version_of_what_is_closed_is_unavailable(database: SQLiteDatabase) -> None:
    await database.close()
    with pytest.raises(BackendUnavailable):
        database.version()


async def test_answers_about_long_names_are_not_kept(database: SQLiteDatabase) -> None:
    """Anybody may ask for them, as often as they like."""
    long = f"/buckets/{'b' * permission.LONGEST_KEPT}"
    async with database.begin() as unit:
        kept = unit.permission._kept
        assert not await unit.permission.granted(["user"], [long])
        assert await unit.permission.granted(["user"], [URI])
    assert kept is not None
    assert [*kept] == [URI]


async def test_a_version_is_another_one_once_anything_was_committed(database: SQLiteDatabase, tmp_path: Path) -> None:
    first = database.version()
    await seen(database)
    assert database.version() == first
    async with database.begin([RECORDS]) as unit:
        await unit.permission.replace(URI, {"read": ["other"]})
    second = database.version()
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "objects.db"], check=True)
    assert len({first, second, database.version()}) == 3


async def test_a_version_is_another_one_after_the_database_was_closed(database: SQLiteDatabase, tmp_path: Path) -> None:
    first = database.version()
    await database.close()
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "objects.db"], check=True)
    await database.open()
    assert database.version() != first
