"""Migrations of plugins: each is run once, and noted in a list that no resource has.

It is noted once it is done. One that is cut off in the middle, or run by two processes at once, is run again.

Source: objects, 27.5.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from kobako.databases.base import Database, attempts
from kobako.storage.base import Place


async def run(database: Database, plugin: str, migrations: Mapping[str, Callable[[], Awaitable[None]]]) -> list[str]:
    """Run the migrations of a plugin that were not run before, in their order; return what was done, in words."""
    done = list[str]()
    for name in await pending(database, plugin, migrations):
        await migrations[name]()
        await _note(database, plugin, name)
        done.append(f"plugin {plugin}: {name}")
    return done


async def pending(database: Database, plugin: str, names: Iterable[str]) -> list[str]:
    """Return those of a plugin's migrations that were not run before, in their order."""
    async with database.begin() as unit:
        return [each for each in names if await unit.storage.get(_place(plugin), each) is None]


def _place(plugin: str) -> Place:
    return Place("migration", f"migrations/{plugin}")


async def _note(database: Database, plugin: str, name: str) -> None:
    place = _place(plugin)
    for attempt in attempts():
        async with attempt, database.begin([place]) as unit:
            await unit.storage.put(place, name, "{}")
