"""What is stored of the objects of one list, in Redis: a hash of texts, and versions in order, tombstones apart.

All that is read is on the ground of the list's state, as `Session` has it: a list changes as a whole.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from kobako.databases.redis_keys import Command, list_name
from kobako.databases.redis_session import Session, chunks
from kobako.storage.base import TOMBSTONE, Place, Stored
from kobako.storage.redis_range import Range

ALL_AT_ONCE = 10_000
"""Ids in one answer that has nothing else in it."""


class StoredList:
    """One list, as it was before the unit of work."""

    __slots__ = ("_session", "dead", "live", "name", "state", "text")

    def __init__(self, session: Session, place: Place) -> None:
        self._session = session
        self.name = name = list_name(place)
        keys = session.keys
        self.live, self.dead, self.text = f"{keys.live}{name}", f"{keys.dead}{name}", f"{keys.text}{name}"
        self.state: Command = ("HGET", keys.lists, name)

    async def read(self, range: Range, *, tombstones: bool) -> AsyncIterator[Sequence[Stored]]:
        """Return what is in a range, in parts; what is live and what is not side by side."""
        ranges = {"live": range, "dead": range} if tombstones else {"live": range}
        while ranges:
            commands = [self._page(kind, each) for kind, each in ranges.items()]
            answers = await self._session.ask(*commands, given=[self.state])
            for (kind, each), answer in zip([*ranges.items()], answers, strict=True):
                part = _tombstones(answer) if kind == "dead" else [_stored(*row) for row in answer]
                yield part
                if following := each.after(part):
                    ranges[kind] = following
                else:
                    del ranges[kind]

    async def find(self, ids: Sequence[str], *, tombstones: bool) -> Iterable[Stored]:
        """Return the objects, and tombstones if asked for, of these ids; there are not more of them than in a chunk."""
        commands = [("ZMSCORE", self.live, *ids), ("HMGET", self.text, *ids)]
        if tombstones:
            commands.append(("ZMSCORE", self.dead, *ids))
        live, texts, *dead = await self._session.ask(*commands, given=[self.state])
        found = [_stored(*row) for row in zip(ids, live, texts, strict=True) if row[1] is not None]
        gone = [row for row in zip(ids, dead[0], strict=True) if row[1] is not None] if dead else []
        return found + [_tombstone(*row) for row in gone]

    async def live_ids(self) -> Sequence[str]:
        """Return the ids of all live objects, oldest first."""
        found: list[str] = []
        while True:
            part = ("ZRANGE", self.live, str(len(found)), str(len(found) + ALL_AT_ONCE - 1))
            [ids] = await self._session.ask(part, given=[self.state])
            found += ids
            if len(ids) < ALL_AT_ONCE:
                return found

    async def old_tombstones(self, before: int, keep: int, most: int) -> Sequence[Stored]:
        """Return the oldest tombstones, from before a time and not among the newest `keep`."""
        [size] = await self._session.ask(("ZCARD", self.dead), given=[self.state])
        found: list[Stored] = []
        while (wanted := min(size - keep, most) - len(found)) > 0:
            last = len(found) + min(wanted, ALL_AT_ONCE // 2) - 1
            part = ("ZRANGE", self.dead, str(len(found)), str(last), "WITHSCORES")
            [rows] = await self._session.ask(part, given=[self.state])
            tombstones = _tombstones(rows)
            found += [each for each in tombstones if each.last_modified < before]
            if not tombstones or tombstones[-1].last_modified >= before:
                break
        return found

    async def size(self, *, tombstones: bool) -> int:
        """Return how many objects there are, and tombstones if asked for."""
        live, dead = self.sizes()
        return sum(await self._session.ask(*([live, dead] if tombstones else [live]), given=[self.state]))

    def sizes(self) -> tuple[Command, Command]:
        """Return the commands for how many objects there are, and how many tombstones."""
        return ("ZCARD", self.live), ("ZCARD", self.dead)

    def emptying(self) -> Iterator[Command]:
        """Return the commands that remove all objects and tombstones."""
        return (("UNLINK", key) for key in (self.live, self.dead, self.text))

    def putting(self, objects: Sequence[Stored]) -> Iterator[Command]:
        """Return the commands that put objects and tombstones in the place of what has their ids."""
        for some in chunks(objects):
            there = [each for each in some if not each.deleted]
            gone = [each for each in some if each.deleted]
            yield from _moved(self.dead, self.live, there)
            yield from _moved(self.live, self.dead, gone)
            if there:
                yield ("HSET", self.text, *(part for each in there for part in (each.id, each.text)))
            if gone:
                yield ("HDEL", self.text, *(each.id for each in gone))

    def forgetting(self, ids: Sequence[str]) -> Iterator[Command]:
        """Return the commands that remove tombstones."""
        return (("ZREM", self.dead, *some) for some in chunks(ids))

    def _page(self, kind: str, range: Range) -> Command:
        if kind == "dead":
            return ("ZRANGE", self.dead, *range.arguments())
        return ("PAGE", self.live, self.text, *range.arguments())


def _moved(former: str, key: str, objects: Sequence[Stored]) -> Iterator[Command]:
    """Return the commands that note the versions of objects in one key, and in the other no more."""
    if objects:
        yield ("ZREM", former, *(each.id for each in objects))
        yield ("ZADD", key, *(part for each in objects for part in (str(each.last_modified), each.id)))


def _stored(id: str, version: str, text: str) -> Stored:
    return Stored(id, int(version), text)


def _tombstone(id: str, version: str) -> Stored:
    return Stored(id, int(version), TOMBSTONE, deleted=True)


def _tombstones(answer: Sequence[Any]) -> list[Stored]:
    """Return what ZRANGE ... WITHSCORES found: ids and versions in turn."""
    return [_tombstone(*row) for row in zip(answer[::2], answer[1::2], strict=True)]
