"""Links: which file is whose. What the server itself says of a file, whatever clients write into records.

A link is an object of a hidden list, one for each collection. Whoever writes it has the lock of that collection's
records, or deletes the collection, so that nobody waits for it in a circle. A link that is `kept` is of a file which no
record has any more, and which is to stay all the same.

Source: objects, 1.2 and 17.6.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec

from kobako import Filter, JsonObject, Operator, Place, Resource, Selection, Sort, Target, Transaction, encode

KINTO: Final = "attachment"
"""The name of the one attachment that records have in Kinto, and the field it is in; others are in `attachments`."""

FIELD: Final = "attachments"
HIDDEN: Final = "__attachments__"
PAGE: Final = 1000

RECORDS: Final = Resource(name="record", path="/buckets/{bucket_id}/collections/{collection_id}/records")
"""Where records are, for the lists that are locked: what an app has of them is in its own resources."""


class Slot(msgspec.Struct, frozen=True):
    """What of a record a file is: a name, in a record."""

    bucket: str
    collection: str
    record: str
    name: str = KINTO

    @property
    def bucket_uri(self) -> str:
        """The URI of the bucket."""
        return f"/buckets/{self.bucket}"

    @property
    def collection_uri(self) -> str:
        """The URI of the collection."""
        return f"{self.bucket_uri}/collections/{self.collection}"

    @property
    def record_uri(self) -> str:
        """The URI of the record."""
        return f"{self.collection_uri}/records/{self.record}"

    @property
    def id(self) -> str:
        """The id of the link."""
        return hashlib.sha256(f"{self.record}/{self.name}".encode()).hexdigest()[:32]

    @property
    def place(self) -> Place:
        """The list of the link."""
        return place_of(self.collection_uri)

    def target(self, records: Resource = RECORDS) -> Target:
        """Return the record."""
        return records.target(f"{self.collection_uri}/records", self.record)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a record: `path` is where it is stored, `attachment` what the record says of it."""

    location: str
    bucket_uri: str
    collection_uri: str
    record_uri: str
    name: str
    path: str
    attachment: JsonObject
    kept: bool = False


Linked = Mapping[str, Link]
"""Links by their ids."""

_decoder = msgspec.json.Decoder(Link)


def slot_of(variables: Mapping[str, str]) -> Slot:
    """Return what a URL below a record is about."""
    bucket, collection, record = (variables[name] for name in ("bucket_id", "collection_id", "record_id"))
    return Slot(bucket, collection, record, variables.get("name", KINTO))


def place_of(collection_uri: str) -> Place:
    """Return the list of links of a collection."""
    return Place("attachments", HIDDEN + collection_uri)


async def current(tx: Transaction, slot: Slot) -> Link | None:
    """Return the link of a record's file, None if there is none."""
    found = await tx.storage.get(slot.place, slot.id)
    return _decoder.decode(found.text) if found else None


async def put(tx: Transaction, slot: Slot, link: Link) -> None:
    """Write the link of a record's file."""
    if await tx.storage.timestamp(slot.place) is None:
        await tx.storage.open(slot.place)
        await tx.storage.index(slot.place, ["record_uri"])
    await tx.storage.put(slot.place, slot.id, _text(link))


async def of_records(tx: Transaction, collection_uri: str, records: Sequence[str]) -> Linked:
    """Return the links of the records with these URIs, but for kept ones."""
    place, found = place_of(collection_uri), dict[str, Link]()
    if await tx.storage.timestamp(place) is None:
        return found
    # Locked, a list may be asked by its index.
    await tx.storage.open(place)
    for at in range(0, len(records), PAGE):
        condition = Filter("record_uri", Operator.IN, tuple(records[at : at + PAGE]))
        stored = await tx.storage.list(place, Selection(filters=(condition,)))
        found |= {each.id: _decoder.decode(each.text) for each in stored}
    return {id: link for id, link in found.items() if not link.kept}


async def all_of(tx: Transaction, place: Place) -> AsyncIterator[Linked]:
    """Yield all links of a list, many at once."""
    last = ""
    while True:
        behind = (Filter("id", Operator.GT, last),) if last else ()
        found = await tx.storage.list(place, Selection(filters=behind, sort=(Sort("id"),), limit=PAGE))
        if not found:
            return
        last = found[-1].id
        yield {each.id: _decoder.decode(each.text) for each in found}


async def places(tx: Transaction, uri: str = "/buckets") -> AsyncIterator[Place]:
    """Yield the lists of links of the collections under a URI."""
    begin = f"{HIDDEN}{uri}/"
    after = Place("", begin)
    while states := await tx.storage.states(after):
        for each in states:
            if not each.place.parent.startswith(begin):
                return
            if each.is_open:
                yield each.place
        after = states[-1].place


async def drop(tx: Transaction, place: Place, linked: Linked, *, keep: bool) -> Sequence[str]:
    """Remove links, and return the paths of files to delete after the commit: none where they are to be kept."""
    if not linked:
        return ()
    if keep:
        for link in linked.values():
            await tx.storage.put(place, uuid.uuid4().hex, _text(msgspec.structs.replace(link, kept=True)))
    await tx.storage.delete(place, list(linked))
    return () if keep else [link.path for link in linked.values()]


async def empty(tx: Transaction, place: Place, *, keep: bool) -> Sequence[str]:
    """Remove all links of a collection, as `drop` does, and those that were kept once where nothing is to be now."""
    pages = [page async for page in all_of(tx, place)]
    if not keep:
        await tx.storage.close_under(place.parent, tombstones=False)
        return [link.path for page in pages for link in page.values()]
    for page in pages:
        await drop(tx, place, {id: link for id, link in page.items() if not link.kept}, keep=True)
    return ()


def _text(link: Link) -> str:
    return encode(msgspec.to_builtins(link))
