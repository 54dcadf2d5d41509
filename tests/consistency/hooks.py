"""Hooks in the server of the test build: pauses at the points where a race would be lost, its clock, its disk.

A pause raises the chance of a race that is not ruled out: with 0 to 50 ms before each fifth COMMIT a poller of a
server that takes versions too early misses something within seconds.

Source: reliability, 3.2 and 3.3.
"""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from tests.consistency.control import Control

import kobako.server
from kobako.app import App, milliseconds
from kobako.databases.sqlite_writer import Writer
from kobako.http import pipeline
from kobako.http.log import PARTS, REQUESTS
from kobako.model import objects
from kobako.model.listeners import Listeners
from kobako.model.transaction import Beginning, Transaction

UNBOUNDED: Final = 2**32 - 2
"""SQLite's own limit of pages."""


class Pause(msgspec.Struct, frozen=True):
    """How often a point is slept at, and for how long at most."""

    share: float = 0.0
    longest_ms: float = 0.0


class Point(msgspec.Struct, frozen=True):
    """A named moment in the walk of a request: a worker may sleep there, or be killed."""

    number: int
    pause: Pause
    control: Any

    async def reach(self) -> None:
        """Be there."""
        if self.control.kills_at == self.number:
            self.control.kills_at = 0
            os.kill(os.getpid(), signal.SIGKILL)
        if random.random() < self.pause.share:
            await asyncio.sleep(random.uniform(0, self.pause.longest_ms) / 1000)


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver wants of the test build: where it controls it from, and the pauses by the name of their point."""

    control: str
    pauses: dict[str, Pause] = {}


def install(wanted: Hooks) -> None:
    """Put the hooks into the classes of kobako, for this process and those that are forked from it."""
    # Lines of a hundred thousand requests tell nothing; errors are still told.
    for logger in (REQUESTS, PARTS, logging.getLogger("kobako.authorization")):
        logger.setLevel(logging.WARNING)
    control = Control(Path(wanted.control))
    _control_clock(control)
    _control_disk(control)
    for number, (name, put) in enumerate(POINTS.items(), 1):
        put(Point(number, wanted.pauses.get(name, Pause()), control))


def _control_clock(control: Control) -> None:
    def clock() -> int:
        return milliseconds() + control.clock_ms

    kobako.server.App = partial(App, clock=clock)


def _control_disk(control: Control) -> None:
    """Let SQLite run out of pages: it answers SQLITE_FULL, as on a disk without room."""
    enter = Writer.enter

    async def checked(self: Writer) -> None:
        await enter(self)
        limit = 1 if control.disk_is_full else UNBOUNDED
        # A limit below the size means the size.
        self.connection.execute(f"PRAGMA max_page_count = {limit}")

    Writer.enter = checked


def _before(owner: Any, name: str, point: Point) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def paused(*arguments: Any, **named: Any) -> Any:
        await point.reach()
        return await original(*arguments, **named)

    setattr(owner, name, paused)


def before_lock(point: Point) -> None:
    """Sleep before a request takes its locks, or its snapshot."""
    _before(Beginning, "__aenter__", point)


def after_lock(point: Point) -> None:
    """Sleep once the locks are taken, before anything is read; and between the parts of a batch."""
    _before(pipeline, "handle", point)


def before_list(point: Point) -> None:
    """Sleep between reading the timestamp of a list and reading its objects (S11)."""
    _before(objects, "page", point)


def before_commit(point: Point) -> None:
    """Sleep before COMMIT, with all locks held."""
    told = Listeners.before_commit

    async def paused(self: Listeners, tx: Transaction) -> None:
        await told(self, tx)
        if tx.events.told:
            await point.reach()

    Listeners.before_commit = paused


def before_answer(point: Point) -> None:
    """Sleep after COMMIT, before the answer leaves."""
    ended = Beginning.__aexit__

    async def paused(self: Beginning, *error: Any) -> None:
        await ended(self, *error)
        await point.reach()

    Beginning.__aexit__ = paused


POINTS: Final[dict[str, Callable[[Point], None]]] = {
    each.__name__: each for each in (before_lock, after_lock, before_list, before_commit, before_answer)
}
