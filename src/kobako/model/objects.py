"""Find, list, write, delete: data, permissions and events in step. No HTTP in sight.

Who calls has asked `access` first, and holds a transaction in which the list is locked when it writes; so what was
read stays true. Endpoints, plugins and the command line all write through here.

Source: objects, 1.6 and 7; HTTP API, 7 and 9; reliability, 4.4.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from kobako.model import acls
from kobako.model.events import Change, ObjectsChanged
from kobako.model.resource import Target
from kobako.model.transaction import Transaction
from kobako.permission.base import Acl
from kobako.protocol.errors import NotUnique, UnknownParent, invalid
from kobako.protocol.filters import value_at
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.pagination import Token
from kobako.protocol.query import ListQuery
from kobako.protocol.selection import MISSING, Filter, Operator, Selection, Sort
from kobako.protocol.versions import FUTURE_MS
from kobako.storage.base import INDEXED_FIELDS, Place, Stored, as_text

NO_ACL: Final[Acl] = {}

SIFTED: Final = 500
"""Objects that are looked at one by one, at a time."""

Show = Callable[[Sequence[Stored]], Awaitable[Sequence[Stored]]]
"""Returns those objects that are shown."""


class Page(msgspec.Struct, frozen=True):
    """Objects of a list, and the token for those that follow, None after the last."""

    objects: Sequence[Stored]
    following: Token | None


NOTHING: Final = Page((), None)


async def find(tx: Transaction, target: Target) -> Stored | None:
    """Return an object, None if there is none (any more)."""
    assert target.id is not None
    return await tx.storage.get(target.place, target.id)


async def find_to_write(tx: Transaction, target: Target) -> Stored | None:
    """Return an object that is to be written. Raises UnknownParent where anybody is told so before anything else."""
    assert target.id is not None
    found = await tx.storage.get(target.place, target.id)
    if found is None and target.resource.tells_missing_parent and await tx.storage.timestamp(target.place) is None:
        await timestamp(tx, target)
    return found


async def timestamp(tx: Transaction, target: Target) -> int:
    """Return the timestamp of a list. Raises UnknownParent when the object it belongs to does not exist."""
    known = await tx.storage.timestamp(target.place)
    if known is not None:
        return known
    # Not opened with its parent: the parent is unknown, or older than this kind of list. Access was decided before, and
    # an ACL gives none to what is in an unknown parent: so only those learn of it whom settings let in everywhere, and
    # who would learn it by creating something there (objects, 2.6 and 2.9). Of collections to write in, anybody does.
    parent = target.parent()
    if parent and await find(tx, parent) is None:
        raise UnknownParent(str(parent.id), parent.resource.name)
    return await tx.storage.epoch()


async def page(
    tx: Transaction,
    target: Target,
    query: ListQuery,
    ids: frozenset[str] | None,
    etag: int,
    nonce: str = "",
    sift: Show | None = None,
) -> Page:
    """Return a page of a list, restricted to `ids` (None: all), and to what `sift` returns of it.

    `etag` is the timestamp that all pages are known by.
    """
    selection = selected(query, ids)
    found = await (_first(tx, target, selection, sift) if sift else tx.storage.list(target.place, selection))
    if len(found) <= query.limit:
        return Page(found, None)
    shown = found[: query.limit]
    return Page(shown, Token(_position(shown[-1], selection.sort), etag, nonce))


def selected(query: ListQuery, ids: frozenset[str] | None = None) -> Selection:
    """Return what a page of a list is made of: one more than it has, which says that there is a next one."""
    return msgspec.structs.replace(query.selection, ids=ids, limit=query.limit + 1)


async def count(
    tx: Transaction, target: Target, query: ListQuery, ids: frozenset[str] | None, sift: Show | None = None
) -> int:
    """Return how many live objects pass the filters of a query, and are left by `sift`."""
    selection = Selection(filters=query.selection.filters, ids=ids)
    if sift:
        return sum([len(part) async for part in _sifted(tx, target, selection, sift)])
    return await tx.storage.count(target.place, selection)


async def write(
    tx: Transaction,
    target: Target,
    data: JsonObject,
    acl: Acl = NO_ACL,
    *,
    old: Stored | None,
    old_acl: Acl = NO_ACL,
    by: str | None,
    asked: Target | None = None,
) -> Stored:
    """Store an object that replaces `old`, or is new, with its ACL; return it with its version.

    An ACL that is not given leaves the stored one as it is.

    `last_modified` in `data` is the client's wish. Raises InvalidParameters when it is more than a day ahead;
    NotUnique.
    `asked` is what the request pointed at, if not the object: its list.
    """
    assert target.id is not None
    if target.resource.prepare:
        data = await target.resource.prepare(tx, target, data, old)
    await _require_unique(tx, target, data)
    wanted = wanted_timestamp(data.get("last_modified"), tx.now, known=old)
    new = await tx.storage.put(target.place, target.id, as_text(data), wanted)
    if changed := acls.changes(old_acl, acl):
        await tx.permission.replace(target.uri, changed)
    if old is None:
        for child in tx.resources.children(target.resource):
            await tx.storage.open(Place(child.name, target.uri))
    # An import of the past leaves the list where it was; any other object has its list's timestamp.
    past = wanted is not None and new.last_modified == wanted
    latest = await timestamp(tx, target) if past else new.last_modified
    await _tell(tx, ObjectsChanged(asked or target, "update" if old else "create", by, latest, [Change(old, new)]))
    return new


async def delete(
    tx: Transaction, target: Target, olds: Sequence[Stored], *, by: str | None, wanted: int | None = None
) -> Sequence[Stored]:
    """Delete objects of one list with all that is under them, and return their tombstones, in the same order."""
    ids = [old.id for old in olds]
    tombstones = await tx.storage.delete(target.place, ids, wanted)
    uris = [target.at(id).uri for id in ids]
    if tx.resources.children(target.resource):
        for uri in uris:
            # Another owner may take the name of a bucket: nothing of what was in it is left for them to see.
            await tx.storage.close_under(uri, tombstones=target.resource.parent is not None)
    await tx.permission.forget(uris)
    if olds:
        changes = [Change(old, new) for old, new in zip(olds, tombstones, strict=True)]
        await _tell(tx, ObjectsChanged(target, "delete", by, tombstones[-1].last_modified, changes))
    return tombstones


async def declare_indexes(tx: Transaction, target: Target, fields: Sequence[str]) -> None:
    """Have an index on these fields, and no others, for the objects in the lists of an object.

    Lists with unique fields have one on those instead.
    """
    for child in tx.resources.children(target.resource):
        if child.unique:
            continue
        await tx.storage.index(Place(child.name, target.uri), fields)


def wanted_timestamp(value: object, now: int, *, known: Stored | None = None, location: str = "body") -> int | None:
    """Return the timestamp a client asks for, None for none (section 7.3); the object's own asks for nothing.

    Raises InvalidParameters when it lies more than a day ahead.
    """
    if type(value) is not int or value < 0 or (known and value == known.last_modified):
        return None
    if value > now + FUTURE_MS:
        raise invalid(location, "last_modified", f"{value} is more than 24 hours ahead of the clock ({now})")
    return value


async def _first(tx: Transaction, target: Target, selection: Selection, sift: Show) -> Sequence[Stored]:
    """Return the first objects that are left of a selection, as many as it wants."""
    found: list[Stored] = []
    async for part in _sifted(tx, target, selection, sift):
        found += part
        if selection.limit is not None and len(found) >= selection.limit:
            break
    return found[: selection.limit]


async def _sifted(tx: Transaction, target: Target, selection: Selection, sift: Show) -> AsyncIterator[Sequence[Stored]]:
    """Yield what is left of all that a selection means, part by part."""
    part = msgspec.structs.replace(selection, limit=SIFTED)
    while True:
        found = await tx.storage.list(target.place, part)
        yield await sift(found)
        if len(found) < SIFTED:
            return
        # Some databases answer without waiting: others have to have their turn.
        await asyncio.sleep(0)
        part = msgspec.structs.replace(part, after=_position(found[-1], part.sort))


async def _require_unique(tx: Transaction, target: Target, data: JsonObject) -> None:
    """Raise NotUnique if another object of the list, which is locked, has a value that has to differ."""
    unique = target.resource.unique
    if unique:
        # Each time: the list may be new, or older than what is unique in it. Where nothing changes it costs little.
        await tx.storage.index(target.place, unique[:INDEXED_FIELDS])
    for field in unique:
        value = value_at(data, field)
        if value is None or value is MISSING:
            continue
        same = (Filter(field, Operator.EQ, value), Filter("id", Operator.NOT, target.id))
        for other in await tx.storage.list(target.place, Selection(filters=same, sort=(), limit=1)):
            # Of a list that is shared, the other object may be one that the caller must not read.
            raise NotUnique(field, other.data() if target.resource.owned else {"id": other.id})


async def _tell(tx: Transaction, event: ObjectsChanged) -> None:
    """Record changes, and let the resource react to each, at once: the rest of a batch sees what follows."""
    tx.events.record(event)
    if event.target.resource.react:
        for change in event.changes:
            await event.target.resource.react(tx, event.target.at(change.new.id), change)


def _position(last: Stored, sort: tuple[Sort, ...]) -> tuple[object, ...]:
    """Return the values by which an object is found again in an order."""
    known = {"id": last.id, "last_modified": last.last_modified}
    if all(key.field in known for key in sort):
        return tuple(known[key.field] for key in sort)
    data = last.data()
    return tuple(value_at(data, key.field) for key in sort)
