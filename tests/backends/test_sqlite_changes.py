"""SQLite: a commit is known not to concern a list only where that is so, whoever makes it (P13, S1)."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from kobako.databases import sqlite_changes
from kobako.databases.base import BackendUnavailable
from kobako.databases.parents import parent_of
from kobako.databases.sqlite import SQLiteDatabase
from kobako.storage.base import ListState, Place
from kobako.testing import Clock
from kobako.testing.fixtures import put

BUCKETS = Place("bucket", "")
COLLECTIONS = Place("collection", "/buckets/b")
RECORDS = Place("record", "/buckets/b/collections/c")
OTHERS = Place("record", "/buckets/b/collections/other")
ELSEWHERE = Place("collection", "/buckets/elsewhere")
PARENTS = tuple(each.parent for each in (BUCKETS, COLLECTIONS, RECORDS, OTHERS, ELSEWHERE))


async def opened(path: Path) -> SQLiteDatabase:
    database = SQLiteDatabase(path, Clock())
    await database.migrate()
    await database.open()
    return database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    database = await opened(tmp_path / "objects.db")
    for place in (RECORDS, OTHERS):
        await put(database, "r1", place=place)
    yield database
    await database.close()


def versions(database: SQLiteDatabase) -> dict[str, Any]:
    database.version()
    return {parent: database.version_of(parent) for parent in PARENTS}


async def concerned(database: SQLiteDatabase, *writes: Callable[[Any], Awaitable[Any]]) -> set[str]:
    """The parents of the lists that a unit concerns which does this."""
    before = versions(database)
    async with database.begin([RECORDS]) as unit:
        for write in writes:
            await write(unit)
    after = versions(database)
    return {parent for parent in PARENTS if before[parent] != after[parent]}


IN_RECORDS = {RECORDS.parent}
IN_COLLECTIONS = {COLLECTIONS.parent, RECORDS.parent, OTHERS.parent}


@pytest.mark.parametrize(
    ("write", "about"),
    [
        (lambda unit: unit.storage.put(RECORDS, "r1", '{"n":1}'), IN_RECORDS),
        (lambda unit: unit.storage.put(RECORDS, "r2", "{}", 5), IN_RECORDS),
        (lambda unit: unit.storage.put_all(RECORDS, [("r1", "{}"), ("r3", "{}")]), IN_RECORDS),
        (lambda unit: unit.storage.delete(RECORDS, ["r1"]), IN_RECORDS),
        (lambda unit: unit.storage.purge(RECORDS, 2**50), IN_RECORDS),
        (lambda unit: unit.storage.index(RECORDS, ["n"]), IN_RECORDS),
        (lambda unit: unit.storage.restore(ListState(RECORDS, 9, True, 0), []), IN_RECORDS),
        (lambda unit: unit.permission.replace(f"{RECORDS.parent}/records/r1", {"read": ["u"]}), IN_RECORDS),
        (lambda unit: unit.permission.grant({f"{RECORDS.parent}/records/r1": {"read": ["u"]}}), IN_RECORDS),
        (lambda unit: unit.permission.replace("/buckets/b/collections/c", {"read": ["u"]}), IN_COLLECTIONS),
        (lambda unit: unit.storage.open(ELSEWHERE), {ELSEWHERE.parent}),
        (lambda unit: unit.storage.put(COLLECTIONS, "c", "{}"), IN_COLLECTIONS),
        (lambda unit: unit.storage.put(BUCKETS, "b", "{}"), {*PARENTS}),
        (lambda unit: unit.permission.replace("/buckets/b", {"read": ["u"]}), {*PARENTS}),
        (lambda unit: unit.permission.forget([f"{RECORDS.parent}/records/r1"]), {*PARENTS}),
        (lambda unit: unit.permission.join("/buckets/b/groups/g", ["u"]), {*PARENTS}),
        (lambda unit: unit.permission.leave("/buckets/b/groups/g", ["u"]), {*PARENTS}),
        (lambda unit: unit.permission.erase("u"), {*PARENTS}),
        (lambda unit: unit.storage.close_under("/buckets/b", tombstones=True), {*PARENTS}),
        (lambda unit: unit.storage.set_epoch(1), {*PARENTS}),
        (lambda unit: unit.storage.timestamp(RECORDS), set()),
    ],
)
async def test_a_unit_concerns_the_lists_that_it_changes(
    database: SQLiteDatabase, write: Callable[[Any], Awaitable[Any]], about: Collection[str]
) -> None:
    assert await concerned(database, write) == about


async def test_so_does_each_unit_of_a_group(database: SQLiteDatabase) -> None:
    before = versions(database)
    await asyncio.gather(put(database, "r9", place=RECORDS), put(database, "c9", place=ELSEWHERE))
    after = versions(database)
    assert {each for each in PARENTS if before[each] != after[each]} == {RECORDS.parent, ELSEWHERE.parent}


async def test_to_remove_everything_concerns_everything(database: SQLiteDatabase) -> None:
    before = versions(database)
    await database.flush()
    assert not {*before.items()} & {*versions(database).items()}


@pytest.mark.parametrize("is_before", [True, False])
async def test_what_others_commit_concerns_everything(
    database: SQLiteDatabase, tmp_path: Path, is_before: bool
) -> None:
    """Also where it comes just before, or after, a commit of our own, and both are looked at together."""
    other = await opened(tmp_path / "objects.db")
    before = versions(database)
    for each in (other, database) if is_before else (database, other):
        await put(each, "r2", place=OTHERS)
    assert not {*before.items()} & {*versions(database).items()}
    await other.close()


@pytest.mark.parametrize("after", [1, 2])
async def test_what_others_commit_while_our_own_commit_is_looked_at_concerns_everything(
    database: SQLiteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    other = apsw.Connection(str(tmp_path / "objects.db"))
    number, asked = sqlite_changes._number, list[Any]()

    def meanwhile(connection: apsw.Connection) -> Any:
        asked.append(number(connection))
        if len(asked) == after:
            other.execute('UPDATE objects SET data = \'{"of": "others"}\'')
        return asked[-1]

    before = versions(database)
    await put(database, "r2", place=OTHERS)
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_changes, "_number", meanwhile)
        versions(database)
    assert len(asked) == 2
    assert not {*before.items()} & {*versions(database).items()}


async def test_who_writes_asks_nothing(database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    number, asked = sqlite_changes._number, list[Any]()
    before = versions(database)

    def noted(connection: apsw.Connection) -> Any:
        asked.append(connection)
        return number(connection)

    monkeypatch.setattr(sqlite_changes, "_number", noted)
    for _ in range(5):
        await put(database, "r2", place=OTHERS)
    assert asked == []
    after = versions(database)
    assert len(asked) == 2
    assert {parent for parent in PARENTS if before[parent] != after[parent]} == {OTHERS.parent}


@pytest.mark.parametrize("others", [False, True])
async def test_within_a_unit_it_is_known_what_was_before(
    database: SQLiteDatabase, tmp_path: Path, others: bool
) -> None:
    """Nobody else commits meanwhile, so readers need not wait for its end."""
    before = versions(database)
    await put(database, "r2", place=OTHERS)
    if others:
        with apsw.Connection(str(tmp_path / "objects.db")) as other:
            other.execute('UPDATE objects SET data = \'{"of": "others"}\'')
    async with database.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, "r1", "{}")
        during = versions(database)
    after = versions(database)
    changed = {parent for parent in PARENTS if before[parent] != during[parent]}
    assert changed == ({*PARENTS} if others else {OTHERS.parent})
    assert {parent for parent in PARENTS if during[parent] != after[parent]} == IN_RECORDS


async def test_while_a_thread_has_the_writer_it_is_not_asked(
    database: SQLiteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It copies the log: what we committed before it is known, what others commit meanwhile is not."""
    writer = database._writer
    before = versions(database)
    during = list[dict[str, Any]]()
    checkpoint, number, asked = writer._checkpoint, sqlite_changes._number, list[Any]()

    def noted(connection: apsw.Connection) -> Any:
        asked.append(connection)
        return number(connection)

    def copied() -> bool:
        asked.clear()
        during.append(versions(database))
        with apsw.Connection(str(tmp_path / "objects.db")) as other:
            other.execute('UPDATE objects SET data = \'{"of": "others"}\'')
        during.append(versions(database))
        assert writer.connection not in asked
        return checkpoint()

    monkeypatch.setattr(sqlite_changes, "_number", noted)
    writer._checkpoint_at = 1
    monkeypatch.setattr(writer, "_checkpoint", copied)
    await put(database, "r2", place=OTHERS)
    for _ in range(10**6):
        if not writer._taken:
            break
        await asyncio.sleep(0)
    first, second = during
    assert {parent for parent in PARENTS if before[parent] != first[parent]} == {OTHERS.parent}
    assert not {*first.items()} & {*second.items()}
    after = versions(database)
    assert not {*first.items()} & {*after.items()}
    assert not {*second.items()} & {*after.items()}
    assert after == versions(database)


async def test_while_a_unit_is_at_work_its_commit_is_not_taken_for_that_of_others(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit in a thread is seen before the event loop hears of its end."""
    writer = database._writer
    before = versions(database)
    during = list[dict[str, Any]]()
    commit = writer._commit

    def committed() -> Exception | None:
        failure = commit()
        during.append(versions(database))
        return failure

    monkeypatch.setattr(writer, "_commit", committed)
    await put(database, "r2", place=RECORDS)
    after = versions(database)
    assert not {*before.items()} & {*during[0].items()}
    assert {parent for parent in PARENTS if before[parent] != after[parent]} == IN_RECORDS


async def test_what_a_commit_that_failed_would_have_changed_stays_as_it_was(
    database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions(database)
    with monkeypatch.context() as patched:
        patched.setattr(database._writer, "_commit", lambda: apsw.FullError("the disk is full"))
        with pytest.raises(BackendUnavailable):
            await put(database, "r2", place=RECORDS)
    assert before[OTHERS.parent] == versions(database)[OTHERS.parent]
    assert await concerned(database, lambda unit: unit.storage.put(OTHERS, "r2", "{}")) == {OTHERS.parent}


async def test_it_is_not_known_without_end(database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_changes, "MOST_KNOWN", 3)
    for number in range(10):
        before = versions(database)
        await put(database, "r", place=Place("record", f"/buckets/b/collections/{number}"))
        assert len(database._changes._when) <= 4
        assert before[""] != versions(database)[""] or len(database._changes._when) > 0


class Elsewhere(Exception):
    """Undoes a unit."""


async def test_no_version_stands_still_over_a_change(tmp_path: Path) -> None:
    """Any units, of two servers on one file, some of them at once, some undone: checked against what is in the file."""
    path = tmp_path / "objects.db"
    ours, others = await opened(path), await opened(path)
    watcher = apsw.Connection(str(path))
    chance = random.Random(7)
    known: dict[tuple[str, Any], str] = {}
    same = 0

    async def write(database: SQLiteDatabase) -> None:
        place = chance.choice((BUCKETS, COLLECTIONS, RECORDS, OTHERS, ELSEWHERE))
        uri = f"{place.parent}/{place.resource}s/r{chance.randrange(3)}"
        kind, number = chance.randrange(12), chance.randrange(10**9)
        with suppress(Elsewhere):
            async with database.begin([place]) as unit:
                if kind < 5:
                    await unit.storage.put(place, uri.rpartition("/")[2], json.dumps({"n": number}))
                elif kind < 7:
                    await unit.permission.replace(uri, {"read": [f"u{number}"]})
                elif kind == 7:
                    await unit.storage.delete(place, [uri.rpartition("/")[2]])
                elif kind == 8:
                    await unit.permission.forget([uri])
                elif kind == 9:
                    await unit.permission.join(uri, [f"u{number}"])
                elif kind == 10:
                    await asyncio.sleep(0)
                if chance.random() < 0.1:
                    raise Elsewhere

    def check() -> int:
        found = 0
        for parent, version in versions(ours).items():
            now = concerning(watcher, parent)
            found += (parent, version) in known
            assert known.setdefault((parent, version), now) == now, parent
        return found

    for _ in range(1_000):
        same += check()
        database = others if chance.random() < 0.1 else ours
        await asyncio.gather(*(write(database) for _ in range(chance.choice((1, 1, 1, 2, 3)))))
        if chance.random() < 0.05:
            await asyncio.gather(write(ours), write(others), write(ours))
    assert same > 1_000
    watcher.close()
    await ours.close()
    await others.close()


def concerning(connection: apsw.Connection, parent: str) -> str:
    """All that answers about the lists below an object are made of."""
    lineage = [parent]
    while lineage[-1]:
        lineage.append(parent_of(lineage[-1]))
    rows = connection.execute(
        "SELECT parent, l.last_modified, o.* FROM objects o JOIN lists l ON l.id = list ORDER BY 1, 4"
    )
    objects = [row for row in rows if row[0] in lineage]
    aces = [row for row in connection.execute("SELECT * FROM aces ORDER BY 1, 2, 3") if parent_of(row[1]) in lineage]
    return repr((objects, aces, [*connection.execute("SELECT * FROM members ORDER BY 1, 2")]))
