"""Writers of one process take turns on one connection, and share commits.

A commit waits for the disk, so units that came meanwhile go into one transaction: each runs in a savepoint, hands
the turn to the next in line, and waits. The last one commits; then all of the group return to their callers, those
that failed as well: what made them fail may have been what another one wrote and could still lose.

Whoever has the turn has the duty to pass it on, or to commit. It is never left to a task, which may be cancelled:
handover and commit are done at once, or in callbacks.

Source: reliability, 4.5.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import apsw

from kobako.databases.base import BackendUnavailable
from kobako.databases.line import Line
from kobako.databases.sqlite_changes import Changes
from kobako.databases.sqlite_session import UNAVAILABLE, unavailable
from kobako.databases.turnstile import Turnstile
from kobako.permission.sqlite import Kept

MOST_UNITS = 64
"""How many units may share a commit."""

LONGEST_GROUP_S = 0.02
"""How long the first unit of a group may be kept waiting by those that follow."""

SLOW_COMMIT_S = 0.001
"""Commits that take longer do not block the event loop, but run in a thread."""

CHECKPOINT_PAGES = 4000
"""How long the log may grow, 16 MB: a page that is written often is copied once. One table of the log's own index has
room for so many, so that readers look into one.
"""

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Group:
    """Units that share a transaction."""

    __slots__ = ("answers", "began", "failure", "is_undone", "size", "waits_for_company")

    def __init__(self, began: float) -> None:
        self.began = began
        self.size = 0
        self.answers: list[asyncio.Future[None]] = []
        # Its only unit was undone, and the transaction with it.
        self.is_undone = False
        # What makes a commit impossible: SQLite has undone the transaction, or cannot say in what state it is.
        self.failure: BaseException | None = None
        self.waits_for_company = False

    def answer(self, failure: BaseException | None) -> None:
        """Let all units return, or fail."""
        for each in self.answers:
            if each.done():
                continue
            if failure is None:
                each.set_result(None)
            else:
                each.set_exception(unavailable(failure))


class Writer:
    """The connection that writes, and whose turn it is."""

    def __init__(self, connection: apsw.Connection, changes: Changes, turnstile: Turnstile, timeout_s: float) -> None:
        self.connection = connection
        self.changes = changes
        self.kept = Kept()
        """What is known of permissions, by what units of this connection have read and left as it is."""
        self._execute = connection.execute
        self._turnstile = turnstile
        self._timeout_s = timeout_s
        self._line: Line[None] = Line("a turn to write", lambda _: self._pass_on())
        self._taken = False
        self._group: Group | None = None
        self._slow_commits = 0
        self._commits_alone = 0
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kobako-commit")
        connection.set_wal_hook(self._note_wal)

    async def enter(self) -> None:
        """Begin a unit: when this returns, the turn is the caller's until `leave`. Raises BackendUnavailable."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        if self._taken:
            await self._line.wait(self._timeout_s)
        self._taken = True
        try:
            if self._group is not None:
                self._execute("SAVEPOINT unit")
            else:
                if not self._begins_at_once():
                    await self._begin(deadline)
                self._group = Group(time.monotonic())
                of_others = self._execute("PRAGMA data_version").fetchall()[0][0]
                self.changes.begin(of_others)
                self.kept.at(of_others)
            self._group.size += 1
        except BaseException as error:
            if self._group is not None and not self._in_transaction():
                self._group.failure = error
            self._pass_on()
            if isinstance(error, UNAVAILABLE):
                raise unavailable(error) from error
            raise

    async def leave(self, *, keep: bool) -> None:
        """End the unit, keeping what it did or not; return once its group is committed. Raises BackendUnavailable."""
        group = self._group
        assert group is not None, "a unit ends that did not begin"
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.answers.append(answer)
        try:
            self._end_unit(group, keep)
        except apsw.Error as error:
            group.failure = error
        self._pass_on()
        await answer

    async def close(self) -> None:
        """Let go of the connection, after the units that run or wait. None may begin any more."""
        try:
            while self._taken or self._group:
                if not self._taken:
                    # The commit that waits for company comes at once.
                    await asyncio.sleep(0)
                    continue
                await self._line.wait(self._timeout_s)
                self._pass_on()
        except BackendUnavailable:
            logger.warning("a unit of work did not end: what it wrote is lost")
        self._thread.shutdown()
        self.connection.close(True)
        self._turnstile.close()

    # Beginning.

    def _begins_at_once(self) -> bool:
        """Begin the transaction, if no other process is in the way."""
        return self._turnstile.try_pass() and self._got_the_lock()

    async def _begin(self, deadline: float) -> None:
        """Begin the transaction, waiting for other processes until `deadline`, in the time of the event loop."""
        loop = asyncio.get_running_loop()
        # Half of the time for our turn, so that some is left for the lock itself.
        await self._turnstile.wait(deadline - self._timeout_s / 2)
        while not self._got_the_lock():
            if loop.time() > deadline:
                raise BackendUnavailable(f"another process has kept the database locked for {self._timeout_s:g} s")
            await asyncio.sleep(0.001)

    def _got_the_lock(self) -> bool:
        try:
            self._execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            return False
        return True

    # Ending.

    def _end_unit(self, group: Group, keep: bool) -> None:
        if not self._in_transaction():
            raise apsw.AbortError("the transaction was rolled back")
        if not keep:
            self.kept.clear()
        # The first unit of a group has no savepoint: to undo it is to undo the transaction.
        if group.size > 1:
            if not keep:
                self._execute("ROLLBACK TO unit")
            self._execute("RELEASE unit")
        elif not keep:
            self._execute("ROLLBACK")
            group.is_undone = True

    def _pass_on(self) -> None:
        """Give up the turn: to the next in line, in the same transaction if it may grow, else after its end."""
        group = self._group
        if group is None:
            self._let_go()
        elif group.is_undone or group.failure is not None:
            self._conclude(group, group.failure)
        elif not _may_grow(group):
            self._start_commit(group)
        elif not self._line.serve(None):
            if group.waits_for_company or self._expects_company():
                self._wait_for_company(group)
            else:
                self._start_commit(group)

    # Whoever has sent something by now has had no chance to stand in line: the next turn of the event loop reads it,
    # and the one after serves it. The commit waits until two turns have brought nobody, so that all share it; where
    # they come is found out now and then, for who writes alone should not be kept waiting.

    def _expects_company(self) -> bool:
        return self._commits_alone < 2 or self._commits_alone % 16 == 0

    def _wait_for_company(self, group: Group) -> None:
        self._taken = False
        if not group.waits_for_company:
            group.waits_for_company = True
            self._wait_two_turns(group)

    def _wait_two_turns(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._look_for_company, group, group.size)

    def _look_for_company(self, group: Group, size: int) -> None:
        is_free = self._group is group and not self._taken
        if is_free and group.size > size:
            self._wait_two_turns(group)
            return
        group.waits_for_company = False
        if is_free:
            self._taken = True
            self._start_commit(group)

    # Committing.

    def _start_commit(self, group: Group) -> None:
        self._commits_alone = self._commits_alone + 1 if group.size == 1 else 0
        self.changes.lend()
        # Once in a while a slow disk is tried without a thread: in one, other threads count as well.
        if self._slow_commits > 2 and self._slow_commits % 64:
            self._aside(self._commit, lambda failure: self._conclude(group, failure))
        else:
            self._conclude(group, self._commit())

    def _commit(self) -> Exception | None:
        began = time.perf_counter()
        try:
            self._execute("COMMIT")
        except apsw.Error as error:
            return error
        is_slow = time.perf_counter() - began > SLOW_COMMIT_S
        self._slow_commits = self._slow_commits + 1 if is_slow else 0
        return None

    def _conclude(self, group: Group, failure: BaseException | None) -> None:
        """Tell the group how its transaction ended, and give up the turn."""
        if failure is not None:
            self.kept.clear()
        if failure is not None and self._in_transaction():
            with suppress(apsw.Error):
                self._execute("ROLLBACK")
        self._group = None
        self.changes.end()
        group.answer(failure)
        if self._wal_pages >= self._checkpoint_at:
            # Out of the event loop, and while nobody writes: the log can start afresh then. Readers go on to know what
            # was committed up to now, if the writer is asked before a thread has it.
            with suppress(apsw.Error):
                self.changes.version()
            self.changes.lend()
            self._aside(self._checkpoint, self._end_checkpoint)
        else:
            self._let_go()

    def _let_go(self) -> None:
        self._turnstile.leave()
        self._taken = self._line.serve(None)

    # The write-ahead log.

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> bool:
        """Copy the log into the database; tell whether all of it could be."""
        try:
            pages, copied = self.connection.wal_checkpoint()
        except apsw.Error as error:
            logger.warning("checkpoint of the write-ahead log: %s", error)
            return False
        return pages == copied

    def _end_checkpoint(self, complete: bool) -> None:
        # A reader that still needs old pages keeps the log growing; not every commit has to find that out.
        self._checkpoint_at = CHECKPOINT_PAGES + (0 if complete else self._wal_pages)
        self._wal_pages = 0
        self.changes.rest()
        self._let_go()

    def _aside(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Work with the connection in a thread, keeping the turn."""
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        done.add_done_callback(lambda done: then(done.result()))

    def _in_transaction(self) -> bool:
        try:
            return self.connection.in_transaction
        except apsw.ConnectionClosedError:
            return False


def _may_grow(group: Group) -> bool:
    return group.size < MOST_UNITS and time.monotonic() - group.began < LONGEST_GROUP_S
