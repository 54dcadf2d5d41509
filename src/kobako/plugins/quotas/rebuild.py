"""Counting anew, bucket by bucket, while others go on writing.

All that is in a bucket is looked at as it is at one moment, for which nobody waits. By how much the counters were
wrong at that moment they still are, whatever was counted since; so they are corrected, not replaced. Only where the
bucket, or one of its collections, came or went meanwhile is that not so: then it is looked at again, under the lock.

Source: objects, 12.2 and 26.2.
"""

import msgspec

from kobako import Place, Storage
from kobako.plugins.quotas import usage
from kobako.plugins.quotas.usage import NOTHING, Counters


class Seen(msgspec.Struct, frozen=True):
    """A bucket at one moment: what was counted, what there was, and when its collections had last changed."""

    counted: Counters
    found: Counters
    collections: int | None


async def look(storage: Storage, bucket: str) -> Seen:
    """Look at all that is in a bucket."""
    counted = await usage.read(storage, usage.list_of(bucket))
    return Seen(counted, await usage.survey(storage, bucket), await _collections(storage, bucket))


async def correct(storage: Storage, bucket: str, seen: Seen) -> Counters:
    """Put the counters of a bucket right, whose list is locked, and return them; none where there is no bucket."""
    place = usage.list_of(bucket)
    if await _collections(storage, bucket) != seen.collections:
        seen = await look(storage, bucket)
    before = await usage.read(storage, place)
    missing = {id: found - seen.counted.get(id, NOTHING) for id, found in seen.found.items()}
    after = {id: before.get(id, NOTHING) + each for id, each in missing.items()}
    await usage.write(storage, place, before, after)
    return after


async def _collections(storage: Storage, bucket: str) -> int | None:
    return await storage.timestamp(Place("collection", f"/buckets/{bucket}"))
