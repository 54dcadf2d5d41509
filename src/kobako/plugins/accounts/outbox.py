"""The mails that wait to be sent: kept in the storage, in the transaction of what they tell of.

So a mail is sent if, and only if, that was committed, also by a server that is stopped in between; seldom twice. Each
process looks for what is due, takes a mail for as long as sending may take, and removes it once it is sent.

Source: objects, 14.5.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from kobako import App, Backends, Filter, Operator, Place, Selection, Sort, Storage, attempts, encode

OUTBOX: Final = Place("account-mail", "account-mails/waiting")

PAUSE_S: Final = 1.0
"""How often each process looks for mails."""

LEASE_MS: Final = 120_000
"""For how long a mail is left to who took it; sending takes less, or is given up."""

FIRST_RETRY_MS: Final = 10_000
"""How long after a failure it is tried again; twice as long after each further one."""

MOST_ATTEMPTS: Final = 12
"""After about a day."""

_log = logging.getLogger("kobako.accounts")


class Mail(msgspec.Struct, frozen=True):
    """One mail: it is due at this time, in milliseconds, after so many attempts."""

    sender: str
    to: str
    subject: str
    body: str
    attempts: int = 0
    due: int = 0


Send = Callable[[Mail], Awaitable[None]]
"""Sends a mail, or raises any exception."""

_decoder = msgspec.json.Decoder(Mail)


async def put(storage: Storage, mail: Mail) -> None:
    """Put a mail into the outbox."""
    # The timestamp of a list grows with each put and never goes back, so it makes ids.
    await storage.put(OUTBOX, f"{await storage.open(OUTBOX):016d}", encode(mail))


async def keep_sending(app: App, send: Send) -> None:
    """Send mails as they come: a task of the app."""
    while True:
        while await send_one(app.site.backends, send):
            pass
        await asyncio.sleep(PAUSE_S)


async def send_one(backends: Backends, send: Send) -> bool:
    """Send a mail that is due, if there is one; tell whether there was. A failure is logged, and tried again later."""
    if not await _is_any_due(backends) or (taken := await _take(backends)) is None:
        return False
    id, mail = taken
    try:
        await send(mail)
    except Exception as error:
        await _postpone(backends, id, mail, error)
    else:
        await _settle(backends, id, None)
    return True


async def _is_any_due(backends: Backends) -> bool:
    for attempt in attempts():
        async with attempt, backends.begin() as tx:
            found = await tx.storage.list(OUTBOX, _due(tx.now))
    return bool(found)


async def _take(backends: Backends) -> tuple[str, Mail] | None:
    """Return a mail that is due, left to nobody else for a while; None if others took them all."""
    for attempt in attempts():
        async with attempt, backends.begin([OUTBOX]) as tx:
            found = await tx.storage.list(OUTBOX, _due(tx.now))
            if found:
                mail = _decoder.decode(found[0].text)
                taken = replace(mail, attempts=mail.attempts + 1, due=tx.now + LEASE_MS)
                await tx.storage.put(OUTBOX, found[0].id, encode(taken))
    return (found[0].id, taken) if found else None


async def _postpone(backends: Backends, id: str, mail: Mail, error: Exception) -> None:
    is_last = mail.attempts >= MOST_ATTEMPTS
    then = "it is given up" if is_last else "it is tried again later"
    _log.warning("A mail to '%s' could not be sent, attempt %d: %s; %s", mail.to, mail.attempts, error, then)
    wait_ms = FIRST_RETRY_MS * 2 ** (mail.attempts - 1)
    await _settle(backends, id, None if is_last else replace(mail, due=backends.clock() + wait_ms))


async def _settle(backends: Backends, id: str, later: Mail | None) -> None:
    """Put a mail back for later, or remove it; where that was the last, nothing of any is left."""
    for attempt in attempts():
        async with attempt, backends.begin([OUTBOX]) as tx:
            if later:
                await tx.storage.put(OUTBOX, id, encode(later))
                continue
            await tx.storage.delete(OUTBOX, [id])
            if not await tx.storage.count(OUTBOX):
                await tx.storage.close_under(OUTBOX.parent, tombstones=False)


def _due(now: int) -> Selection:
    return Selection(filters=(Filter("due", Operator.MAX, now),), sort=(Sort("id"),), limit=1)
