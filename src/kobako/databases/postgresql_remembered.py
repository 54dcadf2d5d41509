"""What a process remembers of lists that it was the last to write: what is asked there again need not be asked.

What was read of an object, and of who may write it, stays true until somebody writes its list, or an ACL or a group
above it. A statement that writes only if nobody did, by the marks of those rows, may so rest on what was read before
the one that came before it. Nothing else may: whoever is refused, or writes nothing, has to be told what is true now.

Source: reliability, 4.4; design, "The walk of a request".
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from kobako.databases.base import Foreseen, Sought
from kobako.databases.postgresql_lists import State
from kobako.databases.postgresql_questions import MOST_ACES
from kobako.permission.base import Acl
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

Who = tuple[str | None, frozenset[str], tuple[str, ...]]
"""A user, with other principals, and URIs on which they may be granted something, those of objects left out."""


class Marks(NamedTuple):
    """What rows have as long as nobody writes them: that of a list, and those above it, of ACLs and groups."""

    of_list: str
    above: str


class About(NamedTuple):
    """What is known of an object: None if there is none; and (permission, principal), the whole ACL."""

    stored: Stored | None
    aces: Sequence[tuple[str, str]]

    @property
    def size(self) -> int:
        """Bytes, about."""
        text = self.stored.text if self.stored else ""
        return AROUND_BYTES + len(text) + sum([len(principal) for _, principal in self.aces])


class Known:
    """What is known of a list in its state: who may write there, and its objects. `made`: the connection's number."""

    __slots__ = ("at", "made", "marks", "objects", "place", "size", "state", "users")

    def __init__(self, place: Place, made: int, marks: Marks, state: State) -> None:
        self.place = place
        self.made = made
        self.marks = marks
        self.state = state
        self.at = 0.0
        self.size = 0
        self.users: dict[Who, Sequence[Row]] = {}
        self.objects: dict[str, About] = {}

    def rows(self, asked: Foreseen) -> list[Row] | None:
        """Return the rows that a question would be answered with, None if it is about an object that is not known."""
        rows = [*self.users[_who(asked)], _row_of(self)]
        for place, id, uri in asked.objects:
            about = self.objects.get(id)
            if about is None:
                return None
            if stored := about.stored:
                rows.append(("object", place.parent, place.resource, id, str(stored.last_modified), stored.text))
            for ace in about.aces:
                rows += ("ace", uri, *ace), ("grant", uri, *ace)
        return rows


class Remembered:
    """What is known of lists. Connections have numbers (`Pool.made`): a new one may be to another server."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lists: dict[Place, Known] = {}
        self._pauses: dict[Place, tuple[int, int]] = {}
        self._bytes = 0

    def recall(self, asked: Foreseen, place: Place, made: int) -> Known | None:
        """Return what is known of a list, and of who asks, if nothing has changed."""
        known = self._lists.get(place)
        if known is None or known.made != made or self._now_s() - known.at > LONGEST_S:
            return None
        return None if _who(asked) not in known.users or self._is_paused(place) else known

    def is_current(self, known: Known) -> bool:
        """Tell whether it is still what is known of its list."""
        return self._lists.get(known.place) is known

    def learn(self, asked: Foreseen, place: Place, rows: Iterable[Any], made: int, marks: Marks, state: State) -> Known:
        """Note the rows that a question about a list, or one object of it, was answered with."""
        known = self._lists.get(place)
        if known is None or (known.made, known.marks) != (made, marks):
            if len(self._lists) >= MOST_LISTS:
                self._clear()
            self.forget([place])
            known = self._lists[place] = Known(place, made, marks, state)
        known.at = self._now_s()
        rows, uris, who = list(rows), [each.uri for each in asked.objects], _who(asked)
        if who in known.users:
            self._count(known, -_size(known.users[who]))
        known.users[who] = [
            tuple(row) for row in rows if row[0] == "group" or (row[0] == "grant" and row[1] not in uris)
        ]
        self._count(known, _size(known.users[who]))
        self.learn_objects(known, asked.objects, rows)
        return known

    def learn_objects(self, known: Known, about: Iterable[Sought], rows: Iterable[Any]) -> None:
        """Note the rows that a question about objects of a list was answered with. A long ACL is not kept."""
        stored: dict[str, Stored] = {}
        aces: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for kind, a, b, c, *more in rows:
            if kind == "object":
                stored[c] = Stored(c, int(more[0]), more[1])
            elif kind == "ace":
                aces[a].append((b, c))
        for _, id, uri in about:
            self._keep(known, id, About(stored.get(id), aces[uri]))

    def wrote(self, known: Known, written: Stored, state: State, acl: Acl) -> None:
        """Note that an object of a list is about to be written, with these permissions set, and nothing else."""
        known.state, known.at = state, self._now_s()
        before = known.objects.get(written.id)
        if before is None:
            # Nobody has asked who else has permissions on it.
            return
        kept = [each for each in before.aces if each[0] not in acl]
        given = dict.fromkeys((permission, each) for permission, principals in acl.items() for each in principals)
        self._keep(known, written.id, About(written, [*kept, *given]))

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

    def _keep(self, known: Known, id: str, about: About) -> None:
        if before := known.objects.pop(id, None):
            self._count(known, -before.size)
        # A longer one nobody is told at once.
        if len(about.aces) <= MOST_ACES:
            known.objects[id] = about
            self._count(known, about.size)

    def _count(self, known: Known, size: int) -> None:
        known.size += size
        if self.is_current(known):
            self._bytes += size
            if self._bytes > MOST_BYTES:
                self._clear()

    def _clear(self) -> None:
        self._lists.clear()
        self._pauses.clear()
        self._bytes = 0


def _who(asked: Foreseen) -> Who:
    own = [each.uri for each in asked.objects]
    return asked.user, asked.principals, tuple([uri for uri in asked.uris if uri not in own])


def _size(rows: Collection[Row]) -> int:
    return AROUND_BYTES * (1 + len(rows))


def _row_of(known: Known) -> Row:
    state = known.state
    indexes = jsontext.encode(list(state.indexes))
    is_open = "1" if state.is_open else "0"
    return "list", str(state.last_modified), is_open, indexes, str(state.purged_before), known.marks.of_list
