"""The schema of an SQLite file, and how it is brought up to date: numbered files of SQL, all in one transaction.

So a migration that is killed has done nothing, and of two that run at once the second finds nothing left to do.
The number of the last file is kept in the table `metadata`. Source: reliability, O9.
"""

import re
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import apsw

from kobako.databases.base import Clock, UnfitDatabase

METADATA = "CREATE TABLE IF NOT EXISTS metadata (key TEXT PRIMARY KEY, value) WITHOUT ROWID"
RECORD = "INSERT INTO metadata VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2"


def steps() -> dict[int, tuple[str, str]]:
    """Return the name and the SQL of each step, under its number."""
    folder = resources.files("kobako.storage") / "migrations" / "sqlite"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name[:4]): (file.name.removesuffix(".sql"), file.read_text("utf-8")) for file in files}


def check(connection: apsw.Connection) -> None:
    """Raise UnfitDatabase unless the schema is the one that this version of Kobako knows."""
    found, known = version(connection), max(steps())
    if found < known:
        state = "not migrated" if found == 0 else f"not migrated: its schema is {found}, {known} is needed"
        raise UnfitDatabase(f"{connection.filename} is {state}: run kobako migrate")
    if found > known:
        raise UnfitDatabase(f"{connection.filename} is newer than this kobako: its schema is {found}, not {known}")


def is_empty(path: Path, timeout_s: float = 30.0) -> bool:
    """Tell whether a file is missing or has no table: so from before its making to the commit that ends it.

    The bytes of a file do not tell: a making that runs, or was killed, has written some.
    Raises apsw.BusyError when it is locked for longer than the timeout, apsw.NotADBError.
    """
    if not path.exists():
        return True
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(int(timeout_s * 1000))
        return connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0] == 0
    finally:
        connection.close(True)


def version(connection: apsw.Connection) -> int:
    """Return the number of the last step that was done, 0 for an empty file."""
    if not connection.table_exists(None, "metadata"):
        return 0
    row = connection.execute("SELECT value FROM metadata WHERE key = 'schema_version'").fetchone()
    return int(row[0]) if row else 0


def migrate(connection: apsw.Connection, clock: Clock, timeout_s: float) -> list[str]:
    """Do the steps that are missing, and return their names. Blocks while another migration runs."""
    use_wal(connection, timeout_s)
    connection.set_busy_timeout(int(timeout_s * 1000))
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = list(_do_missing_steps(connection, clock))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return done


def use_wal(connection: apsw.Connection, timeout_s: float) -> None:
    """Switch the file to a write-ahead log; it remembers that. Raises UnfitDatabase where it can not be."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchall()[0][0]
            break
        except apsw.BusyError:
            # SQLite does not wait here by itself: two that switch at once could wait for each other.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise UnfitDatabase(f"{connection.filename}: SQLite can not use WAL here, but {mode}")


def _do_missing_steps(connection: apsw.Connection, clock: Clock) -> Iterator[str]:
    connection.execute(METADATA)
    found = version(connection)
    for number, (name, sql) in steps().items():
        if number <= found:
            continue
        for statement in re.split(r";[ \t]*\n", sql):
            connection.execute(statement)
        connection.execute(RECORD, ("schema_version", number))
        yield f"{connection.filename}: {name}"
    connection.execute("INSERT OR IGNORE INTO metadata VALUES ('epoch', ?)", (clock(),))
