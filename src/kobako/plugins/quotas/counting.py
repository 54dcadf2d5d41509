"""Counting what a request, or a whole batch, changes: once, when all of it is done.

What counts is what it leaves, so only that can exceed a quota. Of what was deleted in it and made anew nothing is
known but what is there now, which is little: it is looked at.

Source: objects, 12.2 and 12.3.
"""

from collections.abc import Sequence

from kobako import Change, ObjectsChanged, Storage, Transaction
from kobako.plugins.quotas import usage
from kobako.plugins.quotas.limits import Limits
from kobako.plugins.quotas.usage import NOTHING, OF_BUCKET, OF_COLLECTION, Counters, Usage, size


class Difference:
    """What a transaction changes in one bucket: outside of collections, and in each; and what it deletes."""

    def __init__(self) -> None:
        self.outside = NOTHING
        self.inside: dict[str, Usage] = {}
        self.deleted: set[str] = set()
        self.is_deleted = False

    def add(self, resource: str, collection: str | None, change: Change) -> None:
        """Add what one change makes of it."""
        if change.new.deleted and resource == "collection":
            self.deleted.add(change.new.id)
        if change.new.deleted and resource == "bucket":
            self.is_deleted = True
        more = (not change.new.deleted) - (change.old is not None)
        bytes = size(change.new) - size(change.old)
        difference = Usage(bytes, more * (resource == "collection"), more * (resource == "record"))
        if collection is None:
            self.outside += difference
        else:
            self.inside[collection] = self.inside.get(collection, NOTHING) + difference

    def is_nothing(self) -> bool:
        """Tell whether all counters stay as they are: so it is where objects change, and not their sizes."""
        unchanged = all(each == NOTHING for each in (self.outside, *self.inside.values()))
        return unchanged and not self.deleted and not self.is_deleted


async def count(limits: Limits, tx: Transaction, events: Sequence[ObjectsChanged]) -> None:
    """Count what was changed in each bucket. Raises Insufficient."""
    found: dict[str, Difference] = {}
    for event in events:
        for change in event.changes:
            bucket, collection = _whereabouts(event, change)
            limits.require_size(size(change.new), bucket, collection)
            found.setdefault(bucket, Difference()).add(event.place.resource, collection, change)
    # Whoever counts in several buckets locks their counters in one order.
    for bucket, difference in sorted(found.items()):
        if not difference.is_nothing():
            await _count(limits, tx.storage, bucket, difference)


async def _count(limits: Limits, storage: Storage, bucket: str, difference: Difference) -> None:
    place = usage.list_of(bucket)
    if difference.is_deleted:
        # Its counters have gone with it.
        before: Counters = {}
        after = await usage.survey(storage, bucket)
    else:
        await storage.open(place)
        collections = {*difference.inside, *difference.deleted}
        before = await usage.read(storage, place, [OF_BUCKET, *(OF_COLLECTION + each for each in collections)])
        after = await _following(storage, bucket, before, difference)
    _check(limits, bucket, before, after)
    await usage.write(storage, place, before, after)


async def _following(storage: Storage, bucket: str, before: Counters, difference: Difference) -> Counters:
    """Return what counters are after a change."""
    after = {}
    total = before.get(OF_BUCKET, NOTHING) + difference.outside
    for collection, change in difference.inside.items():
        id = OF_COLLECTION + collection
        former = before.get(id, NOTHING)
        found: Usage | None = former + change
        if collection in difference.deleted:
            found = await usage.survey_collection(storage, bucket, collection)
        if found is not None:
            after[id] = found
        total += (found or NOTHING) - former
    return {OF_BUCKET: total, **after}


def _check(limits: Limits, bucket: str, before: Counters, after: Counters) -> None:
    for id, now in after.items():
        former = before.get(id, NOTHING)
        if id == OF_BUCKET:
            limits.require_bucket(bucket, former, now)
        else:
            limits.require_collection(bucket, id.removeprefix(OF_COLLECTION), former, now)


def _whereabouts(event: ObjectsChanged, change: Change) -> tuple[str, str | None]:
    """Return the bucket, and the collection if there is one, that an object is, or is in."""
    resource, names = event.place.resource, event.place.parent.split("/")
    if resource == "bucket":
        return change.new.id, None
    if resource == "record":
        return names[2], names[4]
    return names[2], change.new.id if resource == "collection" else None
