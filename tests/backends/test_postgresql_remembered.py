"""What a process remembers of the lists it writes: used while it is true, and by nobody who could not tell (P6)."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.servers import modes

from kobako.databases import postgresql_optimistic, postgresql_remembered
from kobako.databases.base import Foreseen, NotForeseen, Outdated, Sought, TryAgain, Unit, attempts
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_lists import State
from kobako.databases.postgresql_remembered import LONGEST_PAUSE, Known, Marks, Remembered
from kobako.protocol import jsontext
from kobako.storage.base import Place, Stored
from kobako.testing import Clock
from kobako.testing.concurrency import give_time
from kobako.testing.fixtures import OTHERS, RECORDS, Refused, put, refused

pytestmark = pytest.mark.server

if modes.chosen() == "pooler":
    pytest.skip("behind a pooler all is done under the lock", allow_module_level=True)

BUCKETS, COLLECTIONS = Place("bucket", ""), Place("collection", "/buckets/b")
COLLECTION = "/buckets/b/collections/c"
URI = f"{COLLECTION}/records/r1"
WRITTEN = Foreseen(
    user="user",
    principals=frozenset({"user", "system.Everyone", "system.Authenticated"}),
    uris=(URI, COLLECTION, "/buckets/b"),
    objects=(Sought(RECORDS, "r1", URI),),
    place=RECORDS,
    is_all=True,
)
CREATED = msgspec.structs.replace(WRITTEN, objects=(), uris=WRITTEN.uris[1:])


@pytest.fixture
async def database(emptied: str) -> AsyncIterator[PostgreSQLDatabase]:
    database = PostgreSQLDatabase(emptied, Clock())
    await database.open()
    await put(database, "b", place=BUCKETS)
    await put(database, "c", place=COLLECTIONS)
    await put(database, "r1", {"n": 0})
    yield database
    await database.close()


async def count(database: PostgreSQLDatabase, question: Foreseen = WRITTEN) -> Stored:
    """Add one to what is counted."""
    async with database.foresee(question, [RECORDS]) as unit:
        found = await unit.storage.get(RECORDS, "r1")
        assert found
        return await unit.storage.put(RECORDS, "r1", jsontext.encode({"n": jsontext.decode(found.text)["n"] + 1}))


async def counted(database: PostgreSQLDatabase) -> int:
    async with database.begin() as unit:
        found = await unit.storage.get(RECORDS, "r1")
    assert found
    n: int = jsontext.decode(found.text)["n"]
    return n


async def test_who_writes_again_is_asked_nothing(database: PostgreSQLDatabase, asked: list[str]) -> None:
    taken = list[int]()
    for _ in range(4):
        asked.clear()
        await count(database)
        taken.append(len(asked))
    assert taken == [2, 1, 1, 1]
    assert await counted(database) == 4


async def test_nor_who_creates_in_a_list_that_they_create_in(database: PostgreSQLDatabase, asked: list[str]) -> None:
    taken = list[int]()
    for number in range(4):
        asked.clear()
        async with database.foresee(CREATED, [RECORDS]) as unit:
            uri = f"{COLLECTION}/records/new{number}"
            await unit.storage.put(RECORDS, f"new{number}", "{}")
            await unit.permission.replace(uri, {"write": ["user"]})
        taken.append(len(asked))
    assert taken == [2, 1, 1, 1]
    async with database.begin() as unit:
        assert len(await unit.storage.list(RECORDS)) == 5
        assert await unit.permission.acl(f"{COLLECTION}/records/new3") == {"write": ["user"]}


GROUP = "/buckets/b/groups/g"


async def test_an_acl_is_known_as_it_was_written(database: PostgreSQLDatabase, asked: list[str]) -> None:
    async with database.begin([RECORDS]) as unit:
        await unit.permission.join(GROUP, ["user"])
        await unit.permission.replace(URI, {"write": ["somebody", "user"]})
    for acl in ({}, {"read": ["a", "a", GROUP], "write": ["user"]}, {"write": []}):
        async with database.foresee(WRITTEN, [RECORDS]) as unit:
            await unit.storage.put(RECORDS, "r1", '{"n": 7}')
            await unit.permission.replace(URI, acl)
    asked.clear()
    async with database.foresee(WRITTEN, [RECORDS]) as unit:
        assert await unit.permission.groups("user") == {GROUP}
        assert await unit.permission.acl(URI) == {"read": ["a", GROUP]}
        assert await unit.permission.granted(["user"], [URI]) == set()
        assert await unit.permission.granted(["user", GROUP], [URI]) == {(URI, "read")}
        await unit.storage.put(RECORDS, "r1", '{"n": 8}')
    assert len(asked) == 1


def question(id: str, place: Place = RECORDS) -> Foreseen:
    uri = f"{place.parent}/records/{id}"
    return msgspec.structs.replace(
        WRITTEN, objects=(Sought(place, id, uri),), uris=(uri, *WRITTEN.uris[1:]), place=place
    )


async def create(database: PostgreSQLDatabase, id: str, text: str = "{}") -> None:
    async with database.foresee(CREATED, [RECORDS]) as unit:
        await unit.storage.put(RECORDS, id, text)


async def write(database: PostgreSQLDatabase, id: str, expected: str | None = None) -> None:
    async with database.foresee(question(id), [RECORDS]) as unit:
        found = await unit.storage.get(RECORDS, id)
        assert (found.text if found else None) == expected
        await unit.storage.put(RECORDS, id, '{"n":1}')


async def test_of_another_object_that_alone_is_asked(database: PostgreSQLDatabase, asked: list[str]) -> None:
    await put(database, "r2", {"n": 0})
    await count(database)
    asked.clear()
    await write(database, "r2", '{"n":0}')
    await write(database, "new")
    assert len(asked) == 4
    assert not any("'grant'" in each for each in asked)
    asked.clear()
    for id in ("r2", "new"):
        await write(database, id, '{"n":1}')
    assert len(asked) == 2


async def test_objects_whose_writers_wait_are_asked_for_together(
    database: PostgreSQLDatabase, asked: list[str]
) -> None:
    await put(database, "r3", {"n": 0})
    async with database.begin([RECORDS]) as unit:
        await unit.permission.replace(f"{COLLECTION}/records/r3", {"read": ["user"], "write": ["a", "b"]})
    # Two connections: with another one all is asked anew.
    async with database.begin():
        await count(database)
    asked.clear()

    async def told() -> tuple[Any, Any]:
        async with database.foresee(question("r3"), [RECORDS]) as unit:
            uri = f"{COLLECTION}/records/r3"
            found = await unit.permission.acl(uri), await unit.permission.granted(["user"], [uri, COLLECTION])
            await unit.storage.put(RECORDS, "r3", '{"n":1}')
        return found

    *_, found = await asyncio.gather(write(database, "r2"), *(write(database, f"n{n}") for n in range(8)), told())
    assert found == ({"read": ["user"], "write": ["a", "b"]}, {(f"{COLLECTION}/records/r3", "read")})
    questions = [each for each in asked if each.lstrip().startswith("SELECT")]
    assert len(questions) == 2
    assert len(asked) <= 2 + 4
    async with database.begin() as unit:
        assert len(await unit.storage.list(RECORDS)) == 1 + 1 + 9


async def test_an_object_that_is_on_its_way_is_asked_for_when_it_is_there(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    """Nor is it asked for with others."""
    # Two connections: with another one all is asked anew.
    async with database.begin():
        await create(database, "first")
    with refused():
        async with other.begin([RECORDS]):
            creating = asyncio.create_task(create(database, "new", '{"n":7}'))
            await give_time(creating)
            others = [asyncio.create_task(write(database, *each)) for each in (("r2",), ("r3",), ("new", '{"n":7}'))]
            await give_time(*others)
            assert not any(each.done() for each in others)
            raise Refused
    await asyncio.gather(creating, *others)


async def test_what_is_forgotten_meanwhile_is_asked(
    database: PostgreSQLDatabase, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await count(database)
    ask_alone = postgresql_optimistic.ask_alone

    async def late(*arguments: Any) -> Any:
        found = await ask_alone(*arguments)
        database._remembered.forget([RECORDS])
        return found

    asked.clear()
    monkeypatch.setattr(postgresql_optimistic, "ask_alone", late)
    await write(database, "r2")
    assert ["'grant'" in each for each in asked] == [False, True, False]


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_long_acl_is_asked_for(database: PostgreSQLDatabase, asked: list[str], is_ours: bool) -> None:
    acl = {"read": [f"u{number:02}" for number in range(51)]}
    await count(database)
    async with database.foresee(WRITTEN, [RECORDS]) if is_ours else database.begin([RECORDS]) as unit:
        await unit.storage.put(RECORDS, "r1", '{"n":1}')
        await unit.permission.replace(URI, acl)
    asked.clear()
    assert (await count(database)).text == '{"n":2}'
    assert [each for each in asked if "'ace'" in each]
    with pytest.raises(NotForeseen):
        async with database.foresee(WRITTEN, [RECORDS]) as unit:
            await unit.permission.acl(URI)
    async with database.begin() as unit:
        assert await unit.permission.acl(URI) == acl


async def test_a_write_to_another_object_leaves_it_as_it_is(database: PostgreSQLDatabase, asked: list[str]) -> None:
    await count(database)
    async with database.foresee(CREATED, [RECORDS]) as unit:
        await unit.storage.put(RECORDS, "new", "{}")
    asked.clear()
    new = await count(database)
    assert len(asked) == 1
    async with database.begin() as unit:
        assert await unit.storage.timestamp(RECORDS) == new.last_modified


async def of_the_list(unit: Unit) -> None:
    await unit.storage.put(RECORDS, "r2", "{}")


async def of_the_object(unit: Unit) -> None:
    await unit.storage.put(RECORDS, "r1", '{"n": 10}')


async def of_its_acl(unit: Unit) -> None:
    await unit.permission.replace(URI, {"read": ["user"]})


async def of_an_acl_above(unit: Unit) -> None:
    await unit.permission.replace(COLLECTION, {"write": ["user"]})


async def of_the_collection(unit: Unit) -> None:
    await unit.storage.put(COLLECTIONS, "c", "{}")


async def of_the_bucket(unit: Unit) -> None:
    await unit.storage.put(BUCKETS, "b", "{}")


async def of_a_group(unit: Unit) -> None:
    await unit.permission.join("/buckets/b/groups/g", ["user"])


async def of_its_end(unit: Unit) -> None:
    await unit.storage.delete(RECORDS, ["r1"])


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize(
    "change",
    [of_the_list, of_the_object, of_its_acl, of_an_acl_above, of_the_collection, of_the_bucket, of_a_group, of_its_end],
)
async def test_what_was_changed_since_is_not_taken_for_true(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, change: Callable[[Unit], Awaitable[None]], is_ours: bool
) -> None:
    await count(database)
    async with (database if is_ours else other).begin([RECORDS, COLLECTIONS, BUCKETS]) as unit:
        await change(unit)
    before = None if change is of_its_end else await counted(database)
    unit = database.foresee(WRITTEN, [RECORDS])
    if not is_ours:
        with pytest.raises(Outdated):
            async with unit as begun:
                await begun.storage.put(RECORDS, "r1", '{"n": 99}')
        unit = database.foresee(WRITTEN, [RECORDS])
    async with unit as begun:
        found = await begun.storage.get(RECORDS, "r1")
        assert (found and jsontext.decode(found.text)["n"]) == before
        assert await begun.permission.acl(URI) == ({"read": ["user"]} if change is of_its_acl else {})
        assert (await begun.permission.groups("user") != set()) == (change is of_a_group)
        await begun.storage.put(RECORDS, "r1", '{"n": 100}')
    assert await counted(database) == 100


async def test_whoever_is_refused_is_so_by_what_is_asked(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase, asked: list[str]
) -> None:
    """What is remembered may be over: only a write finds out."""
    await count(database)
    await count(other)
    for last in (False, True):
        asked.clear()
        with refused() if last else pytest.raises(Outdated):
            async with database.foresee(msgspec.structs.replace(WRITTEN, is_anew=last), [RECORDS]) as unit:
                found = await unit.storage.get(RECORDS, "r1")
                assert found
                assert jsontext.decode(found.text)["n"] == 1 + last
                raise Refused
        assert len(asked) == last


async def test_what_another_user_was_told_since_does_not_make_the_old_true(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    await count(database)
    async with other.begin([COLLECTIONS]) as unit:
        await unit.permission.replace(COLLECTION, {"write": ["user"]})
    somebody = frozenset({"somebody", "system.Everyone", "system.Authenticated"})
    theirs = msgspec.structs.replace(CREATED, user="somebody", principals=somebody)
    async with database.foresee(theirs, [RECORDS]) as unit:
        await unit.storage.put(RECORDS, "new", "{}")
    async with database.foresee(WRITTEN, [RECORDS]) as unit:
        assert await unit.permission.granted(["user"], [COLLECTION]) == {(COLLECTION, "write")}
        await unit.storage.put(RECORDS, "r1", "{}")


async def test_who_gives_up_is_given_up(database: PostgreSQLDatabase) -> None:
    await count(database)
    with pytest.raises(asyncio.CancelledError):
        async with database.foresee(WRITTEN, [RECORDS]):
            raise asyncio.CancelledError
    assert (await count(database)).text == '{"n":2}'


async def test_with_a_new_connection_all_is_asked(database: PostgreSQLDatabase, asked: list[str]) -> None:
    """The server may have failed, and numbers of transactions that were lost be given again."""
    await count(database)
    database._pool.discard_idle()
    asked.clear()
    with pytest.raises(Outdated):
        await count(database)
    await count(database)
    assert len(asked) == 2
    # It was nobody's fault.
    await count(database)
    assert len(asked) == 3


async def test_of_a_new_connection_others_may_have_made_all_know(
    database: PostgreSQLDatabase, asked: list[str]
) -> None:
    await count(database)
    database._pool.discard_idle()
    async with database.begin():
        asked.clear()
    await count(database)
    assert len(asked) == 2
    database._pool.discard_idle()
    asked.clear()
    await write(database, "r2")
    assert ["'grant'" in each for each in asked] == [False, True, False]


async def test_so_it_is_after_a_while(
    database: PostgreSQLDatabase, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may have died: who reads finds out, and takes another one."""
    await count(database)
    monkeypatch.setattr(postgresql_remembered, "LONGEST_S", -1)
    asked.clear()
    await count(database)
    assert len(asked) == 2


async def test_what_was_asked_once_says_of_all_that_it_is_as_it_was(
    database: PostgreSQLDatabase, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await count(database)
    with monkeypatch.context() as later:
        later.setattr(postgresql_remembered, "LONGEST_S", -1)
        async with database.foresee(CREATED, [RECORDS]) as unit:
            await unit.storage.put(RECORDS, "new", "{}")
    asked.clear()
    await count(database)
    assert len(asked) == 1


async def test_of_a_list_that_others_write_as_well_it_is_asked_ever_more_often(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    taken = list[int]()
    for _ in range(40):
        tries = 0
        while True:
            tries += 1
            try:
                await count(database)
                break
            except Outdated:
                continue
        taken.append(tries)
        await put(other, "r2")
    in_vain = [number for number, tries in enumerate(taken) if tries > 1]
    assert in_vain == [1, 3, 7, 15, 31]
    assert {*taken} == {1, 2}


async def test_nobody_writes_by_what_was_over_when_they_began(
    database: PostgreSQLDatabase, other: PostgreSQLDatabase
) -> None:
    """ACLs, groups and the object itself, by two servers at once: numbers say how far each had come."""
    chance, servers = random.Random(3), (database, other)
    said, counts = Counter[str](), Counter[str]()

    async def change() -> None:
        what, number = chance.choice(("bucket", "collection", "object", "group")), chance.randrange(10**9)
        server = chance.choice(servers)
        number = said[f"next {what}"] = said[f"next {what}"] + 1
        for attempt in attempts():
            async with attempt, server.begin([RECORDS, COLLECTIONS, BUCKETS]) as unit:
                if what == "group":
                    await unit.permission.join(f"/buckets/b/groups/{number:09}", ["user"])
                elif what == "object":
                    await unit.storage.put(RECORDS, "r2", "{}")
                    await unit.permission.replace(URI, {f"{number:09}": ["user"]})
                elif what == "bucket":
                    await unit.storage.put(BUCKETS, "b", "{}")
                    await unit.permission.replace("/buckets/b", {f"{number:09}": ["user"]})
                else:
                    await unit.permission.replace(COLLECTION, {f"{number:09}": ["user"]})
        said[what] = max(said[what], number)

    async def add(server: PostgreSQLDatabase) -> None:
        began, is_locked = Counter(said), False
        while True:
            try:
                question = msgspec.structs.replace(WRITTEN, is_all=not is_locked)
                async with server.foresee(question, [RECORDS]) as unit:
                    granted = await unit.permission.granted(["user"], WRITTEN.uris)
                    groups = await unit.permission.groups("user")
                    found = await unit.storage.get(RECORDS, "r1")
                    assert found
                    n = jsontext.decode(found.text)["n"]
                    await unit.storage.put(RECORDS, "r1", jsontext.encode({"n": n + 1}))
                break
            except Outdated:
                counts["outdated"] += 1
            except NotForeseen:
                is_locked = True
            except TryAgain:
                # Where everything is serializable.
                await asyncio.sleep(0.001)
        seen = {name: max([int(each) for uri, each in granted if uri == at], default=0) for name, at in (
            ("object", URI), ("collection", COLLECTION), ("bucket", "/buckets/b"))}  # fmt: skip
        seen["group"] = max([int(each.rpartition("/")[2]) for each in groups], default=0)
        assert n >= began["counted"]
        assert all(seen[name] >= began[name] for name in seen), (seen, began)
        said["counted"] = max(said["counted"], n + 1)
        counts["written"] += 1

    for _ in range(120):
        alone = chance.choice(servers)
        for _ in range(chance.choice((1, 3, 6))):
            await add(alone)
        await asyncio.gather(*(add(chance.choice(servers)) for _ in range(chance.randrange(3))), change())
    assert await counted(database) == counts["written"]
    assert counts["outdated"] > 20


def learn(remembered: Remembered, asked: Foreseen, place: Place = RECORDS, text: str = "{}") -> Known:
    rows = [("object", place.parent, place.resource, each.id, "1", text) for each in asked.objects]
    return remembered.learn(asked, place, rows, 1, Marks("1", "2"), State(1, True))


def test_it_is_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_remembered, "MOST_BYTES", 100_000)
    monkeypatch.setattr(postgresql_remembered, "MOST_LISTS", 3)
    remembered = Remembered()
    for number in range(500):
        learn(remembered, question(f"r{number}"), text="x" * 1000)
        assert RECORDS not in remembered._lists or len(remembered._lists[RECORDS].objects) <= 70
    for number in range(500):
        learn(remembered, msgspec.structs.replace(CREATED, user=f"user{number}"))
        assert RECORDS not in remembered._lists or len(remembered._lists[RECORDS].users) <= 210
    places = [Place("record", f"/{number}") for number in range(10)]
    for place in places:
        learn(remembered, question("r", place), place)
        assert len(remembered._lists) <= 3
    last = question("r", places[-1])
    assert remembered.recall(last, places[-1], 1)
    known = learn(remembered, last, places[-1])
    for number in range(3):
        learn(remembered, last, places[-1])
        remembered.wrote(known, Stored("r", 2, "{}" * number), State(2, True), {"read": ["user"] * number})
    remembered.forget([*remembered._lists])
    assert remembered._bytes == 0
    remembered.wrote(known, Stored("r", 2, "{}"), State(2, True), {})
    assert remembered._bytes == 0


def test_who_was_right_once_is_not_taken_to_be_so_ever_after() -> None:
    remembered, asked = Remembered(), question("r1")
    for _ in range(3):
        remembered.was_wrong(RECORDS)
    remembered.was_right(RECORDS)
    remembered.was_wrong(RECORDS)
    learn(remembered, asked)
    assert [remembered.recall(asked, RECORDS, 1) is not None for _ in range(8)] == [False] * 7 + [True]


def test_what_one_user_may_nobody_else_may() -> None:
    remembered, asked = Remembered(), question("r1")
    learn(remembered, asked)
    assert remembered.recall(asked, RECORDS, 1)
    for differs in ({"user": "other"}, {"principals": frozenset({"other"})}, {"uris": (*asked.uris, "/")}):
        assert not remembered.recall(msgspec.structs.replace(asked, **differs), RECORDS, 1)


def test_a_pause_has_an_end() -> None:
    remembered, asked = Remembered(), question("r1")
    for _ in range(10):
        remembered.was_wrong(RECORDS)
    learn(remembered, asked)
    taken = [remembered.recall(asked, RECORDS, 1) is not None for _ in range(LONGEST_PAUSE + 1)]
    assert taken == [False] * LONGEST_PAUSE + [True]
    assert remembered.recall(question("r1", OTHERS), OTHERS, 1) is None
