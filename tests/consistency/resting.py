"""The world before the first write, and a list as it is at rest: read by somebody who knows nothing yet."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from tests.consistency.client import Answer, Client, Unanswered
from tests.consistency.history import Rest
from tests.consistency.stage import Stage
from tests.consistency.world import BUCKET, LISTS, OPEN, WRITER, collection, is_log, records, seen


async def make_world(stage: Stage) -> None:
    """Make what is not there: the bucket and its collections."""
    client = Client(stage.port, WRITER)
    for path in (BUCKET, *map(collection, LISTS)):
        anybody = {"record:create": ["system.Authenticated"]} if path == collection(OPEN) else {}
        await _until_answered(client, "PUT", path, {"permissions": anybody})
    client.close()


async def read_all(stage: Stage) -> None:
    """Note each list at rest."""
    client = Client(stage.port, WRITER)
    for place in LISTS:
        objects, etag = await _pages(client, f"{records(place)}?_since=0&_limit=500")
        arrays = {each["id"]: each.get("items", []) for each in objects if is_log(each["id"])}
        found = [seen(each) for each in objects]
        stage.emit(Rest(end=stage.now(), list=place, etag=etag, objects=found, arrays=arrays))
    client.close()


async def _pages(client: Client, path: str) -> tuple[list[dict[str, Any]], int]:
    found: list[dict[str, Any]] = []
    following: str | None = path
    while following:
        answer = await _until_answered(client, "GET", following)
        found += answer.body["data"]
        url = answer.headers.get("next-page")
        following = "{0.path}?{0.query}".format(urlsplit(url)) if url else None
    return found, answer.etag


async def _until_answered(client: Client, method: str, path: str, body: Any = None) -> Answer:
    """Send until it is done: just after a fault some answers are 503. Raises TimeoutError."""
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await client.call(method, path, body)
            except Unanswered:
                continue
            if answer.status < 300:
                return answer
            await asyncio.sleep(0.05)
