"""Units of work on PostgreSQL that write one object of a list without having locked it first: two journeys, not four.

What it reads it asks at once, in a statement; what it writes is another one, which does so only if nobody has written
the list meanwhile. That statement has the lock of the list from its beginning to its commit: it finds the list as it
was when the version was computed from it, or does nothing. So it is as if the lock had been there from the first
statement on. Where that fails, or more is asked for, NotForeseen sends the caller to a unit that locks.

Source: reliability, 4.4 steps 3 to 6; design, "The walk of a request".
"""

from collections.abc import Sequence
from itertools import chain
from types import TracebackType
from typing import Any, Final

from kobako.databases.base import BackendUnavailable, Clock, Foreseen, NotForeseen, TryAgain
from kobako.databases.line import Line
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_session import Statement, Write, joined
from kobako.databases.postgresql_units import LONGEST_BEGIN_S, WritingUnit
from kobako.permission.postgresql import REPLACE_IF_SAME
from kobako.storage.base import Place
from kobako.storage.postgresql import PUT_IF_SAME

_TOLD: Final = Statement("told AS (SELECT)", "SELECT 1 FROM list")
"""Has a row if the list was as it had been."""


class Turns:
    """Who of this process writes a list next: of two at once, one would find that the other was there before."""

    def __init__(self) -> None:
        self._lines: dict[Place, Line[None]] = {}

    async def take(self, place: Place) -> None:
        """Wait for the turn to write a list. Raises TryAgain when it does not come, as whoever waits for a lock."""
        line = self._lines.get(place)
        if line is None:
            self._lines[place] = Line(f"the turn to write {place.parent}", lambda _: self.leave(place))
            return
        try:
            await line.wait(LONGEST_BEGIN_S)
        except BackendUnavailable as error:
            raise TryAgain(str(error)) from error

    def leave(self, place: Place) -> None:
        """Give the turn to the next."""
        if not self._lines[place].serve(None):
            del self._lines[place]


class OptimisticUnit(WritingUnit):
    """A unit of work that writes one object of the list it is asked about, and its ACL, if nobody else does."""

    __slots__ = ("_mark", "_place", "_turns")

    def __init__(self, pool: Pool, clock: Clock, asked: Foreseen, place: Place, turns: Turns) -> None:
        super().__init__(pool, clock, "", [place], asked=asked)
        self._place = place
        self._turns = turns
        self._mark = ""

    async def __aenter__(self) -> "OptimisticUnit":
        """Read. Raises NotForeseen where there is no open list."""
        await self._turns.take(self._place)
        try:
            await self._enter()
        except BaseException:
            self._turns.leave(self._place)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and (writes := self.pending.take()):
                await self._write(writes)
        finally:
            await self._undo()
            self._turns.leave(self._place)

    async def _start(self) -> None:
        answers = await self._ask(is_locked=True)
        if answers is None or answers.mark is None or not (answers.state and answers.state.is_open):
            raise NotForeseen(f"the list {self._place} has to be opened")
        self._mark = answers.mark
        self.session.is_silent = True

    async def _write(self, writes: Sequence[Write]) -> None:
        if self._concerns_all():
            raise NotForeseen("more is written than an object and its ACL")
        statement, values = if_same(writes, self._mark)
        self.session.is_silent = False
        # A transaction of its own, that is committed when it is answered.
        if not await self.session.run(statement, *values):
            raise NotForeseen(f"the list {self._place} was written by others")

    async def _undo(self) -> None:
        """There is no transaction: whatever was not sent is undone."""
        self.pending.forget()
        self._release()


def if_same(writes: Sequence[Write], mark: str) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that does all of this if the list still has this mark, and its values.

    Raises NotForeseen for more than an object and its ACL.
    """
    (put, values), *others = writes
    if put not in PUT_IF_SAME or len(others) > 1 or any(each not in REPLACE_IF_SAME for each, _ in others):
        raise NotForeseen("more is written than an object and its ACL")
    acls = [(REPLACE_IF_SAME[each], given) for each, given in others]
    parts = [(PUT_IF_SAME[put], (*values, mark)), *acls, (_TOLD, ())]
    statements, given = zip(*parts, strict=True)
    return joined(statements, tuple(map(len, given))), tuple(chain(*given))
