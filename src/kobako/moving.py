"""Moving to another database: everything is copied as it is, and then compared, list by list.

Versions, tombstones and the timestamps of lists are taken over, so clients go on syncing where they were. Nothing
should write to the source meanwhile; the comparison finds what was.

Source: design, "One file to a cluster".
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from kobako.databases.base import Database, attempts, every_list
from kobako.permission.base import Acl, Permission
from kobako.protocol import jsontext
from kobako.protocol.selection import Selection, Sort
from kobako.storage.base import ListState, Place, Stored, declared_indexes

PAGE: Final = 1000

OLDEST_FIRST: Final = (Sort("last_modified"),)

NOWHERE: Final = Place("", "")
"""The list that a unit of work names which writes permissions only."""

Tell = Callable[[str, int], None]
"""(what is being done, to how many objects) -> nothing."""

ReadNamed = Callable[[Permission, str], Awaitable[Mapping[str, Any]]]
"""(permissions, the last name known) -> what is held under the next names."""


class CannotMove(Exception):
    """The databases are not fit for it, or the copy is not equal to the source. Says which and why."""


class Moved(msgspec.Struct):
    """How much was copied, and found equal."""

    lists: int = 0
    objects: int = 0
    acls: int = 0
    groups: int = 0


async def move(source: Database, target: Database, tell: Tell) -> Moved:
    """Copy everything from one open database to another, which has to be empty, and compare. Raises CannotMove."""
    await _require_empty(target)
    moved = Moved()
    await _copy_epoch(source, target)
    async for state in every_list(source):
        moved.lists += 1
        async for page in _pages(source, state.place):
            await _restore(target, state, page)
            moved.objects += len(page)
            tell("Copying", len(page))
    async for acls in _named(source, _acls):
        await _grant(target, acls)
        moved.acls += len(acls)
    async for members in _named(source, _members):
        await _join(target, members)
        moved.groups += len(members)
    await _compare(source, target, tell)
    await _declare_indexes(target)
    return moved


# Reading: page by page, each in a unit of its own, so that nobody waits for long.


async def _pages(database: Database, place: Place) -> AsyncIterator[Sequence[Stored]]:
    """Yield the objects and tombstones of a list, the oldest first; of an empty one, one empty page."""
    after: tuple[int, ...] | None = None
    while True:
        selection = Selection(tombstones=True, sort=OLDEST_FIRST, limit=PAGE, after=after)
        async with database.begin() as unit:
            found = await unit.storage.list(place, selection)
        if found or after is None:
            yield found
        if len(found) < PAGE:
            return
        after = (found[-1].last_modified,)


async def _named(database: Database, read: ReadNamed) -> AsyncIterator[Mapping[str, Any]]:
    """Yield what permissions tell by name, in the order of the names."""
    last = ""
    while True:
        async with database.begin() as unit:
            found = await read(unit.permission, last)
        yield found
        if len(found) < PAGE:
            return
        last = max(found)


def _acls(permission: Permission, after: str) -> Awaitable[Mapping[str, Acl]]:
    return permission.acls(after, PAGE)


def _members(permission: Permission, after: str) -> Awaitable[Mapping[str, Collection[str]]]:
    return permission.members(after, PAGE)


# Writing.


async def _require_empty(target: Database) -> None:
    async with target.begin() as unit:
        if (
            await unit.storage.states(None, 1)
            or await unit.permission.acls("", 1)
            or await unit.permission.members("", 1)
        ):
            raise CannotMove("The target is not empty: nothing was copied. Name a new database, or empty this one.")


async def _copy_epoch(source: Database, target: Database) -> None:
    async with source.begin() as unit:
        epoch = await unit.storage.epoch()
    for attempt in attempts():
        async with attempt, target.begin([NOWHERE]) as unit:
            await unit.storage.set_epoch(epoch)


async def _restore(target: Database, state: ListState, objects: Sequence[Stored]) -> None:
    for attempt in attempts():
        async with attempt, target.begin([state.place]) as unit:
            await unit.storage.restore(state, objects)


async def _grant(target: Database, acls: Mapping[str, Acl]) -> None:
    for attempt in attempts():
        async with attempt, target.begin([NOWHERE]) as unit:
            await unit.permission.grant(acls)


async def _join(target: Database, members: Mapping[str, Collection[str]]) -> None:
    for attempt in attempts():
        async with attempt, target.begin([NOWHERE]) as unit:
            for principal, users in members.items():
                await unit.permission.join(principal, users)


async def _declare_indexes(target: Database) -> None:
    """Have the indexes that collections declare: they are no part of what is copied, not every database has them."""
    async for state in every_list(target):
        if state.place.resource != "collection":
            continue
        async for page in _pages(target, state.place):
            for each in page:
                if fields := declared_indexes(each.data()):
                    await _index(target, Place("record", f"{state.place.parent}/collections/{each.id}"), fields)


async def _index(target: Database, records: Place, fields: Sequence[str]) -> None:
    for attempt in attempts():
        async with attempt, target.begin([records]) as unit:
            await unit.storage.index(records, fields)


# Comparing.


async def _compare(source: Database, target: Database, tell: Tell) -> None:
    """Raise CannotMove unless both have the same lists, the same checksum for each, and the same rights."""
    states = [each async for each in every_list(source)]
    if states != [each async for each in every_list(target)]:
        raise CannotMove("The lists of the copy are not those of the source: was it written to meanwhile?")
    for state in states:
        if await _checksum(source, state.place, tell) != await _checksum(target, state.place, lambda *_: None):
            raise CannotMove(
                f"The copy of {_name(state.place)} is not equal to its source: was it written to meanwhile?"
            )
    for what, read in (("ACLs", _acls), ("groups", _members)):
        if await _digest(_named(source, read)) != await _digest(_named(target, read)):
            raise CannotMove(f"The {what} of the copy are not those of the source: were they written to meanwhile?")


async def _checksum(database: Database, place: Place, tell: Tell) -> str:
    digest = hashlib.sha256()
    async for page in _pages(database, place):
        for each in page:
            digest.update(jsontext.encode([each.id, each.last_modified, each.deleted, each.text]).encode())
        tell("Comparing", len(page))
    return digest.hexdigest()


async def _digest(pages: AsyncIterator[Mapping[str, Any]]) -> str:
    digest = hashlib.sha256()
    async for page in pages:
        for name, held in page.items():
            digest.update(jsontext.encode([name, _in_order(held)]).encode())
    return digest.hexdigest()


def _in_order(held: Mapping[str, Collection[str]] | Collection[str]) -> Any:
    if isinstance(held, Mapping):
        return [[each, sorted(held[each])] for each in sorted(held)]
    return sorted(held)


def _name(place: Place) -> str:
    return f"{place.parent or '/'} ({place.resource})"
