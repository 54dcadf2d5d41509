"""Versions on PostgreSQL: what differs once anything was committed, or anything that concerns the lists of an object.

Of everything together the snapshot tells: it names the transactions that are over, those of other databases of the
server, too. Of some lists their rows do, by the transactions that wrote them last, since whatever changes an object
writes the row of its list. So do the rows of the lists that the object is in, and all it is in, for their ACLs. What is
written without any of that (memberships, mostly) writes the row of the epoch (`TOUCH`), which concerns everybody. A
snapshot that is as it was spares the look at the rows.

Source: design, "The walk of a request"; reliability, S1 and P6.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from kobako.databases.base import Foreseen
from kobako.databases.looks import Looks
from kobako.databases.parents import lineage
from kobako.databases.postgresql_lists import LAST
from kobako.databases.postgresql_session import Rows
from kobako.databases.shards import shard

Question = tuple[Any, ...]
"""A statement, and its values."""

MOST_HEARD: Final = 1_000
"""Objects of which a worker knows the version of the lists below them."""

TOUCH: Final = "UPDATE metadata SET value = value WHERE key = 'epoch'"
"""Says that something was changed that concerns everybody. The last statement: others wait for the row."""

# What a snapshot says is what has been committed: another one that says the same has all the same in it. Not so on
# a standby, which leaves out who is at work; nor after a failure, when numbers of transactions that were lost may be
# given again: but then connections are new.
_SNAPSHOT: Final = "pg_current_snapshot()::text"
_TELLS: Final = "NOT pg_is_in_recovery()"

_MARKS: Final = (
    "(SELECT coalesce(string_agg(resource || xmin::text, ' ' ORDER BY resource), '') FROM lists"
    " WHERE bucket = ${}::text AND parent = ${}::text{})"
)
# What listeners write, a history say, is written all the time, and says nothing of what is below the same object.
_WITHOUT_LAST: Final = " AND resource NOT IN ({})".format(", ".join(f"'{each}'" for each in LAST))
_OF_ALL: Final = "(SELECT xmin::text FROM metadata WHERE key = 'epoch')"

Ask = Callable[[Question], Awaitable[tuple[int, Rows]]]
"""(question) -> the number of the connection that it was asked on, and the rows: in a snapshot of its own."""

SNAPSHOT: Final[Question] = (f"SELECT {_SNAPSHOT} WHERE {_TELLS}",)


class Heard(NamedTuple):
    """What was heard of some lists: the snapshot, and the version that they have in it."""

    made: int
    snapshot: str
    version: Hashable


class Versions:
    """The versions in one database, as its process hears of them. Connections have numbers (`Pool.made`)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str | None, ListsVersion] = {}

    def ask(self, parent: str | None) -> "asyncio.Future[Hashable]":
        """Ask for the version of the lists below an object, or of everything; None where nobody can tell.

        Who comes while it is asked for is told with the next one. Awaited, it raises BackendUnavailable.
        """
        known = self._known.get(parent)
        if known is None:
            if len(self._known) >= MOST_HEARD:
                self._known.clear()
            known = self._known[parent] = ListsVersion(self._ask, parent)
        return known.looks.look()


class ListsVersion:
    """The version of the lists below one object, or of everything."""

    __slots__ = ("_ask", "_heard", "_is_quiet", "_question", "looks")

    def __init__(self, ask: Ask, parent: str | None) -> None:
        self._ask = ask
        self._question = SNAPSHOT if parent is None else _of_lists(lineage(parent))
        self._heard: Heard | None = None
        # Whether the snapshot is likely what it was: it is asked for alone, and costs less.
        self._is_quiet = False
        self.looks: Looks[Hashable] = Looks(self._look)

    async def _look(self) -> Hashable:
        heard = self._heard
        if heard and self._is_quiet:
            made, rows = await self._ask(SNAPSHOT)
            if rows and (made, rows[0][0]) == heard[:2]:
                return heard.version
        made, rows = await self._ask(self._question)
        if not rows:
            return None
        snapshot, *marks = rows[0]
        self._is_quiet = heard is None or (made, snapshot) == heard[:2]
        self._heard = Heard(made, snapshot, (made, *(marks or [snapshot])))
        return self._heard.version


def and_version(asked: Foreseen, statement: str, *values: Any) -> Question:
    """Return a question that asks for the version besides, if that is wanted of what is foreseen."""
    if not asked.with_version:
        return statement, *values
    if asked.concerns is None:
        return f"{statement} UNION ALL SELECT 'version', NULL, NULL, NULL, NULL, {_SNAPSHOT} WHERE {_TELLS}", *values
    parents = lineage(asked.concerns)
    marks = _marks(len(parents), len(values))
    return (
        f"{statement} UNION ALL SELECT 'version', NULL, NULL, NULL, NULL, {marks} WHERE {_TELLS}",
        *values,
        *_keys(parents),
    )


def and_above(statement: str, values: Sequence[Any], parent: str) -> Question:
    """Return a question that asks for the marks above the lists below an object, too, in a row 'above'."""
    parents = lineage(parent)[1:]
    marks = above(len(parents), len(values))
    return f"{statement} UNION ALL SELECT 'above', NULL, NULL, NULL, NULL, {marks}", *values, *_keys(parents)


def if_above(parent: str, before: int, marks: str) -> tuple[str, tuple[str, ...]]:
    """Return the condition that those marks are what they were, and its values, which come after so many others."""
    parents = lineage(parent)[1:]
    return f" AND {above(len(parents), before)} = ${before + 2 * len(parents) + 1}::text", (*_keys(parents), marks)


@lru_cache(64)
def above(parents: int, before: int) -> str:
    """Return the text for the marks of ACLs and groups above a list that is in so many others."""
    marks = [_MARKS.format(before + 2 * n + 1, before + 2 * n + 2, _WITHOUT_LAST) for n in range(parents)]
    return f"concat_ws('/', {', '.join([_OF_ALL, *marks])})"


def _of_lists(parents: Sequence[str]) -> Question:
    """Return the question for the snapshot, and the marks of lists."""
    return f"SELECT {_SNAPSHOT}, {_marks(len(parents), 0)} WHERE {_TELLS}", *_keys(parents)


@lru_cache(64)
def _marks(parents: int, before: int) -> str:
    """Return the text for the marks of the lists of so many parents, which come after so many other parameters."""
    marks = [_MARKS.format(before + 2 * n + 1, before + 2 * n + 2, _WITHOUT_LAST if n else "") for n in range(parents)]
    return f"concat_ws('/', {', '.join([_OF_ALL, *marks])})"


def _keys(parents: Sequence[str]) -> tuple[str, ...]:
    return tuple(chain.from_iterable((shard(each), each) for each in parents))
