"""What a process remembers of lists that it was the last to write: what is asked there again need not be asked.

What was read of an object, and of who may write it, stays true until somebody writes its list, or an ACL or a group
above it. A statement that writes only if nobody did, by the marks of those rows, may so rest on what was read before
the one that came before it. Nothing else may: whoever is refused, or writes nothing, has to be told what is true now.

Source: reliability, 4.4; design, "The walk of a request".
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from kobako.databases.base import Foreseen
from kobako.databases.postgresql_lists import State
from kobako.protocol import jsontext
from kobako.storage.base import Place, Stored

LONGEST_S: Final = 2.0
"""How long after the last write it is gone by: a connection that died meanwhile is then found by reading."""

MOST_BYTES: Final = 4_000_000
MOST_LISTS: Final = 1_000
LONGEST_PAUSE: Final = 15
"""How many units read again, at most, of a list that others write as well."""

AROUND_BYTES: Final = 500

Row = tuple[Any, ...]


class Marks(NamedTuple):
    """What rows have as long as nobody writes them: that of a list, and those above it, of ACLs and groups."""

    of_list: str
    above: str


class Known:
    """What is known of a list in its state: answers to questions, by the object they are about, None for none."""

    __slots__ = ("answers", "at", "made", "marks", "size", "state")

    def __init__(self, made: int, marks: Marks, state: State) -> None:
        self.made = made
        self.marks = marks
        self.state = state
        self.at = 0.0
        self.size = 0
        self.answers: dict[str | None, dict[Foreseen, tuple[Row, ...]]] = {}


class Remembered:
    """What is known of lists. Connections have numbers (`Pool.made`): a new one may be to another server."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lists: dict[Place, Known] = {}
        self._pauses: dict[Place, tuple[int, int]] = {}
        self._bytes = 0

    def recall(self, asked: Foreseen, made: int) -> tuple[list[Row], Known] | None:
        """Return the rows that a question about an object of a list would be answered with, if nothing has changed."""
        place = asked.place
        if place is None or place not in self._lists:
            return None
        known = self._lists[place]
        if known.made != made or self._now_s() - known.at > LONGEST_S:
            return None
        rows = known.answers.get(_id(asked), {}).get(asked)
        if rows is None or self._is_paused(place):
            return None
        return [*rows, _row_of(known)], known

    def learn(self, asked: Foreseen, place: Place, rows: Iterable[Any], made: int, marks: Marks, state: State) -> Known:
        """Note the rows that a question about a list, or one object of it, was answered with."""
        known = self._lists.get(place)
        if known is None or (known.made, known.marks) != (made, marks):
            if len(self._lists) >= MOST_LISTS:
                self._clear()
            self.forget([place])
            known = self._lists[place] = Known(made, marks, state)
        known.at = self._now_s()
        self._keep(known, asked, tuple([tuple(row) for row in rows if row[0] not in ("list", "version")]))
        return known

    def wrote(self, asked: Foreseen, known: Known, written: Stored, state: State, *, has_acl: bool) -> None:
        """Note that an object of a list is about to be written, of which nothing else changes."""
        place = asked.place
        if place is None or self._lists.get(place) is not known:
            return
        known.state, known.at = state, self._now_s()
        about = known.answers.pop(written.id, {})
        self._count(known, -sum(map(_size, about.values())))
        before = about.get(asked)
        if before and not has_acl:
            row = ("object", place.parent, place.resource, written.id, str(written.last_modified), written.text)
            self._keep(known, asked, (*[each for each in before if each[0] != "object"], row))

    def was_right(self, place: Place) -> None:
        """Note that what was recalled was still true. It may have been by chance, where several write by turns."""
        if place in self._pauses:
            self._pauses[place] = self._pauses[place][0] // 2, 0

    def was_wrong(self, place: Place) -> None:
        """Note that somebody else has written the list, or above it."""
        if len(self._pauses) >= MOST_LISTS:
            self._pauses.clear()
        pause = min(2 * self._pauses.get(place, (0, 0))[0] + 1, LONGEST_PAUSE)
        self._pauses[place] = pause, pause
        self.forget([place])

    def is_no_use(self, asked: Foreseen) -> None:
        """Note that a question has to be asked, for nothing was written."""
        known = self._lists.get(asked.place) if asked.place else None
        if known and (rows := known.answers.get(_id(asked), {}).pop(asked, None)):
            self._count(known, -_size(rows))

    def forget(self, places: Iterable[Place]) -> None:
        """Forget lists, which are written otherwise."""
        for place in places:
            if known := self._lists.pop(place, None):
                self._bytes -= known.size

    def _is_paused(self, place: Place) -> bool:
        pause, left = self._pauses.get(place, (0, 0))
        if left:
            self._pauses[place] = pause, left - 1
        return left > 0

    def _keep(self, known: Known, asked: Foreseen, rows: tuple[Row, ...]) -> None:
        about = known.answers.setdefault(_id(asked), {})
        self._count(known, _size(rows) - (_size(about[asked]) if asked in about else 0))
        about[asked] = rows
        if self._bytes > MOST_BYTES:
            self._clear()

    def _count(self, known: Known, size: int) -> None:
        known.size += size
        self._bytes += size

    def _clear(self) -> None:
        self._lists.clear()
        self._pauses.clear()
        self._bytes = 0


def _size(rows: Iterable[Row]) -> int:
    return AROUND_BYTES + sum([len(part) for row in rows for part in row if isinstance(part, str)])


def _id(asked: Foreseen) -> str | None:
    return asked.objects[0].id if asked.objects else None


def _row_of(known: Known) -> Row:
    state = known.state
    indexes = jsontext.encode(list(state.indexes))
    is_open = "1" if state.is_open else "0"
    return "list", str(state.last_modified), is_open, indexes, str(state.purged_before), known.marks.of_list
