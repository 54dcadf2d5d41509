"""Trimming: of each kind of object, or of some users for each kind, the newest entries are kept.

Entries that go leave tombstones, as any that are deleted: who polls the history is told.

Source: objects, 11.6.
"""

from collections.abc import Iterable
from typing import Final

from kobako import Filter, Operator, Place, Selection, Sort, Transaction
from kobako.plugins.history.entries import uris_of
from kobako.plugins.history.options import Options

OLDEST_FIRST: Final = (Sort("last_modified"),)

AT_ONCE: Final = 1000
"""So many are removed by one change at most; where there are more, the next ones go on."""


async def trim(tx: Transaction, place: Place, written: Iterable[tuple[str, str | None]], options: Options) -> None:
    """Remove the oldest entries that are too many, of the (kind of object, user) that were just written."""
    groups: set[tuple[Filter, ...]]
    users = options.auto_trim_user_ids
    if users:
        groups = {(_is("resource_name", kind), _is("user_id", user)) for kind, user in written if user in users}
    else:
        groups = {(_is("resource_name", kind),) for kind, _ in written}
    for filters in groups:
        await _trim(tx, place, filters, options)


async def _trim(tx: Transaction, place: Place, filters: tuple[Filter, ...], options: Options) -> None:
    most = options.auto_trim_max_count
    count = await tx.storage.count(place, Selection(filters=filters))
    if count <= most + options.auto_trim_threshold:
        return
    limit = min(count - most, AT_ONCE)
    oldest = await tx.storage.list(place, Selection(filters=filters, sort=OLDEST_FIRST, limit=limit))
    await tx.storage.delete(place, [each.id for each in oldest])
    await tx.permission.forget(uris_of(place, oldest))


def _is(field: str, value: str | None) -> Filter:
    return Filter(field, Operator.EQ, value)
