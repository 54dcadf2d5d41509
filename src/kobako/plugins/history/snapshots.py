"""Snapshots: the records of a collection as they were at a time, from those that are there and from the history.

A record that was not touched since is taken as it is. Of any other, the newest entry that is old enough says how it
was; where there is none, it was not there yet, or cannot be told.

Source: objects, 11.7.
"""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from kobako import (
    Call,
    Filter,
    JsonObject,
    Operator,
    Place,
    Response,
    Selection,
    Stored,
    Transaction,
    UnknownUrl,
    View,
    encode,
    invalid,
    json_response,
    require,
)
from kobako.plugins.history.entries import history_of

PAGE: Final = 1000

_TIMESTAMP: Final = re.compile("[0-9]{1,18}")


class _Target(msgspec.Struct):
    data: JsonObject


class _Entry(msgspec.Struct):
    action: str
    record_id: str
    target: _Target


_decoder = msgspec.json.Decoder(_Entry)


async def get_snapshot(call: Call) -> Response:
    """Return the records of a collection as they were at a time, the newest first."""
    bucket, name = call.target.variables["bucket_id"], call.target.variables["snapshot"]
    collection, at, timestamp = name.rpartition("@")
    if not at:
        raise UnknownUrl()
    if not _TIMESTAMP.fullmatch(timestamp):
        raise invalid("path", "timestamp", f"Invalid timestamp '{timestamp[:100]}'")
    since = await _known_since(call, bucket, collection)
    records = await _records_at(call.tx, bucket, collection, int(timestamp), since)
    return json_response(encode({"data": sorted(records, key=_version, reverse=True)}))


async def _known_since(call: Call, bucket: str, collection: str) -> int:
    """Return from when on the caller may know the history, as a version of it. Raises Forbidden, or MissingToken.

    Who may read nothing but the collection is not shown what was in another of this name, that was deleted.
    """
    own, above = f"/buckets/{bucket}/collections/{collection}", f"/buckets/{bucket}"
    [kind] = [each for each in call.tx.resources if each.name == "record"]
    await require(call, "read", kind.target(f"{own}/records"))
    # What the settings open is open now, and not for the past.
    held = await call.tx.permission.granted(call.caller.principals, [own, above])
    readable = {uri for uri, permission in held if permission in ("read", "write")}
    if not readable:
        raise call.caller.refusal()
    if above in readable:
        return 0
    deletions = (Filter("uri", Operator.EQ, own), Filter("action", Operator.EQ, "delete"))
    found = await call.tx.storage.list(history_of(bucket), Selection(filters=deletions, limit=1))
    return found[0].last_modified if found else 0


async def _records_at(tx: Transaction, bucket: str, collection: str, time: int, since: int) -> Sequence[JsonObject]:
    place = Place("record", f"/buckets/{bucket}/collections/{collection}")
    known = Selection(filters=(Filter("last_modified", Operator.MAX, time),))
    found = [each.data() for each in await tx.storage.list(place, known)]
    later = Selection(filters=(Filter("last_modified", Operator.GT, time),), tombstones=True)
    changed = {each.id for each in await tx.storage.list(place, later)}
    if changed:
        async for entry in _entries(tx, bucket, collection, time, since):
            if entry.record_id in changed:
                changed.remove(entry.record_id)
                found += [entry.target.data] if entry.action != "delete" else []
    return found


async def _entries(tx: Transaction, bucket: str, collection: str, time: int, since: int) -> AsyncIterator[_Entry]:
    """Yield the entries about records of a collection as they were at a time, the newest first."""
    filters = (
        Filter("last_modified", Operator.GT, since),
        Filter("resource_name", Operator.EQ, "record"),
        Filter("collection_id", Operator.EQ, collection),
        Filter("target.data.last_modified", Operator.MAX, time),
    )
    after: tuple[int, ...] | None = None
    while True:
        page: Sequence[Stored] = await tx.storage.list(
            history_of(bucket), Selection(filters=filters, limit=PAGE, after=after)
        )
        for each in page:
            yield _decoder.decode(each.text)
        if len(page) < PAGE:
            return
        after = (page[-1].last_modified,)


def _version(data: JsonObject) -> int:
    version: int = data["last_modified"]
    return version


SNAPSHOT: Final = View(
    name="snapshot", path="/buckets/{bucket_id}/snapshot/collections/{snapshot}", methods={"GET": get_snapshot}
)
