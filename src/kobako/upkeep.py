"""Commands that look after what is stored: `kobako purge-deleted`, `delete-collection`, `flush-cache`.

Source: objects, section 26.2.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import click

from kobako import Place, Settings, stock
from kobako.app import milliseconds
from kobako.backends import open_cache, open_database
from kobako.cli import Failure, common, configure_logging, told
from kobako.databases.base import Database, attempts
from kobako.model import purging
from kobako.server import stock_app
from kobako.settings import parsing

READONLY, UNKNOWN_BUCKET, UNKNOWN_COLLECTION = 31, 32, 33
"""Exit statuses of `delete-collection`."""

NOT_READONLY: Final = "Cannot {} while in readonly mode."

T = TypeVar("T")

_log = logging.getLogger("kobako")


class Wanted(NamedTuple):
    """What `purge-deleted` is to remove: of which kinds, and but for the newest so many, or what is so old."""

    kinds: Sequence[str]
    keep: int | None
    older_than_s: int | None


@click.command("purge-deleted")
@common
@click.argument("words", nargs=-1, required=True, metavar="TYPE... [MAXIMUM]")
@click.option("--older-than", metavar="AGE", help="Remove what is older, as 30d or 12h, in place of a maximum.")
def purge_deleted(ini: Path | None, level: int | None, words: tuple[str, ...], older_than: str | None) -> None:
    """Remove tombstones of deleted objects: all but the newest MAXIMUM of each list, or all older than AGE."""
    wanted = _wanted(words, older_than)

    async def purge(database: Database) -> int:
        if wanted.keep is not None:
            return await purging.purge(database, wanted.kinds, keep=wanted.keep)
        assert wanted.older_than_s is not None
        return await purging.purge(database, wanted.kinds, before=milliseconds() - wanted.older_than_s * 1000)

    configure_logging(level)
    with told():
        settings = _settings(ini)
        _require_known(wanted.kinds, settings)
        if settings.readonly:
            raise Failure(NOT_READONLY.format("purge tombstones"))
        if wanted.keep is None:
            _log.info("Keep only tombstones of the last %s.", older_than)
        else:
            _log.info("Keep only %d tombstones per parent and resource.", wanted.keep)
        _log.info("%d tombstone(s) deleted.", _with_database(settings, purge))


@click.command("delete-collection")
@common
@click.option("--bucket", required=True, help="Id of the bucket.")
@click.option("--collection", required=True, help="Id of the collection.")
def delete_collection(ini: Path | None, level: int | None, bucket: str, collection: str) -> None:
    """Remove a collection with its records: no event tells of it, and records leave no tombstones."""

    async def delete(database: Database) -> int:
        return await _delete(database, bucket, collection)

    configure_logging(level)
    with told():
        settings = _settings(ini)
        if settings.readonly:
            _end(READONLY, NOT_READONLY.format("delete the collection"))
        done = _with_database(settings, delete)
    if done == UNKNOWN_BUCKET:
        _end(done, f"Bucket '/buckets/{bucket}' does not exist.")
    if done == UNKNOWN_COLLECTION:
        _end(done, f"Collection '/buckets/{bucket}/collections/{collection}' does not exist.")
    _log.info("'/buckets/%s/collections/%s' was deleted, with its records.", bucket, collection)


@click.command("flush-cache")
@common
def flush_cache(ini: Path | None, level: int | None) -> None:
    """Remove everything from the cache."""

    async def flush() -> None:
        cache = open_cache(settings, milliseconds)
        try:
            await cache.flush()
        finally:
            await cache.close()

    configure_logging(level)
    with told():
        settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
        if settings.cache_backend in stock.MEMORY["cache_backend"]:
            kind = settings.cache_backend
            raise Failure(f"Setting 'cache_backend' is '{kind}': only the server itself sees what is in it.")
        asyncio.run(flush())
    _log.info("Cache has been cleared.")


def _wanted(words: tuple[str, ...], older_than: str | None) -> Wanted:
    *kinds, last = words
    if older_than is None:
        if not kinds or not last.isascii() or not last.isdigit():
            raise click.UsageError(f"'{last}' is no maximum: give types, and then how many tombstones to keep.")
        return Wanted(kinds, int(last), None)
    if last.isdigit():
        raise click.UsageError("Give either a maximum or --older-than.")
    try:
        return Wanted(words, None, parsing.duration(older_than))
    except ValueError as error:
        raise click.UsageError(f"--older-than is '{older_than}': {error}.") from None


def _settings(ini: Path | None) -> Settings:
    settings = stock.load(ini or stock.find_ini(os.environ), os.environ)
    stock.check_others_see(settings)
    return settings


def _require_known(kinds: Sequence[str], settings: Settings) -> None:
    known = [each.name for each in stock_app(settings).site.backends.resources]
    for each in kinds:
        if each not in known:
            raise Failure(f"'{each}' is no kind of object: there are {', '.join(known)}.")


def _with_database(settings: Settings, do: Callable[[Database], Awaitable[T]]) -> T:
    """Return what is done with the database of the settings."""
    database = open_database(settings, milliseconds)

    async def opened() -> T:
        await database.open()
        try:
            return await do(database)
        finally:
            await database.close()

    return asyncio.run(opened())


async def _delete(database: Database, bucket: str, collection: str) -> int:
    """Delete a collection; return 0, or what there is none of."""
    place, uri = Place("collection", f"/buckets/{bucket}"), f"/buckets/{bucket}/collections/{collection}"
    done = 0
    for attempt in attempts():
        async with attempt, database.begin([place], [uri]) as unit:
            if await unit.storage.get(Place("bucket", ""), bucket) is None:
                done = UNKNOWN_BUCKET
            elif not await unit.storage.delete(place, [collection]):
                done = UNKNOWN_COLLECTION
            else:
                await unit.storage.close_under(uri, tombstones=False)
                await unit.permission.forget([uri])
    return done


def _end(status: int, message: str) -> None:
    _log.error("%s", message)
    sys.exit(status)
