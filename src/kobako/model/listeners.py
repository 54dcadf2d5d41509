"""Listeners: who is told of which events, and when.

Before the commit a listener runs in the transaction: what it writes is part of it, and an exception undoes
everything and becomes the answer. After the commit it is too late for both: failures are logged, and that is all.

Source: HTTP API, 14; objects, 20 and 27.3.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, Final, get_args

import msgspec

from kobako.model.events import Action, ObjectsChanged, ObjectsRead, ServerFlushed
from kobako.model.resource import Target
from kobako.model.transaction import Transaction
from kobako.storage.base import Place

MAX_ROUNDS: Final = 10
"""How often listeners may be told of what listeners wrote (section 14.4)."""

ENDLESS: Final = f"listeners still write because of what listeners write, after {MAX_ROUNDS} rounds"

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
WRITES: Final[tuple[Action, ...]] = ("create", "update", "delete")

Run = Callable[[Transaction, Any], Awaitable[None] | None]
"""(transaction, Told, or a list `at_once`) -> nothing. A plain function holds up every other request meanwhile."""

Told = ObjectsChanged | ObjectsRead | ServerFlushed

Writes = Callable[[Target], Iterable[Place]]
"""(what is written) -> the lists that a listener may write because of it."""

_log = logging.getLogger("kobako.listeners")


def _nothing(target: Target) -> Iterable[Place]:
    return ()


class Listener(msgspec.Struct, frozen=True):
    """Who is told: of these actions, on these kinds of objects (none named: all), before or after the commit.

    Reading is told only to who asks for `read`, since objects are then no longer passed on as they are stored; that
    everything was removed, to who asks for `flush`, after the commit only, whatever the kinds of objects.
    Who is told `at_once` gets a list, when the others have nothing more to write: of all that was done, each operation
    by itself, in their order. `writes` tells which lists it writes itself because of what is written at a target:
    they are locked with that.
    """

    run: Run
    actions: Collection[Action] = WRITES
    resources: Collection[str] = ()
    after_commit: bool = False
    name: str = ""
    at_once: bool = False
    writes: Writes = _nothing

    def __post_init__(self) -> None:
        if self.at_once and self.after_commit:
            raise ValueError("a listener that is told at once is told before the commit")
        for each in (self.actions, self.resources):
            if isinstance(each, str):
                raise TypeError(f"{each!r} is one text: a listener takes a collection of names")
        if unknown := set(self.actions).difference(ACTIONS):
            raise ValueError(f"{unknown} are no actions of a listener: there are {', '.join(ACTIONS)}")
        if "flush" in self.actions and not self.after_commit:
            raise ValueError("a listener to 'flush' is told after_commit: before, there is nothing to tell")

    def hears(self, action: Action, resource: str) -> bool:
        """Tell whether the listener wants to know of this action on this kind of object."""
        return action in self.actions and (not self.resources or resource in self.resources or action == "flush")

    async def tell(self, tx: Transaction, event: Told) -> None:
        """Run the listener, if the event is for it."""
        if self.hears(event.action, event.place.resource):
            await self._run(tx, event)

    async def tell_all(self, tx: Transaction, operations: Iterable[ObjectsChanged | ObjectsRead]) -> None:
        """Run the listener once, with what of this is for it."""
        heard = [each for each in operations if self.hears(each.action, each.place.resource)]
        if heard:
            await self._run(tx, heard)

    async def _run(self, tx: Transaction, what: Any) -> None:
        waiting = self.run(tx, what)
        if inspect.isawaitable(waiting):
            await waiting

    def __str__(self) -> str:
        return self.name or getattr(self.run, "__qualname__", repr(self.run))


class Listening(msgspec.Struct, frozen=True):
    """Who is told, and what runs beside the requests for it, in each process: called with the App (`tasks.py`)."""

    listeners: Sequence[Listener]
    tasks: Sequence[Callable[[Any], Awaitable[None]]] = ()


class Listeners:
    """The listeners of one app, each told in their order."""

    def __init__(self, listeners: Iterable[Listener]):
        self._all = tuple(listeners)
        self._one_by_one = [each for each in self._all if not each.after_commit and not each.at_once]
        self._at_once = [each for each in self._all if each.at_once]
        self._heard: dict[tuple[Action, str], bool] = {}

    def hear(self, action: Action, resource: str) -> bool:
        """Tell whether anybody wants to know of this action on this kind of object."""
        known = self._heard.get((action, resource))
        if known is None:
            known = self._heard[action, resource] = any(each.hears(action, resource) for each in self._all)
        return known

    def written(self, target: Target) -> set[Place]:
        """Return the lists that listeners may write because of what is written at a target."""
        heard = [each for each in self._all if not each.resources or target.resource.name in each.resources]
        return {place for each in heard for place in each.writes(target)}

    async def before_commit(self, tx: Transaction) -> None:
        """Tell of what happened while it can still be refused; then of what listeners changed, and so on.

        Called again in the same transaction, it tells of what happened since.
        """
        for _ in range(MAX_ROUNDS):
            operations = await self._tell_each(tx)
            if not operations:
                return
            for listener in self._at_once:
                await listener.tell_all(tx, operations)
        raise RuntimeError(ENDLESS)

    async def _tell_each(self, tx: Transaction) -> list[ObjectsChanged | ObjectsRead]:
        """Tell of each event, in rounds, until there are no more; return the operations they are made of."""
        told: list[ObjectsChanged | ObjectsRead] = []
        for _ in range(MAX_ROUNDS):
            operations = tx.events.waiting()
            if not operations:
                return told
            events = tx.events.take()
            told += operations
            for event in events:
                for listener in self._one_by_one:
                    await listener.tell(tx, event)
        raise RuntimeError(ENDLESS)

    async def after_commit(self, tx: Transaction) -> None:
        """Tell of everything once more, to those who want to hear of what was committed."""
        for event in tx.events.told:
            await self.tell_of(tx, event)

    async def tell_of(self, tx: Transaction, event: Told) -> None:
        """Tell those who want to hear of what was committed of one event."""
        for listener in self._all:
            if listener.after_commit:
                await _notify(listener, tx, event)


async def _notify(listener: Listener, tx: Transaction, event: Told) -> None:
    try:
        await listener.tell(tx, event)
    except Exception:
        # Too late to refuse: what is committed stays.
        _log.exception("Unable to notify %s of %s", listener, event.uri)
