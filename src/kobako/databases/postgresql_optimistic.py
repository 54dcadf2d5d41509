"""Units of work on PostgreSQL that write one object of a list without having locked it first: two journeys, not four.

What it reads it asks at once, in a statement; what it writes is another one, which does so only if nobody has written
the list meanwhile. That statement has the lock of the list from its beginning to its commit: it finds the list as it
was when the version was computed from it, or does nothing. So it is as if the lock had been there from the first
statement on. Where that fails, or more is asked for, NotForeseen sends the caller to a unit that locks.

What this process has read or written there itself, just now, is not asked again: one journey, which it shares with
those that come at the same time. It is written only if nobody has changed the list, nor ACLs or groups above it; a
unit that ends otherwise has to be begun anew, and asks.

Source: reliability, 4.4 steps 3 to 6; design, "The walk of a request".
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from kobako.databases.base import BackendUnavailable, Clock, Foreseen, NotForeseen, Outdated, PutAside
from kobako.databases.postgresql_foreseen import Answers, to_write
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_questions import of_objects
from kobako.databases.postgresql_remembered import Known, Marks, Remembered
from kobako.databases.postgresql_session import Send, Session
from kobako.databases.postgresql_together import MOST_UNITS, Together
from kobako.databases.postgresql_units import WritingUnit, ask_alone
from kobako.databases.turns import Turns
from kobako.permission.base import Acl
from kobako.permission.postgresql import to_replace
from kobako.storage.base import Place
from kobako.storage.postgresql import Put, to_put

_SAY_NOTHING = (NotForeseen, PutAside, BackendUnavailable)
"""What a unit may end with, whatever it was told: nobody is answered by it."""


class OptimisticUnit(WritingUnit):
    """A unit of work that writes one object of the list it is asked about, and its ACL, if nobody else does.

    It has its turn until it is known what it writes, and no connection of its own.
    """

    __slots__ = ("_is_recalled", "_known", "_place", "_remembered", "_together", "_turns")
    _asked: Foreseen

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        asked: Foreseen,
        place: Place,
        turns: Turns,
        remembered: Remembered,
        together: Together,
    ) -> None:
        super().__init__(pool, clock, "", asked=asked)
        self._place = place
        self._turns = turns
        self._remembered = remembered
        self._together = together
        self._is_recalled = False

    async def __aenter__(self) -> "OptimisticUnit":
        """Recall, or read. Raises NotForeseen where there is no open list."""
        with self._together.announced(self._place, self._asked.objects):
            await self._turns.take(self._place)
        try:
            rows = await self._recall()
            self._is_recalled = rows is not None
            if rows is None:
                rows = await self._ask_all()
            self._run_in(Session(None))
            self._take_in(Answers(self._asked, rows), is_fixed=True)
        except BaseException:
            self._turns.leave(self._place)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            writes = self._taken() if kind is None else []
        finally:
            self.pending.forget()
            self.session.end()
            # Whoever is next comes when something is awaited, and goes by what is noted till then.
            self._turns.leave(self._place)
        if writes:
            above = self._known.marks.above if self._is_recalled else None
            await self._together.write(self._known, writes, above)
        elif self._is_recalled and not isinstance(error, _SAY_NOTHING) and isinstance(error, Exception | None):
            raise Outdated("nothing was written that says that all was as it had been")

    async def _recall(self) -> Sequence[Any] | None:
        """Return the answers if what they rest on is remembered, of this process's own, and not read just now."""
        if self._asked.is_anew:
            return None
        if not self._together.has_room(self._place):
            await self._together.wait(self._place)
        known = self._remembered.recall(self._asked, self._place, self._pool.made)
        if known is None:
            return None
        self._known = known
        return known.rows(self._asked) or await self._ask_about_objects(known)

    async def _ask_about_objects(self, known: Known) -> Sequence[Any] | None:
        """Ask about objects alone, also those that others wait for, that have a turn after this one.

        What is on its way meanwhile writes others; if it fails, nothing is known any more. If it does not, nobody has
        written the list since it was known, so it does not matter when, since then, they were read.
        """
        if any(self._together.is_writing(self._place, each.id) for each in self._asked.objects):
            await self._together.wait(self._place)
        awaited = [each for each in self._together.awaited(self._place) if each.id not in known.objects]
        sought = tuple(dict.fromkeys([*self._asked.objects, *awaited]))[:MOST_UNITS]
        made, rows = await ask_alone(self._pool, of_objects(sought))
        if made != known.made or not self._remembered.is_current(known):
            return None
        self._remembered.learn_objects(known, sought, rows)
        return known.rows(self._asked)

    async def _ask_all(self) -> Sequence[Any]:
        await self._together.wait(self._place)
        made, rows = await ask_alone(self._pool, to_write(self._asked))
        answers = Answers(self._asked, rows)
        if answers.mark is None or answers.above is None or not (answers.state and answers.state.is_open):
            raise NotForeseen("the list has to be opened")
        marks = Marks(answers.mark, answers.above)
        self._known = self._remembered.learn(self._asked, self._place, rows, made, marks, answers.state)
        return rows

    def _taken(self) -> Sequence[tuple[Send, Any]]:
        """Return what is written, and note it. Raises NotForeseen for more than an object and its ACL."""
        if writes := self.pending.take():
            put, acl = _of_one(writes)
            if self._concerns_all():
                raise NotForeseen("the ACL of another object is written")
            self._remembered.wrote(self._known, put.stored, self.lists.last(self._place), acl)
        return writes


def _of_one(writes: Sequence[tuple[Send, Any]]) -> tuple[Put, Acl]:
    """Return the object that is written, and the permissions that are set on it. Raises NotForeseen for more."""
    (_, put), *others = writes
    kinds = [send for send, _ in writes]
    if kinds == [to_put]:
        return put, {}
    if kinds == [to_put, to_replace]:
        [(_, (uri, acl))] = others
        if uri.rpartition("/")[2] == put.stored.id:
            return put, acl
    raise NotForeseen("more is written than an object and its ACL")
