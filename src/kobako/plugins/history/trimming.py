"""Trimming: of each kind of object, or of some users for each kind, the newest entries are kept.

How many there are is noted in a list that no URL shows: counting a long history at each change would cost more than the
change. A note may say too many, when entries were deleted; so where it says that there are too many, they are counted.
Entries that go leave tombstones, as any that are deleted: who polls the history is told.

Source: objects, 11.6.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from kobako import Filter, Operator, Place, Selection, Sort, Transaction, encode
from kobako.plugins.history.entries import uris_of
from kobako.plugins.history.options import Options

OLDEST_FIRST: Final = (Sort("last_modified"),)

AT_ONCE: Final = 1000
"""So many are removed by one change at most; where there are more, the next ones go on."""

Group = tuple[str, str | None]
"""A kind of object, and whose entries are meant where users are counted apart."""


class Note(msgspec.Struct):
    """How many entries of a group there are at most."""

    count: int


_decoder = msgspec.json.Decoder(Note)


def notes_of(place: Place) -> Place:
    """Return the list with the notes about a history."""
    return Place("history-note", place.parent)


async def trim(tx: Transaction, place: Place, written: Iterable[Group], options: Options) -> None:
    """Remove the oldest entries that are too many, of the (kind of object, user) of each that was just written."""
    users = options.auto_trim_user_ids
    groups = Counter((kind, user if users else None) for kind, user in written if not users or user in users)
    for group, added in groups.items():
        id = ":".join(filter(None, group))
        noted = await tx.storage.get(notes_of(place), id)
        count = _decoder.decode(noted.text).count + added if noted else None
        if count is None or count > options.auto_trim_max_count + options.auto_trim_threshold:
            count = await _trim(tx, place, group, options)
        await tx.storage.put(notes_of(place), id, encode(Note(count)))


async def _trim(tx: Transaction, place: Place, group: Group, options: Options) -> int:
    """Count the entries of a group, and remove those that are too many; return how many are left."""
    kind, user = group
    filters = (_is("resource_name", kind), *([_is("user_id", user)] if user else []))
    most = options.auto_trim_max_count
    count = await tx.storage.count(place, Selection(filters=filters))
    if count <= most + options.auto_trim_threshold:
        return count
    limit = min(count - most, AT_ONCE)
    oldest = await tx.storage.list(place, Selection(filters=filters, sort=OLDEST_FIRST, limit=limit))
    await tx.storage.delete(place, [each.id for each in oldest])
    await tx.permission.forget(uris_of(place, oldest))
    return count - limit


def _is(field: str, value: str) -> Filter:
    return Filter(field, Operator.EQ, value)
