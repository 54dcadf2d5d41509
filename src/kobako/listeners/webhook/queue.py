"""The queue of a webhook: events that are still to be sent, kept in the storage with what they tell of.

An event is stored in the transaction of the change, as an object of lists that no resource has, so no URL, list or
count shows it: both are committed, or neither. Events of one list of objects go into one of the queue's lists, whose
order is that of the commits; several lists, so that writers of different lists seldom wait for each other here. Ids
within a list grow. An event is in the queue until it has been received, or, after too many attempts, among the dead.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Final

import msgspec

from kobako.databases.base import Database, attempts
from kobako.model.events import Change, ObjectsChanged
from kobako.protocol import jsontext
from kobako.protocol.selection import Filter, Operator, Selection, Sort
from kobako.storage.base import Place, Storage, Stored

LISTS: Final = 8
"""Over which a queue is spread."""

WINDOW: Final = 1000
"""How many events of one list are looked at: those behind them wait."""

FEW: Final = 100
"""A list that has no more messages is written anew at about every hundredth removal: deletions leave tombstones."""

PART: Final = 100
"""Objects in one message: an event of more is sent as several."""

IN_ORDER: Final = (Sort("id"),)
OLDEST_FIRST: Final = (Sort("last_modified"),)


class Letter(msgspec.Struct, frozen=True, rename={"id": "message"}):
    """One message: its `id`, the number of its list, the URIs of the objects it is about, and what it says, as JSON.

    `attempts` were made until now, the next is `due` at this time, in milliseconds, the last failed for `problem`.
    """

    id: str
    number: int
    objects: Sequence[str]
    body: str
    attempts: int = 0
    due: int = 0
    problem: str = ""


_decoder = msgspec.json.Decoder(Letter)


class Waiting(msgspec.Struct, frozen=True):
    """A message and its place in the queue."""

    key: str
    letter: Letter


class Queue:
    """The events of one webhook, and its dead ones."""

    def __init__(self, name: str, database: Database) -> None:
        self.name = name
        self._database = database
        self._dead = Place("webhook-dead", f"webhooks/{name}/dead")

    async def waiting(self, number: int) -> Sequence[Waiting]:
        """Return the first messages of one of the lists, in their order."""
        return await self._read(queued(self.name, number), Selection(sort=IN_ORDER, limit=WINDOW))

    async def dead(self) -> Sequence[Waiting]:
        """Return the messages that were given up."""
        return await self._read(self._dead, Selection(sort=IN_ORDER))

    async def length(self) -> int:
        """Return how many messages wait."""
        for attempt in attempts():
            async with attempt, self._database.begin() as unit:
                counts = [await unit.storage.count(queued(self.name, number)) for number in range(LISTS)]
        return sum(counts)

    async def remove(self, done: Waiting) -> None:
        """Forget a message that was received."""
        place = queued(self.name, done.letter.number)
        for attempt in attempts():
            async with attempt, self._database.begin([place]) as unit:
                await _remove(unit.storage, place, done.key)

    async def postpone(self, tried: Waiting) -> None:
        """Keep how a message fares, in its place."""
        place = queued(self.name, tried.letter.number)
        for attempt in attempts():
            async with attempt, self._database.begin([place]) as unit:
                # It may have been dropped meanwhile.
                if await unit.storage.get(place, tried.key):
                    await unit.storage.put(place, tried.key, jsontext.encode(tried.letter))

    async def bury(self, failed: Waiting) -> None:
        """Put a message that was tried too often among the dead."""
        place = queued(self.name, failed.letter.number)
        for attempt in attempts():
            async with attempt, self._database.begin([place, self._dead]) as unit:
                await _remove(unit.storage, place, failed.key)
                await unit.storage.put(self._dead, failed.letter.id, jsontext.encode(failed.letter))

    async def thin_out(self, most: int) -> int:
        """Forget the dead messages that died first, a tenth, once there are more than `most`; return how many.

        The list is written anew, since deletions would leave tombstones.
        """
        for attempt in attempts():
            async with attempt, self._database.begin() as unit:
                if await unit.storage.count(self._dead) <= most:
                    return 0
        for attempt in attempts():
            async with attempt, self._database.begin([self._dead]) as unit:
                dead = await unit.storage.list(self._dead, Selection(sort=OLDEST_FIRST))
                kept = dead[-max(1, most * 9 // 10) :] if len(dead) > most else dead
                if len(kept) < len(dead):
                    await _write_anew(unit.storage, self._dead, kept)
        return len(dead) - len(kept)

    async def replay(self, id: str) -> bool:
        """Put a dead message at the end of the queue, as a new one; tell whether there is one."""
        lists = [queued(self.name, number) for number in range(LISTS)]
        for attempt in attempts():
            async with attempt, self._database.begin([*lists, self._dead]) as unit:
                found = await unit.storage.get(self._dead, id)
                if found:
                    letter = msgspec.structs.replace(_decoder.decode(found.text), attempts=0, due=0, problem="")
                    await _remove(unit.storage, self._dead, id)
                    await _append(unit.storage, lists[letter.number], letter)
        return found is not None

    async def drop(self, id: str) -> bool:
        """Forget a message, dead or waiting; tell whether there is one."""
        named = Selection(filters=(Filter("message", Operator.EQ, id),))
        places = [*(queued(self.name, number) for number in range(LISTS)), self._dead]
        for attempt in attempts():
            async with attempt, self._database.begin(places) as unit:
                found = [(place, each.id) for place in places for each in await unit.storage.list(place, named)]
                for place, key in found:
                    await _remove(unit.storage, place, key)
        return bool(found)

    async def _read(self, place: Place, selection: Selection) -> Sequence[Waiting]:
        for attempt in attempts():
            async with attempt, self._database.begin() as unit:
                found = await unit.storage.list(place, selection)
        return [Waiting(each.id, _decoder.decode(each.text)) for each in found]


async def append(storage: Storage, name: str, event: ObjectsChanged) -> None:
    """Put what happened at the end of a queue, in the transaction in which it happens."""
    number = int.from_bytes(hashlib.sha256(f"{event.place}".encode()).digest()[:2]) % LISTS
    place = queued(name, number)
    for start in range(0, len(event.changes), PART):
        changes = event.changes[start : start + PART]
        objects = [event.target.at(each.new.id).uri for each in changes]
        told = {**event.payload(), "impacted_objects": [_impacted(each) for each in changes]}
        await _append(storage, place, Letter("", number, objects, jsontext.encode(told)))


def queued(name: str, number: int) -> Place:
    """Return one of the lists of a queue."""
    return Place("webhook-event", f"webhooks/{name}/{number}")


async def _append(storage: Storage, place: Place, letter: Letter) -> None:
    # The timestamp of a list grows with each put and never goes back, so it makes ids in the order of the puts.
    key = f"{await storage.open(place):016d}"
    id = letter.id or "-".join([*place.parent.split("/")[1:], key])
    await storage.put(place, key, jsontext.encode(msgspec.structs.replace(letter, id=id)))


async def _remove(storage: Storage, place: Place, id: str) -> None:
    """Remove a message. Now and then what is left is written anew, without the tombstones of what is gone."""
    await storage.delete(place, [id])
    left = await storage.list(place, Selection(sort=IN_ORDER, limit=FEW + 1))
    if not left or (len(left) <= FEW and random.randrange(FEW) == 0):
        await _write_anew(storage, place, left)


async def _write_anew(storage: Storage, place: Place, messages: Sequence[Stored]) -> None:
    await storage.close_under(place.parent, tombstones=False)
    for each in messages:
        await storage.put(place, each.id, each.text)


def _impacted(change: Change) -> dict[str, msgspec.Raw]:
    new, old = _raw(change.new), change.old
    return {"new": new, "old": _raw(old)} if old else {"new": new}


def _raw(stored: Stored) -> msgspec.Raw:
    return msgspec.Raw(stored.json().encode())
