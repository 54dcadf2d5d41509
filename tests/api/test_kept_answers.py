"""Answers are given again as long as nothing was committed, by whomever, and not a moment longer (S1, P6)."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.conftest import SETTINGS
from tests.servers import modes
from tests.servers.modes import Served
from tests.wired import Wired

from kobako import Listener, Resource, Rights
from kobako.app import App
from kobako.databases.base import Clock as Now
from kobako.databases.base import Database
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.http import kept
from kobako.model.transaction import Transaction
from kobako.permission.base import AUTHENTICATED
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

LIST = "/buckets/b/collections/c/records"
ONE = f"{LIST}/r"

FROM_ELSEWHERE = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("UPDATE objects SET data = replace(data, 'first', 'other')")
"""

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.server)

# Behind a pooler PostgreSQL is not asked for its version: there nothing is kept.
pytestmark = pytest.mark.parametrize(
    "backend", ["sqlite", *([POSTGRESQL] if modes.chosen() != "pooler" else [])], indirect=True
)

ASKS = 8
"""As often is enough for an answer to be kept and given again; PostgreSQL may have something to do for itself once."""


async def ask(client: Client, url: str, **more: Any) -> None:
    """Ask so often that the answer is kept, if it can be."""
    for _ in range(ASKS):
        await client.get(url, **more)


@pytest.fixture(params=[Client, Wired])
async def client(client: Client, request: pytest.FixtureRequest) -> Client:
    """A client with a record to ask for; also one whose requests may be answered without being read."""
    client = request.param(client.app)
    await client.put("/buckets/b", permissions={"read": ["system.Everyone"]})
    await client.put("/buckets/b/collections/c")
    await client.put(ONE, {"title": "first"})
    return client


@pytest.fixture
def units(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each unit of work that is begun from now on."""
    found, begin = list[str](), client.app.site.backends.begin

    def noted(*arguments: Any) -> Any:
        found.append("begin")
        return begin(*arguments)

    monkeypatch.setattr(client.app.site.backends, "begin", noted)
    return found


@pytest.mark.parametrize("url", [ONE, LIST, f"{LIST}?_since=0", f"{LIST}?_limit=1&_sort=title"])
async def test_what_is_asked_again_is_not_looked_for_again(client: Client, units: list[str], url: str) -> None:
    first = await client.get(url)
    assert first.status == 200
    assert units
    for _ in range(ASKS):
        assert await client.get(url) == first
    assert len(units) <= ASKS / 2


async def test_it_outlives_changes_of_other_lists(client: Client, units: list[str]) -> None:
    await client.put("/buckets/b/collections/other")
    await client.put("/buckets/b/collections/other/records/r")
    await ask(client, ONE)
    units.clear()
    for number in range(5):
        await client.put("/buckets/b/collections/other/records/r", {"n": number}, permissions={"read": ["somebody"]})
        await client.put("/buckets/elsewhere/groups/g", {"members": []})
        assert (await client.get(ONE)).data["title"] == "first"
    # The ten that write.
    assert len(units) <= 11


@pytest.mark.parametrize("settings", [replace(SETTINGS, experimental_permissions_endpoint=True)])
async def test_what_is_told_of_all_permissions_is_of_now(client: Client) -> None:
    """It is about all lists."""
    for number in range(3):
        await client.put(f"{LIST}/{number}")
        for _ in range(ASKS):
            assert f"{LIST}/{number}" in {each["uri"] for each in (await client.get("/permissions")).data}


async def test_an_answer_that_is_kept_is_nobody_s_to_change(client: Client) -> None:
    for _ in range(ASKS):
        answer = await client.get(ONE)
        assert answer.headers["ETag"] != "another"
        answer.headers["ETag"] = "another"


async def test_whoever_asks_after_a_change_sees_it(client: Client) -> None:
    for number in range(5):
        changed = await client.put(ONE, {"title": number})
        for url in (ONE, LIST, f'{LIST}?_since="{changed.etag - 1}"'):
            for _ in range(ASKS):
                answer = await client.get(url)
                assert (answer.etag, str(number) in str(answer.data)) == (changed.etag, True)
    await client.delete(ONE)
    assert (await client.get(ONE)).status == 404


@pytest.fixture
def change_elsewhere(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Awaitable[Any]]:
    """A function by which somebody else changes what is stored, who knows nothing of Kobako."""
    if backend == "sqlite":
        command = [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "0.db"]
        return lambda: asyncio.to_thread(subprocess.run, command, check=True)
    served: Served = request.getfixturevalue("served")

    async def change() -> None:
        connection = await asyncpg.connect(served.server.url("app0"))
        try:
            await connection.execute("UPDATE objects SET data = replace(data::text, 'first', 'other')::json")
            # As docs/backends.md says: of what does not go through Kobako nobody knows whom it concerns.
            await connection.execute("UPDATE metadata SET value = value WHERE key = 'epoch'")
        finally:
            await connection.close()

    return change


async def test_so_does_whoever_asks_after_a_change_of_another_process(
    client: Client, change_elsewhere: Callable[[], Awaitable[Any]]
) -> None:
    await ask(client, ONE)
    assert (await client.get(ONE)).data["title"] == "first"
    await change_elsewhere()
    assert (await client.get(ONE)).data["title"] == "other"


@pytest.fixture
def same_database(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Settings, Now], Database]:
    if backend == "sqlite":
        return lambda _, clock: SQLiteDatabase(tmp_path / "0.db", clock)
    served: Served = request.getfixturevalue("served")
    return lambda _, clock: PostgreSQLDatabase(served.url("app0"), clock)


async def test_and_after_a_change_of_another_server_on_the_database(
    client: Client,
    settings: Settings,
    same_database: Callable[[Settings, Now], Database],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kobako.app.open_database", same_database)
    async with App(settings, RESOURCES) as app:
        other = Client(app)
        for number in range(5):
            changed = await other.patch(ONE, {"title": number})
            for _ in range(ASKS):
                assert [(await each.get(ONE)).etag for each in (client, client, other)] == [changed.etag] * 3


async def test_what_is_committed_while_an_answer_is_on_its_way_is_in_the_next_one(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1: the answer may be from before the change; it is not kept for those who ask after it."""
    listeners = client.app.site.listeners
    tell, changes = listeners.after_commit, ["second"]

    async def meanwhile(tx: Transaction) -> None:
        if changes:
            await client.put(ONE, {"title": changes.pop()})
            # Answers are kept of the new version by now.
            await ask(client, LIST)
        await tell(tx)

    monkeypatch.setattr(listeners, "after_commit", meanwhile)
    assert [(await client.get(ONE)).data["title"] for _ in range(3)] == ["first", "second", "second"]


async def test_everybody_gets_their_own_answer(client: Client) -> None:
    """P1: to see the ACL takes the right to write."""
    for _ in range(ASKS):
        assert (await client.get(ONE)).json["permissions"]["write"]
        assert (await client.as_user("somebody").get(ONE)).json["permissions"] == {}
        assert (await client.anonymous().get(ONE)).json["permissions"] == {}


async def test_a_right_that_is_taken_is_gone_for_the_next_request(client: Client) -> None:
    """P6: also that of a group."""
    reader = client.as_user("reader")
    user = (await reader.get("/")).json["user"]["id"]
    await client.put("/buckets/b/groups/g", {"members": [user]})
    await client.put("/buckets/b", permissions={"read": ["/buckets/b/groups/g"]})
    assert {(await reader.get(ONE)).status for _ in range(ASKS)} == {200}
    await client.put("/buckets/b/groups/g", {"members": []})
    assert {(await reader.get(ONE)).status for _ in range(ASKS)} == {403}


async def test_who_asks_who_they_are_is_told_of_their_groups_of_now(client: Client, units: list[str]) -> None:
    user = (await client.get("/")).json["user"]["id"]
    await ask(client, "/")
    units.clear()
    await ask(client, "/")
    assert len(units) <= ASKS / 2
    for members in ([user], []):
        await client.put("/buckets/b/groups/g", {"members": members})
        for _ in range(ASKS):
            assert ("/buckets/b/groups/g" in (await client.get("/")).json["user"]["principals"]) == bool(members)
    assert "user" not in (await client.anonymous().get("/")).json


async def test_other_headers_make_another_question(client: Client) -> None:
    etag = (await client.get(ONE)).headers["ETag"]
    assert {(await client.get(ONE)).status for _ in range(ASKS)} == {200}
    assert (await client.get(ONE, headers={"If-None-Match": etag})).status == 304
    assert (await client.get(ONE, headers={"If-Match": '"1"'})).status == 412
    assert (await client.get(ONE, headers={"Accept": "text/html"})).status == 406
    assert (await client.get(ONE, headers={"Origin": "https://a.example"})).headers["Access-Control-Allow-Origin"]
    head = await client.head(ONE)
    assert (head.status, head.headers["ETag"]) == (200, etag)
    assert (await client.head(LIST)).headers["Total-Records"] == "1"


async def test_other_headers_of_no_effect_do_not(client: Client, units: list[str]) -> None:
    for agent in range(ASKS):
        await client.get(ONE, headers={"User-Agent": str(agent), "X-Request-Id": str(agent)})
    assert len(units) <= ASKS / 2


async def test_the_log_has_a_line_with_the_user_all_the_same(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "request.summary")
    for _ in range(ASKS):
        await client.get(ONE)
    first, *_, second = [{**vars(each)["fields"], "rid": "", "t": 0, "time": ""} for each in caplog.records]
    assert first["uid"] == second["uid"]
    assert first == second


async def test_what_others_may_keep_until_a_time_is_told_the_time_anew(client: Client, units: list[str]) -> None:
    await client.put("/buckets/b/collections/c", {"cache_expires": 60})
    units.clear()
    for _ in range(ASKS):
        assert "Expires" in (await client.anonymous().get(ONE)).headers
    assert len(units) == ASKS


async def test_what_is_kept_is_bounded(client: Client, units: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    known = client.app.site.kept
    known.most_bytes = 10_000
    counts = set[int]()
    for number in range(30):
        await ask(client, f"{LIST}?n={number}")
        counts.add(len(known._answers))
        assert known._bytes == sum(size for *_, size in known._answers.values()) <= 10_000
    assert 1 < max(counts) <= 4
    for number in range(20):
        await ask(client, f"{LIST}?n={number}", headers={"X-Long": "x" * 4_000})
        assert known._bytes == sum(size for *_, size in known._answers.values()) <= 10_000
    monkeypatch.setattr(kept, "LARGEST_BYTES", 10)
    units.clear()
    await ask(client, ONE)
    assert len(units) == ASKS


@pytest.mark.parametrize("settings", [replace(SETTINGS, kept_answers_bytes=0)])
async def test_nothing_is_kept_where_the_settings_say_so(client: Client, units: list[str]) -> None:
    await ask(client, ONE)
    assert len(units) == ASKS


class OwnRights(Rights):
    """As everywhere, but who knows on what else it may depend."""


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
async def strange(settings: Settings, heard: list[str]) -> AsyncIterator[Client]:
    kinds = [
        Resource(name="shelf", path="/shelves", rights=OwnRights, creators=(AUTHENTICATED,)),
        Resource(name="lamp", path="/lamps", creators=(AUTHENTICATED,)),
        Resource(name="note", path="/notes", owned=True),
    ]
    listeners = [Listener(lambda tx, event: heard.append(event.uri), ["read"], ["lamp"])]
    async with Client(App(settings, kinds, listeners=listeners)) as client:
        yield client


async def test_what_plugins_have_a_say_in_is_never_kept(strange: Client, heard: list[str]) -> None:
    for url in ("/shelves", "/lamps"):
        await ask(strange, f"{url}/{(await strange.post(url, {})).data['id']}")
    assert strange.app.site.kept._answers == {}
    assert len(heard) == ASKS


async def test_lists_of_their_own_are_each_user_s(strange: Client) -> None:
    other = strange.as_user("other")
    await strange.post("/notes", {"n": 1})
    await other.post("/notes", {"n": 2})
    for _ in range(ASKS):
        assert [each["n"] for each in (await strange.get("/notes")).data] == [1]
        assert [each["n"] for each in (await other.get("/notes")).data] == [2]
