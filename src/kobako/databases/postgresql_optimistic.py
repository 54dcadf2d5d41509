"""Units of work on PostgreSQL that write one object of a list without having locked it first: two journeys, not four.

What it reads it asks at once, in a statement; what it writes is another one, which does so only if nobody has written
the list meanwhile. That statement has the lock of the list from its beginning to its commit: it finds the list as it
was when the version was computed from it, or does nothing. So it is as if the lock had been there from the first
statement on. Where that fails, or more is asked for, NotForeseen sends the caller to a unit that locks.

What this process has read or written there itself, just now, is not asked again: one journey. It is written only if
nobody has changed the list, nor ACLs or groups above it; a unit that ends otherwise has to be begun anew, and asks.

Source: reliability, 4.4 steps 3 to 6; design, "The walk of a request".
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from types import TracebackType
from typing import Any, Final

from kobako.databases.base import BackendUnavailable, Clock, Foreseen, NotForeseen, Outdated, PutAside
from kobako.databases.postgresql_foreseen import Answers, ask_to_write
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_remembered import Marks, Remembered
from kobako.databases.postgresql_session import Statement, Write, joined
from kobako.databases.postgresql_units import WritingUnit
from kobako.databases.postgresql_version import if_above
from kobako.permission.postgresql import REPLACE_IF_SAME
from kobako.storage.base import Stored
from kobako.storage.postgresql import PUT_IF_SAME

_TOLD: Final = Statement("told AS (SELECT)", "SELECT mark FROM list")
"""Has a row if the list was as it had been: the mark that it has from now on."""

_SAY_NOTHING: Final = (NotForeseen, PutAside, BackendUnavailable)
"""What a unit may end with, whatever it was told: nobody is answered by it."""


class OptimisticUnit(WritingUnit):
    """A unit of work that writes one object of the list it is asked about, and its ACL, if nobody else does."""

    __slots__ = ("_is_recalled", "_mark", "_marks", "_remembered")
    _asked: Foreseen

    def __init__(self, pool: Pool, clock: Clock, asked: Foreseen, remembered: Remembered) -> None:
        super().__init__(pool, clock, "", asked=asked)
        self._remembered = remembered
        self._is_recalled = False
        self._mark = ""
        self._marks: Marks | None = None

    async def __aenter__(self) -> "OptimisticUnit":
        """Read, or recall. Raises NotForeseen where there is no open list."""
        await self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and (writes := self.pending.take()):
                await self._write(writes)
            elif self._is_recalled and not isinstance(error, _SAY_NOTHING) and isinstance(error, Exception | None):
                self._remembered.is_no_use(self._asked)
                raise Outdated("nothing was written that says that all was as it had been")
        finally:
            await self._undo()

    async def _start(self) -> None:
        made = self._pool.made
        if recalled := self._remembered.recall(self._asked, made):
            self._is_recalled = True
            self._marks = recalled.marks
            answers = Answers(self._asked, recalled.rows)
        else:
            rows = await ask_to_write(self.session, self._asked)
            answers = Answers(self._asked, rows)
            if answers.mark is not None and answers.above is not None and answers.state:
                self._marks = Marks(answers.mark, answers.above)
                self._remembered.learn(self._asked, rows, made, self._marks, answers.state)
        if answers.mark is None or not (answers.state and answers.state.is_open):
            raise NotForeseen("the list has to be opened")
        self._mark = answers.mark
        self._take_in(answers, is_fixed=True)
        self.session.is_silent = True

    async def _write(self, writes: Sequence[Write]) -> None:
        if self._concerns_all():
            raise NotForeseen("more is written than an object and its ACL")
        above = self._marks.above if self._marks and self._is_recalled else None
        statement, values = if_same(writes, self._mark, above)
        self.session.is_silent = False
        # A transaction of its own, that is committed when it is answered.
        rows = await self.session.run(statement, *values)
        if not rows:
            self._remembered.was_wrong(self._asked)
            raise (Outdated if self._is_recalled else NotForeseen)("the list was written by others")
        if self._is_recalled:
            self._remembered.was_right(self._asked)
        if self._marks and self._asked.place:
            (_, (_, _, _, id, version, _, text, *_)), *acls = writes
            marks = Marks(rows[0][0], self._marks.above)
            state = self.lists.last(self._asked.place)
            self._remembered.wrote(self._asked, Stored(id, version, text), marks, state, has_acl=bool(acls))

    async def _undo(self) -> None:
        """There is no transaction: whatever was not sent is undone."""
        self.pending.forget()
        self._release()


def if_same(writes: Sequence[Write], mark: str, above: str | None = None) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that does all of this if the list still has this mark, and its values.

    `above`: and if the rows above it, of ACLs and groups, still have these. Raises NotForeseen for more than an object
    and its ACL.
    """
    (put, values), *others = writes
    if put not in PUT_IF_SAME or len(others) > 1 or any(each not in REPLACE_IF_SAME for each, _ in others):
        raise NotForeseen("more is written than an object and its ACL")
    acls = [(REPLACE_IF_SAME[each], given) for each, given in others]
    condition, marks = if_above(values[1], len(values) + 1, above) if above is not None else ("", ())
    parts = [(_only(PUT_IF_SAME[put], condition), (*values, mark, *marks)), *acls, (_TOLD, ())]
    statements, given = zip(*parts, strict=True)
    return joined(statements, tuple(map(len, given))), tuple(chain(*given))


@lru_cache(64)
def _only(put: Statement, condition: str) -> Statement:
    return put._replace(auxiliary=put.auxiliary.replace(" RETURNING", f"{condition} RETURNING"))
