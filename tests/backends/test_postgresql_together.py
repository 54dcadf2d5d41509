"""PostgreSQL: writers of one list in a process write together, and as if one after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.servers import modes
from tests.servers.modes import Served

from kobako.databases import postgresql_together
from kobako.databases.base import BackendUnavailable, Foreseen, NotForeseen, Outdated, Sought, TryAgain
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.protocol import jsontext
from kobako.storage.base import Place, Stored
from kobako.testing import Clock
from kobako.testing.concurrency import give_time, poll
from kobako.testing.fixtures import RECORDS, Refused, get, ids, put, read, refused, timestamp

pytestmark = pytest.mark.server

if modes.chosen() == "pooler":
    pytest.skip("behind a pooler lists are locked", allow_module_level=True)

# Then PostgreSQL says itself of what is on its way that somebody came in between.
IS_SERIALIZABLE = modes.chosen() == "serializable"

COLLECTION, COLLECTIONS = RECORDS.parent, Place("collection", "/buckets/b")
CREATED = Foreseen(
    user="user",
    principals=frozenset({"user", "system.Everyone", "system.Authenticated"}),
    uris=(COLLECTION, "/buckets/b"),
    place=RECORDS,
    is_all=True,
)


def uri_of(id: str) -> str:
    return f"{COLLECTION}/records/{id}"


def about(id: str) -> Foreseen:
    uri = uri_of(id)
    return msgspec.structs.replace(CREATED, uris=(uri, *CREATED.uris), objects=(Sought(RECORDS, id, uri),))


@pytest.fixture
async def database(emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, Clock())
    await database.open()
    await put(database, "c", place=COLLECTIONS)
    await put(database, "r1", {"n": 0})
    # From now on it is known who may create there, and r1.
    await create(database, "r0")
    await add(database)
    yield database
    assert not database._turns._lines
    assert not database._together._ways
    assert not database._together._sending
    assert not database._together._announced
    await database.close()


async def create(database: PostgreSQLDatabase, id: str, text: str = "{}") -> Stored:
    async with database.foresee(CREATED, [RECORDS]) as unit:
        new = await unit.storage.put(RECORDS, id, text)
        await unit.permission.replace(uri_of(id), {"write": [id]})
    return new


async def add(database: PostgreSQLDatabase, id: str = "r1") -> Stored:
    """Add one to what is counted."""
    async with database.foresee(about(id), [RECORDS]) as unit:
        found = await unit.storage.get(RECORDS, id)
        assert found
        return await unit.storage.put(RECORDS, id, jsontext.encode({"n": jsontext.decode(found.text)["n"] + 1}))


class Held(AsyncExitStack):
    """The list is locked by another process: what is on its way waits there, until this ends."""

    def __init__(self, other: PostgreSQLDatabase) -> None:
        super().__init__()
        self._other = other

    async def __aenter__(self) -> Any:
        self.enter_context(refused())
        self.unit = await self.enter_async_context(self._other.begin([RECORDS]))
        return self

    async def __aexit__(self, *error: Any) -> Any:
        # Nothing is written there, unless somebody says so.
        return await super().__aexit__(*((Refused, Refused(), None) if error[0] is None else error))


async def started(*writers: Any) -> list["asyncio.Task[Any]"]:
    tasks = [asyncio.ensure_future(each) for each in writers]
    await give_time(*tasks)
    return tasks


async def test_what_comes_while_a_statement_is_on_its_way_goes_with_the_next(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, asked: list[str]
) -> None:
    before = await timestamp(database)
    async with Held(other):
        asked.clear()
        writers = await started(
            *(create(database, f"new{number}", f'{{"n":{number}}}') for number in range(9)), add(database)
        )
        assert len(asked) == 1
    news = await asyncio.gather(*writers)
    assert len(asked) == 2
    assert [each.last_modified for each in news] == [*range(before + 1, before + 11)]
    assert await timestamp(database) == before + 10
    found = {each.id: each for each in await read(database)}
    assert [found[each.id] for each in news] == news
    async with database.begin() as unit:
        assert await unit.permission.acl(uri_of("new7")) == {"write": ["new7"]}
    assert len(await poll(database, before)) == 2


async def test_of_one_object_each_replaces_what_the_one_before_wrote(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, asked: list[str]
) -> None:
    async with Held(other):
        asked.clear()
        writers = await started(*(add(database) for _ in range(10)))
    news = await asyncio.gather(*writers)
    assert len(asked) == 2
    assert [each.text for each in news] == [f'{{"n":{number}}}' for number in range(2, 12)]
    assert await get(database, "r1") == news[-1]
    assert await timestamp(database) == news[-1].last_modified


async def test_of_a_list_with_indexes_the_keys_are_written(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    async with database.begin([RECORDS]) as unit:
        await unit.storage.index(RECORDS, ["n"])
    await create(database, "first")
    async with Held(other):
        writers = await started(*(create(database, f"new{number}", f'{{"n":{number}}}') for number in range(3)))
    await asyncio.gather(*writers)
    async with database.begin() as unit:
        rows = await unit.session.run("SELECT id FROM objects WHERE key1 IS NOT NULL ORDER BY id")
    assert {id for (id,) in rows} >= {"new0", "new1", "new2"}


async def test_if_others_have_written_nothing_of_it_is_kept(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    """Neither what is on its way, nor what was computed from that."""
    async with other.begin([RECORDS]) as unit:
        writers = await started(*(create(database, f"new{number}") for number in range(5)), add(database))
        await unit.storage.put(RECORDS, "theirs", "{}")
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert isinstance(told[0], TryAgain if IS_SERIALIZABLE else Outdated)
    assert {type(each) for each in told[1:]} == {Outdated}
    assert {*ids(await read(database))} == {"r0", "r1", "theirs"}
    # And the next ones ask.
    assert (await add(database)).text == '{"n":2}'


async def test_nor_if_what_is_above_has_changed(database: PostgreSQLDatabase, other: PostgreSQLDatabase) -> None:
    """What was sent before that may be done: it was there before."""
    async with other.begin([RECORDS, COLLECTIONS]) as unit:
        writers = await started(*(create(database, f"new{number}") for number in range(5)), add(database))
        await unit.storage.put(COLLECTIONS, "c", "{}")
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert isinstance(told[0], TryAgain if IS_SERIALIZABLE else Stored)
    assert {type(each) for each in told[1:]} == {Outdated}
    assert {*ids(await read(database))} - {"new0"} == {"r0", "r1"}
    assert (await add(database)).text == '{"n":2}'


async def test_of_several_one_that_can_not_be_written_leaves_the_others_their_chance(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    """Nobody knows whose fault it is: each is to write alone, under the lock."""
    before = await read(database)
    async with Held(other):
        writers = await started(create(database, "r2"), create(database, "bad", '{"n":}'), create(database, "r3"))
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(each) for each in told] == [Stored, NotForeseen, NotForeseen]
    assert not any(isinstance(each, Outdated) for each in told)
    assert {each.id for each in await read(database)} == {"r2", *(each.id for each in before)}
    with pytest.raises(asyncpg.PostgresError):
        await create(database, "bad", '{"n":}')


async def test_who_gives_up_leaves_the_others_what_they_wrote(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    async with Held(other):
        writers = await started(*(create(database, f"new{number}") for number in range(4)))
        writers[2].cancel()
        await asyncio.wait([writers[2]])
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(each) for each in told] == [Stored, Stored, asyncio.CancelledError, Stored]
    assert {"new0", "new1", "new3"} <= {*ids(await read(database))}


async def test_after_one_that_gave_up_on_its_way_all_ask(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    """Nobody knows whether it was written."""
    async with Held(other):
        writers = await started(*(create(database, f"new{number}") for number in range(3)))
        writers[0].cancel()
        await asyncio.wait(writers)
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError, Outdated, Outdated]
    await create(database, "new3")
    assert {*ids(await read(database))} - {"new0"} == {"r0", "r1", "new3"}


async def test_after_one_that_could_not_be_sent_all_ask(
    database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is as it was, but not as they took it to be."""
    write_alone, waiting = postgresql_together.write_alone, asyncio.Event()

    async def fails(*arguments: Any) -> Any:
        monkeypatch.setattr(postgresql_together, "write_alone", write_alone)
        await waiting.wait()
        raise BackendUnavailable("no connection")

    monkeypatch.setattr(postgresql_together, "write_alone", fails)
    writers = await started(add(database), add(database), create(database, "r2"))
    waiting.set()
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(each) for each in told] == [BackendUnavailable, Outdated, Outdated]
    assert (await add(database)).text == '{"n":2}'


async def test_a_connection_that_dies_on_its_way_is_told_to_all(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, served: Served
) -> None:
    async with Held(other) as held:
        first = await started(create(database, "r2"))
        [mine] = await held.unit.session.run("SELECT pg_backend_pid()")
        second = await started(create(database, "r3"), create(database, "r4"))
        served.server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE application_name = 'kobako' AND wait_event_type = 'Lock' AND pid <> {mine[0]}"
        )
        await asyncio.wait([*first, *second])
    told = await asyncio.gather(*first, *second, return_exceptions=True)
    assert [type(each) for each in told] == [BackendUnavailable, Outdated, Outdated]
    assert {*ids(await read(database))} == {"r0", "r1"}


async def test_so_it_is_where_several_are_on_their_way(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_alone, written = postgresql_together.write_alone, 0

    async def fails(*arguments: Any) -> Any:
        nonlocal written
        written += 1
        if written == 2:
            raise BackendUnavailable("the disk is full")
        return await write_alone(*arguments)

    monkeypatch.setattr(postgresql_together, "write_alone", fails)
    async with Held(other):
        writers = await started(*(create(database, f"new{number}") for number in range(3)))
    told = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(each) for each in told] == [Stored, BackendUnavailable, BackendUnavailable]
    assert {str(each) for each in told[1:]} == {"the disk is full"}
    assert told[1] is not told[2]
    assert {*ids(await read(database))} == {"r0", "r1", "new0"}


async def test_no_more_than_so_many_go_together(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_together, "MOST_UNITS", 4)
    async with Held(other):
        asked.clear()
        writers = await started(*(create(database, f"new{number}") for number in range(9)))
    await asyncio.gather(*writers)
    assert len(asked) >= 3
    assert len(await read(database)) == 2 + 9


async def test_whoever_is_refused_meanwhile_asks(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, asked: list[str]
) -> None:
    """What it was refused for may not come to be written."""

    async def refuse(is_anew: bool = False) -> None:
        async with database.foresee(msgspec.structs.replace(about("r1"), is_anew=is_anew), [RECORDS]) as unit:
            found = await unit.storage.get(RECORDS, "r1")
            assert found
            assert found.text == '{"n":2}'
            raise Refused

    async with Held(other):
        writers = await started(add(database), refuse())
        assert writers[1].done()
        assert isinstance(writers[1].exception(), Outdated)
        asked.clear()
        again = await started(refuse(is_anew=True))
        assert (again[0].done(), asked) == (False, [])
    assert isinstance((await asyncio.gather(*again, return_exceptions=True))[0], Refused)
    await writers[0]


async def test_who_takes_the_lock_comes_after_what_is_on_its_way(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    async with Held(other):
        writers = await started(*(create(database, f"new{number}") for number in range(3)))
        locking = await started(put(database, "given up"), put(database, "last"))
        locking.pop(0).cancel()
        late = await started(create(database, "late"))
    news = [*await asyncio.gather(*writers), *await asyncio.gather(*locking), *await asyncio.gather(*late)]
    versions = [each.last_modified for each in news]
    assert versions == sorted(versions)
    assert {*ids(await read(database))} >= {"new0", "new1", "new2", "last", "late"}
    assert "given up" not in ids(await read(database))
