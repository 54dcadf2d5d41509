"""Who is measured. One module a contender: how it is installed, started and filled, and what its requests are."""

from collections.abc import Callable, Collection, Iterator
from functools import cache

from tests.servers.postgresql import PostgreSQL

from bench.contenders.base import Contender
from bench.contenders.kinto import Kinto
from bench.contenders.kobako import (
    KobakoNormal,
    KobakoPlugins,
    KobakoPostgreSQL,
    KobakoPostgreSQLUnkept,
    KobakoQuiet,
    KobakoSQLite,
    KobakoUnkept,
)
from bench.contenders.limit import LimitPostgreSQL, LimitSQLite
from bench.contenders.pocketbase import PocketBase

NAMES = (
    "limit-sqlite-full",
    "limit-sqlite-normal",
    "limit-postgresql",
    "kobako-sqlite",
    "kobako-sqlite-normal",
    "kobako-unkept",
    "kobako-quiet",
    "kobako-plugins",
    "kobako-postgresql",
    "kobako-postgresql-unkept",
    "pocketbase",
    "kinto",
)

TWINS = {
    KobakoSQLite.name: {KobakoNormal.name, KobakoUnkept.name, KobakoQuiet.name, KobakoPlugins.name},
    KobakoPostgreSQL.name: {KobakoPostgreSQLUnkept.name},
}
"""Those on the database, or a copy of it, of another one."""


def make(names: Collection[str], database: PostgreSQL) -> Iterator[Contender]:
    """Yield contenders by their names, in the order of NAMES; some of Kobako's bring the one they are a copy of."""
    original = cache(KobakoSQLite)
    on_postgresql = cache(lambda: KobakoPostgreSQL(database))
    makers: dict[str, Callable[[], Contender]] = {
        "limit-sqlite-full": lambda: LimitSQLite("FULL"),
        "limit-sqlite-normal": lambda: LimitSQLite("NORMAL"),
        "limit-postgresql": lambda: LimitPostgreSQL(database),
        "kobako-sqlite": original,
        "kobako-sqlite-normal": lambda: KobakoNormal(original()),
        "kobako-unkept": lambda: KobakoUnkept(original()),
        "kobako-quiet": lambda: KobakoQuiet(original()),
        "kobako-plugins": lambda: KobakoPlugins(original()),
        "kobako-postgresql": on_postgresql,
        "kobako-postgresql-unkept": lambda: KobakoPostgreSQLUnkept(on_postgresql()),
        "pocketbase": PocketBase,
        "kinto": lambda: Kinto(database),
    }
    for name in NAMES:
        if name in names or not TWINS.get(name, set()).isdisjoint(names):
            yield makers[name]()
