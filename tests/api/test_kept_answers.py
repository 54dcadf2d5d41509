"""Answers are given again as long as nothing was committed, by whomever, and not a moment longer (S1, P6)."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako import Authenticator, Identity, Listener, Passing, Request, Resource, Rights
from kobako.app import App
from kobako.databases.sqlite import SQLiteDatabase
from kobako.http import kept
from kobako.model.transaction import Transaction
from kobako.permission.base import AUTHENTICATED
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing import Clock
from kobako.testing.client import Client

LIST = "/buckets/b/collections/c/records"
ONE = f"{LIST}/r"

FROM_ELSEWHERE = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("UPDATE objects SET data = replace(data, 'first', 'other')")
"""

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
async def client(client: Client) -> Client:
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
    assert (first.status, units) == (200, ["begin"])
    second = await client.get(url)
    assert (second, units) == (first, ["begin"])


async def test_an_answer_that_is_kept_is_nobody_s_to_change(client: Client) -> None:
    first = await client.get(ONE)
    first.headers["ETag"] = "another"
    second = await client.get(ONE)
    second.headers["ETag"] = "another"
    assert (await client.get(ONE)).headers["ETag"] != "another"


async def test_whoever_asks_after_a_change_sees_it(client: Client) -> None:
    for number in range(5):
        changed = await client.put(ONE, {"title": number})
        for url in (ONE, LIST, f'{LIST}?_since="{changed.etag - 1}"'):
            for _ in range(2):
                answer = await client.get(url)
                assert (answer.etag, str(number) in str(answer.data)) == (changed.etag, True)
    await client.delete(ONE)
    assert (await client.get(ONE)).status == 404


async def test_so_does_whoever_asks_after_a_change_of_another_process(client: Client, tmp_path: Path) -> None:
    assert (await client.get(ONE)).data["title"] == "first"
    command = [sys.executable, "-c", FROM_ELSEWHERE, tmp_path / "0.db"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    assert (await client.get(ONE)).data["title"] == "other"


async def test_and_after_a_change_of_another_server_on_the_file(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same_file = lambda _, clock: SQLiteDatabase(tmp_path / "0.db", clock)  # noqa: E731
    monkeypatch.setattr("kobako.app.open_database", same_file)
    async with App(settings, RESOURCES) as app:
        other = Client(app)
        for number in range(5):
            changed = await other.patch(ONE, {"title": number})
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
            await client.get(LIST)
        await tell(tx)

    monkeypatch.setattr(listeners, "after_commit", meanwhile)
    assert [(await client.get(ONE)).data["title"] for _ in range(2)] == ["first", "second"]


async def test_everybody_gets_their_own_answer(client: Client) -> None:
    """P1: to see the ACL takes the right to write."""
    for _ in range(2):
        assert (await client.get(ONE)).json["permissions"]["write"]
        assert (await client.as_user("somebody").get(ONE)).json["permissions"] == {}
        assert (await client.anonymous().get(ONE)).json["permissions"] == {}


async def test_a_right_that_is_taken_is_gone_for_the_next_request(client: Client) -> None:
    """P6: also that of a group."""
    reader = client.as_user("reader")
    user = (await reader.get("/")).json["user"]["id"]
    await client.put("/buckets/b/groups/g", {"members": [user]})
    await client.put("/buckets/b", permissions={"read": ["/buckets/b/groups/g"]})
    assert [(await reader.get(ONE)).status for _ in range(2)] == [200, 200]
    await client.put("/buckets/b/groups/g", {"members": []})
    assert [(await reader.get(ONE)).status for _ in range(2)] == [403, 403]


async def test_other_headers_make_another_question(client: Client) -> None:
    etag = (await client.get(ONE)).headers["ETag"]
    assert [(await client.get(ONE)).status for _ in range(2)] == [200, 200]
    assert (await client.get(ONE, headers={"If-None-Match": etag})).status == 304
    assert (await client.get(ONE, headers={"If-Match": '"1"'})).status == 412
    assert (await client.get(ONE, headers={"Accept": "text/html"})).status == 406
    assert (await client.get(ONE, headers={"Origin": "https://a.example"})).headers["Access-Control-Allow-Origin"]
    head = await client.head(ONE)
    assert (head.status, head.headers["ETag"]) == (200, etag)
    assert (await client.head(LIST)).headers["Total-Records"] == "1"


async def test_other_headers_of_no_effect_do_not(client: Client, units: list[str]) -> None:
    for agent in ("one", "another"):
        await client.get(ONE, headers={"User-Agent": agent, "X-Request-Id": agent})
    assert units == ["begin"]


async def test_the_log_has_a_line_with_the_user_all_the_same(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "request.summary")
    for _ in range(2):
        await client.get(ONE)
    first, second = [{**vars(each)["fields"], "rid": "", "t": 0, "time": ""} for each in caplog.records]
    assert first["uid"] == second["uid"]
    assert first == second


async def test_what_others_may_keep_until_a_time_is_told_the_time_anew(client: Client, units: list[str]) -> None:
    await client.put("/buckets/b/collections/c", {"cache_expires": 60})
    units.clear()
    for _ in range(2):
        assert "Expires" in (await client.anonymous().get(ONE)).headers
    assert len(units) == 2


async def test_what_is_kept_is_bounded(client: Client, units: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    client.app.site.kept.most_bytes = 10_000
    for number in range(100):
        await client.get(f"{LIST}?n={number}")
        assert len(client.app.site.kept._answers) <= 4
    for number in range(20):
        await client.get(f"{LIST}?n={number}", headers={"X-Long": "x" * 4_000})
        assert len(client.app.site.kept._answers) <= 1
    monkeypatch.setattr(kept, "LARGEST_BYTES", 10)
    units.clear()
    for _ in range(2):
        await client.get(ONE)
    assert len(units) == 2


@pytest.mark.parametrize("settings", [replace(SETTINGS, kept_answers_bytes=0)])
async def test_nothing_is_kept_where_the_settings_say_so(client: Client, units: list[str]) -> None:
    for _ in range(2):
        await client.get(ONE)
    assert len(units) == 2


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
        made = f"{url}/{(await strange.post(url, {})).data['id']}"
        for _ in range(2):
            await strange.get(made)
    assert strange.app.site.kept._answers == {}
    assert len(heard) == 2


async def test_lists_of_their_own_are_each_user_s(strange: Client) -> None:
    other = strange.as_user("other")
    await strange.post("/notes", {"n": 1})
    await other.post("/notes", {"n": 2})
    for _ in range(2):
        assert [each["n"] for each in (await strange.get("/notes")).data] == [1]
        assert [each["n"] for each in (await other.get("/notes")).data] == [2]


class Door:
    """Recognizes whoever names themselves, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.says_more = False

    async def authenticate(self, request: Request) -> Identity | Passing | None:
        self.asked += 1
        name = request.headers.get("authorization", "")
        found = Identity(name) if name else None
        return Passing(found) if self.says_more else found


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def knocking(settings: Settings, door: Door, clock: Clock) -> AsyncIterator[Client]:
    authenticators = [Authenticator("door", door.authenticate, lasts_s=60)]
    async with Client(App(settings, RESOURCES, authenticators=authenticators, clock=clock), None) as client:
        client.headers["authorization"] = "somebody"
        yield client


async def who(client: Client) -> str | None:
    answer = await client.get("/")
    return answer.json.get("user", {}).get("id")


async def test_who_was_recognized_is_known_until_something_is_committed(knocking: Client, door: Door) -> None:
    """P6: by the same header, and no other."""
    for _ in range(2):
        assert await who(knocking) == "door:somebody"
        assert await who(knocking.anonymous()) is None
    assert door.asked == 2
    await knocking.put("/buckets/b")
    assert door.asked == 2
    assert await who(knocking) == "door:somebody"
    assert door.asked == 3
    knocking.headers["authorization"] = "another"
    assert await who(knocking) == "door:another"


async def test_who_was_recognized_is_known_for_so_long(knocking: Client, door: Door, clock: Clock) -> None:
    for seconds, asked in ((0, 1), (59, 1), (2, 2)):
        clock.now += seconds * 1000
        assert await who(knocking) == "door:somebody"
        assert door.asked == asked


async def test_the_parts_of_a_batch_have_one_sender(knocking: Client, door: Door) -> None:
    await knocking.batch(*({"method": "PUT", "path": f"/buckets/b{n}"} for n in range(5)))
    assert door.asked == 1
    assert (await knocking.get("/buckets")).json["data"]


async def test_what_is_said_of_one_request_alone_is_asked_each_time(knocking: Client, door: Door) -> None:
    door.says_more = True
    for _ in range(2):
        assert await who(knocking) == "door:somebody"
        assert await who(knocking.anonymous()) is None
    assert door.asked == 4


async def nobody(request: Request) -> None:
    """Recognize nobody."""


async def nothing(request: Request) -> frozenset[str]:
    return frozenset()


@pytest.mark.parametrize("other", [{}, {"lasts_s": 60, "principals": nothing}])
async def test_one_who_looks_at_other_things_has_all_asked_each_time(
    settings: Settings, door: Door, other: dict[str, Any]
) -> None:
    authenticators = [Authenticator("other", nobody, **other), Authenticator("door", door.authenticate, lasts_s=60)]
    async with Client(App(settings, RESOURCES, authenticators=authenticators), None) as client:
        client.headers["authorization"] = "somebody"
        for _ in range(2):
            assert await who(client) == "door:somebody"
    assert door.asked == 2


async def test_so_many_senders_are_known(knocking: Client, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_SENDERS", 10)
    for number in range(50):
        knocking.headers["authorization"] = f"user{number}"
        assert await who(knocking) == f"door:user{number}"
        assert len(knocking.app.site.senders._known) <= 11
