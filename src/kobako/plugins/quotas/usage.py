"""What is counted: how much a bucket, and each of its collections, holds.

The counters are objects of a hidden list of the bucket, which no URL, list or count shows, and which goes with the
bucket: one for all that is in it, one for each collection. Whoever changes what a bucket holds takes the lock of
that list last, and keeps it to the commit.

Kinto keeps those of collections in a list of the collection. There a counter would be gone, with the collection,
before anybody could subtract it from the bucket's.

Source: objects, 12.2.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

import msgspec

from kobako import Place, Selection, Sort, Storage, Stored, encode

OF_BUCKET: Final = "bucket_info"
OF_COLLECTION: Final = "collection_info:"

PAGE: Final = 1000
OLDEST_FIRST: Final = (Sort("last_modified"),)


class Usage(msgspec.Struct, frozen=True):
    """How much there is: bytes of all objects, collections and records. A collection is one itself."""

    storage_size: int = 0
    collection_count: int = 0
    record_count: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.storage_size + other.storage_size,
            self.collection_count + other.collection_count,
            self.record_count + other.record_count,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return self + Usage(-other.storage_size, -other.collection_count, -other.record_count)


NOTHING: Final = Usage()

Counters = Mapping[str, Usage]
"""By id: OF_BUCKET, and OF_COLLECTION with the id of each collection."""

_decoder = msgspec.json.Decoder(Usage)


def size(stored: Stored | None) -> int:
    """Return the length of an object's canonical JSON, 0 where there is none, and of a tombstone.

    What is stored has no spaces, and the order of its keys plays no part; but all that is not ASCII counts as it is
    escaped there: six characters for each unit of UTF-16.

    >>> size(Stored("r", 12, '{"a":"e"}')), size(Stored("r", 12, '{"a":"\u00e9"}'))
    (37, 42)
    """
    if stored is None or stored.deleted:
        return 0
    text = stored.json()
    if text.isascii():
        return len(text)
    plain = len(text.encode("ascii", "ignore"))
    return plain + 6 * (len(text.encode("utf-16-le")) // 2 - plain)


def list_of(bucket: str) -> Place:
    """Return the list with the counters of a bucket."""
    return Place("quota", f"/buckets/{bucket}")


def records_of(bucket: str, collection: str) -> Place:
    """Return the list of the records of a collection."""
    return Place("record", f"/buckets/{bucket}/collections/{collection}")


async def read(storage: Storage, place: Place, ids: Collection[str] | None = None) -> Counters:
    """Return the counters of a bucket: these, or all; those that are there."""
    selection = Selection(ids=None if ids is None else frozenset(ids), sort=OLDEST_FIRST)
    return {each.id: _decoder.decode(each.text) for each in await storage.list(place, selection)}


async def write(storage: Storage, place: Place, before: Counters, after: Counters) -> None:
    """Make the counters what they are after a change; those that are not there any more go."""
    for id, usage in after.items():
        if usage != before.get(id):
            await storage.put(place, id, encode(usage))
    if gone := [id for id in before if id not in after]:
        await storage.delete(place, gone)


async def survey(storage: Storage, bucket: str) -> Counters:
    """Return what the counters of a bucket should be, by looking at all that is in it; none if there is no bucket."""
    stored = await storage.get(Place("bucket", ""), bucket)
    if stored is None:
        return {}
    parent = f"/buckets/{bucket}"
    total = Usage(size(stored))
    async for group in _all(storage, Place("group", parent)):
        total += Usage(size(group))
    found = {}
    async for collection in _all(storage, Place("collection", parent)):
        found[OF_COLLECTION + collection.id] = usage = await _held(storage, bucket, collection)
        total += usage
    return {OF_BUCKET: total, **found}


async def survey_collection(storage: Storage, bucket: str, id: str) -> Usage | None:
    """Return what the counter of a collection should be, by looking at all that is in it; None if there is none."""
    stored = await storage.get(Place("collection", f"/buckets/{bucket}"), id)
    return await _held(storage, bucket, stored) if stored else None


async def _held(storage: Storage, bucket: str, collection: Stored) -> Usage:
    usage = Usage(size(collection), 1)
    async for record in _all(storage, records_of(bucket, collection.id)):
        usage += Usage(size(record), 0, 1)
    return usage


async def _all(storage: Storage, place: Place) -> AsyncIterator[Stored]:
    after: tuple[int, ...] | None = None
    while True:
        found = await storage.list(place, Selection(sort=OLDEST_FIRST, limit=PAGE, after=after))
        for each in found:
            yield each
        if len(found) < PAGE:
            return
        after = (found[-1].last_modified,)
