"""A TCP proxy between the server and its database: what passes may be delayed, held up, or cut, at a COMMIT too.

Source: reliability, section 3, B; C16.
"""

import asyncio
from types import TracebackType

CHUNK = 65536


class Proxy:
    """Listens on `port` of 127.0.0.1 and passes all on. `delay_s`: before each piece. Open it by `async with`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._cut_at = b""
        self._mark_arrives = True
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server
        self.port = 0
        self.delay_s = 0.0
        self.cuts = 0

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flows.set()
        self._server.close()
        self.cut()
        # Without an end of their own they would be cancelled with the event loop, loudly.
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every connection there is."""
        for each in list(self._open):
            self._reset(each)

    def cut_at(self, mark: bytes, *, arrives: bool) -> None:
        """Reset the next connection on which the client sends these bytes: after they were passed on, or before."""
        self._cut_at, self._mark_arrives = mark, arrives

    def hold(self) -> None:
        """Pass nothing on, and tell nobody: a connection that is half open."""
        self._flows.clear()

    def release(self) -> None:
        """Pass on again, what was held up first."""
        self._flows.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(*self._target)
        except OSError:
            self._reset(writer)
            return
        self._open |= {writer, there[1]}
        try:
            await asyncio.gather(
                self._pass(reader, there[1], writer, asks=True), self._pass(there[0], writer, there[1], asks=False)
            )
        finally:
            for each in (writer, there[1]):
                self._open.discard(each)
                each.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter, *, asks: bool
    ) -> None:
        try:
            while piece := await reader.read(CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flows.wait()
                is_marked = asks and self._cut_at and self._cut_at in piece
                if not is_marked or self._mark_arrives:
                    writer.write(piece)
                    await writer.drain()
                if is_marked:
                    self._cut_at = b""
                    # Whether the database has it or not, the client never hears what came of it.
                    self._reset(back)
                    break
        except OSError:
            self._reset(back)
        finally:
            writer.close()

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        if not writer.transport.is_closing():
            self.cuts += 1
        writer.transport.abort()
