"""Writes on PostgreSQL wait for each other, and nobody can tell: in which order they are sent, and what is undone."""

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from kobako.databases.base import BackendUnavailable, TryAgain
from kobako.databases.memory import MemoryDatabase
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_session import Session, Statement
from kobako.protocol.selection import Selection
from kobako.storage import postgresql as storage
from kobako.testing import Clock
from kobako.testing.fixtures import OTHERS, RECORDS, Refused, get, put, read, refused

pytestmark = pytest.mark.server

URIS = [f"/buckets/b/collections/c/records/r{n}" for n in range(4)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(clock: Clock, emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, clock)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word or two of each statement, in their order."""
    found, run, execute = list[str](), Session.run, Session.execute

    async def noted_run(self: Session, sql: str, *values: Any) -> Any:
        # What waits is sent by it.
        rows = await run(self, sql, *values)
        found.append(_name(sql))
        return rows

    async def noted(self: Session, sql: str, timeout_s: float | None = None) -> str:
        tag = await execute(self, sql, timeout_s)
        found.append(sql)
        return tag

    monkeypatch.setattr(Session, "run", noted_run)
    monkeypatch.setattr(Session, "execute", noted)
    return found


def _name(sql: str) -> str:
    if "INSERT INTO objects" in sql:
        return "put all" if "unnest" in sql else "put"
    if "INSERT INTO aces" in sql:
        return "acls" if "named" in sql else "acl"
    return "delete" if "deleted = true" in sql else "ask"


async def test_writes_of_all_parts_are_sent_together_at_the_end(database: PostgreSQLDatabase, sent: list[str]) -> None:
    await put(database, "r0")
    async with database.begin([RECORDS, OTHERS]) as unit:
        sent.clear()
        for n, uri in enumerate(URIS):
            async with unit.savepoint():
                await unit.storage.put(RECORDS, f"r{n}", f'{{"n":{n}}}')
                await unit.permission.replace(uri, {"write": ["user"]})
        await unit.storage.put(OTHERS, "other", "{}")
        assert sent == []
    assert sent == ["put all", "acls", "put", "COMMIT"] or sent == ["put all", "put", "acls", "COMMIT"]
    assert [each.text for each in await read(database)] == [f'{{"n":{n}}}' for n in (3, 2, 1, 0)]
    assert len({each.last_modified for each in await read(database)}) == 4
    async with database.begin() as unit:
        assert await unit.permission.acls_of(URIS) == {uri: {"write": ["user"]} for uri in URIS}


async def test_a_part_that_asks_gets_a_savepoint_behind_what_was_written_before_it(
    database: PostgreSQLDatabase, sent: list[str]
) -> None:
    async with database.begin([RECORDS]) as unit:
        sent.clear()
        async with unit.savepoint():
            await unit.storage.put(RECORDS, "r1", "{}")
        async with unit.savepoint():
            await unit.storage.put(RECORDS, "r2", "{}")
            assert await unit.storage.get(RECORDS, "r1")
        with suppress(Refused):
            async with unit.savepoint():
                async with unit.savepoint():
                    await unit.storage.put(RECORDS, "r3", "{}")
                assert await unit.storage.get(RECORDS, "r3")
                await unit.storage.put(RECORDS, "r4", "{}")
                raise Refused
        with suppress(Refused):
            async with unit.savepoint():
                await unit.storage.put(RECORDS, "r5", "{}")
                raise Refused
        await unit.storage.put(RECORDS, "r6", "{}")
    assert sent == [
        *("put", "SAVEPOINT part1", "put", "ask"),
        *("RELEASE part1; SAVEPOINT part1", "put", "ask", "ROLLBACK TO part1; RELEASE part1"),
        *("put", "COMMIT"),
    ]
    assert {each.id for each in await read(database)} == {"r1", "r2", "r6"}


async def test_of_an_object_that_is_written_again_the_last_is_kept(database: PostgreSQLDatabase) -> None:
    async with database.begin([RECORDS]) as unit:
        for n in range(3):
            last = await unit.storage.put(RECORDS, "r1", f'{{"n":{n}}}')
            await unit.permission.replace(URIS[1], {"write": [f"user{n}"], f"read{n}": ["user"]})
    assert await read(database) == [last]
    async with database.begin() as unit:
        acl = await unit.permission.acl(URIS[1])
    assert acl == {"write": ["user2"], "read0": ["user"], "read1": ["user"], "read2": ["user"]}


async def test_a_permission_that_nobody_is_given_is_taken_from_all(database: PostgreSQLDatabase) -> None:
    for acls in ({"read": ["a", "b"], "write": ["a"]}, {"read": []}):
        async with database.begin([RECORDS]) as unit:
            for uri in URIS[:2]:
                await unit.permission.replace(uri, acls)
    async with database.begin() as unit:
        assert await unit.permission.acls_of(URIS) == {uri: {"write": ["a"]} for uri in URIS[:2]}


async def test_what_is_undone_is_not_sent(database: PostgreSQLDatabase, sent: list[str]) -> None:
    with refused():
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")
            raise Refused
    assert "put" not in sent
    assert sent[-1] == "ROLLBACK"
    assert await read(database) == []


async def test_a_past_timestamp_is_tried_at_once(database: PostgreSQLDatabase, clock: Clock, sent: list[str]) -> None:
    taken = await put(database, "r1")
    clock.now += 1000
    async with database.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, "r2", "{}")
        imported = await unit.storage.put(RECORDS, "r3", "{}", taken.last_modified - 5)
        assert sent[-1] == "put"
    assert await get(database, "r3") == imported


@pytest.mark.parametrize(
    ("statement", "error"),
    [("SELECT 1 / length(substr($1, 1, 0))", "division by zero"), ("SELECT $1::int", "cannot be interpreted")],
)
async def test_where_what_waits_cannot_be_sent_nothing_is_kept(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch, statement: str, error: str
) -> None:
    """Not even where a part goes on as if nothing were; by the server, or by the driver, which tells it nothing."""
    failing = Statement(f"failing AS ({statement})", "SELECT * FROM failing")
    monkeypatch.setattr(storage, "_to_put_one", lambda put: (failing, ("no number",)))

    async def write() -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(URIS[0], {"write": ["user"]})
            async with unit.savepoint():
                await unit.storage.put(RECORDS, "r1", "{}")
            async with unit.savepoint():
                with pytest.raises(Exception, match=error):
                    await unit.storage.get(RECORDS, "r1")
            with suppress(Refused):
                async with unit.savepoint():
                    raise Refused

    with pytest.raises(BackendUnavailable, match="had failed"):
        await write()
    async with database.begin() as unit:
        assert not await unit.permission.acl(URIS[0])


async def test_a_conflict_when_it_is_sent_is_told_as_one(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:

    class Failing(Statement):
        sql = "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"

    monkeypatch.setattr(storage, "_to_put_one", lambda put: (Failing("", ""), ()))

    async def write() -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", "{}")

    with pytest.raises(TryAgain):
        await write()
    assert await read(database) == []


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_of_steps_ends_as_in_memory(database: PostgreSQLDatabase, clock: Clock, seed: int) -> None:
    chance = random.Random(seed)
    memory = MemoryDatabase(clock)
    for unit_number in range(8):
        steps = [_step(chance, depth=0) for _ in range(chance.randrange(1, 7))]
        is_refused = chance.random() < 0.2
        results = []
        for each in (database, memory):
            seen: list[Any] = []
            with suppress(Refused):
                async with each.begin([RECORDS, OTHERS]) as unit:
                    for step in steps:
                        await _do(step, unit, seen)
                    if is_refused:
                        raise Refused(unit_number)
            async with each.begin() as unit:
                for place in (RECORDS, OTHERS):
                    seen += [
                        await unit.storage.list(place, Selection(tombstones=True)),
                        await unit.storage.timestamp(place),
                    ]
                seen.append({uri: _sorted(await unit.permission.acl(uri)) for uri in URIS})
            results.append(seen)
        assert results[0] == results[1], steps
        clock.now += chance.choice([0, 1, 1000])


def _step(chance: random.Random, depth: int) -> tuple[Any, ...]:
    place, number = chance.choice([RECORDS, OTHERS]), chance.randrange(4)
    kind = chance.choice(["put", "put", "acl", "get", "delete", "granted", *(["part"] * 3 if depth < 3 else [])])
    if kind == "part":
        return kind, [_step(chance, depth + 1) for _ in range(chance.randrange(5))], chance.random() < 0.4
    if kind == "put":
        return kind, place, f"r{number}", f'{{"n":{chance.randrange(100)}}}'
    if kind == "acl":
        wanted = {name: chance.sample(["a", "b", "c"], chance.randrange(3)) for name in ("read", "write")}
        return (
            kind,
            URIS[number],
            {name: wanted[name] for name in chance.sample(["read", "write"], chance.randrange(1, 3))},
        )
    return (kind, place, f"r{number}") if kind in ("get", "delete") else (kind, URIS[number])


async def _do(step: tuple[Any, ...], unit: Any, seen: list[Any]) -> None:
    kind, *rest = step
    if kind == "part":
        with suppress(Refused):
            async with unit.savepoint():
                for each in rest[0]:
                    await _do(each, unit, seen)
                if rest[1]:
                    raise Refused
    elif kind == "put":
        seen.append(await unit.storage.put(*rest))
    elif kind == "acl":
        await unit.permission.replace(*rest)
    elif kind == "get":
        seen.append(await unit.storage.get(*rest))
    elif kind == "delete":
        seen.append(await unit.storage.delete(rest[0], [rest[1]]))
    else:
        seen.append(set(await unit.permission.granted(["a", "b"], rest)))


def _sorted(acl: Any) -> dict[str, list[str]]:
    return {name: sorted(principals) for name, principals in acl.items()}
