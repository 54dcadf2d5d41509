"""A client of an app whose requests go through the edge, as those do that the server reads from the network."""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

from kobako.protocol.messages import Request, Response
from kobako.testing.client import Client

SPELLED = {"etag": "ETag"}


class Cycle:
    """What uvicorn has for each request."""

    def __init__(self) -> None:
        self.status, self.lines, self.body = 0, list[tuple[str, str]](), b""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take in what is sent as ASGI has it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.lines = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        self.body += message.get("body", b"")

    async def send_whole(self, status: int, head: bytes, body: bytes) -> None:
        """Take in what is sent as our own server has it."""
        self.status, self.body = status, body
        self.lines = [
            (name, value) for name, _, value in (each.partition(": ") for each in head.decode("latin-1").splitlines())
        ]


class Wired(Client):
    """A user of an app, behind the edge."""

    async def send(self, request: Request) -> Response:
        """Have a request answered."""
        cycle, body = Cycle(), [request.body]
        headers = {"host": "localhost", **request.headers}
        if request.body:
            headers["content-length"] = str(len(request.body))

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body.pop(), "more_body": False}

        scope = {
            "type": "http",
            "method": request.method,
            "path": request.path,
            "raw_path": quote(request.path).encode(),
            "query_string": request.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "scheme": "http",
            "client": (self.address, 1234),
            "http_version": "1.1",
        }
        await self.app(scope, receive, cycle.send)
        spelled = {SPELLED.get(name, name.title()): value for name, value in cycle.lines}
        return Response(status=cycle.status, headers=spelled, body=cycle.body)
