"""PostgreSQL: what a request will read is asked at once, answered as one by one, and nothing else is answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from itertools import product
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.servers.modes import Served

from kobako.databases import postgresql_foreseen
from kobako.databases.base import BackendUnavailable, Foreseen, NotForeseen, Sought, Unit
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_connections import LIMITS
from kobako.databases.postgresql_foreseen import MOST_ACES, AnsweredPermission, AnsweredStorage
from kobako.databases.postgresql_session import Session
from kobako.permission.base import Permission
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Selection, Sort
from kobako.storage.base import TOMBSTONE, ListState, Place, Storage, Stored
from kobako.testing import Clock
from kobako.testing.concurrency import give_time
from kobako.testing.fixtures import RECORDS, Refused, put

pytestmark = pytest.mark.server

BUCKET = "/buckets/b"
COLLECTION = RECORDS.parent
URI = f"{COLLECTION}/records/r1"
URIS = (URI, COLLECTION, BUCKET)
GROUP = f"{BUCKET}/groups/g"
EVERYBODY = frozenset({"user", "system.Everyone", "system.Authenticated"})
EVERYTHING = Foreseen(
    user="user", principals=EVERYBODY, uris=URIS, objects=(Sought(RECORDS, "r1", URI),), place=RECORDS, is_all=True
)

MORE = msgspec.structs.replace(EVERYTHING, is_all=False)
OF_LIST = msgspec.structs.replace(EVERYTHING, objects=(), uris=(COLLECTION, BUCKET))
OTHER = Sought(RECORDS, "r2", f"{COLLECTION}/records/r2")
SEVERAL = msgspec.structs.replace(EVERYTHING, objects=(*EVERYTHING.objects, OTHER), uris=(*URIS, OTHER.uri), place=None)
ELSEWHERE = msgspec.structs.replace(SEVERAL, objects=EVERYTHING.objects, uris=(*URIS, "/buckets/another"))


@pytest.fixture
async def database(emptied: str, served: Served) -> AsyncIterator[PostgreSQLDatabase]:
    # Not behind a pooler, where nothing is foreseen.
    database = PostgreSQLDatabase(emptied, Clock())
    await database.open()
    async with database.begin([RECORDS]) as unit:
        await unit.storage.open(RECORDS)
    yield database
    await database.close()


Question = Callable[[Unit], Awaitable[Any]]


def questions(principals: frozenset[str], asked: Foreseen) -> dict[str, Question]:
    about_one = {
        "acl": lambda unit: unit.permission.acl(URI),
        "object": lambda unit: unit.storage.get(RECORDS, "r1"),
    }
    about_list = {"timestamp": lambda unit: unit.storage.timestamp(RECORDS)}
    return {
        "groups": lambda unit: unit.permission.groups("user"),
        "granted": lambda unit: unit.permission.granted(principals, asked.uris),
        **(about_one if asked.objects else about_list),
    }


async def answers(unit: Unit, asked: Foreseen = EVERYTHING) -> dict[str, Any]:
    principals = EVERYBODY | await unit.permission.groups("user")
    return {name: await ask(unit) for name, ask in questions(principals, asked).items()}


@pytest.mark.parametrize(
    ("has_object", "is_deleted", "has_group", "grants"),
    [
        *product([False, True], [False], [False, True], [[], [("user", URI, "write")]]),
        (True, True, False, []),
        (True, False, True, [(GROUP, BUCKET, "read"), ("other", BUCKET, "write"), ("other", URI, "read")]),
        (True, False, False, [(GROUP, BUCKET, "read"), ("system.Everyone", COLLECTION, "record:create")]),
    ],
)
async def test_the_answers_are_those_of_a_unit_that_is_asked_one_by_one(
    database: PostgreSQLDatabase,
    has_object: bool,
    is_deleted: bool,
    has_group: bool,
    grants: list[tuple[str, str, str]],
) -> None:
    if has_object:
        await put(database, "r1", {"a": 1})
    async with database.begin([RECORDS]) as unit:
        if is_deleted:
            await unit.storage.delete(RECORDS, ["r1"])
        if has_group:
            await unit.permission.join(GROUP, ["user"])
        for who, uri, permission in grants:
            await unit.permission.grant({uri: {permission: [who]}})

    for asked, lists in (
        *((EVERYTHING, []), (MORE, []), (MORE, [RECORDS]), (OF_LIST, [])),
        *((SEVERAL, []), (msgspec.structs.replace(SEVERAL, is_all=False), [RECORDS]), (ELSEWHERE, [])),
    ):
        async with database.begin() as unit:
            expected = await answers(unit, asked)
        async with database.foresee(asked, lists) as foreseen:
            assert await answers(foreseen, asked) == expected
        assert bool(expected["groups"]) == has_group
        if asked.objects:
            assert (expected["object"] is not None) == (has_object and not is_deleted)


async def test_nobody_in_particular_has_no_groups(database: PostgreSQLDatabase) -> None:
    async with database.begin([RECORDS]) as unit:
        await unit.permission.join(GROUP, ["user", "system.Authenticated"])
        await unit.permission.grant({BUCKET: {"read": ["system.Everyone", GROUP]}, URI: {"write": ["user"]}})
    everyone = frozenset({"system.Everyone"})
    for asked in (EVERYTHING, OF_LIST, SEVERAL):
        anonymous = msgspec.structs.replace(asked, user=None, principals=everyone)
        async with database.foresee(anonymous) as unit:
            assert await unit.permission.granted(everyone, asked.uris) == {(BUCKET, "read")}


@pytest.mark.parametrize(
    "ask",
    [
        lambda unit: unit.permission.groups("somebody"),
        lambda unit: unit.permission.granted(["somebody"], URIS),
        lambda unit: unit.permission.granted(["user"], ["/buckets/other"]),
        lambda unit: unit.permission.acl(BUCKET),
        lambda unit: unit.permission.shared(["user"], COLLECTION, ["read"]),
        lambda unit: unit.storage.get(RECORDS, "r2"),
        lambda unit: unit.storage.get(Place("collection", BUCKET), "r1"),
        lambda unit: unit.storage.timestamp(RECORDS),
        lambda unit: unit.storage.timestamp(Place("collection", BUCKET)),
        lambda unit: unit.storage.list(RECORDS),
        lambda unit: unit.storage.epoch(),
        lambda unit: unit.storage.put(RECORDS, "r1", "{}"),
    ],
)
async def test_what_was_not_foreseen_is_not_answered(database: PostgreSQLDatabase, ask: Question) -> None:
    async with database.foresee(EVERYTHING) as unit:
        with pytest.raises(NotForeseen):
            await ask(unit)


async def test_of_a_list_that_was_never_opened_nothing_is_known(database: PostgreSQLDatabase) -> None:
    other = Place("collection", BUCKET)
    async with database.foresee(msgspec.structs.replace(OF_LIST, place=other)) as unit:
        with pytest.raises(NotForeseen):
            await unit.storage.timestamp(other)


SINCE = (Filter("last_modified", Operator.GT, 3),)
SELECTIONS = [
    Selection(limit=3),
    Selection(limit=100),
    Selection(),
    Selection(limit=3, after=(4,)),
    Selection(limit=4, sort=(Sort("last_modified"),), after=(2,)),
    Selection(filters=SINCE, tombstones=True, limit=3),
    Selection(
        filters=(*SINCE, Filter("last_modified", Operator.LT, 7)), tombstones=True, sort=(Sort("last_modified"),)
    ),
    Selection(filters=(Filter("last_modified", Operator.GT, 2**70),), tombstones=True),
    Selection(filters=(Filter("f", Operator.EQ, 1),), limit=2),
    Selection(filters=(Filter("f", Operator.IN, (1, 2)), Filter("g", Operator.NOT, 7), *SINCE)),
]

NOT_AT_ONCE = [
    Selection(sort=()),
    Selection(sort=(Sort("f"), *NEWEST_FIRST)),
    Selection(filters=(Filter("g", Operator.EQ, 1),)),
    Selection(filters=(Filter("last_modified", Operator.LIKE, "1"),)),
    Selection(ids=frozenset({"r1"})),
]


@pytest.fixture
async def full(database: PostgreSQLDatabase) -> PostgreSQLDatabase:
    """A list with objects and tombstones, that declares an index, and of which a worker knows that."""
    objects = [
        *(Stored(f"r{n}", n, f'{{"f":{n % 3},"g":"é"}}') for n in range(1, 10)),
        *(Stored(f"gone{n}", n, TOMBSTONE, True) for n in (10, 11)),
    ]
    async with database.begin([RECORDS]) as unit:
        await unit.storage.restore(ListState(RECORDS, 20, True), objects)
        await unit.storage.index(RECORDS, ["f"])
        await unit.permission.join(GROUP, ["user"])
        await unit.permission.grant({BUCKET: {"read": [GROUP]}})
    async with database.foresee(OF_LIST):
        pass
    return database


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize("with_version", [False, True])
async def test_a_page_that_is_found_at_once_is_answered_with_the_rest(
    full: PostgreSQLDatabase, asked: list[str], selection: Selection, with_version: bool
) -> None:
    async with full.begin() as unit:
        expected = await unit.storage.list(RECORDS, selection)
    asked.clear()
    wanted = msgspec.structs.replace(OF_LIST, selection=selection, with_version=with_version)
    async with full.foresee(wanted) as unit:
        assert list(await unit.storage.list(RECORDS, selection)) == list(expected)
        assert await unit.storage.timestamp(RECORDS) == 20
        assert await unit.permission.granted({GROUP}, [BUCKET]) == {(BUCKET, "read")}
        assert len(asked) == 1
        with pytest.raises(NotForeseen):
            await unit.storage.list(RECORDS, msgspec.structs.replace(selection, limit=7))
        with pytest.raises(NotForeseen):
            await unit.storage.list(Place("collection", BUCKET), selection)


@pytest.mark.parametrize("selection", NOT_AT_ONCE, ids=str)
async def test_any_other_is_read_in_a_transaction(
    full: PostgreSQLDatabase, asked: list[str], selection: Selection
) -> None:
    async with full.foresee(msgspec.structs.replace(OF_LIST, selection=selection)) as unit:
        found = await unit.storage.list(RECORDS, selection)
    assert asked[0].startswith("BEGIN")
    async with full.begin() as unit:
        assert {each.id for each in found} == {each.id for each in await unit.storage.list(RECORDS, selection)}


async def test_a_poll_hopes_that_there_is_nothing_new(full: PostgreSQLDatabase, asked: list[str]) -> None:
    selection = Selection(filters=(*SINCE, Filter("g", Operator.EQ, 1)), tombstones=True)
    async with full.foresee(msgspec.structs.replace(OF_LIST, selection=selection)) as unit:
        assert await unit.storage.timestamp(RECORDS) == 20
        assert len(asked) == 1
        with pytest.raises(NotForeseen):
            await unit.storage.list(RECORDS, selection)


async def test_for_who_is_granted_nothing_no_page_is_read(full: PostgreSQLDatabase) -> None:
    """Whoever may be let in otherwise is told it another way: it is not that there are no objects."""
    selection = Selection(limit=3)
    asked = msgspec.structs.replace(OF_LIST, selection=selection, user="other", principals=frozenset({"other"}))
    async with full.foresee(asked) as unit:
        assert not await unit.permission.granted(["other"], asked.uris)
        with pytest.raises(NotForeseen):
            await unit.storage.list(RECORDS, selection)


@pytest.mark.parametrize("fields", [[], ["g", "f"], ["g"]])
async def test_a_page_is_not_looked_for_by_an_index_of_before(full: PostgreSQLDatabase, fields: list[str]) -> None:
    selection = Selection(filters=(Filter("f", Operator.EQ, 1),), limit=20)
    asked = msgspec.structs.replace(OF_LIST, selection=selection)
    async with full.begin([RECORDS]) as unit:
        await unit.storage.index(RECORDS, fields)
    async with full.foresee(asked) as unit:
        with pytest.raises(NotForeseen):
            await unit.storage.list(RECORDS, selection)
    # From then on it is known what the list declares.
    async with full.foresee(asked) as unit:
        assert [each.id for each in await unit.storage.list(RECORDS, selection)] == ["r7", "r4", "r1"]


async def test_a_unit_that_writes_reads_its_pages_itself(full: PostgreSQLDatabase) -> None:
    selection = Selection(limit=3)
    asked = msgspec.structs.replace(OF_LIST, selection=selection, is_all=False)
    async with full.foresee(asked, [RECORDS]) as unit:
        await unit.storage.put(RECORDS, "new", "{}")
        await unit.storage.delete(RECORDS, ["r9"])
        assert [each.id for each in await unit.storage.list(RECORDS, selection)] == ["new", "r8", "r7"]


async def test_what_lists_declare_is_known_of_so_many(full: PostgreSQLDatabase, monkeypatch: Any) -> None:
    monkeypatch.setattr(postgresql_foreseen, "MOST_DECLARED", 2)
    for number in range(5):
        place = Place("record", f"{BUCKET}/collections/c{number}")
        async with full.begin([place]) as unit:
            await unit.storage.open(place)
            await unit.storage.index(place, ["f"])
        async with full.foresee(msgspec.structs.replace(OF_LIST, place=place)):
            assert len(full._declared) <= 3


async def test_of_a_list_there_is_no_object(database: PostgreSQLDatabase) -> None:
    await put(database, "r1")
    async with database.foresee(OF_LIST) as unit:
        assert await unit.storage.timestamp(RECORDS)
        with pytest.raises(NotForeseen):
            await unit.permission.acl(COLLECTION)


async def test_a_long_acl_is_not_read_before_it_is_shown(database: PostgreSQLDatabase) -> None:
    for count, is_known in ((MOST_ACES, True), (MOST_ACES + 1, False)):
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(URI, {"read": [f"user{n}" for n in range(count)]})
        async with database.foresee(EVERYTHING) as unit:
            if is_known:
                assert len((await unit.permission.acl(URI))["read"]) == count
            else:
                with pytest.raises(NotForeseen):
                    await unit.permission.acl(URI)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are run from now on."""
    found = []

    def noted(original: Any) -> Any:
        async def run(self: Session, sql: str, *values: Any) -> Any:
            found.append(sql)
            return await original(self, sql, *values)

        return run

    monkeypatch.setattr(Session, "run", noted(Session.run))
    monkeypatch.setattr(Session, "execute", noted(Session.execute))
    return found


@pytest.mark.parametrize(
    ("what", "lists", "statements"),
    [
        pytest.param(EVERYTHING, [], 1, id="all"),
        pytest.param(MORE, [], 3, id="begin, all, end"),
        pytest.param(MORE, [RECORDS], 3, id="begin with lock, all, end"),
    ],
)
async def test_all_is_asked_in_one_statement(
    database: PostgreSQLDatabase, asked: list[str], what: Foreseen, lists: list[Place], statements: int
) -> None:
    await put(database, "r1")
    asked.clear()
    async with database.foresee(what, lists) as unit:
        await answers(unit)
    assert len(asked) == statements


async def test_in_a_transaction_anything_else_is_answered_too(database: PostgreSQLDatabase) -> None:
    await put(database, "r1")
    await put(database, "r2")
    async with database.foresee(MORE) as unit:
        assert len(await unit.storage.list(RECORDS)) == 2
        assert await unit.storage.get(RECORDS, "r2")
        assert await unit.permission.groups("somebody") == frozenset()
        assert await unit.permission.acl(BUCKET) == {}
        assert not await unit.permission.granted(["somebody"], ["/buckets/other"])


async def test_what_the_unit_writes_is_seen_by_it(database: PostgreSQLDatabase) -> None:
    await put(database, "r1")
    async with database.foresee(MORE, [RECORDS]) as unit:
        before = await answers(unit)
        await unit.storage.put(RECORDS, "r1", '{"new":1}')
        await unit.permission.join(GROUP, ["user"])
        await unit.permission.replace(URI, {"read": [GROUP]})
        after = await answers(unit)
    assert after["object"].text == '{"new":1}'
    assert after["object"].last_modified > before["object"].last_modified
    assert (after["groups"], after["acl"], after["granted"]) == ({GROUP}, {"read": [GROUP]}, {(URI, "read")})


READS = {
    Storage: {"epoch", "timestamp", "get", "list", "count", "purged_before", "totals", "states"},
    Permission: {"groups", "granted", "shared", "held", "held_alone", "acl", "acls_of", "acls", "members"},
}
CHANGE_NO_OBJECT = {"open", "index", "purge", "set_epoch"}


@pytest.mark.parametrize(("contract", "answered"), [(Storage, AnsweredStorage), (Permission, AnsweredPermission)])
def test_whatever_may_change_an_answer_has_it_forgotten(contract: type, answered: type) -> None:
    methods = {name for name in vars(contract) if not name.startswith("_")}

    assert methods - READS[contract] - CHANGE_NO_OBJECT == vars(answered).keys() & methods - READS[contract]


async def test_only_what_is_written_is_forgotten(database: PostgreSQLDatabase, asked: list[str]) -> None:
    other = Sought(RECORDS, "r2", f"{COLLECTION}/records/r2")
    both = msgspec.structs.replace(MORE, objects=(*MORE.objects, other), uris=(*URIS, other.uri))
    await put(database, "r1")
    await put(database, "r2")
    async with database.foresee(both, [RECORDS]) as unit:
        await unit.storage.put(RECORDS, "r1", '{"new":1}')
        await unit.permission.replace(URI, {"read": ["user"]})
        asked.clear()
        assert await unit.storage.get(RECORDS, "r2")
        assert await unit.permission.acl(other.uri) == {}
        assert not await unit.permission.granted(["user"], [other.uri, BUCKET])
        assert not asked
        assert await unit.permission.granted(["user"], [URI, BUCKET]) == {(URI, "read")}
        assert await unit.permission.acl(URI) == {"read": ["user"]}
        # What was written is sent first, in one statement.
        assert len(asked) == 1 + 2


async def test_what_a_part_wrote_and_lost_is_asked_anew(database: PostgreSQLDatabase) -> None:
    await put(database, "r1", {"a": 1})
    async with database.foresee(MORE, [RECORDS]) as unit:
        for depth in (1, 2):
            with suppress(Refused):
                async with unit.savepoint():
                    await unit.storage.put(RECORDS, "r1", '{"new":1}')
                    await unit.permission.join(GROUP, ["user"])
                    await unit.storage.delete(RECORDS, ["r1"])
                    raise Refused(depth)
        assert (await unit.storage.get(RECORDS, "r1")).text == '{"a":1}'
        assert not await unit.permission.groups("user")


async def test_who_waited_for_the_lock_is_answered_as_of_then(database: PostgreSQLDatabase) -> None:
    async def write() -> Any:
        async with database.foresee(MORE, [RECORDS]) as unit:
            return await answers(unit)

    async with database.begin([RECORDS]) as unit:
        waiting = asyncio.create_task(write())
        await give_time(waiting)
        await unit.storage.put(RECORDS, "r1", '{"late":1}')
    assert (await waiting)["object"].text == '{"late":1}'


async def test_who_waited_goes_on_where_the_list_is_by_then(database: PostgreSQLDatabase, asked: list[str]) -> None:
    """What is known of a list that is locked with the begin is of after the lock."""

    async def write(id: str) -> int:
        async with database.foresee(MORE, [RECORDS]) as unit:
            return int((await unit.storage.put(RECORDS, id, "{}")).last_modified)

    async with database.foresee(MORE, [RECORDS]) as unit:
        waiting = [asyncio.create_task(write(f"r{number}")) for number in range(5)]
        await give_time(waiting[-1])
        first = await unit.storage.put(RECORDS, "first", "{}")
        await unit.storage.index(RECORDS, ["f"])
    versions = await asyncio.gather(*waiting)
    assert len({first.last_modified, *versions}) == 6
    assert min(versions) > first.last_modified
    async with database.begin() as unit:
        assert await unit.storage.timestamp(RECORDS) == max(versions)
        assert len(await unit.storage.list(RECORDS, Selection(filters=(Filter("f", Operator.HAS, False),)))) == 6
    # Where everything is serializable, who waited begins anew.
    assert len([each for each in asked if "EXECUTE lock_list" in each]) >= 6
    assert not any("FOR UPDATE" in each for each in asked)


@pytest.mark.parametrize(
    "id", ["c", "of'another", 'of"another', "of\\another", "o'; DROP TABLE objects; --", "é", "a b"]
)
async def test_a_list_of_any_name_is_locked(database: PostgreSQLDatabase, asked: list[str], id: str) -> None:
    """With the begin where nothing in the name could mean something, else by a statement with parameters."""
    place = Place("record", f"{BUCKET}/collections/{id}")
    wanted = msgspec.structs.replace(MORE, objects=(), place=place)
    for number in range(2):
        asked.clear()
        async with database.foresee(wanted, [place]) as unit:
            assert await unit.storage.put(place, f"r{number}", "{}")
        assert ("EXECUTE" in asked[0]) == (id == "c")
    async with database.begin() as unit:
        assert [each.id for each in await unit.storage.list(place)] == ["r1", "r0"]


async def test_several_lists_are_locked_in_their_order(database: PostgreSQLDatabase, asked: list[str]) -> None:
    other = Place("record", f"{BUCKET}/collections/another")
    asked.clear()
    async with database.foresee(MORE, [RECORDS, other]) as unit:
        await unit.storage.put(RECORDS, "r1", "{}")
        await unit.storage.put(other, "r1", "{}")
    assert asked[0] == "BEGIN"
    assert not any("EXECUTE" in each for each in asked)


async def test_when_a_unit_is_over_nothing_is_answered_or_asked(database: PostgreSQLDatabase) -> None:
    async with database.foresee(EVERYTHING) as unit:
        pass
    with pytest.raises(BackendUnavailable, match="over"):
        await unit.storage.list(RECORDS)


async def test_a_connection_that_was_cut_while_idle_is_replaced(database: PostgreSQLDatabase, emptied: str) -> None:
    async with database.foresee(EVERYTHING) as unit:
        await answers(unit)
    other = await asyncpg.connect(emptied)
    await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()"
                        " AND datname = current_database()")  # fmt: skip
    await other.close()
    async with database.foresee(EVERYTHING) as unit:
        assert await answers(unit)


async def test_behind_a_pooler_the_limits_are_set_in_a_transaction(emptied: str) -> None:
    database = PostgreSQLDatabase(f"{emptied}?pooler=transaction", Clock())
    await database.open()
    async with database.foresee(EVERYTHING) as unit:
        assert await answers(unit)
        assert (await unit.session.run("SHOW statement_timeout"))[0][0] == LIMITS["statement_timeout"]
    await database.close()
