"""PostgreSQL: an object is written without the lock of its list if nobody else writes there, and as if with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.servers import modes
from tests.servers.modes import Served

from kobako.databases.base import BackendUnavailable, Foreseen, NotForeseen, Outdated, Sought, TryAgain, Unit, attempts
from kobako.databases.connections import Connections
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_optimistic import OptimisticUnit
from kobako.protocol import jsontext
from kobako.storage.base import Place
from kobako.testing import Clock
from kobako.testing.concurrency import give_time
from kobako.testing.fixtures import HOUR, OTHERS, RECORDS, START, Refused, get, put, read, refused, timestamp

pytestmark = pytest.mark.server

if modes.chosen() == "pooler":
    pytest.skip("behind a pooler lists are locked", allow_module_level=True)

COLLECTION = RECORDS.parent
URI = f"{COLLECTION}/records/r1"
WRITTEN = Foreseen(
    user="user",
    principals=frozenset({"user", "system.Everyone", "system.Authenticated"}),
    uris=(URI, COLLECTION, "/buckets/b"),
    objects=(Sought(RECORDS, "r1", URI),),
    place=RECORDS,
    is_all=True,
)
ALL_DIE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kobako'"

CREATED = msgspec.structs.replace(WRITTEN, objects=(), uris=WRITTEN.uris[1:])


@pytest.fixture
async def database(emptied: str, clock: Clock) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, clock)
    await database.open()
    await put(database, "r1", {"n": 0})
    await put(database, "r2", {"n": 0})
    yield database
    await database.close()


def begin(database: PostgreSQLDatabase, asked: Foreseen = WRITTEN) -> Any:
    unit = database.foresee(asked, [RECORDS])
    assert isinstance(unit, OptimisticUnit)
    return unit


async def write(unit: Unit, n: int = 1) -> None:
    await unit.storage.put(RECORDS, "r1", jsontext.encode({"n": n}))


async def test_what_is_written_is_there_with_the_next_version(database: PostgreSQLDatabase) -> None:
    before = await timestamp(database)
    async with begin(database) as unit:
        assert (await unit.storage.get(RECORDS, "r1")).text == '{"n":0}'
        new = await unit.storage.put(RECORDS, "r1", '{"n":1}')
        await unit.permission.replace(URI, {"read": ["a", "b"], "write": ["c"]})
    async with begin(database) as unit:
        assert await unit.storage.get(RECORDS, "r1") == new
        assert await unit.permission.acl(URI) == {"read": ["a", "b"], "write": ["c"]}
        await write(unit, 2)
        await unit.permission.replace(URI, {"read": ["b"], "write": []})
    found = await get(database, "r1")
    assert (found.text, found.last_modified) == ('{"n":2}', before + 2)
    assert (await timestamp(database), new.last_modified) == (before + 2, before + 1)
    async with database.begin() as unit:
        assert await unit.permission.acl(URI) == {"read": ["b"]}


async def test_of_a_list_with_indexes_the_keys_are_written(database: PostgreSQLDatabase) -> None:
    async with database.begin([RECORDS]) as unit:
        await unit.storage.index(RECORDS, ["n"])
    async with begin(database, CREATED) as unit:
        await unit.storage.put(RECORDS, "new", '{"n":7}')
    async with database.begin() as unit:
        rows = await unit.session.run("SELECT id FROM objects WHERE key1 IS NOT NULL ORDER BY id")
    assert [id for (id,) in rows] == ["new", "r1", "r2"]


async def close(unit: Unit) -> None:
    await unit.storage.close_under(COLLECTION, tombstones=True)


async def import_past(unit: Unit) -> None:
    """The one write after which the list has the timestamp it had."""
    await unit.storage.put(RECORDS, "past", "{}", START - HOUR)


async def remove(unit: Unit) -> None:
    await unit.storage.delete(RECORDS, ["r1"])


async def write_other(unit: Unit) -> None:
    await unit.storage.put(RECORDS, "r2", "{}")


async def index(unit: Unit) -> None:
    await unit.storage.index(RECORDS, ["more"])


OTHERS_WRITE = [write, write_other, remove, import_past, index, close]


@pytest.mark.parametrize("change", OTHERS_WRITE)
@pytest.mark.parametrize("is_waited_for", [False, True])
@pytest.mark.parametrize("lost", [["lost"], ["lost", "too"]])
async def test_whoever_else_wrote_nothing_is_kept(
    database: PostgreSQLDatabase,
    other: PostgreSQLDatabase,
    change: Callable[[Unit], Awaitable[None]],
    is_waited_for: bool,
    lost: list[str],
) -> None:
    """Whether the other one is done before we write, or we wait for it then."""
    async with database.begin([RECORDS]) as unit:
        await unit.permission.replace(URI, {"read": ["kept"]})
        await unit.storage.index(RECORDS, ["n", "m"][: len(lost) - 1])

    async def written() -> None:
        async with begin(database) as unit:
            await write(unit, 100)
            await unit.permission.replace(URI, {"read": lost})
            is_read.set()
            await may_go_on.wait()

    is_read, may_go_on = asyncio.Event(), asyncio.Event()
    ours = asyncio.create_task(written())
    await is_read.wait()
    async with other.begin([RECORDS], [COLLECTION] if change is close else []) as unit:
        await change(unit)
        if is_waited_for:
            may_go_on.set()
            await give_time(ours)
            assert not ours.done()
    may_go_on.set()
    if modes.chosen() == "serializable" and is_waited_for:
        with pytest.raises(BackendUnavailable):
            await ours
    else:
        with pytest.raises(NotForeseen):
            await ours
    assert '{"n":100}' not in [each.text for each in await read(database)]
    async with database.begin() as unit:
        assert await unit.permission.acl(URI) == {"read": ["kept"]}


async def test_who_has_the_lock_and_writes_nothing_is_waited_for(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    async def written() -> None:
        async with begin(database) as unit:
            await write(unit)

    with refused():
        async with other.begin([RECORDS]) as unit:
            ours = asyncio.create_task(written())
            await give_time(ours)
            assert not ours.done()
            await write(unit, 2)
            raise Refused
    await ours
    assert (await get(database, "r1")).text == '{"n":1}'


async def test_a_list_that_was_removed_is_not_written(database: PostgreSQLDatabase) -> None:
    async def written() -> None:
        async with begin(database) as unit:
            await write(unit)
            await database.flush()

    with pytest.raises(NotForeseen):
        await written()
    assert await read(database) == []


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_list_that_is_not_open_is_locked(database: PostgreSQLDatabase, is_closed: bool) -> None:
    if is_closed:
        async with database.begin([RECORDS], [COLLECTION]) as unit:
            await close(unit)
    else:
        await database.flush()
    with pytest.raises(NotForeseen):
        async with begin(database):
            raise AssertionError("it has begun")
    async with database.begin() as unit:
        assert await unit.storage.timestamp(RECORDS) is None


async def ask_elsewhere(unit: Unit) -> None:
    await unit.storage.timestamp(OTHERS)


async def ask_another(unit: Unit) -> None:
    await unit.storage.get(RECORDS, "r2")


async def ask_what_was_written(unit: Unit) -> None:
    await write(unit)
    await unit.storage.get(RECORDS, "r1")


async def write_twice(unit: Unit) -> None:
    await write(unit)
    await write_other(unit)


async def write_acls(unit: Unit) -> None:
    await write(unit)
    for uri in (URI, COLLECTION):
        await unit.permission.replace(uri, {"read": ["a"]})


async def write_acl_alone(unit: Unit) -> None:
    await unit.permission.replace(URI, {"read": ["a"]})


async def write_acl_above(unit: Unit) -> None:
    await write(unit)
    await unit.permission.replace(COLLECTION, {"read": ["a"]})


async def write_acl_beside(unit: Unit) -> None:
    await unit.storage.put(RECORDS, "r2", "{}")
    await unit.permission.replace(URI, {"read": ["a"]})


async def write_acl_of_like_id(unit: Unit) -> None:
    await write(unit)
    await unit.permission.replace("/buckets/b/collections/d/records/r1", {"read": ["a"]})


async def write_elsewhere(unit: Unit) -> None:
    await unit.storage.put(OTHERS, "r1", "{}")


async def join(unit: Unit) -> None:
    await write(unit)
    await unit.permission.join("group", ["user"])


MORE = [ask_elsewhere, ask_another, ask_what_was_written, write_twice, write_acls, write_acl_alone, join]
MORE += [write_acl_above, write_acl_beside, write_acl_of_like_id, write_elsewhere]


@pytest.mark.parametrize("more", [*MORE, remove, import_past, index])
async def test_whatever_else_is_done_needs_the_lock(
    database: PostgreSQLDatabase, more: Callable[[Unit], Awaitable[None]]
) -> None:
    before = await read(database)
    with pytest.raises(NotForeseen):
        async with begin(database) as unit:
            await more(unit)
    assert await read(database) == before
    async with database.begin() as unit:
        assert await unit.permission.acl(URI) == {}


async def test_what_fails_is_undone_whole_or_in_part(database: PostgreSQLDatabase) -> None:
    with refused():
        async with begin(database) as unit:
            await write(unit)
            raise Refused
    assert (await get(database, "r1")).text == '{"n":0}'
    async with begin(database) as unit:
        with refused():
            async with unit.savepoint():
                await write(unit, 1)
                raise Refused
        async with unit.savepoint():
            await write(unit, 2)
    assert (await get(database, "r1")).text == '{"n":2}'
    # It was told what was remembered: that nothing is written says nothing of it.
    with pytest.raises(Outdated):
        async with begin(database):
            pass
    async with begin(database, msgspec.structs.replace(WRITTEN, is_anew=True)):
        pass
    with pytest.raises(BackendUnavailable):
        await write(unit)


async def test_of_one_process_each_waits_for_its_turn(database: PostgreSQLDatabase) -> None:
    async def count() -> None:
        async with begin(database) as unit:
            found = jsontext.decode((await unit.storage.get(RECORDS, "r1")).text)
            await write(unit, found["n"] + 1)

    await asyncio.gather(*(count() for _ in range(20)))
    assert (await get(database, "r1")).text == '{"n":20}'
    assert not database._turns._lines


async def test_who_gives_up_does_not_hold_up_others(database: PostgreSQLDatabase) -> None:
    async def count() -> None:
        async with begin(database) as unit:
            await write(unit)

    async with begin(database):
        waiting = [asyncio.create_task(count()) for _ in range(3)]
        await give_time(*waiting)
        waiting[0].cancel()
        waiting[1].cancel()
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert [each.cancelled() for each in waiting] == [True, True, False]
    assert waiting[2].exception() is None
    assert not database._turns._lines


async def test_nobody_waits_for_ever(database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kobako.databases.turns.LONGEST_S", 0.05)
    async with begin(database):
        with pytest.raises(TryAgain, match="the turn to write /buckets/b/collections/c"):
            async with begin(database):
                raise AssertionError("it has begun")
    async with begin(database) as unit:
        await write(unit)
    assert not database._turns._lines


async def test_a_connection_that_died_unused_is_replaced(database: PostgreSQLDatabase, served: Served) -> None:
    served.server.sql(ALL_DIE)
    async with begin(database) as unit:
        await write(unit)
    assert (await get(database, "r1")).text == '{"n":1}'


async def test_one_that_dies_while_it_is_used_is_told(database: PostgreSQLDatabase, served: Served) -> None:
    async def written() -> None:
        async with begin(database) as unit:
            await write(unit)
            served.server.sql(ALL_DIE)

    with pytest.raises(BackendUnavailable):
        await written()
    assert (await get(database, "r1")).text == '{"n":0}'


async def test_nothing_is_lost_where_servers_write_one_list(emptied: str) -> None:
    """S3, C1: read, add one, write; with and without the lock, and batches among them."""
    servers = [PostgreSQLDatabase(emptied, Clock(), Connections(kept=5, wait_s=30)) for _ in range(2)]
    versions, in_vain = list[int](), 0

    async def count(server: PostgreSQLDatabase, number: int) -> None:
        nonlocal in_vain
        is_locked = number % 5 == 0
        while True:
            asked = msgspec.structs.replace(WRITTEN, is_all=not is_locked)
            try:
                for attempt in attempts():
                    async with attempt, server.foresee(asked, [RECORDS]) as unit:
                        n = jsontext.decode((await unit.storage.get(RECORDS, "r1")).text)["n"]
                        await asyncio.sleep(0)
                        new = await unit.storage.put(RECORDS, "r1", jsontext.encode({"n": n + 1}))
                versions.append(new.last_modified)
                return
            except NotForeseen:
                in_vain += 1
                is_locked = in_vain % 2 == 0

    for server in servers:
        await server.open()
    try:
        await put(servers[0], "r1", {"n": 0})
        await asyncio.gather(*(count(servers[number % 2], number) for number in range(100)))
        found = await get(servers[0], "r1")
        assert (found.text, found.last_modified) == ('{"n":100}', max(versions))
        assert len({*versions}) == 100
        assert in_vain
    finally:
        for server in servers:
            await server.close()


async def test_the_list_of_another_place_is_not_asked_about(database: PostgreSQLDatabase) -> None:
    for lists, emptied in (([OTHERS], []), ([RECORDS, OTHERS], []), ([RECORDS], [COLLECTION])):
        unit = database.foresee(WRITTEN, lists, emptied)
        assert not isinstance(getattr(unit, "unit", unit), OptimisticUnit)
    assert Place("record", COLLECTION) == RECORDS
