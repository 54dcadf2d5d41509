"""How often a request asks PostgreSQL for something: what it costs is for the most part this."""

import asyncio
from typing import Any

import pytest
from tests.servers import modes
from tests.servers.modes import Served

from kobako.databases.base import Foreseen
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.postgresql_remembered import Remembered
from kobako.databases.postgresql_session import Session
from kobako.databases.postgresql_together import Together
from kobako.protocol import jsontext
from kobako.storage.base import Place
from kobako.testing import Clock
from kobako.testing.client import Client

LIST = "/buckets/b/collections/c/records"
ONE = f"{LIST}/r"

# Behind a pooler what is asked alone needs a transaction around it.
BACKENDS = [pytest.param("postgresql", marks=pytest.mark.server)] if modes.chosen() != "pooler" else []

pytestmark = pytest.mark.parametrize("backend", BACKENDS, indirect=True)


@pytest.fixture
async def client(client: Client) -> Client:
    await client.put("/buckets/b")
    await client.put("/buckets/b/collections/c")
    await client.put(ONE, {"title": "first"})
    return client


@pytest.fixture
def asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked from now on."""
    found = list[str]()
    for name in ("run", "execute"):
        original = getattr(Session, name)

        async def noted(self: Session, sql: str, *values: Any, original: Any = original, **more: Any) -> Any:
            told = await original(self, sql, *values, **more)
            # What is refused is not sent.
            found.append(sql)
            return told

        monkeypatch.setattr(Session, name, noted)
    return found


@pytest.mark.parametrize(("url", "first"), [(ONE, 1), (f"{LIST}?_since=%s", 1), (LIST, 1), ("/", 1)])
async def test_what_is_read_again_takes_one(client: Client, asked: list[str], url: str, first: int) -> None:
    if "%s" in url:
        url %= (await client.head(LIST)).etag
    asked.clear()
    assert (await client.get(url)).status == 200
    assert len(asked) == first
    asked.clear()
    assert (await client.get(url)).status == 200
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("query", "journeys"),
    [
        pytest.param("_since=1", 1, id="a poll with changes"),
        pytest.param("_since=1&_sort=last_modified&_limit=1", 1, id="oldest first"),
        pytest.param("_limit=1&_fields=title", 1, id="some fields"),
        pytest.param("size=1", 1, id="a declared index"),
        pytest.param("title=first", 4, id="any filter"),
        pytest.param("_sort=title", 4, id="another order"),
        # One of them in vain: most polls find nothing new.
        pytest.param("_since=1&title=first", 5, id="a poll with changes, filtered"),
        pytest.param("_since=x", 1, id="what is refused"),
    ],
)
async def test_a_list_takes_so_many(client: Client, asked: list[str], query: str, journeys: int) -> None:
    await client.put("/buckets/b/collections/c", {"indexes": ["size"]})
    await client.put(ONE, {"title": "first", "size": 1})
    for _ in range(2):
        # What the list declares is known from then on.
        await client.get(f"{LIST}?_since=0", headers={"If-None-Match": '"1"'})
    asked.clear()
    answer = await client.get(f"{LIST}?{query}")
    assert answer.status == 400 or answer.data
    assert len(asked) == journeys


async def test_a_list_of_which_parts_are_shared_is_soon_expected(client: Client, asked: list[str]) -> None:
    """To foresee it is in vain, so it is tried more and more seldom."""
    other = client.as_user("other")
    await client.put(ONE, permissions={"read": [(await other.get("/")).json["user"]["id"]]})
    taken = list[int]()
    for number in range(1, 30):
        asked.clear()
        answer = await other.get(f"{LIST}?_limit={number}")
        assert answer.status == 200
        taken.append(len(asked))
    in_vain = [number for number, journeys in enumerate(taken) if journeys > min(taken)]
    assert in_vain == [0, 2, 6, 14]
    assert {taken[number] for number in in_vain} == {min(taken) + 1}


@pytest.mark.parametrize(
    ("method", "url", "known", "unknown"),
    [
        ("PUT", ONE, 1, 2),
        ("PATCH", ONE, 1, 2),
        ("PUT", f"{LIST}/new", 2, 2),
        ("POST", LIST, 1, 2),
        ("DELETE", ONE, 7, 7),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_write_takes_so_many(
    client: Client, asked: list[str], method: str, url: str, known: int, unknown: int, is_known: bool
) -> None:
    """It is known what the last write has left, if that was not one that takes the lock."""
    if not is_known:
        await client.put(f"{LIST}/gone")
        await client.delete(f"{LIST}/gone")
    asked.clear()
    body = None if method == "DELETE" else {"data": {"title": "other"}}
    assert (await client.request(method, url, json=body)).status in (200, 201)
    assert len(asked) == (known if is_known else unknown)


async def test_who_comes_too_late_writes_under_the_lock_and_so_do_the_next(
    client: Client, asked: list[str], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What other servers wrote meanwhile is part of the answer; to try without the lock is tried ever more seldom."""
    server = PostgreSQLDatabase(served.url("app0"), Clock())
    await server.open()
    place, write, meanwhile = Place("record", "/buckets/b/collections/c"), Together.write, list[str]()

    async def late(self: Together, *group: Any) -> None:
        if meanwhile:
            async with server.begin([place]) as unit:
                found = await unit.storage.get(place, "r")
                assert found
                await unit.storage.put(place, "r", jsontext.encode({**jsontext.decode(found.text), meanwhile.pop(): 1}))
            asked.clear()
        await write(self, *group)

    monkeypatch.setattr(Together, "write", late)
    expected, taken = {"title": "first"}, list[int]()
    for number in range(9):
        meanwhile[:] = [f"theirs{number}"]
        asked.clear()
        answer = await client.patch(ONE, {f"ours{number}": 1})
        taken.append(len(asked))
        # Of those who had the lock from the beginning nobody was in the way.
        theirs = () if meanwhile else (f"theirs{number}",)
        expected |= dict.fromkeys((f"ours{number}", *theirs), 1)
        assert answer.status == 200
        assert answer.data == (await client.get(ONE)).data
        assert {name: value for name, value in answer.data.items() if name not in ("id", "last_modified")} == expected
    # The statement in vain, and all four; at first it had asked nothing, and then it does.
    assert taken == [3, 5, 4, 5, 4, 4, 4, 5, 4]
    await server.close()


async def test_who_writes_on_takes_one_and_is_refused_by_what_is_true_now(
    client: Client, asked: list[str], served: Served
) -> None:
    """Whatever other servers have done since, with the object or with a right."""
    ann = client.as_user("ann")
    user = (await ann.get("/")).json["user"]["id"]
    await client.patch("/buckets/b/collections/c", permissions={"write": [user]})
    # Nobody knows yet what she may do there.
    for journeys in (2, 1, 1):
        asked.clear()
        answer = await ann.put(ONE, {"title": "theirs"})
        assert (answer.status, len(asked)) == (200, journeys)
    server = PostgreSQLDatabase(served.url("app0"), Clock())
    await server.open()
    records = Place("record", "/buckets/b/collections/c")

    async def elsewhere() -> str:
        async with server.begin([records]) as unit:
            new = await unit.storage.put(records, "r", jsontext.encode({"title": "other"}))
        return f'"{new.last_modified}"'

    answer = await ann.put(ONE, {"title": "in time"}, headers={"If-Match": await elsewhere()})
    assert answer.status == 200
    await elsewhere()
    assert (await ann.put(ONE, {"title": "late"}, headers={"If-Match": f'"{answer.etag}"'})).status == 412
    async with server.begin([Place("collection", "/buckets/b")]) as unit:
        for uri in ("/buckets/b/collections/c", ONE):
            await unit.permission.replace(uri, {"write": []})
    for _ in range(2):
        assert (await ann.put(ONE, {"title": "intruder"})).status == 403
    assert (await client.get(ONE)).data["title"] == "other"
    await server.close()


@pytest.mark.parametrize("methods", [("PATCH",), ("PATCH", "POST"), ("PATCH", "DELETE")])
async def test_of_one_process_nobody_comes_too_late(client: Client, asked: list[str], methods: tuple[str, ...]) -> None:
    """Nor where others take the lock."""
    requests = [client.patch(ONE, {f"n{number}": 1}) for number in range(10)]
    if "POST" in methods:
        requests += [client.batch(*({"method": "POST", "path": LIST} for _ in range(3))) for _ in range(3)]
    if "DELETE" in methods:
        await client.put(f"{LIST}/other")
        requests.append(client.delete(f"{LIST}/other"))
    asked.clear()
    answers = await asyncio.gather(*requests)
    assert {each.status for each in answers} == {200}
    assert len((await client.get(ONE)).data) == 10 + 3
    of_others = 4 * 3 * ("POST" in methods) + 7 * ("DELETE" in methods)
    # Of the ten that follow each other some write together.
    assert 2 <= len(asked) - 1 - of_others < 10


async def test_what_else_is_written_is_soon_expected(client: Client, asked: list[str]) -> None:
    taken = list[int]()
    for number in range(5):
        asked.clear()
        # With an id of its own, an object that may be there is looked for.
        assert (await client.post(LIST, {"id": f"new{number}"})).status == 201
        taken.append(len(asked))
    assert taken == [6, 6, 7, 6, 6]


async def test_of_what_is_refused_nothing_is_written(
    client: Client, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, recall, recalled = await client.get(ONE), Remembered.recall, list[str | None]()

    def noted(self: Remembered, asked: Foreseen, *known: Any) -> Any:
        recalled.append(asked.user)
        return recall(self, asked, *known)

    monkeypatch.setattr(Remembered, "recall", noted)
    asked.clear()
    assert (await client.put(ONE, {"title": "new"}, headers={"If-Match": '"1"'})).status == 412
    assert (await client.as_user("other").put(ONE, {"title": "new"})).status == 403
    assert len(asked) == 2
    # By what is remembered each is tried once.
    assert len(recalled) == len({*recalled}) == 2
    assert (await client.get(ONE)).data == before.data


@pytest.mark.parametrize("number", [2, 25])
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_batch_takes_as_many_as_one_of_its_parts(
    client: Client, asked: list[str], method: str, number: int
) -> None:
    paths = [f"{LIST}/n{n}" if method == "PUT" else LIST for n in range(number)]
    answer = await client.batch(*({"method": method, "path": path, "body": {"data": {}}} for path in paths))
    assert {each["status"] for each in answer.json["responses"]} == {201}
    assert len(asked) == 4
