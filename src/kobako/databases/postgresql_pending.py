"""Writes of a unit of work that wait for each other: like ones are sent in one statement.

What a write makes of an object is known before it is sent, as its list is locked. So it waits until something else is
asked or the unit ends: then all that waits is sent first. The parts of a batch that do nothing but write need no
savepoint: of one that is undone, nothing was sent. Others get theirs when it is sent what comes after its begin.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from kobako.databases.postgresql_session import Send, Session, Write, joined


class Part:
    """A part of a unit that can be undone alone: `name` is that of its savepoint once it has one.

    `depth` is how many it is in, with itself; `begin` how much waited for its savepoint when it began.
    """

    __slots__ = ("begin", "depth", "is_over", "name")

    def __init__(self, depth: int, begin: int) -> None:
        self.depth = depth
        self.begin = begin
        self.is_over = False
        self.name = ""


class Pending:
    """What waits to be sent, in its order: writes, and the beginnings of parts that have not ended."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[Part | tuple[Send, Any]] = []
        self.is_lost = False
        """Whether something could not be sent that was answered for: then nothing of the unit may be kept."""
        self._depth = 0
        self._unreleased = 0
        """The depth of the last savepoint that ended and is still there, 0 for none."""

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._waiting)

    def add(self, send: Send, write: Any) -> None:
        """Let a write wait. Raises BackendUnavailable when the unit is over."""
        self._session.check_not_over()
        self._waiting.append((send, write))

    async def send(self) -> None:
        """Send all that waits. Raises what the statements raise."""
        waiting, self._waiting = self._waiting, []
        try:
            await self._send(waiting)
        except BaseException:
            self.is_lost = True
            raise

    def take(self) -> list[tuple[Send, Any]]:
        """Return the writes that wait, for somebody else to send: they do not wait any more."""
        waiting, self._waiting = self._waiting, []
        return [each for each in waiting if not isinstance(each, Part)]

    def forget(self) -> None:
        """Send nothing: the unit is undone."""
        self._waiting.clear()

    def begin_part(self) -> Part:
        """Begin a part."""
        self._depth += 1
        part = Part(self._depth, len(self._waiting))
        self._waiting.append(part)
        return part

    def end_part(self, part: Part) -> None:
        """Keep what a part did. Its savepoint, if it has one, goes before the next one, in one journey; or never."""
        self._depth -= 1
        part.is_over = True
        if part.name:
            self._unreleased = part.depth

    async def undo_part(self, part: Part) -> None:
        """Undo what a part did."""
        self._depth -= 1
        if not part.name:
            del self._waiting[part.begin :]
            return
        self._waiting.clear()
        self._unreleased = 0
        if not self._session.is_lost:
            # With what was begun inside.
            await self._session.execute(f"ROLLBACK TO {part.name}; RELEASE {part.name}")

    async def _send(self, waiting: list[Part | tuple[Send, Any]]) -> None:
        writes: list[tuple[Send, Any]] = []
        for each in waiting:
            if not isinstance(each, Part):
                writes.append(each)
            elif not each.is_over:
                await self._send_writes(writes)
                await self._set_savepoint(each)
                writes = []
        await self._send_writes(writes)

    async def _set_savepoint(self, part: Part) -> None:
        name = f"part{part.depth}"
        release = f"RELEASE part{self._unreleased}; " if self._unreleased == part.depth else ""
        self._unreleased = 0
        await self._session.execute(f"{release}SAVEPOINT {name}")
        part.name = name

    async def _send_writes(self, writes: Iterable[tuple[Send, Any]]) -> None:
        kinds = statements_of(writes)
        if len(kinds) > 1 and all(len(found) == 1 for found in kinds):
            # Of each kind one statement: all of them in one journey.
            statements, values = zip(*(found[0] for found in kinds), strict=True)
            await self._session.run(joined(statements, tuple(map(len, values))), *chain(*values))
            return
        for statement, values in chain(*kinds):
            await self._session.run(statement.sql, *values)


def statements_of(writes: Iterable[tuple[Send, Any]]) -> list[list[Write]]:
    """Return the statements that do these writes, those of each kind by themselves."""
    kinds: dict[Send, list[Any]] = {}
    for send, write in writes:
        kinds.setdefault(send, []).append(write)
    return [send(found) for send, found in kinds.items()]
