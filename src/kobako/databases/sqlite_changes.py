"""What the commits of this process have changed: so what was read elsewhere in the database is known to be as it was.

SQLite tells, by a number, that something was committed, but not what. Of its own commits a process knows; and the
connection that makes them is told of those of others alone. So where nobody else has committed since the last of them,
the number has changed by what we know.

It is asked when somebody wants to know, not after each commit: who writes does not pay for readers that do not come.

Source: reliability, 4.5; design, "The walk of a request".
"""

from collections.abc import Hashable
from typing import Final

import apsw

from kobako.databases.parents import lineage

EVERYWHERE: Final = "*"
"""Stands among what was changed for more than is named. No parent is called so."""

AT_REST: Final = "at rest"
OPEN: Final = "open"
LENT: Final = "lent"
"""What the connection that writes does: nothing; it has a transaction; or a thread may use it, so nobody else may."""

MOST_KNOWN: Final = 10_000
"""Of so many parents it is known when something directly below them was changed last."""


class Changes:
    """What was changed when, by the parents of lists. `changed` is for who writes: what the open transaction has."""

    def __init__(self, watch: apsw.Connection, writer: apsw.Connection) -> None:
        self.changed: set[str] = set()
        self._watch, self._writer = watch, writer
        self._state = AT_REST
        self._commits = 0
        self._when: dict[str, int] = {}
        self._all = 0
        # Asked in this order, here and when it is explained: what is committed between the two is seen by both, so it
        # counts twice.
        self._explained = self._found = _number(watch)
        self._of_others = _number(writer)

    def version(self) -> Hashable:
        """Return what differs once anything was committed, by whomever. Raises apsw.Error."""
        self._found = _number(self._watch)
        if self._found != self._explained:
            self._explain()
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

    def begin(self, of_others: Hashable) -> None:
        """Note that a transaction of ours is open: nobody else commits. What it changes is put in `changed`.

        `of_others` is the number of the writer in it.
        """
        self._state = OPEN
        if of_others != self._of_others:
            self._of_others = of_others
            self._note([EVERYWHERE])

    def lend(self) -> None:
        """Note that the writer may be at work in a thread: it commits, or copies its log."""
        self._state = LENT

    def end(self) -> None:
        """Note what the transaction has changed: also where it was undone, that does no harm."""
        self._state = AT_REST
        changed = [*self.changed]
        self.changed.clear()
        self._note(changed)

    def rest(self) -> None:
        """Note that the writer is back."""
        self._state = AT_REST

    def _explain(self) -> None:
        """Find out whose commits there were; if that cannot be told now, all that is asked meanwhile is unknown."""
        if self._state is LENT:
            return
        # While a transaction is open, all is known: what others did before it was noted when it began.
        if self._state is AT_REST:
            of_others = _number(self._writer)
            if of_others != self._of_others:
                self._of_others = of_others
                self._note([EVERYWHERE])
        self._explained = self._found

    def _note(self, changed: list[str]) -> None:
        self._commits += 1
        if EVERYWHERE in changed or len(self._when) > MOST_KNOWN:
            self._when.clear()
            self._all = self._commits
        else:
            self._when.update(dict.fromkeys(changed, self._commits))


def _number(connection: apsw.Connection) -> Hashable:
    return connection.execute("PRAGMA data_version").fetchall()[0][0]
