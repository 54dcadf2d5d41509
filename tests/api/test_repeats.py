"""Requests that come again are answered without being read, as long as what they were answered is true (S1, P6)."""

import io
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import SETTINGS
from tests.servers import modes
from tests.wired import Wired

from kobako import Authenticator, Call, Identity, Plugin
from kobako.app import App
from kobako.databases.base import BackendUnavailable
from kobako.http import asgi, kept, log
from kobako.http.repeats import Repeat
from kobako.http.routing import Step
from kobako.http.site import Site
from kobako.logs import TextFormatter
from kobako.logs.lines import LineHandler
from kobako.model.resource import Target
from kobako.plugins import default_bucket
from kobako.protocol.messages import Request
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing import Clock
from kobako.testing.client import Answer

LIST = "/buckets/b/collections/c"
ONE = f"{LIST}/records/r"

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.server)

# Behind a pooler PostgreSQL is not asked for its version: there nothing is kept.
pytestmark = pytest.mark.parametrize(
    "backend", ["sqlite", *([POSTGRESQL] if modes.chosen() != "pooler" else [])], indirect=True
)

ASKS = 16
"""After so many, PostgreSQL is asked whether there is still news, however often there was."""


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs of requests that are read, from now on."""
    found, answer = list[str](), asgi.answer

    async def noted(site: Site, request: Request, *more: Any, **others: Any) -> Any:
        found.append(request.url)
        return await answer(site, request, *more, **others)

    monkeypatch.setattr(asgi, "answer", noted)
    return found


async def filled(client: Wired) -> Wired:
    await client.put("/buckets/b", permissions={"read": ["system.Authenticated"]})
    await client.put(LIST)
    await client.put(ONE, {"n": 1, "m": 1})
    return client


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Wired]:
    async with Wired(App(settings, RESOURCES)) as client:
        yield await filled(client)


async def is_read_once(client: Wired, read: list[str], url: str = ONE, **more: Any) -> bool:
    """Tell whether of some alike only the first ones are read; all of them get the same answer."""

    async def told() -> Answer:
        answer = await client.get(url, **more)
        # That is of the second in which it is told.
        answer.headers.pop("Expires", None)
        return answer

    first = await told()
    for _ in range(ASKS):
        assert await told() == first
    read.clear()
    for _ in range(ASKS):
        assert await told() == first
    # PostgreSQL may have something to do for itself once.
    return len(read) < ASKS / 4


async def test_what_the_server_says_of_itself_is_not_worked_out_again(client: Wired, read: list[str]) -> None:
    assert await is_read_once(client, read, "/")
    assert await is_read_once(client.anonymous(), read, "/")


@pytest.mark.parametrize("url", [ONE, f"{LIST}/records", f"{LIST}/records?_since=0&n=1", "/buckets/b", "/buckets"])
async def test_what_comes_again_is_not_read(client: Wired, read: list[str], url: str) -> None:
    assert await is_read_once(client, read, url)
    etag = (await client.get(url)).headers["ETag"]
    assert await is_read_once(client, read, url, headers={"If-None-Match": etag})
    assert (await client.get(url, headers={"If-None-Match": etag})).status == 304
    assert (await client.head(url)).body == (await client.head(url)).body == b""
    assert (await client.get(url, headers={"If-None-Match": '"1"'})).status == 200


async def test_each_is_answered_as_it_would_be_if_it_was_read(
    client: Wired, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever differs in what is sent."""
    urls = [ONE, f"{LIST}/records", f"{LIST}/records?_limit=1", f"{LIST}/records?_limit=1&_fields=n"]
    headers = [{}, {"Origin": "https://a.example"}, {"If-None-Match": "*"}, {"User-Agent": "x"}, {"Host": "other:80"}]
    users = [client, client.as_user("somebody"), client.anonymous()]
    asked = [
        (user, method, url, each) for user in users for method in ("GET", "HEAD") for url in urls for each in headers
    ]

    async def answers() -> list[Any]:
        return [await user.request(method, url, headers=each) for user, method, url, each in asked]

    first = await answers()
    for _ in range(ASKS):
        assert await answers() == first
    read.clear()
    assert await answers() == first
    # Those of the anonymous user are refused, and some of them have no such version.
    assert 0 < len(read) < len(asked) / 2
    client.app.site.kept.most_bytes = 0
    client.app.site.kept._answers.clear()
    assert await answers() == first


async def test_after_a_change_it_is_read_again(client: Wired, read: list[str]) -> None:
    for number in range(3):
        await client.put(ONE, {"n": number})
        assert await is_read_once(client, read)
        assert (await client.get(ONE)).data["n"] == number
    await client.put("/buckets/b", permissions={"read": []})
    assert (await client.get(ONE)).status == 200
    assert (await client.as_user("somebody").get(ONE)).status == 403


async def test_who_is_no_longer_recognized_is_told_so(settings: Settings, read: list[str], backend: str) -> None:
    """On PostgreSQL nobody is known to be recognized as long as nothing changes, so all is read."""
    clock, known = Clock(), {"somebody"}

    async def door(request: Request) -> Identity | None:
        name = request.headers.get("authorization", "")
        return Identity(name) if name in known else None

    app = App(settings, RESOURCES, authenticators=[Authenticator("door", door, lasts_s=60)], clock=clock)
    async with Wired(app, None) as client:
        client.headers["authorization"] = "somebody"
        await filled(client)
        assert await is_read_once(client, read) == (backend == "sqlite")
        known.clear()
        clock.now += 59_000
        if backend == "sqlite":
            assert await is_read_once(client, read)
        clock.now += 2_000
        assert (await client.get(ONE)).status == 401


async def test_the_log_has_its_entry_all_the_same(
    client: Wired, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "request.summary")
    for _ in range(2 * ASKS):
        await client.get(f"{ONE}?_fields=n&token=secret", headers={"User-Agent": "kobako", "Accept-Language": "ja"})
    found = [{**vars(each)["fields"], "t": 0, "time": ""} for each in caplog.records]
    assert len(read) < 1.5 * ASKS
    assert len({each.pop("rid") for each in found}) == len(found) == 2 * ASKS
    assert all(each == found[0] for each in found)
    assert found[0]["querystring"]["token"] == "***"
    assert {"agent": "kobako", "lang": "ja", "code": 200, "errno": 0, "authn_type": "basicauth"}.items() <= found[
        0
    ].items()


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """The lines that were written since the last call."""
    stream, logger = io.StringIO(), log.REQUESTS
    handler = LineHandler(stream)
    handler.setFormatter(TextFormatter())
    before = logger.level, logger.propagate

    def written() -> list[str]:
        handler.flush()
        found = stream.getvalue().splitlines()
        stream.truncate(0)
        stream.seek(0)
        return found

    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False
    yield written
    logger.removeHandler(handler)
    logger.level, logger.propagate = before
    logging.getLogger().manager._clear_cache()  # type: ignore[attr-defined]


ID = r" rid=[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12} "
TIMES = r" time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} "


@pytest.mark.parametrize("agent", ["kobako", 'a "b"\\', "t=1 rid=2 time=3", "%s {0} \x80"])
@pytest.mark.parametrize("query", ["", "?_fields=n&token=secret&b=%20"])
async def test_its_line_is_the_one_that_it_would_have_if_it_was_read(
    client: Wired, read: list[str], lines: Callable[[], list[str]], query: str, agent: str
) -> None:
    asked = 2 * ASKS + 2
    lines()
    read.clear()
    for _ in range(asked):
        await client.get(f"{ONE}{query}", headers={"User-Agent": agent, "Accept-Language": "ja"})
    found = lines()
    assert len(read) < asked == len(found)
    assert len({re.search(ID, line)[0] for line in found}) == asked  # type: ignore[index]
    alike = {re.sub(r"\(\d+ ms\)", "(ms)", re.sub(ID, " rid ", re.sub(TIMES, " time ", line))) for line in found}
    assert len(alike) == 1
    assert " rid time uid=" in alike.pop()


async def test_where_nobody_wants_lines_there_are_none(
    client: Wired, read: list[str], lines: Callable[[], list[str]]
) -> None:
    assert await is_read_once(client, read)
    lines()
    log.REQUESTS.setLevel("WARNING")
    await client.get(ONE)
    assert lines() == []
    log.REQUESTS.setLevel("INFO")
    await client.get(ONE)
    assert len(lines()) == 1
    # Another one who wants to know of it, and no lines.
    log.REQUESTS.addHandler(other := logging.NullHandler())
    await client.get(ONE)
    log.REQUESTS.removeHandler(other)
    await client.get(ONE)
    found = [re.sub(r"\(\d+ ms\)", "", re.sub(ID, " ", re.sub(TIMES, " ", line))) for line in lines()]
    assert found == [found[0]] * 2


@pytest.mark.parametrize("header", ["X-Request-Id", "Traceparent", "CF-Ray"])
async def test_what_has_an_id_of_its_own_is_not_kept(client: Wired, read: list[str], header: str) -> None:
    assert not await is_read_once(client, read, headers={header: "1"})


async def test_no_credentials_are_kept(client: Wired) -> None:
    await is_read_once(client, [])
    secret = client.headers["authorization"]
    known = [what for _, what, _ in client.app.site.kept._answers.values()]
    entries = [each.entry._fields for each in known if isinstance(each, Repeat)]
    assert entries
    assert secret not in repr((client.app.site.kept._answers, entries))


async def test_what_has_a_body_is_read(client: Wired, read: list[str]) -> None:
    assert not await is_read_once(client, read, body=b"{}")
    assert not await is_read_once(client, read, headers={"Content-Length": "0"})


async def test_what_is_large_or_expires_is_read(
    client: Wired, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.put("/buckets/b", permissions={"read": ["system.Everyone"]})
    await client.put(LIST, {"cache_expires": 60})
    assert not await is_read_once(client.anonymous(), read)
    monkeypatch.setattr(kept, "LARGEST_BYTES", 10)
    assert not await is_read_once(client, read)


async def test_where_the_database_is_gone_it_is_said_so(client: Wired, monkeypatch: pytest.MonkeyPatch) -> None:
    await is_read_once(client, [])
    asked = list[Target]()

    def gone() -> None:
        raise BackendUnavailable("no such file")

    async def gone_far(target: Target) -> None:
        asked.append(target)
        gone()

    monkeypatch.setattr(client.app.site.backends, "version", gone)
    monkeypatch.setattr(client.app.site.backends, "ask_version", gone_far)
    for _ in range(2):
        assert (await client.get(ONE)).status == 503
    # Nobody waits for it twice, by whichever door they come.
    assert len(asked) in (0, 2)


SOON = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [{"backoff": 10}, {"backoff": 10, "backoff_percentage": 50}, {"eos": SOON}, {"kept_answers_bytes": 0}],
)
async def test_what_may_be_answered_differently_is_read(
    settings: Settings, read: list[str], change: dict[str, Any]
) -> None:
    async with Wired(App(replace(settings, **change), RESOURCES)) as client:
        await filled(client)
        read.clear()
        for _ in range(2 * ASKS):
            assert (await client.get(ONE)).status == 200
        assert len(read) == 2 * ASKS


async def test_what_plugins_say_of_a_user_is_of_now(settings: Settings, read: list[str]) -> None:
    said = list[int]()

    async def about_user(call: Call) -> dict[str, int]:
        said.append(len(said))
        return {"said": len(said), "here": bool(await call.tx.storage.timestamp(call.target.place))}

    async with Wired(App(settings, RESOURCES, plugins=[Plugin(name="own", about_user=about_user)])) as client:
        assert [(await client.get("/")).json["user"]["said"] for _ in range(3)] == [1, 2, 3]


async def arrive(site: Site, step: Step) -> Step:
    return step


@pytest.mark.parametrize("is_alike", [True, False])
async def test_what_plugins_want_to_see_each_time_is_read(settings: Settings, read: list[str], is_alike: bool) -> None:
    plugin = Plugin(name="own", arrive=arrive, arrives_alike=is_alike)
    async with Wired(App(settings, RESOURCES, plugins=[plugin])) as client:
        await filled(client)
        assert await is_read_once(client, read) == is_alike


@pytest.mark.parametrize("settings", [SETTINGS])
async def test_through_the_default_bucket_everybody_gets_their_own(settings: Settings, read: list[str]) -> None:
    async with Wired(App(settings, RESOURCES, plugins=[default_bucket.plugin(settings)])) as client:
        other = client.as_user("other")
        for number, user in enumerate((client, other)):
            await user.put("/buckets/default/collections/c/records/r", {"n": number})
        for _ in range(3):
            for number, user in enumerate((client, other)):
                assert (await user.get("/buckets/default/collections/c/records/r")).data["n"] == number
