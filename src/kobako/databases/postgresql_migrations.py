"""The schema in PostgreSQL, and how it is brought up to date: numbered files of SQL, one statement each.

Each is run in a transaction that also records its number in the table `metadata`, with that locked: so a migration
that is killed can be run again, and of two that run at once each finds done what the other did. Tables may be in
partitions by bucket: that is chosen at the first migration, recorded there too, and stays.

Source: reliability, O9; design, "One file to a cluster".
"""

import re
from contextlib import suppress
from importlib import resources

import asyncpg

from kobako.databases.base import Clock, UnfitDatabase
from kobako.databases.postgresql_session import Connection

METADATA = 'CREATE TABLE IF NOT EXISTS metadata (key text COLLATE "C" PRIMARY KEY, value bigint NOT NULL)'
KNOWN = "SELECT value FROM metadata WHERE key = 'schema_version'"
RECORD = """
    INSERT INTO metadata VALUES ('schema_version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
EPOCH = "INSERT INTO metadata VALUES ('epoch', $1) ON CONFLICT (key) DO NOTHING"

# Of two who are the first at the same moment, one chooses.
CHOOSE = """
    INSERT INTO metadata SELECT 'partitions', $1 WHERE NOT EXISTS (SELECT FROM metadata WHERE key = 'schema_version')
    ON CONFLICT (key) DO NOTHING"""
CHOSEN = "SELECT value FROM metadata WHERE key = 'partitions'"

TABLE = re.compile(r"CREATE TABLE (\w+) (\(.*\n\))( WITH \(.*\))?\s*", re.DOTALL)
"""How a step makes a table: its name, its columns, and options that are those of each partition."""


def steps() -> dict[int, tuple[str, str]]:
    """Return the name and the SQL of each step, under its number."""
    folder = resources.files("kobako.storage") / "migrations" / "postgresql"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name[:4]): (file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files}


async def check(connection: Connection, name: str) -> None:
    """Raise UnfitDatabase unless the schema is the one that this version of Kobako knows."""
    found, known = await version(connection), max(steps())
    if found < known:
        state = "not migrated" if found == 0 else f"not migrated: its schema is {found}, {known} is needed"
        raise UnfitDatabase(f"{name} is {state}: run kobako migrate")
    if found > known:
        raise UnfitDatabase(f"{name} is newer than this kobako: its schema is {found}, not {known}")


async def version(connection: Connection) -> int:
    """Return the number of the last step that was done, 0 for an empty database."""
    if await connection.fetchval("SELECT to_regclass('metadata')") is None:
        return 0
    return await connection.fetchval(KNOWN) or 0


async def migrate(connection: Connection, clock: Clock, name: str, partitions: int | None = None) -> list[str]:
    """Do the steps that are missing, and return their names.

    `partitions`: into how many parts a new schema's tables are divided; None is undivided there, and whatever was
    chosen elsewhere. Raises UnfitDatabase where another number was chosen.
    """
    # Somebody else may make it at this very moment.
    with suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
        await connection.execute(METADATA)
    await connection.execute(EPOCH, clock())
    await connection.execute(CHOOSE, partitions or 0)
    chosen = await connection.fetchval(CHOSEN) or 0
    if partitions is not None and partitions != chosen:
        raise UnfitDatabase(
            f"{name} has tables in {chosen or 'no'} partitions, not in {partitions}: that is chosen at the first "
            "migration. Copy everything to a new database: kobako move"
        )
    return [
        f"{name}: {step}"
        for number, (step, sql) in steps().items()
        if await _do(connection, number, divided(sql, chosen))
    ]


def divided(sql: str, partitions: int) -> str:
    """Return a step that makes a table with its table in partitions, by bucket; any other as it is.

    >>> print(divided("CREATE TABLE lists (bucket text\\n) WITH (fillfactor = 50)", 2))
    CREATE TABLE lists (bucket text
    ) PARTITION BY HASH (bucket);
    CREATE TABLE lists_0 PARTITION OF lists FOR VALUES WITH (MODULUS 2, REMAINDER 0) WITH (fillfactor = 50);
    CREATE TABLE lists_1 PARTITION OF lists FOR VALUES WITH (MODULUS 2, REMAINDER 1) WITH (fillfactor = 50)
    """
    made = TABLE.search(sql)
    if not made or not partitions:
        return sql
    name, columns, options = made[1], made[2], made[3] or ""
    parts = [
        f"CREATE TABLE {name}_{n} PARTITION OF {name} FOR VALUES WITH (MODULUS {partitions}, REMAINDER {n}){options}"
        for n in range(partitions)
    ]
    return ";\n".join([f"CREATE TABLE {name} {columns} PARTITION BY HASH (bucket)", *parts])


async def _do(connection: Connection, number: int, sql: str) -> bool:
    """Do a step unless it is done; tell whether it was missing."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE metadata IN EXCLUSIVE MODE")
        if (await connection.fetchval(KNOWN) or 0) >= number:
            return False
        await connection.execute(sql)
        await connection.execute(RECORD, number)
        return True
