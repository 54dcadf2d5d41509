"""Pollers: clients that know nothing but their cursor, in the four styles that clients have (S8).

last    newest first, the ETag of the last page is the cursor (kinto.js)
first   newest first, the ETag of the first page is the cursor
oldest  oldest first, the highest last_modified is the cursor
newest  newest first, the next page is asked for by `_before`; the first ETag is the cursor
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.consistency.client import Answer, Client, Unanswered
from tests.consistency.history import UNKNOWN, Poll, Seen
from tests.consistency.stage import Stage
from tests.consistency.world import LISTS, WRITER, records, seen

STYLES = ("last", "first", "oldest", "newest")
PAUSE_S = 0.03
"""Between two polls, at most."""


@dataclass
class Pages:
    """What a poll has brought so far."""

    etags: list[int] = field(default_factory=list)
    changes: list[Seen] = field(default_factory=list)
    status: int = 200
    slowest: tuple[float, float] = (0.0, 0.0)

    def time(self, start: float, end: float) -> None:
        """Note how long a request took."""
        self.slowest = max(self.slowest, (start, end), key=_duration)

    def take(self, answer: Answer) -> None:
        """Add a page."""
        self.etags.append(answer.etag)
        self.changes += [seen(each) for each in answer.body["data"]]


class Poller:
    """Polls every list in turn, each with a cursor of its own."""

    def __init__(self, name: str, style: str, stage: Stage, seed: str) -> None:
        self.name = name
        self.style = style
        self._stage = stage
        self._random = random.Random(seed)
        self._client = Client(stage.port, WRITER)
        self._cursors: dict[str, int] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll(self._random.choice(LISTS))
            await asyncio.sleep(self._random.uniform(0, PAUSE_S))

    async def catch_up(self) -> None:
        """Poll each list until there is an answer."""
        for place in LISTS:
            async with asyncio.timeout(60):
                is_settled = False
                while not is_settled:
                    is_settled = await self.poll(place)
                    # Just after a fault some answers are 503.
                    await asyncio.sleep(0 if is_settled else 0.05)

    async def poll(self, place: str) -> bool:
        """Read what is new in a list; tell whether there was an answer."""
        cursor = self._cursors.get(place, 0)
        await self._client.connect()
        start = self._stage.now()
        pages = await self._read(place, cursor)
        poll = Poll(
            start=start,
            end=self._stage.now(),
            poller=self.name,
            list=place,
            style=self.style,
            cursor=cursor,
            after=self._after(pages, cursor),
            etags=pages.etags,
            changes=pages.changes,
            status=pages.status,
            slowest=pages.slowest,
        )
        self._cursors[place] = poll.after
        self._stage.emit(poll)
        return poll.is_settled

    def _after(self, pages: Pages, cursor: int) -> int:
        """Return the cursor to keep."""
        if pages.status != 200:
            return cursor
        if self.style == "oldest":
            return max([cursor, *(each.version for each in pages.changes)])
        return pages.etags[-1 if self.style == "last" else 0]

    async def _read(self, place: str, cursor: int) -> Pages:
        """Read all pages: the status is that of the page where it ended early, if one did."""
        pages, limit = Pages(), self._random.choice([1, 2, 3, 5, 10, 30, 100])
        if not cursor:
            limit = 100
        following: str | None = self._url(place, cursor, limit)
        headers = {"If_None_Match": f'"{cursor}"'} if cursor and self._random.random() < 0.3 else {}
        while following:
            start = self._stage.now()
            answer = await self._get(following, headers if not pages.etags else {})
            pages.time(start, self._stage.now())
            if answer is None or answer.status != 200:
                pages.status = answer.status if answer else UNKNOWN
                break
            pages.take(answer)
            following = self._following(answer, place, cursor, limit)
        return pages

    async def _get(self, path: str, headers: dict[str, Any]) -> Answer | None:
        try:
            return await self._client.call("GET", path, **headers)
        except Unanswered:
            return None

    def _url(self, place: str, cursor: int, limit: int, before: int = 0) -> str:
        since = f"&_since=%22{cursor}%22" if self.style == "last" else f"&_since={cursor}"
        sort = "last_modified" if self.style == "oldest" else "-last_modified"
        return (
            f"{records(place)}?_sort={sort}&_limit={limit}"
            + (since if cursor else "")
            + (f"&_before={before}" if before else "")
        )

    def _following(self, answer: Answer, place: str, cursor: int, limit: int) -> str | None:
        """Return what to ask for next, None after the last page."""
        url = answer.headers.get("next-page")
        if url and self.style == "newest":
            return self._url(place, cursor, limit, answer.body["data"][-1]["last_modified"])
        return "{0.path}?{0.query}".format(urlsplit(url)) if url else None


def _duration(span: tuple[float, float]) -> float:
    return span[1] - span[0]
