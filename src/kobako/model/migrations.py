"""Migrations of plugins: each is run once, and noted in a list that no resource has.

It is noted once it is done. One that is cut off in the middle, or run by two processes at once, is run again.

Source: objects, 27.5.
"""

from collections.abc import Awaitable, Callable, Mapping

from kobako.databases.base import attempts
from kobako.model.transaction import Backends
from kobako.storage.base import Place


async def run(backends: Backends, plugin: str, migrations: Mapping[str, Callable[[], Awaitable[None]]]) -> list[str]:
    """Run the migrations of a plugin that were not run before, in their order; return what was done, in words."""
    place, done = Place("migration", f"migrations/{plugin}"), list[str]()
    for name, migrate in migrations.items():
        async with backends.begin() as tx:
            known = await tx.storage.get(place, name)
        if known is None:
            await migrate()
            await _note(backends, place, name)
            done.append(f"plugin {plugin}: {name}")
    return done


async def _note(backends: Backends, place: Place, name: str) -> None:
    for attempt in attempts():
        async with attempt, backends.begin([place]) as tx:
            await tx.storage.put(place, name, "{}")
