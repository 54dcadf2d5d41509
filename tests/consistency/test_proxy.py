"""The oracle's proxy: passes on, delays, and cuts where it is told to."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.consistency.proxy import Proxy


class Echo:
    """A server that answers what it is asked, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.heard_commit = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            while piece := await reader.read(100):
                self.heard += piece
                if b"COMMIT" in self.heard:
                    self.heard_commit.set()
                writer.write(piece)
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
def echo() -> Echo:
    """The server behind the proxy."""
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """A proxy before a server."""
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


async def ask(proxy: Proxy, text: bytes) -> bytes:
    """Send a text over a connection of its own, and return what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(text)
        return await reader.readexactly(len(text))
    finally:
        writer.close()


async def test_a_proxy_passes_on_both_ways(proxy: Proxy) -> None:
    proxy.delay_s = 0.001

    assert await ask(proxy, b"BEGIN") == b"BEGIN"


async def test_a_connection_is_cut_at_a_mark_that_has_arrived(proxy: Proxy, echo: Echo) -> None:
    proxy.cut_at(b"COMMIT", arrives=True)

    assert await ask(proxy, b"BEGIN") == b"BEGIN"
    with pytest.raises((OSError, EOFError)):
        await ask(proxy, b"a COMMIT;")
    async with asyncio.timeout(10):
        await echo.heard_commit.wait()
    assert await ask(proxy, b"COMMIT") == b"COMMIT", "only the next one is cut"


async def test_a_connection_is_cut_before_a_mark_arrives(proxy: Proxy, echo: Echo) -> None:
    proxy.cut_at(b"COMMIT", arrives=False)

    with pytest.raises((OSError, EOFError)):
        await ask(proxy, b"a COMMIT;")

    assert await ask(proxy, b"BEGIN") == b"BEGIN"
    assert echo.heard == b"BEGIN"


async def test_all_connections_are_cut(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"

    proxy.cut()

    with pytest.raises((OSError, EOFError)):
        await reader.readexactly(1)
    writer.close()


async def test_what_is_held_comes_later(proxy: Proxy, echo: Echo) -> None:
    proxy.hold()
    asking = asyncio.create_task(ask(proxy, b"late"))
    done, _ = await asyncio.wait([asking], timeout=0.05)
    held = not done and echo.heard == b""

    proxy.release()

    assert await asking == b"late"
    assert held


async def test_without_a_server_connections_are_refused() -> None:
    async with Proxy("127.0.0.1", 1) as proxy:
        with pytest.raises((OSError, EOFError)):
            await ask(proxy, b"x")
