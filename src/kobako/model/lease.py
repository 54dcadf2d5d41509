"""A lease: of all processes and machines, one does a work at a time.

Who holds it renews it; when that one is gone, another takes it once it has run out. It is an object of a hidden list,
written in a transaction. Clocks of machines have to agree to some seconds.
"""

import uuid
from typing import Final

import msgspec

from kobako.databases.base import Clock, Database, attempts
from kobako.protocol import jsontext
from kobako.storage.base import Place, Storage

ID: Final = "lease"

RENEWED_AFTER_MS: Final = 5000


class _Held(msgspec.Struct, frozen=True):
    owner: str
    until: int


_decoder = msgspec.json.Decoder(_Held)


class Lease:
    """The lease in one hidden list, as one process sees it. It lasts so many milliseconds from when it was taken."""

    def __init__(self, place: Place, database: Database, clock: Clock, lasts_ms: int) -> None:
        self._place = place
        self._database = database
        self._clock = clock
        self._lasts_ms = lasts_ms
        self._owner = uuid.uuid4().hex
        self._until = 0

    @property
    def left_ms(self) -> int:
        """How much longer it is ours."""
        return self._until - self._clock()

    async def take(self) -> bool:
        """Take the lease, or renew it some time after it was taken; tell whether it is ours."""
        if self.left_ms > self._lasts_ms - RENEWED_AFTER_MS:
            return True
        for attempt in attempts():
            async with attempt, self._database.begin() as unit:
                other = await self._other(unit.storage)
        if other:
            return False
        for attempt in attempts():
            async with attempt, self._database.begin([self._place]) as unit:
                other = await self._other(unit.storage)
                until = self._clock() + self._lasts_ms
                if not other:
                    await unit.storage.put(self._place, ID, jsontext.encode(_Held(self._owner, until)))
        self._until = 0 if other else until
        return not other

    async def give_up(self) -> None:
        """Let the next one take it at once."""
        if self.left_ms > 0:
            for attempt in attempts():
                async with attempt, self._database.begin([self._place]) as unit:
                    if not await self._other(unit.storage):
                        await unit.storage.close_under(self._place.parent, tombstones=False)
        self._until = 0

    async def _other(self, storage: Storage) -> bool:
        """Tell whether another one holds it."""
        stored = await storage.get(self._place, ID)
        held = _decoder.decode(stored.text) if stored else None
        return held is not None and held.owner != self._owner and self._clock() < held.until
