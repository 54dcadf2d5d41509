"""Writers of one list in a process write together: what comes while a statement is on its way goes with the next.

Each of them knows how the list is once those before it have written, for that is remembered; so it is computed before
they have. A statement is all or nothing, and done only if the list, and what is above it, is as all its units took it
to be. If not, nothing of it is kept, nor of what was computed from it meanwhile; and nobody was told anything yet.

Source: reliability, 4.4 steps 3 to 6; design, "The walk of a request".
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from kobako.databases.base import BackendUnavailable, NotForeseen, Outdated, Sought
from kobako.databases.postgresql_pending import statements_of
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_remembered import Known, Remembered
from kobako.databases.postgresql_session import Send, Statement, Write, joined
from kobako.databases.postgresql_units import write_alone
from kobako.databases.postgresql_version import Question, if_above
from kobako.permission.postgresql import REPLACE_IF_SAME
from kobako.storage.base import Place
from kobako.storage.postgresql import PUT_IF_SAME

MOST_UNITS: Final = 64
"""How many units may share a statement."""

_TOLD: Final = Statement("told AS (SELECT)", "SELECT mark FROM list")
"""Has a row if the list was as it had been: the mark that it has from now on."""


class Group:
    """Units whose writes go in one statement. `above`: the marks that are to be as they were, if nobody just asked."""

    __slots__ = ("above", "failure", "ids", "known", "landed", "size", "writes")

    def __init__(self, known: Known, above: str | None) -> None:
        self.known = known
        self.above = above
        self.size = 0
        self.ids: set[str] = set()
        self.writes: list[tuple[Send, Any]] = []
        self.landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure: Exception | None = Outdated("nobody knows what has become of what was written before")

    def add(self, writes: Sequence[tuple[Send, Any]]) -> None:
        """Add what a unit writes: an object, and perhaps its ACL."""
        (_, put), *_ = writes
        self.size += 1
        self.ids.add(put.stored.id)
        self.writes.extend(writes)

    def check(self) -> None:
        """Raise what its units end with, if it failed. Of several, one may be the cause: each is tried alone then."""
        if self.failure is None:
            return
        if self.size == 1:
            raise self.failure
        if isinstance(self.failure, BackendUnavailable | NotForeseen):
            raise type(self.failure)(*self.failure.args) from self.failure
        raise NotForeseen("one of those that were written together can not be") from self.failure


class Way:
    """The group that is on its way to a list, and the one that waits for it."""

    __slots__ = ("after", "sent")

    def __init__(self, sent: Group) -> None:
        self.sent = sent
        self.after: Group | None = None


class Together:
    """The groups of a process."""

    def __init__(self, pool: Pool, remembered: Remembered) -> None:
        self._pool = pool
        self._remembered = remembered
        self._ways: dict[Place, Way] = {}
        self._announced: dict[Place, list[Sought]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    @contextmanager
    def announced(self, place: Place, about: Sequence[Sought]) -> Iterator[None]:
        """Let others know meanwhile what somebody will ask about who waits for their turn to write a list."""
        if not about:
            yield
            return
        announced = self._announced.setdefault(place, [])
        announced.extend(about)
        try:
            yield
        finally:
            for each in about:
                announced.remove(each)
            if not announced:
                self._announced.pop(place, None)

    def awaited(self, place: Place) -> Sequence[Sought]:
        """Return what those who wait will ask about, first come first, as far as nobody is about to write it."""
        return [each for each in self._announced.get(place, ()) if not self.is_writing(place, each.id)]

    def is_writing(self, place: Place, id: str) -> bool:
        """Tell whether an object is about to be written."""
        way = self._ways.get(place)
        return way is not None and (id in way.sent.ids or (way.after is not None and id in way.after.ids))

    def has_room(self, place: Place) -> bool:
        """Tell whether another unit may write with those that write a list."""
        way = self._ways.get(place)
        return way is None or way.after is None or way.after.size < MOST_UNITS

    async def wait(self, place: Place) -> None:
        """Return when nothing is on its way to a list. Whoever has the turn to write it keeps others from coming."""
        while way := self._ways.get(place):
            await asyncio.shield(way.sent.landed)

    async def write(self, known: Known, writes: Sequence[tuple[Send, Any]], above: str | None = None) -> None:
        """Write, if the list is as it is known to be, and what is above it, where marks are given.

        It has its place before anything is awaited. Raises BackendUnavailable; and if others have written, Outdated, or
        NotForeseen where no marks are given: nothing was kept then.
        """
        if way := self._ways.get(known.place):
            group = way.after = way.after or Group(known, above)
            group.add(writes)
            await asyncio.shield(group.landed)
        else:
            group = Group(known, above)
            group.add(writes)
            self._ways[known.place] = Way(group)
            await self._send(group)
        group.check()

    async def _send(self, group: Group) -> None:
        """Send a group, and let the next one follow."""
        try:
            group.failure = await self._sent(group)
        except Exception as error:
            group.failure = error
        finally:
            self._land(group)

    async def _sent(self, group: Group) -> Exception | None:
        known = group.known
        writes = list(chain(*statements_of(group.writes)))
        # A transaction of its own, that is committed when it is answered.
        question = if_same(writes, known.marks.of_list, group.above)
        made, rows = await write_alone(self._pool, known.made, question)
        if not rows:
            if made == known.made:
                self._remembered.was_wrong(known.place)
            return (NotForeseen if group.above is None else Outdated)("the list was written by others")
        if group.above is not None:
            self._remembered.was_right(known.place)
        known.marks = known.marks._replace(of_list=rows[0][0])
        return None

    def _land(self, group: Group) -> None:
        place = group.known.place
        after = self._ways.pop(place).after
        group.landed.set_result(None)
        if group.failure:
            self._remembered.forget([place])
        if after and group.failure:
            after.landed.set_result(None)
        elif after:
            self._ways[place] = Way(after)
            # Those of the group only wait, for each of them may be cancelled.
            sending = asyncio.ensure_future(self._send(after))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)


def if_same(writes: Sequence[Write], mark: str, above: str | None = None) -> Question:
    """Return what does all of this, objects of one list and ACLs, if the list still has this mark.

    `above`: and if the rows above it, of ACLs and groups, still have these.
    """
    (put, values), *acls = writes
    condition, marks = if_above(values[1], len(values) + 1, above) if above is not None else ("", ())
    parts = [
        (_only(PUT_IF_SAME[put], condition), (*values, mark, *marks)),
        *[(REPLACE_IF_SAME[each], given) for each, given in acls],
        (_TOLD, ()),
    ]
    statements, given = zip(*parts, strict=True)
    return joined(statements, tuple(map(len, given))), *chain(*given)


@lru_cache(64)
def _only(put: Statement, condition: str) -> Statement:
    return put._replace(auxiliary=put.auxiliary.replace(" RETURNING", f"{condition} RETURNING"))
