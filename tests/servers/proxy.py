"""A TCP proxy that cuts connections when a client says a certain thing."""

import asyncio
from types import TracebackType


class Proxy:
    """Passes bytes between clients and a port of 127.0.0.1.

    `cut_at`: what a client says for its connection to be cut, once. `is_told`: whether the server still hears it.
    """

    def __init__(self, port: int) -> None:
        self.cut_at: bytes | None = None
        self.is_told = False
        self.cuts = 0
        self._to = port
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._to)
        back = asyncio.create_task(self._pass_back(server_reader, writer))
        self._tasks.add(back)
        while said := await reader.read(65536):
            if self.cut_at and self.cut_at in said:
                self.cut_at = None
                self.cuts += 1
                # What the server answers is for nobody.
                back.cancel()
                await asyncio.wait([back])
                if self.is_told:
                    server_writer.write(said)
                    await server_writer.drain()
                    await server_reader.read(65536)
                break
            server_writer.write(said)
        writer.close()
        server_writer.close()

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65536):
            writer.write(said)
        writer.close()
