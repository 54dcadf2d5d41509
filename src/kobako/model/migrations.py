"""Migrations of plugins: each is run once, and noted in a list that no resource has.

It is noted once it is done. One that is cut off in the middle, or run by two processes at once, is run again.

Source: objects, 27.5.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from kobako.databases.base import attempts
from kobako.model.transaction import Backends
from kobako.storage.base import Place


async def run(backends: Backends, plugin: str, migrations: Mapping[str, Callable[[], Awaitable[None]]]) -> list[str]:
    """Run the migrations of a plugin that were not run before, in their order; return what was done, in words."""
    done = list[str]()
    for name in await pending(backends, plugin, migrations):
        await migrations[name]()
        await _note(backends, plugin, name)
        done.append(f"plugin {plugin}: {name}")
    return done


async def pending(backends: Backends, plugin: str, names: Iterable[str]) -> list[str]:
    """Return those of a plugin's migrations that were not run before, in their order."""
    async with backends.begin() as tx:
        return [each for each in names if await tx.storage.get(_place(plugin), each) is None]


def _place(plugin: str) -> Place:
    return Place("migration", f"migrations/{plugin}")


async def _note(backends: Backends, plugin: str, name: str) -> None:
    place = _place(plugin)
    for attempt in attempts():
        async with attempt, backends.begin([place]) as tx:
            await tx.storage.put(place, name, "{}")
