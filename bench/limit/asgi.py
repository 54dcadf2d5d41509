"""An ASGI application that hands each request to the method of a store named by the first part of its path."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HELLO = '{"project_name":"limit","http_api_version":"1.23","url":"http://127.0.0.1/"}'


def application(store: Any) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an app that serves a store; `open` is called first."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await store.open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        name, _, value = scope["path"][1:].partition("/")
        if name == "hello":
            text = HELLO
        elif scope["method"] == "GET":
            text = await getattr(store, name)(value)
        else:
            text = await getattr(store, name)(value, await _body(receive))
        body = text.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return serve


async def _body(receive: Receive) -> str:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts).decode()


def one(row: tuple[str, int, str]) -> str:
    """Return the answer with an object: id, timestamp, text."""
    return f'{{"data":{_object(*row)}}}'


def many(rows: Iterable[tuple[str, int, str]]) -> str:
    """Return the answer with a list."""
    return '{"data":[' + ",".join([_object(*row) for row in rows]) + "]}"


def _object(id: str, last_modified: int, text: str) -> str:
    return f'{{"id":"{id}","last_modified":{last_modified},{text[1:]}'
