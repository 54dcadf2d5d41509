"""Indexes that settings declare, for the records of collections that declare none themselves.

A collection that is made, or changed, gets them at once; those that were there before, by `kobako migrate`.

Source: docs/queries.md, "Indexes".
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec

from kobako import (
    App,
    Place,
    Plugin,
    Resource,
    Settings,
    Stored,
    Target,
    attempts,
    declare_indexes,
    every_list,
    objects,
)
from kobako.resources.collections import COLLECTION, own_indexes, updating

APPLIED: Final = Place("migration", "migrations/indexes")
"""A list that no resource has: there is an object in it where settings have declared indexes."""


def with_indexes(resources: Iterable[Resource], settings: Settings) -> tuple[Resource, ...]:
    """Return resources whose collections have the indexes that the settings declare."""

    def indexes_of(target: Target, collection: Stored) -> Sequence[str]:
        return _indexes(settings, target, collection)

    react = updating(indexes_of)
    return tuple(
        msgspec.structs.replace(each, react=react) if each.name == COLLECTION.name else each for each in resources
    )


def plugin(settings: Settings) -> Plugin:
    """Return what applies the settings to the collections that are there."""
    return Plugin(name="indexes", upkeep=[apply])


async def apply(app: App) -> list[str]:
    """Have the records of all collections the indexes that are declared; return what was done, in words."""
    if not app.settings.indexes and not await _is_applied(app):
        return []
    collections = 0
    async for collection in _collections(app):
        await _renew(app, collection)
        collections += 1
    await _note(app)
    return [f"looked at the indexes of {collections} collections"]


def _indexes(settings: Settings, target: Target, collection: Stored) -> Sequence[str]:
    """Return the fields that have an index in a collection: its own word counts, then the settings'."""
    ids = target.variables
    return own_indexes(target, collection) or settings.record_indexes(ids["bucket_id"], ids["collection_id"])


async def _is_applied(app: App) -> bool:
    async with app.site.backends.begin() as tx:
        return bool(await tx.storage.list(APPLIED))


async def _note(app: App) -> None:
    for attempt in attempts():
        async with attempt, app.site.backends.begin([APPLIED]) as tx:
            if app.settings.indexes:
                await tx.storage.put(APPLIED, "record", "{}")
            else:
                await tx.storage.delete(APPLIED, ["record"])


async def _collections(app: App) -> AsyncIterator[Target]:
    """Yield all collections: the lists of their records are open."""
    async for each in every_list(app.site.backends.database):
        if each.is_open and each.place.resource == "record":
            uri, _, id = each.place.parent.rpartition("/")
            yield COLLECTION.target(uri, id)


async def _renew(app: App, target: Target) -> None:
    """Have the indexes of one collection as they are declared, unless it is gone by now."""
    for attempt in attempts():
        async with attempt, app.site.backends.begin([target.place, Place("record", target.uri)]) as tx:
            if collection := await objects.find(tx, target):
                await declare_indexes(tx, target, _indexes(app.settings, target, collection))
