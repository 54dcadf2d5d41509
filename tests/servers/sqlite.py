"""SQLite that does not wait for the disk, as the PostgreSQL of the tests does not: with others at work there, that took
longer than all else.

A process that is killed loses nothing by it. What a loss of power leaves is tried in `consistency/test_crashes.py`,
and what SQLite is told as a rule, by the tests of `backends` and of real servers.
"""

import apsw

from kobako.databases.sqlite import SQLiteDatabase


class QuickSQLite(SQLiteDatabase):
    """A database in a file, for tests of what is done with it."""

    def _connect(self, flags: int = apsw.SQLITE_OPEN_READWRITE) -> apsw.Connection:
        connection = super()._connect(flags)
        connection.execute("PRAGMA synchronous = OFF")
        return connection
