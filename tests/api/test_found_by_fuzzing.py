"""What fuzzing has found, each as a test of its own (reliability, 3.4)."""

import json
from collections.abc import MutableMapping
from typing import Any

from kobako.testing.client import Client


async def test_a_body_that_breaks_off_is_told_so(client: Client) -> None:
    """I24: a chunk of no size, or a client that goes away; the server in front made a 500 of no answer at all."""
    sent = list[MutableMapping[str, Any]]()
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> MutableMapping[str, Any]:
        return next(messages)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/v1/buckets/b", "query_string": b"", "headers": []}
    await client.app(scope, receive, send)

    start, end = sent
    assert (start["status"], json.loads(end["body"])["errno"]) == (400, 107)
    assert (b"connection", b"close") in start["headers"]
