"""`kobako rebuild-quotas`: what buckets and collections hold is counted anew, also while the server runs.

Source: objects, 26.2.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import click

from kobako import Database, Place, Selection, Sort
from kobako.cli import common, configure_logging, told
from kobako.databases.base import attempts
from kobako.plugins.quotas import usage
from kobako.plugins.quotas.rebuild import correct, look
from kobako.plugins.quotas.usage import OF_BUCKET, OF_COLLECTION, Counters

READONLY: Final = 41
NOT_INCLUDED: Final = 42

PAGE: Final = 1000

_log = logging.getLogger("kobako")


@click.command("rebuild-quotas")
@common
@click.option("--dry-run", is_flag=True, help="Only tell what would be counted.")
def rebuild_quotas(ini: Path | None, level: int | None, dry_run: bool) -> None:
    """Count anew what buckets and collections hold, for the quotas."""
    from kobako import logs, stock
    from kobako.app import milliseconds
    from kobako.backends import open_database

    configure_logging(level)
    with told():
        settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
        if settings.readonly:
            _refuse("Cannot rebuild quotas while in readonly mode.", READONLY)
        if "quotas" not in settings.includes:
            _refuse("Cannot rebuild quotas when quotas plugin is not installed.", NOT_INCLUDED)
        stock.check_others_see(settings)
        asyncio.run(_rebuild(open_database(settings, milliseconds), dry_run))
        logs.flush()


def _refuse(message: str, status: int) -> None:
    _log.error("%s", message)
    sys.exit(status)


async def _rebuild(database: Database, dry_run: bool) -> None:
    await database.open()
    try:
        async for bucket in _buckets(database):
            _tell(bucket, await count_anew(database, bucket, dry_run=dry_run))
    finally:
        await database.close()


async def count_anew(database: Database, bucket: str, *, dry_run: bool = False) -> Counters:
    """Return what the counters of a bucket are from now on, or would be; none where there is no bucket any more."""
    for attempt in attempts():
        async with attempt, database.begin() as unit:
            seen = await look(unit.storage, bucket)
    if dry_run:
        return seen.found
    for attempt in attempts():
        async with attempt, database.begin([usage.list_of(bucket)]) as unit:
            counters = await correct(unit.storage, bucket, seen)
    return counters


async def _buckets(database: Database) -> AsyncIterator[str]:
    after: tuple[str, ...] | None = None
    while True:
        selection = Selection(sort=(Sort("id"),), limit=PAGE, after=after)
        for attempt in attempts():
            async with attempt, database.begin() as unit:
                found = await unit.storage.list(Place("bucket", ""), selection)
        for each in found:
            yield each.id
        if len(found) < PAGE:
            return
        after = (found[-1].id,)


def _tell(bucket: str, counters: Counters) -> None:
    for id, held in counters.items():
        if id != OF_BUCKET:
            collection, records, size = id.removeprefix(OF_COLLECTION), held.record_count, held.storage_size
            _log.info("Bucket %s, collection %s. Final size: %d records, %d bytes.", bucket, collection, records, size)
    if total := counters.get(OF_BUCKET):
        _log.info(
            "Bucket %s. Final size: %d collections, %d records, %d bytes.",
            bucket, total.collection_count, total.record_count, total.storage_size,
        )  # fmt: skip
