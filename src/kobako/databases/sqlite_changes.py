"""What the commits of this process have changed: so what was read elsewhere in the database is known to be as it was.

SQLite tells, by a number, that something was committed, but not what. Of its own commits a process knows; and the
connection that makes them is told of those of others alone. So where nobody else has committed since the last of them,
the number has changed by what we know.

Source: reliability, 4.5; design, "The walk of a request".
"""

from collections.abc import Hashable
from typing import Final

import apsw

from kobako.databases.parents import lineage

EVERYWHERE: Final = "*"
"""Stands among what was changed for more than is named. No parent is called so."""

MOST_KNOWN: Final = 10_000
"""Of so many parents it is known when something directly below them was changed last."""


class Changes:
    """What was changed when, by the parents of lists. `changed` is for who writes: what the open transaction has."""

    def __init__(self, watch: apsw.Connection, writer: apsw.Connection) -> None:
        self.changed: set[str] = set()
        self._watch, self._writer = watch, writer
        self._is_open = False
        self._commits = 0
        self._when: dict[str, int] = {}
        self._all = 0
        # Asked in this order, here and in `end`: what is committed between the two is seen by both, so it counts twice.
        self._explained = self._found = _number(watch)
        self._of_others = _number(writer)

    def version(self) -> Hashable:
        """Return what differs once anything was committed, by whomever."""
        self._found = _number(self._watch)
        # While our own transaction is open, its end will tell whether it is the reason.
        if self._found != self._explained and not self._is_open:
            self._explained = self._found
            self._note([EVERYWHERE])
        # The number of another connection says nothing.
        return self._watch, self._found

    def version_of(self, parent: str) -> Hashable:
        """Return what differs once something was changed in the lists below an object, in their ACLs, in what that
        object is in, or in who is in which group: as of when `version` was asked.
        """
        if self._found != self._explained:
            return self._watch, self._found
        known = self._when
        return self._watch, self._all, max([known.get(each, 0) for each in lineage(parent)])

    def begin(self) -> None:
        """Note that a transaction of ours is open: what it changes is put in `changed`."""
        self._is_open = True

    def end(self) -> None:
        """Note what the transaction has changed: also where it was undone, that does no harm."""
        self._is_open = False
        changed = [*self.changed]
        self.changed.clear()
        try:
            found, of_others = _number(self._watch), _number(self._writer)
        except apsw.Error:
            # Whoever asks for the version next finds that it was changed.
            return
        if of_others != self._of_others:
            self._of_others, changed = of_others, [EVERYWHERE]
        self._explained = self._found = found
        self._note(changed)

    def _note(self, changed: list[str]) -> None:
        self._commits += 1
        if EVERYWHERE in changed or len(self._when) > MOST_KNOWN:
            self._when.clear()
            self._all = self._commits
        else:
            self._when.update(dict.fromkeys(changed, self._commits))


def _number(connection: apsw.Connection) -> Hashable:
    return connection.execute("PRAGMA data_version").fetchall()[0][0]
