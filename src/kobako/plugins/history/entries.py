"""The entries of a history: their list, what they say, and who is shown which.

Who may read the bucket reads all of them. To others an entry is shown if they could read its object when it was
written, which the ACL of the entry says, and still can now: a right that came later opens nothing of the past, and one
that was lost opens nothing any more.

Source: objects, 11.1, 11.2, 11.4 and 11.5; reliability, P17.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from kobako import NAME, Caller, JsonObject, Place, Resource, Stored, Target, Transaction, readable

KINDS: Final = ("bucket", "group", "collection", "record")
"""The kinds of objects whose changes are recorded."""

_TEXT: Final = {"type": "string"}

FIELDS: Final[JsonObject] = {
    "date": {**_TEXT, "format": "date-time"},
    "action": {**_TEXT, "enum": ["create", "update", "delete"]},
    "user_id": {"type": ["string", "null"], "description": "Who did it; null for anybody."},
    "resource_name": {**_TEXT, "enum": list(KINDS)},
    **{f"{kind}_id": _TEXT for kind in KINDS},
    "uri": _TEXT,
    "target": {"type": "object", "description": "The object after the change, and its permissions."},
}


class About(msgspec.Struct):
    """What an entry is about."""

    resource_name: str
    uri: str


async def shown(tx: Transaction, target: Target, caller: Caller, entries: Sequence[Stored]) -> Sequence[Stored]:
    """Return the entries that the caller may read, about what they may read now; of what is deleted, what it was in."""
    kinds = {each.name: each for each in tx.resources}
    about = {each.id: _object(kinds, each) for each in entries if not each.deleted}
    uris = await readable(tx, caller, [*about.values(), *map(target.at, about)])
    return [each for each in entries if each.id in about and {about[each.id].uri, target.at(each.id).uri} <= uris]


def _object(kinds: dict[str, Resource], entry: Stored) -> Target:
    about = _decoder.decode(entry.text)
    list_uri, _, id = about.uri.rpartition("/")
    return kinds[about.resource_name].target(list_uri, id)


HISTORY: Final = Resource(
    name="history",
    path="/buckets/{bucket_id}/history",
    parent=Resource(name="bucket", path="/buckets", ids=NAME),
    data_schema={"properties": FIELDS},
    known_fields=tuple(FIELDS),
    sift=shown,
    list_methods=("HEAD", "GET", "DELETE"),
    object_methods=(),
)

_decoder = msgspec.json.Decoder(About)


def history_of(bucket: str) -> Place:
    """Return the list of the entries of a bucket."""
    return Place(HISTORY.name, f"/buckets/{bucket}")


def uris_of(place: Place, entries: Sequence[Stored]) -> list[str]:
    """Return the URIs by which the ACLs of entries are known."""
    return [f"{place.parent}/history/{each.id}" for each in entries]


def lineage(target: Target | None) -> Iterator[str]:
    """Yield the URI of an object, and of all that it is in."""
    while target:
        yield target.uri
        target = target.parent()


def ids_in(target: Target) -> dict[str, Any]:
    """Return the ids that an entry names: that of the bucket for the bucket itself only."""
    own = target.resource.name
    return {name: id for name, id in target.variables.items() if name != "bucket_id" or own == "bucket"}
