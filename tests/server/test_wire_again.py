"""Requests that come again, byte for byte, are answered by the connection: only where they are all that has come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.server.test_wire import GET, LAST, Sent, serving
from uvicorn import Config
from uvicorn.server import ServerState

from kobako import wire
from kobako.app import App
from kobako.http.site import Site
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.wire import Connection

OPTIONS: dict[str, Any] = {"log_config": None, "proxy_headers": False}


class Known:
    """An answer as it was sent before."""

    status, head, body = 200, b"content-length: 5\r\n", b"again"


class Remembering:
    """An app that may answer what it has answered once."""

    def __init__(self) -> None:
        self.read = list[str]()
        self.known = set[bytes]()
        self.asked = list[bytes]()
        self.slowly = False

    def again(self, digest: bytes) -> Known | None:
        """Return the first answer."""
        self.asked.append(digest)
        return Known() if digest in self.known else None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.read.append(scope["raw_path"].decode())
        if self.slowly:
            await asyncio.sleep(0.05)
        if digest := send.__self__.digest:
            self.known.add(digest)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"first"})


class Line(Sent):
    """A transport that need not be kept from reading: it is told what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def close(self) -> None:
        super().close()
        self.closed.set()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Client:
    """A connection that is told what it reads, and in which pieces."""

    def __init__(self, app: Any, **options: Any) -> None:
        config = Config(app, http=Connection, ws="none", lifespan="off", interface="asgi3", **{**OPTIONS, **options})
        config.load()
        loop = asyncio.get_running_loop()
        self.state = ServerState()
        self.connection = Connection(config=config, server_state=self.state, app_state={}, _loop=loop)
        self.sent = Line()
        self.connection.connection_made(self.sent)

    async def say(self, *pieces: bytes, for_s: float = 0.01) -> list[bytes]:
        """Send pieces, and return the bodies that come back."""
        for each in pieces:
            self.connection.data_received(each)
        # All that is ready has its turn.
        await asyncio.sleep(for_s)
        found = b"".join(self.sent.pieces)
        self.sent.pieces.clear()
        return [each[:5] for each in found.split(b"\r\n\r\n")[1:]]


@pytest.fixture
def app() -> Remembering:
    return Remembering()


@pytest.fixture
async def client(app: Remembering) -> AsyncIterator[Client]:
    client = Client(app)
    yield client
    client.connection.connection_lost(None)


FIRST, AGAIN = b"first", b"again"
OTHER = GET.replace(b"/ H", b"/other H")


async def test_what_comes_again_is_not_read(client: Client, app: Remembering) -> None:
    assert await client.say(GET) == [FIRST]
    assert await client.say(GET) == await client.say(GET) == [AGAIN]
    assert await client.say(OTHER) == [FIRST]
    assert await client.say(OTHER) == await client.say(GET) == [AGAIN]
    assert app.read == ["/", "/other"]
    assert client.state.total_requests == 6


async def test_nor_on_another_connection_of_the_same_scheme(client: Client, app: Remembering) -> None:
    await client.say(GET)
    assert await Client(app).say(GET) == [AGAIN]
    other = Client(app)
    other.connection.scheme = "https"
    assert await other.say(GET) == [FIRST]


@pytest.mark.parametrize(
    "request_",
    [
        GET + GET,
        GET + OTHER,
        GET[:-2] + b"Content-Length: 99\r\n\r\nsome of it\r\n\r\n",
        GET + b"GET /part HT",
        b"\r\n" + GET,
        GET[:-2],
        GET.replace(b"GET", b"OPTIONS"),
        LAST,
        GET.replace(b"1.1", b"1.0"),
        GET[:-2] + b"Content-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        GET.replace(b"GET", b"POST"),
        GET[:-2] + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"GET / NOTHTTP\r\n\r\n",
        b"\r\n\r\n",
        b"",
    ],
)
async def test_what_is_more_or_less_than_one_request_is_never_known(app: Remembering, request_: bytes) -> None:
    for _ in range(3):
        client = Client(app)
        with suppress(AssertionError):
            await client.say(request_)
        client.connection.connection_lost(None)
    assert not app.known


async def test_a_request_in_pieces_is_read(client: Client, app: Remembering) -> None:
    await client.say(GET)
    for at in range(1, len(GET)):
        assert await client.say(GET[:at], GET[at:]) == [FIRST]
    assert await client.say(GET) == [AGAIN]
    assert len(app.known) == 1


async def test_what_belongs_to_a_request_that_has_begun_is_read_with_it(client: Client, app: Remembering) -> None:
    """However much it looks like one of its own: a proxy may send requests of several users on one connection."""
    await client.say(GET)
    long = b"POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(GET)
    assert await client.say(long, GET) == [FIRST]
    assert await client.say(b"POST /long HTTP/1.1\r\nX: ", GET) == [FIRST]
    assert await client.say(b"POST /chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GET)) == [FIRST]
    assert await client.say(GET) == []
    assert await client.say(b"\r\n0\r\n\r\n") == []
    assert app.read == ["/", "/long", "/long", "/chunked"]
    assert await client.say(GET) == [AGAIN]


async def test_after_what_is_no_request_yet_all_is_read(client: Client, app: Remembering) -> None:
    await client.say(GET)
    assert await client.say(b"\r\n", GET) == [FIRST]
    assert await client.say(GET) == [AGAIN]


async def test_answers_come_in_the_order_of_requests(client: Client, app: Remembering) -> None:
    await client.say(GET)
    app.slowly = True
    client.connection.data_received(OTHER)
    client.connection.data_received(GET)
    client.connection.data_received(GET)
    assert await client.say(for_s=0.3) == [FIRST] * 3
    assert app.read == ["/", "/other", "/", "/"]
    assert await client.say(GET) == [AGAIN]


async def test_after_an_upgrade_all_is_read(client: Client, app: Remembering) -> None:
    await client.say(GET)
    app.asked.clear()
    await client.say(GET[:-2] + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n")
    app.asked.clear()
    with suppress(AssertionError):
        await client.say(GET)
    assert not app.asked


async def test_who_does_not_read_is_sent_no_more(client: Client, app: Remembering) -> None:
    await client.say(GET)
    client.connection.pause_writing()
    assert await client.say(GET) == []
    client.connection.resume_writing()
    assert await client.say() == [FIRST]


async def test_what_is_around_an_app_sees_each_request(app: Remembering) -> None:
    seen = list[str]()

    async def around(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await app(scope, receive, send)

    client = Client(around)
    for _ in range(3):
        assert await client.say(GET) == [FIRST]
    assert len(seen) == 3
    bounded = Client(app, limit_concurrency=5)
    for _ in range(3):
        assert await bounded.say(GET) == [FIRST]


async def test_what_an_app_does_with_each_request_is_done(settings: Settings) -> None:
    class Own(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)

    assert Own(settings, RESOURCES).again(b"") is None


@pytest.mark.parametrize("settings", [Settings(userid_hmac_secret="secret")])
async def test_the_app_is_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[bytes]()

    def again(site: Site, digest: bytes) -> None:
        asked.append(digest)

    monkeypatch.setattr("kobako.http.asgi.again", again)
    client = Client(App(settings, RESOURCES))
    await client.say(GET)
    # By the connection; and by itself, which serves what others read, too.
    assert len(asked) == 2


# Where it has to be asked whether an answer is still true.


class Supposed:
    """An answer that may be true."""

    def __init__(self, version: asyncio.Future[bool]) -> None:
        self.version = version
        self.tells = 0

    def told(self) -> Known | None:
        """Return it, if it is."""
        self.tells += 1
        return Known() if self.version.result() else None


class Asking(Remembering):
    """An app that finds out when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.said: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.refused = list[Exception | None]()
        self.supposed = list[Supposed]()

    def again(self, digest: bytes) -> "Supposed | None":
        """Suppose what was answered before."""
        if digest not in self.known:
            return None
        supposed = Supposed(asyncio.shield(self.said))
        self.supposed.append(supposed)
        return supposed

    @property
    def cancelled(self) -> int:
        """How many do not wait any more."""
        return sum(each.version.cancelled() for each in self.supposed)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.refused.append(send.__self__.refused)
        await super().__call__(scope, receive, send)


@pytest.fixture
async def asking() -> Asking:
    return Asking()


@pytest.fixture
async def asked(asking: Asking) -> AsyncIterator[Client]:
    """A client that is waiting for word."""
    client = Client(asking)
    assert await client.say(GET) == [FIRST]
    assert await client.say(GET) == []
    yield client
    client.connection.connection_lost(None)


async def test_what_is_still_true_is_not_read(asked: Client, asking: Asking) -> None:
    asking.said.set_result(True)
    assert await asked.say() == [AGAIN]
    assert await asked.say(GET) == await asked.say(GET) == [AGAIN]
    assert asking.read == ["/"]
    assert asked.state.total_requests == 4


async def test_what_is_not_is_read(asked: Client, asking: Asking) -> None:
    asking.said.set_result(False)
    assert await asked.say() == [FIRST]
    assert await asked.say(GET) == [FIRST]
    assert asking.read == ["/"] * 3
    assert asking.refused == [None] * 3


async def test_so_is_what_nobody_can_tell_and_the_app_is_told_why(asked: Client, asking: Asking) -> None:
    failure = OSError("no answer")
    asking.said.set_exception(failure)
    assert await asked.say() == [FIRST]
    assert asking.refused == [None, failure]


async def test_what_comes_meanwhile_has_both_read(asked: Client, asking: Asking) -> None:
    assert await asked.say(OTHER[:9], OTHER[9:]) == [FIRST] * 2
    asking.said.set_result(True)
    assert await asked.say() == []
    assert (asking.read, asking.cancelled) == (["/", "/", "/other"], 1)
    assert await asked.say(GET) == [AGAIN]


async def test_so_does_what_comes_at_once(asking: Asking) -> None:
    """Before anybody was asked."""
    client = Client(asking)
    await client.say(GET)
    assert await client.say(GET, GET) == [FIRST] * 2
    assert asking.read == ["/"] * 3


async def test_who_goes_away_is_sent_nothing(asked: Client, asking: Asking) -> None:
    asked.connection.connection_lost(None)
    asking.said.set_result(True)
    assert await asked.say() == []
    assert (asking.read, asking.cancelled) == (["/"], 1)


async def test_what_was_sent_is_answered_before_the_server_ends(asked: Client, asking: Asking) -> None:
    asked.connection.shutdown()
    assert not asked.sent.is_closed
    assert await asked.say() == [FIRST]
    assert asked.sent.is_closed
    asking.said.set_result(True)
    assert await asked.say() == []


async def test_a_connection_that_waits_for_word_is_not_idle(asked: Client, asking: Asking) -> None:
    asked.connection._answered_at = -1000
    asked.connection.timeout_keep_alive_handler()
    assert not asked.sent.is_closed
    asking.said.set_result(True)
    assert await asked.say() == [AGAIN]
    asked.connection._answered_at = -1000
    asked.connection.timeout_keep_alive_handler()
    assert asked.sent.is_closed


async def test_one_answer_may_be_true_for_many(asked: Client, asking: Asking) -> None:
    others = [Client(asking) for _ in range(5)]
    for each in others:
        assert await each.say(GET) == []
    asking.said.set_result(True)
    assert [await each.say() for each in [asked, *others]] == [[AGAIN]] * 6


# Keeping connections.


@pytest.fixture
def keep_for(app: Remembering) -> Callable[[float], Client]:
    def made(seconds: float) -> Client:
        client = Client(app)
        client.connection.timeout_keep_alive = seconds  # type: ignore[assignment]
        return client

    return made


async def test_a_connection_is_closed_when_no_other_request_has_come(keep_for: Callable[[float], Client]) -> None:
    client = keep_for(0.02)
    await client.say(GET)
    async with asyncio.timeout(20):
        await client.sent.closed.wait()


async def test_not_while_they_come(keep_for: Callable[[float], Client], monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is what we say it is, so that a slow machine does not matter."""
    client = keep_for(75)
    await client.say(GET)
    loop = client.connection.loop
    handler, now = client.connection.timeout_keep_alive_handler, loop.time()
    waits = list[float]()
    monkeypatch.setattr(client.connection, "_wait_for_another", waits.append)

    def at(seconds: float) -> None:
        client.connection._answered_at = now
        monkeypatch.setattr(client.connection, "loop", Frozen(now + seconds))
        handler()

    class Frozen:
        def __init__(self, now: float) -> None:
            self.now = now

        def time(self) -> float:
            return self.now

    at(30)
    assert waits == [45]
    at(74.5)
    assert waits == [45, 1]
    client.connection._in_message = True
    at(80)
    assert waits == [45, 1, 1]
    assert not client.sent.is_closed
    client.connection._in_message = False
    at(75)
    assert client.sent.is_closed


async def test_what_is_answered_again_counts(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.say(GET)
    client.connection._answered_at = 0
    await client.say(GET)
    assert client.connection._answered_at > 0


async def test_the_first_request_is_waited_for_no_longer(app: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    await Client(app).say(GET)
    monkeypatch.setattr(wire, "HEAD_S", 0.05)
    client = Client(app)
    assert await client.say(GET) == [AGAIN]
    await asyncio.sleep(0.1)
    assert not client.sent.is_closed


async def test_over_the_network(app: Remembering) -> None:
    async with serving(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(5):
            writer.write(GET)
            async with asyncio.timeout(20):
                assert (await reader.readuntil(b"\r\n\r\n")).count(b"\r\n") == 3
                assert await reader.readexactly(5) == (AGAIN if number else FIRST)
        writer.close()
