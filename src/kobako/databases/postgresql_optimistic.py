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

from kobako.databases.base import Clock, Foreseen, NotForeseen
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_session import Statement, Write, joined
from kobako.databases.postgresql_units import WritingUnit
from kobako.permission.postgresql import REPLACE_IF_SAME
from kobako.storage.postgresql import PUT_IF_SAME

_TOLD: Final = Statement("told AS (SELECT)", "SELECT 1 FROM list")
"""Has a row if the list was as it had been."""


class OptimisticUnit(WritingUnit):
    """A unit of work that writes one object of the list it is asked about, and its ACL, if nobody else does."""

    __slots__ = ("_mark",)

    def __init__(self, pool: Pool, clock: Clock, asked: Foreseen) -> None:
        super().__init__(pool, clock, "", asked=asked)
        self._mark = ""

    async def __aenter__(self) -> "OptimisticUnit":
        """Read. Raises NotForeseen where there is no open list."""
        await self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and (writes := self.pending.take()):
                await self._write(writes)
        finally:
            await self._undo()

    async def _start(self) -> None:
        answers = await self._ask(is_locked=True)
        if answers is None or answers.mark is None or not (answers.state and answers.state.is_open):
            raise NotForeseen("the list has to be opened")
        self._mark = answers.mark
        self.session.is_silent = True

    async def _write(self, writes: Sequence[Write]) -> None:
        if self._concerns_all():
            raise NotForeseen("more is written than an object and its ACL")
        statement, values = if_same(writes, self._mark)
        self.session.is_silent = False
        # A transaction of its own, that is committed when it is answered.
        if not await self.session.run(statement, *values):
            raise NotForeseen("the list was written by others")

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
