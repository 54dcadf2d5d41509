"""The sweep: files that no record has go, once nobody can be about to give them to one.

An upload takes less than the grace time, so a file that is older and has no link will never have one. Records that came
from another server have files without links: what any record says of its attachment counts as well.

Source: reliability, A5.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from kobako import Backends, Filter, Operator, Place, Selection, Sort, Transaction
from kobako.plugins.attachments import links
from kobako.plugins.attachments.links import FIELD, KINTO, PAGE
from kobako.plugins.attachments.options import Options
from kobako.plugins.attachments.stores import Files


class Swept(msgspec.Struct):
    """What a sweep found: files that nobody has, and what was left of uploads that were cut off."""

    orphans: list[str] = []
    unfinished: list[str] = []


async def sweep(backends: Backends, files: Files, options: Options, *, dry_run: bool = False) -> Swept:
    """Delete orphans that are older than the grace time, or only tell of them."""
    before = datetime.fromtimestamp(backends.clock() / 1000, UTC) - timedelta(seconds=options.grace_seconds)
    swept = Swept(orphans=[], unfinished=[])
    async with backends.begin() as tx:
        # The hashes of paths: of two that have one by chance, an orphan is spared. Read before the files are listed.
        known = {hash(path) async for path in _paths(tx, options)}
    async for found in files.all():
        gone = [path for path, written in found if written < before and hash(path) not in known]
        swept.orphans += gone
        if gone and not dry_run:
            await files.delete(gone)
    for path in await files.unfinished(before):
        swept.unfinished.append(str(path))
        if not dry_run:
            path.unlink(missing_ok=True)
    return swept


async def _paths(tx: Transaction, options: Options) -> AsyncIterator[str]:
    """Yield the paths of all files that something points to."""
    async for place in links.places(tx):
        async for page in links.all_of(tx, place):
            for link in page.values():
                yield link.path
    async for place in _record_lists(tx):
        async for location in _locations(tx, place):
            yield location.removeprefix(options.prefix).removeprefix("/")


async def _record_lists(tx: Transaction) -> AsyncIterator[Place]:
    after = Place("", "/buckets/")
    while states := await tx.storage.states(after):
        for each in states:
            if each.place.resource == "record" and each.is_open:
                yield each.place
        after = states[-1].place


async def _locations(tx: Transaction, place: Place) -> AsyncIterator[str]:
    """Yield what the records of a list say of where their files are."""
    for field in (KINTO, FIELD):
        last = ""
        while True:
            filters = (Filter(field, Operator.HAS, True), *((Filter("id", Operator.GT, last),) if last else ()))
            found = await tx.storage.list(place, Selection(filters=filters, sort=(Sort("id"),), limit=PAGE))
            if not found:
                break
            last = found[-1].id
            for each in found:
                for location in _said(each.data().get(field), field):
                    yield location


def _said(value: object, field: str) -> Sequence[str]:
    if not isinstance(value, dict):
        return ()
    abouts = [value] if field == KINTO else list(value.values())
    locations = [each.get("location") for each in abouts if isinstance(each, dict)]
    return [each for each in locations if isinstance(each, str)]
