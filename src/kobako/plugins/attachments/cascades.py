"""What follows changes of records, collections and buckets: files go with them, and what records say stays true.

Source: objects, 17.5 and 17.6.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from kobako import ApiError, Change, JsonObject, ObjectsChanged, Target, Transaction
from kobako.plugins.attachments import links
from kobako.plugins.attachments.links import FIELD, KINTO, Link, Slot, slot_of
from kobako.plugins.attachments.options import Options, Rulebook
from kobako.plugins.attachments.stores import Files


class MetadataProtected(ApiError):
    """What a record says of its file is for the server to say."""

    status, errno, error = 400, 999, "Bad Request"
    message = "Attachment metadata cannot be modified."


class Cascades:
    """The listeners: before the commit, for each object that was changed or deleted."""

    def __init__(self, options: Options, files: Files) -> None:
        self._rules = Rulebook(options)
        self._files = files

    async def delete(self, tx: Transaction, event: ObjectsChanged) -> None:
        """Remove the links of what was deleted; the files go after the commit."""
        ids = [change.new.id for change in event.changes]
        if event.target.resource.name == "record":
            gone = await self._of_records(tx, event.target, ids)
        else:
            gone = [path for id in ids for path in await self._under(tx, event.target.at(id))]
        if gone:
            tx.when_committed.append(partial(self._files.delete, gone))

    async def _of_records(self, tx: Transaction, target: Target, ids: Sequence[str]) -> Sequence[str]:
        uri, where = target.place.parent, target.at(ids[0]).variables
        linked = await links.of_records(tx, uri, [target.at(id).uri for id in ids])
        keep = self._rules.of(where["bucket_id"], where["collection_id"]).keep_old_files
        return await links.drop(tx, links.place_of(uri), linked, keep=keep)

    async def _under(self, tx: Transaction, target: Target) -> Sequence[str]:
        """Return the files of a collection, or of all collections of a bucket."""
        if target.resource.name == "collection":
            found = [links.place_of(target.uri)]
        else:
            found = [each async for each in links.places(tx, target.uri)]
        gone: list[str] = []
        for place in found:
            _, _, bucket, _, collection = place.parent.split("/")
            gone += await links.empty(tx, place, keep=self._rules.of(bucket, collection).keep_old_files)
        return gone

    async def protect(self, tx: Transaction, event: ObjectsChanged) -> None:
        """Raise MetadataProtected for a record that says something of a file that is not so."""
        for change in event.changes:
            # Most have none, and need not be decoded to know it.
            if change.old and f'"{KINTO}' in change.old.text:
                await _check(tx, event.target.at(change.new.id), change)


async def _check(tx: Transaction, target: Target, change: Change) -> None:
    assert change.old is not None
    before, after = change.old.data(), change.new.data()
    if _differ(before.get(KINTO), after.get(KINTO)):
        link = await links.current(tx, slot_of(target.variables))
        if link is None or link.attachment != after[KINTO]:
            raise MetadataProtected()
    for name in _common_names(before, after):
        link = await _named(tx, target, name)
        if link and link.attachment != after[FIELD][name]:
            raise MetadataProtected()


async def _named(tx: Transaction, target: Target, name: str) -> Link | None:
    where = target.variables
    return await links.current(tx, Slot(where["bucket_id"], where["collection_id"], where["record_id"], name))


def _common_names(before: JsonObject, after: JsonObject) -> list[str]:
    """Return the names of attachments that were there, are there, and are not the same."""
    old, new = before.get(FIELD), after.get(FIELD)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return []
    return [name for name in old if _differ(old[name], new.get(name))]


def _differ(old: Any, new: Any) -> bool:
    return bool(old) and bool(new) and old != new
