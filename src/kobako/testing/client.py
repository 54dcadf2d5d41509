"""An in-process client: requests go to an App without a network.

For the tests of servers built with Kobako::

    async with Client(app) as client:
        response = await client.put("/buckets/b", data={"a": 1})
        assert response.status == 201
"""

import base64
from types import TracebackType
from typing import Any
from urllib.parse import unquote

import msgspec

from kobako.app import App
from kobako.protocol import jsontext
from kobako.protocol.messages import Request, Response


class Answer(msgspec.Struct, frozen=True):
    """A response, its body decoded where it is JSON: None where it is not, or there is none."""

    status: int
    headers: dict[str, str]
    json: Any
    body: bytes = b""

    @property
    def data(self) -> Any:
        """The `data` of the body."""
        return self.json["data"]

    @property
    def etag(self) -> int:
        """The timestamp in the ETag."""
        return int(self.headers["ETag"].strip('"'))


class Client:
    """A user of an app: `user` is a pair for Basic authentication, None for anybody; `address` is where they are."""

    def __init__(self, app: App, user: tuple[str, str] | None = ("mat", "secret"), address: str = "127.0.0.1"):
        self.app = app
        self.address = address
        self.headers: dict[str, str] = {}
        if user:
            credentials = base64.b64encode(":".join(user).encode()).decode()
            self.headers["authorization"] = f"Basic {credentials}"

    def as_user(self, name: str, password: str = "secret") -> "Client":
        """Return a client of the same app for another user."""
        return type(self)(self.app, (name, password), self.address)

    def anonymous(self) -> "Client":
        """Return a client of the same app for nobody in particular."""
        return type(self)(self.app, None, self.address)

    def at(self, address: str) -> "Client":
        """Return a client of the same app for the same user, who calls from another address."""
        other = type(self)(self.app, None, address)
        other.headers = self.headers
        return other

    async def __aenter__(self) -> "Client":
        await self.app.migrate()
        await self.app.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.app.__aexit__(kind, error, trace)

    async def request(
        self, method: str, url: str, *, json: Any = msgspec.UNSET, body: bytes = b"", headers: Any = None
    ) -> Answer:
        """Send a request. `url` begins after the version prefix, or is one that the server gave."""
        path, _, query = url.removeprefix("http://localhost").partition("?")
        if not path.startswith("/v1") and not url.startswith("http://localhost"):
            path = "/v1" + path
        given = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not msgspec.UNSET:
            body = jsontext.encode(json).encode()
            given.setdefault("content-type", "application/json")
        request = Request(
            method=method,
            path=unquote(path, errors="surrogateescape"),
            query=query,
            headers={**self.headers, **given},
            body=body,
            client=self.address,
        )
        return await _decoded(await self.send(request))

    async def send(self, request: Request) -> Response:
        """Have a request answered."""
        return await self.app.answer(request)

    async def get(self, url: str, **options: Any) -> Answer:
        """Send a GET request."""
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Any) -> Answer:
        """Send a HEAD request."""
        return await self.request("HEAD", url, **options)

    async def delete(self, url: str, **options: Any) -> Answer:
        """Send a DELETE request."""
        return await self.request("DELETE", url, **options)

    async def put(self, url: str, data: Any = None, permissions: Any = None, **options: Any) -> Answer:
        """Send a PUT request with `data` and `permissions`, where given."""
        return await self.request("PUT", url, json=_body(data, permissions), **options)

    async def post(self, url: str, data: Any = None, permissions: Any = None, **options: Any) -> Answer:
        """Send a POST request with `data` and `permissions`, where given."""
        return await self.request("POST", url, json=_body(data, permissions), **options)

    async def patch(self, url: str, data: Any = None, permissions: Any = None, **options: Any) -> Answer:
        """Send a PATCH request with `data` and `permissions`, where given."""
        return await self.request("PATCH", url, json=_body(data, permissions), **options)

    async def batch(self, *requests: dict[str, Any], **body: Any) -> Answer:
        """Send a batch of requests."""
        return await self.request("POST", "/batch", json={"requests": requests, **body})


def _body(data: Any, permissions: Any) -> dict[str, Any]:
    members = {"data": data, "permissions": permissions}
    return {name: value for name, value in members.items() if value is not None}


async def _decoded(response: Response) -> Answer:
    body = response.body
    if response.stream:
        body = b"".join([chunk async for chunk in response.stream])
    is_json = body and response.headers.get("Content-Type", "application/json").startswith("application/json")
    return Answer(response.status, response.headers, jsontext.decode(body) if is_json else None, body)
