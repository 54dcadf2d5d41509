"""Purging: tombstones that are needed no more are removed, list by list.

Who polls from before is told that deletions are missing (reliability, S20), so what is purged should be older than any
client stays away. What the server keeps for itself, in lists that no resource has, is purged by age as well.

Source: objects, 26.2.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

from kobako.databases.base import BackendUnavailable, Database, attempts, every_list
from kobako.model.lease import Lease
from kobako.model.transaction import Backends
from kobako.storage.base import PURGED_AT_ONCE, Place

LEASE: Final = Place("purge-lease", "purge/lease")

LEASE_MS: Final = 300_000
LOOK_S: Final = 60
"""How often a process that is not the one at work looks whether that one is gone."""

EVERY_MS: Final = 3_600_000
"""How often all lists are purged."""

GIVE_UP_S: Final = 2

ANY_AGE: Final = 2**53 - 1
"""Later than any timestamp of a tombstone."""

_log = logging.getLogger("kobako.purging")

Continue = Callable[[], Awaitable[bool]]


async def _always() -> bool:
    return True


async def purge(
    database: Database,
    kinds: Collection[str] | None = None,
    *,
    before: int = ANY_AGE,
    keep: int = 0,
    go_on: Continue = _always,
) -> int:
    """Purge all lists of these kinds (None: of any); return how many tombstones were removed.

    Removed is what is older than `before` and not among the newest `keep` of a list. `go_on` is asked before each list.
    """
    total = 0
    async for state in every_list(database):
        if kinds is None or state.place.resource in kinds:
            if not await go_on():
                break
            total += await _purge(database, state.place, before, keep)
    return total


async def keep_purging(backends: Backends, after_s: int) -> None:
    """Purge what is older than so many seconds, every hour, until cancelled: in one process at a time."""
    lease, due = Lease(LEASE, backends.database, backends.clock, LEASE_MS), 0
    try:
        while True:
            try:
                if await lease.take() and (now := backends.clock()) >= due:
                    gone = await purge(backends.database, before=now - after_s * 1000, go_on=lease.take)
                    _log.log(logging.INFO if gone else logging.DEBUG, "%d tombstone(s) deleted.", gone)
                    due = now + EVERY_MS
            except BackendUnavailable as error:
                _log.warning("Tombstones are not purged now, but in %d s: %s", LOOK_S, error)
            await asyncio.sleep(LOOK_S)
    finally:
        # Else it runs out: nobody waits for it at the end.
        with suppress(TimeoutError, BackendUnavailable):
            async with asyncio.timeout(GIVE_UP_S):
                await lease.give_up()


async def _purge(database: Database, place: Place, before: int, keep: int) -> int:
    """Purge one list, in units of work that others can bear to wait for."""
    total, gone = 0, PURGED_AT_ONCE
    while gone == PURGED_AT_ONCE:
        for attempt in attempts():
            async with attempt, database.begin([place]) as unit:
                gone = await unit.storage.purge(place, before, keep)
        total += gone
    return total
