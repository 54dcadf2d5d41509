"""The delivery of a webhook's queue: a task in each process, of which the one that holds the lease is at work.

What is due is sent, several messages at a time. A message waits for those before it that are about the same object,
until they are received or dead; others do not wait for it. It is forgotten only when it was received, so each is sent
at least once: twice, when a process ends in between.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import msgspec

from kobako.databases.base import BackendUnavailable, Clock
from kobako.listeners.webhook.options import Webhook
from kobako.listeners.webhook.queue import LISTS, Queue, Waiting, append
from kobako.listeners.webhook.sender import Sender
from kobako.model.events import ObjectsChanged
from kobako.model.lease import Lease
from kobako.model.transaction import Transaction
from kobako.storage.base import Place

AT_ONCE: Final = 10
"""Messages that are under way at a time."""

AT_A_LOOK: Final = 100
"""Messages of one list that are sent before the others have their turn."""

POLL_S: Final = 1.0
"""How often is looked for what other processes have queued, and for a lease that has run out."""

GRACE_S: Final = 10
"""How much longer than an attempt a lease lasts."""

GIVE_UP_S: Final = 2.0

LONGEST_PAUSE_S: Final = 3600

MANY: Final = 10_000
"""More waiting messages than this are warned of, every LOOK_S seconds."""

LOOK_S: Final = 60.0

_log = logging.getLogger("kobako.listeners.webhook")


class Delivery:
    """One webhook, in one process."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._wake = asyncio.Event()

    async def store(self, tx: Transaction, event: ObjectsChanged) -> None:
        """Queue an event, in its transaction."""
        await append(tx.storage, self._webhook.name, event)

    def wake(self, _: Transaction, __: ObjectsChanged) -> None:
        """Look at the queue at once: an event was committed."""
        self._wake.set()

    async def run(self, app: Any) -> None:
        """Deliver until cancelled."""
        if app.settings.readonly:
            return
        backends, webhook = app.site.backends, self._webhook
        queue = Queue(webhook.name, backends.database)
        place = Place("webhook-lease", f"webhooks/{webhook.name}/lease")
        lease = Lease(place, backends.database, backends.clock, (webhook.timeout_s + GRACE_S) * 1000)
        sender = Sender(webhook)
        try:
            async with asyncio.TaskGroup() as group:
                await _Work(webhook, queue, lease, sender, backends.clock, self._wake, group).go_on()
        finally:
            await sender.close()
            # Else it runs out: nobody waits for it at the end.
            with suppress(TimeoutError, BackendUnavailable):
                async with asyncio.timeout(GIVE_UP_S):
                    await lease.give_up()


class _Work:
    """What is under way while the task runs."""

    def __init__(
        self,
        webhook: Webhook,
        queue: Queue,
        lease: Lease,
        sender: Sender,
        clock: Clock,
        wake: asyncio.Event,
        group: asyncio.TaskGroup,
    ) -> None:
        self._webhook = webhook
        self._queue = queue
        self._lease = lease
        self._sender = sender
        self._clock = clock
        self._wake = wake
        self._group = group
        self._under_way: set[str] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._storing = asyncio.Lock()
        self._next_look = 0.0

    async def go_on(self) -> None:
        """Send what is due, again and again."""
        task = asyncio.current_task()
        # A driver may take the cancelling for a failure of its own: it is looked for here, too.
        while task and not task.cancelling():
            self._wake.clear()
            try:
                await self._look()
            except BackendUnavailable as error:
                _log.warning("The queue of webhook %s cannot be read: %s", self._webhook.name, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Begin to send what is due, if it is for this process to do."""
        if not await self._lease.take():
            return
        await self._warn_of_many()
        for number in range(LISTS):
            # What is under way before the list is read may be done after it, and is in it all the same.
            under_way = self._under_way.copy()
            for each in islice(due(await self._queue.waiting(number), self._clock()), AT_A_LOOK):
                if each.letter.id not in under_way:
                    await self._begin(each)

    async def _begin(self, waiting: Waiting) -> None:
        """Begin to send a message once there is room, as long as the lease outlasts the attempt."""
        await self._slots.acquire()
        if await self._lease.take() and self._lease.left_ms > self._webhook.timeout_s * 1000:
            self._under_way.add(waiting.letter.id)
            self._group.create_task(self._deliver(waiting))
        else:
            self._slots.release()

    async def _deliver(self, waiting: Waiting) -> None:
        """Send a message, and keep what came of it; a database that fails leaves it in the queue, to be sent again."""
        try:
            problem = await self._send(waiting)
            # One after the other: they write the same lists, and would only meet each other in their way.
            async with self._storing:
                await (self._failed(waiting, problem) if problem else self._queue.remove(waiting))
            self._wake.set()
        except Exception:
            _log.exception("What became of %s could not be stored; it will be sent again", waiting.letter.id)
        finally:
            self._under_way.discard(waiting.letter.id)
            self._slots.release()

    async def _send(self, waiting: Waiting) -> str | None:
        letter = waiting.letter
        head = f'{{"id":"{letter.id}","attempt":{letter.attempts + 1},'
        return await self._sender.send(letter.id, int(time.time()), (head + letter.body[1:]).encode())

    async def _failed(self, waiting: Waiting, problem: str) -> None:
        attempts, webhook = waiting.letter.attempts + 1, self._webhook
        pause_s = min(webhook.backoff_s * 2 ** min(attempts - 1, 32), LONGEST_PAUSE_S) * random.uniform(0.5, 1)
        tried = msgspec.structs.replace(
            waiting,
            letter=msgspec.structs.replace(
                waiting.letter, attempts=attempts, due=self._clock() + int(pause_s * 1000), problem=problem
            ),
        )
        about = (waiting.letter.id, webhook.name, self._sender.host, problem, attempts)
        if attempts < webhook.max_attempts:
            _log.warning("Event %s of webhook %s was not received by %s: %s (attempt %d)", *about)
            await self._queue.postpone(tried)
        else:
            _log.error("Event %s of webhook %s was not received by %s: %s (given up, attempt %d)", *about)
            await self._queue.bury(tried)
            if dropped := await self._queue.thin_out(webhook.max_dead):
                more = (dropped, webhook.name, webhook.max_dead)
                _log.error("%d events of webhook %s that were given up first are dropped: of more than %d", *more)

    async def _warn_of_many(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        length = await self._queue.length()
        if length > MANY:
            _log.warning("%d events of webhook %s wait to be received", length, self._webhook.name)


def due(waiting: Sequence[Waiting], now: int) -> Iterator[Waiting]:
    """Yield the messages whose time has come, and that no earlier one about the same object is before."""
    blocked: set[str] = set()
    for each in waiting:
        # Of a clock that was set back nothing waits longer than it may.
        is_due = not 0 < each.letter.due - now <= LONGEST_PAUSE_S * 1000
        if is_due and blocked.isdisjoint(each.letter.objects):
            yield each
        blocked.update(each.letter.objects)
