"""The versions of lists in a PostgreSQL: the same means that nothing was changed that concerns them (S1, P6)."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.servers import modes

from kobako.databases import postgresql_version
from kobako.databases.base import Foreseen, NotForeseen, Sought, attempts
from kobako.databases.connections import Connections
from kobako.databases.parents import lineage, parent_of
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_version import SNAPSHOT, TOUCH
from kobako.storage.base import ListState, Place
from kobako.testing import Clock
from kobako.testing.fixtures import OTHERS, RECORDS, Refused, put, refused

pytestmark = pytest.mark.server

if modes.chosen() == "pooler":
    pytest.skip("behind a pooler nobody can tell", allow_module_level=True)

BUCKETS, COLLECTIONS = Place("bucket", ""), Place("collection", "/buckets/b")
ELSEWHERE = Place("record", "/buckets/another/collections/c")
HISTORY = Place("history", "/buckets/b")
PLACES = (BUCKETS, COLLECTIONS, RECORDS, OTHERS, ELSEWHERE)
PARENTS = [each.parent for each in PLACES]
RECORD, COLLECTION = f"{RECORDS.parent}/records/r1", "/buckets/b/collections/c"
GROUP = "/buckets/another/groups/g"


@pytest.fixture
async def database(emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, Clock())
    await database.open()
    for place in PLACES:
        await put(database, "r1", place=place)
    async with database.begin([RECORDS, COLLECTIONS]) as unit:
        await unit.permission.join(GROUP, ["u"])
    yield database
    await database.close()


def about(place: Place) -> Foreseen:
    """What somebody asks who reads a list."""
    return Foreseen(
        user=None,
        principals=frozenset({"somebody"}),
        uris=(place.parent,),
        place=place,
        with_version=True,
        concerns=place.parent,
    )


def written(place: Place, id: str, uri: str, *, is_all: bool = True) -> Foreseen:
    """What somebody asks who writes an object."""
    return Foreseen(
        user=None,
        principals=frozenset({"somebody"}),
        uris=(uri,),
        objects=(Sought(place, id, uri),),
        place=place,
        is_all=is_all,
    )


async def versions(database: PostgreSQLDatabase) -> dict[str, Hashable]:
    """Those that are told alone; they are also those that are told with an answer."""
    found = {parent: await database.ask_version(parent) for parent in PARENTS}
    for place in PLACES:
        async with database.foresee(about(place)) as unit:
            assert unit.version == found[place.parent] is not None
    return found


async def concerned(database: PostgreSQLDatabase, change: Awaitable[Any]) -> set[str]:
    """The parents of the lists that a change concerns."""
    before = await versions(database)
    await change
    after = await versions(database)
    return {parent for parent in PARENTS if before[parent] != after[parent]}


async def write(database: PostgreSQLDatabase, *writes: Callable[[Any], Awaitable[Any]]) -> None:
    async with database.begin([RECORDS, COLLECTIONS]) as unit:
        for each in writes:
            await each(unit)


async def put_record(unit: Any) -> None:
    await unit.storage.put(RECORDS, "r1", '{"n":1}')


async def put_in_vain(unit: Any) -> None:
    with refused():
        async with unit.savepoint():
            await put_record(unit)
            raise Refused


async def share_record(unit: Any) -> None:
    await unit.permission.replace(RECORD, {"read": [GROUP]})


IN_RECORDS = {RECORDS.parent}
IN_COLLECTIONS = {COLLECTIONS.parent, RECORDS.parent, OTHERS.parent}
ALL = {*PARENTS}


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([put_record], IN_RECORDS),
        ([lambda unit: unit.storage.put(RECORDS, "r2", "{}", 5)], IN_RECORDS),
        ([lambda unit: unit.storage.put_all(RECORDS, [("r1", "{}"), ("r3", "{}")])], IN_RECORDS),
        ([lambda unit: unit.storage.delete(RECORDS, ["r1"])], IN_RECORDS),
        ([lambda unit: unit.storage.index(RECORDS, ["n"])], IN_RECORDS),
        ([lambda unit: unit.storage.restore(ListState(RECORDS, 9, True, 0), [])], IN_RECORDS),
        ([lambda unit: unit.storage.close_under(COLLECTION, tombstones=True)], IN_RECORDS),
        ([lambda unit: unit.storage.close_under(COLLECTION, tombstones=False)], IN_RECORDS),
        ([lambda unit: unit.storage.put(COLLECTIONS, "c", "{}")], IN_COLLECTIONS),
        ([lambda unit: unit.storage.put(BUCKETS, "b", "{}")], ALL),
        # That of a bucket is one of its lists, and changes none below those.
        ([lambda unit: unit.storage.put(HISTORY, "h", "{}")], {HISTORY.parent}),
        ([lambda unit: unit.storage.open(Place("record", f"{COLLECTION}2"))], set()),
        ([lambda unit: unit.storage.timestamp(RECORDS)], set()),
        ([put_in_vain], set()),
        # ACLs, with the object, or alone.
        ([put_record, share_record], IN_RECORDS),
        ([share_record, put_record], IN_RECORDS),
        ([share_record], ALL),
        ([put_in_vain, share_record], ALL),
        (
            [lambda unit: unit.storage.put(HISTORY, "h", "{}"), lambda unit: unit.permission.replace(COLLECTION, {})],
            ALL,
        ),
        ([lambda unit: unit.permission.grant({RECORD: {"read": ["u"]}})], ALL),
        ([put_record, lambda unit: unit.permission.grant({RECORD: {"read": ["u"]}})], IN_RECORDS),
        # Who is in which group, and what it lets them do.
        ([lambda unit: unit.permission.join(GROUP, ["other"])], ALL),
        ([lambda unit: unit.permission.leave(GROUP, ["u"])], ALL),
        ([lambda unit: unit.permission.join(GROUP, []), lambda unit: unit.permission.leave(GROUP, [])], set()),
        ([lambda unit: unit.permission.erase("u")], ALL),
        # Nobody has it as a principal.
        (
            [lambda unit: unit.permission.forget([RECORD]), lambda unit: unit.storage.delete(RECORDS, ["r1"])],
            IN_RECORDS,
        ),
        ([lambda unit: unit.permission.forget([RECORD])], ALL),
        ([put_record, lambda unit: unit.permission.forget([GROUP])], ALL),
        ([lambda unit: unit.storage.set_epoch(1)], ALL),
    ],
)
async def test_a_unit_concerns_the_lists_that_it_changes(
    database: PostgreSQLDatabase, writes: list[Callable[[Any], Awaitable[Any]]], expected: Collection[str]
) -> None:
    assert await concerned(database, write(database, *writes)) == expected


async def test_a_group_that_is_forgotten_concerns_whoever_let_it_in(database: PostgreSQLDatabase) -> None:
    """Though it has no members, nor a list that is read."""
    await write(database, lambda unit: unit.permission.leave(GROUP, ["u"]), share_record)

    async def forget() -> None:
        async with database.begin([ELSEWHERE]) as unit:
            await unit.storage.put(ELSEWHERE, "r1", "{}")
            # Nothing is known of the ACLs in its own list.
            unit.session.concerns.acls.clear()
            await unit.permission.forget([GROUP])
            unit.session.concerns.acls.clear()

    assert await concerned(database, forget()) == ALL


async def test_what_is_below_an_object_that_is_forgotten_concerns_all(database: PostgreSQLDatabase) -> None:
    await write(database, share_record)

    async def forget(unit: Any) -> None:
        await unit.storage.put(COLLECTIONS, "c", "{}")
        await unit.permission.forget([COLLECTION])

    assert await concerned(database, write(database, forget)) == ALL


async def test_one_object_that_is_written_by_itself_concerns_its_list(database: PostgreSQLDatabase) -> None:
    async def alone(*uris: str) -> None:
        async with database.foresee(written(RECORDS, "r1", RECORD), [RECORDS]) as unit:
            await put_record(unit)
            for uri in uris:
                await unit.permission.replace(uri, {"read": ["new"]})

    assert await concerned(database, alone(RECORD)) == IN_RECORDS
    with pytest.raises(NotForeseen):
        await alone(COLLECTION)


async def test_to_purge_tombstones_concerns_the_list(database: PostgreSQLDatabase) -> None:
    await write(database, lambda unit: unit.storage.delete(RECORDS, ["r1"]))
    await put(database, "r2")

    async def purge(unit: Any) -> None:
        assert await unit.storage.purge(RECORDS, 2**50) == 1

    assert await concerned(database, write(database, purge)) == IN_RECORDS
    assert await concerned(database, write(database, lambda unit: unit.storage.purge(RECORDS, 2**50))) == set()


async def test_to_remove_everything_concerns_everything(database: PostgreSQLDatabase) -> None:
    assert await concerned(database, database.flush()) == ALL


async def test_whoever_changes_tables_can_say_so(database: PostgreSQLDatabase, emptied: str) -> None:
    async def change() -> None:
        connection = await asyncpg.connect(emptied)
        await connection.execute(TOUCH)
        await connection.close()

    assert await concerned(database, change()) == ALL


@pytest.fixture
def found(database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that are asked for versions."""
    found = list[Any]()
    ask = database._versions._ask

    async def noted(question: Any) -> Any:
        found.append(question)
        return await ask(question)

    monkeypatch.setattr(database._versions, "_ask", noted)
    return found


async def test_a_snapshot_that_is_as_it_was_spares_the_look_at_rows(
    database: PostgreSQLDatabase, found: list[Any]
) -> None:
    for _ in range(5):
        await database.ask_version(RECORDS.parent)
    assert found[0] != SNAPSHOT
    # PostgreSQL itself may have had something to commit.
    assert found.count(SNAPSHOT) >= 2
    before = await database.ask_version(RECORDS.parent)
    await put(database, "r1", place=OTHERS)
    found.clear()
    assert await database.ask_version(RECORDS.parent) == before
    assert [each for each in found if each != SNAPSHOT]


async def test_while_much_is_committed_rows_are_looked_at_at_once(
    database: PostgreSQLDatabase, found: list[Any]
) -> None:
    for number in range(5):
        await put(database, f"r{number}", place=OTHERS)
        await database.ask_version(RECORDS.parent)
    # One journey each, but for the one by which it was found out.
    assert found.count(SNAPSHOT) == 1
    assert len(found) == 6


async def test_new_connections_have_new_versions(database: PostgreSQLDatabase) -> None:
    """After a failure, numbers of transactions that were lost may be given again."""
    before = await versions(database)
    database._pool.discard_idle()
    assert not {*before.values()} & {*(await versions(database)).values()}


async def test_they_are_not_known_without_end(database: PostgreSQLDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_version, "MOST_HEARD", 3)
    for number in range(10):
        assert await database.ask_version(f"/buckets/b/collections/{number}")
        assert len(database._versions._known) <= 3


async def change(server: PostgreSQLDatabase, chance: random.Random) -> None:
    """Write something, by chance, with or without the lock."""
    place = chance.choice(PLACES)
    uri = f"{place.parent}/{place.resource}s/r{chance.randrange(3)}"
    kind, number, id = chance.randrange(13), chance.randrange(10**9), uri.rpartition("/")[2]
    asked = written(place, id, uri, is_all=kind < 4)
    with suppress(Refused, NotForeseen):
        for attempt in attempts():
            async with attempt, server.foresee(asked, [place]) as unit:
                if kind < 6:
                    await unit.storage.put(place, id, json.dumps({"n": number}))
                if kind in (0, 4, 6, 7):
                    await unit.permission.replace(uri, {"read": [f"u{number}"]})
                if kind == 8:
                    await unit.storage.delete(place, [id])
                if kind == 9:
                    await unit.permission.forget([uri])
                if kind == 10:
                    await unit.permission.join(uri, [f"u{number}"])
                if kind == 11:
                    await unit.storage.put(place, f"past{number}", "{}", number)
                await asyncio.sleep(0)
                if chance.random() < 0.1:
                    raise Refused


async def test_no_version_stands_still_over_a_change(database: PostgreSQLDatabase, emptied: str) -> None:
    """Any units, of two servers at once, some of them undone: checked against what is read in the same snapshot."""
    others = PostgreSQLDatabase(emptied, Clock(), Connections(kept=5, wait_s=30))
    await others.open()
    chance = random.Random(7)
    known: dict[tuple[str, Hashable], str] = {}
    same, is_over = 0, False

    async def check(server: PostgreSQLDatabase) -> None:
        nonlocal same
        while not is_over:
            place = chance.choice(PLACES)
            heard = await server.ask_version(place.parent)
            async with server.foresee(about(place)) as unit:
                now = await concerning(unit, place.parent)
            name = f"{server is others}{place.parent}"
            same += (name, heard) in known and heard == unit.version
            assert known.setdefault((name, unit.version), now) == now, place

    checking = [asyncio.ensure_future(check(each)) for each in (database, others, database)]
    for number in range(2_000):
        # On a slow machine there are more changes to a check.
        if number > 150 and same > 100 and len(known) > 200:
            break
        await asyncio.gather(
            *(change(chance.choice((database, others)), chance) for _ in range(chance.choice((1, 2, 4))))
        )
        await asyncio.sleep(0.005)
    is_over = True
    await asyncio.gather(*checking)
    await others.close()
    assert same > 100
    assert len(known) > 200


async def concerning(unit: Any, parent: str) -> str:
    """All that answers about the lists below an object are made of."""
    above = lineage(parent)
    objects = await unit.session.run(
        "SELECT o.parent, o.resource, o.id, o.last_modified, o.deleted, o.data, l.last_modified, l.open"
        " FROM objects AS o JOIN lists AS l USING (bucket, parent, resource) WHERE o.parent = ANY($1) ORDER BY 1, 2, 3",
        above,
    )
    aces = await unit.session.run("SELECT uri, permission, principal FROM aces ORDER BY 1, 2, 3")
    members = await unit.session.run("SELECT principal, member FROM members ORDER BY 1, 2")
    return repr(
        ([*map(tuple, objects)], [tuple(row) for row in aces if parent_of(row[0]) in above], [*map(tuple, members)])
    )


def test_what_is_asked_for_is_said_with_the_question() -> None:
    asked = about(RECORDS)
    statement, *values = postgresql_version.and_version(asked, "SELECT $1", "a")
    assert "bucket = $2::text AND parent = $3::text" in statement
    assert len(values) == 1 + 2 * len(lineage(RECORDS.parent))
    plain = msgspec.structs.replace(asked, with_version=False)
    assert postgresql_version.and_version(plain, "SELECT $1", "a") == ("SELECT $1", "a")
