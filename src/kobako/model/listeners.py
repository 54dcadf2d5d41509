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

from kobako.model.events import Action, ObjectsChanged, ObjectsRead
from kobako.model.transaction import Transaction

MAX_ROUNDS: Final = 10
"""How often listeners may be told of what listeners wrote (section 14.4)."""

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
WRITES: Final[tuple[Action, ...]] = ("create", "update", "delete")

Run = Callable[[Transaction, Any], Awaitable[None] | None]
"""(transaction, ObjectsChanged or ObjectsRead, or a list of them `at_end`) -> nothing.

A plain function holds up every other request meanwhile.
"""

_log = logging.getLogger("kobako.listeners")


class Listener(msgspec.Struct, frozen=True):
    """Who is told: of these actions, on these kinds of objects (none named: all), before or after the commit.

    Reading is told only to who asks for `read`, since objects are then no longer passed on as they are stored.
    Who is told `at_end` is told once, before the commit and after all others: of everything, in a list of events.
    """

    run: Run
    actions: Collection[Action] = WRITES
    resources: Collection[str] = ()
    after_commit: bool = False
    name: str = ""
    at_end: bool = False

    def __post_init__(self) -> None:
        if self.at_end and self.after_commit:
            raise ValueError("a listener is told at the end of a transaction or after its commit, not both")
        for each in (self.actions, self.resources):
            if isinstance(each, str):
                raise TypeError(f"{each!r} is one text: a listener takes a collection of names")
        if unknown := set(self.actions).difference(ACTIONS):
            raise ValueError(f"{unknown} are no actions of a listener: there are {', '.join(ACTIONS)}")

    def hears(self, action: Action, resource: str) -> bool:
        """Tell whether the listener wants to know of this action on this kind of object."""
        return action in self.actions and (not self.resources or resource in self.resources)

    async def tell(self, tx: Transaction, event: ObjectsChanged | ObjectsRead) -> None:
        """Run the listener, if the event is for it."""
        if self.hears(event.action, event.place.resource):
            await self._run(tx, event)

    async def tell_all(self, tx: Transaction, events: Iterable[ObjectsChanged | ObjectsRead]) -> None:
        """Run the listener once, if any of the events are for it, with these."""
        if heard := [each for each in events if self.hears(each.action, each.place.resource)]:
            await self._run(tx, heard)

    async def _run(self, tx: Transaction, told: Any) -> None:
        waiting = self.run(tx, told)
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
        self._at_end = tuple(each for each in self._all if each.at_end)

    def hear(self, action: Action, resource: str) -> bool:
        """Tell whether anybody wants to know of this action on this kind of object."""
        return any(each.hears(action, resource) for each in self._all)

    async def before_commit(self, tx: Transaction) -> None:
        """Tell of what happened while it can still be refused; then of what listeners changed, and so on.

        Called again in the same transaction, it tells of what happened since.
        """
        known = len(tx.events.told)
        for _ in range(MAX_ROUNDS):
            events = tx.events.take()
            if not events:
                return await self._tell_at_end(tx, tx.events.told[known:])
            for event in events:
                for listener in self._all:
                    if not (listener.after_commit or listener.at_end):
                        await listener.tell(tx, event)
        raise RuntimeError(f"listeners still write because of what listeners write, after {MAX_ROUNDS} rounds")

    async def _tell_at_end(self, tx: Transaction, events: Sequence[ObjectsChanged | ObjectsRead]) -> None:
        for listener in self._at_end:
            await listener.tell_all(tx, events)
        if tx.events.mark():
            raise RuntimeError("a listener that is told at the end changed objects, of which nobody is told any more")

    async def after_commit(self, tx: Transaction) -> None:
        """Tell of everything once more, to those who want to hear of what was committed."""
        for event in tx.events.told:
            for listener in self._all:
                if listener.after_commit:
                    await _notify(listener, tx, event)


async def _notify(listener: Listener, tx: Transaction, event: ObjectsChanged | ObjectsRead) -> None:
    try:
        await listener.tell(tx, event)
    except Exception:
        # Too late to refuse: what is committed stays.
        _log.exception("Unable to notify %s of %s", listener, event.uri)
