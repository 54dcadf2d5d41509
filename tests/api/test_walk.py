"""The walk of a request is short: few frames from the edge to the storage, few operations on the way.

Run with `-s` to see the figures.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

import kobako
from kobako.app import App
from kobako.testing.client import Client

RECORDS = "/v1/buckets/b/collections/c/records"
MAX_FRAMES = 8
PACKAGE = str(Path(kobako.__file__).parent)


class Watched:
    """A storage or permission backend that notes each operation, and how deep in our code it was called."""

    def __init__(self, backend: Any, notes: list[tuple[str, int]]):
        self._backend = backend
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if not callable(found):
            return found

        async def noted(*args: Any, **options: Any) -> Any:
            self._notes.append((name, own_frames()))
            return await found(*args, **options)

        return noted


def own_frames() -> int:
    """Return the frames of the package in the stack: the operation that is being called is one more."""
    depth, frame = 1, sys._getframe(1)
    while frame:
        depth += frame.f_code.co_filename.startswith(PACKAGE)
        frame = frame.f_back
    return depth


@pytest.fixture
async def notes(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What happens in the backends of the client's app from now on; there is a record `r` in the collection `c`."""
    await client.put("/buckets/b")
    await client.put("/buckets/b/collections/c")
    await client.put("/buckets/b/collections/c/records/r", {"n": 1})
    database, found = client.app.site.backends.database, list[tuple[str, int]]()

    class Beginning:
        def __init__(self, unit: Any):
            self.unit = unit

        async def __aenter__(self) -> Any:
            unit = await self.unit.__aenter__()
            watched = type("Unit", (), {})()
            watched.storage, watched.permission = Watched(unit.storage, found), Watched(unit.permission, found)
            watched.savepoint = unit.savepoint
            return watched

        async def __aexit__(self, *error: Any) -> Any:
            return await self.unit.__aexit__(*error)

    def watch(begin: Any) -> Any:
        return lambda self, *what: Beginning(begin(self, *what))

    for name in {"begin", "foresee"} & {*dir(database)}:
        monkeypatch.setattr(type(database), name, watch(getattr(type(database), name)))
    return found


async def ask(app: App, headers: dict[str, str], method: str, path: str, body: bytes = b"") -> int:
    """Send a request through the ASGI edge and return its status."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize(
    ("method", "path", "status", "limit"),
    [
        pytest.param("GET", f"{RECORDS}/r", 200, 4, id="GET of a record"),
        pytest.param("GET", RECORDS, 200, 4, id="GET of a list"),
        pytest.param("HEAD", RECORDS, 200, 4, id="HEAD of a list"),
        pytest.param("PUT", f"{RECORDS}/new", 201, 6, id="PUT that creates"),
        pytest.param("PUT", f"{RECORDS}/r", 200, 6, id="PUT that replaces"),
    ],
)
async def test_a_request_takes_few_operations_a_few_frames_down(
    client: Client, notes: list[tuple[str, int]], method: str, path: str, status: int, limit: int
) -> None:
    answered = await ask(client.app, client.headers, method, path, b'{"data":{"n":2}}' if method == "PUT" else b"")

    operations = [name for name, _ in notes]
    deepest = max(frames for _, frames in notes)
    print(f"{method} {path}: {len(operations)} operations ({', '.join(operations)}), {deepest} frames")
    assert answered == status
    assert len(operations) <= limit
    assert deepest <= MAX_FRAMES
