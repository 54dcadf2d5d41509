"""Apps on each backend, with a database of their own: of a server, a test brings it."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from tests.servers.sqlite import QuickSQLite

from kobako.app import App, milliseconds
from kobako.databases.base import Clock, Database
from kobako.databases.memory import MemoryDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.resources import RESOURCES
from kobako.settings import Settings

Make = Callable[[Clock], Database]
"""Return an empty database with this clock."""


class Backends:
    """A folder with a migrated database, to copy for each app: quicker than to make each anew.

    `make` makes the databases of a backend that is not embedded.
    """

    def __init__(self, folder: Path, make: Make | None = None):
        self.folder = folder
        self._make = make
        self._template = folder / "template.db"
        self._numbers = itertools.count()

    async def migrate(self) -> None:
        """Make the database to copy: older than any clock of a test."""
        await SQLiteDatabase(self._template, lambda: 1).migrate()

    def app(self, backend: str, settings: Settings, clock: Clock = milliseconds) -> App:
        """Return the app of an empty server."""
        with mock.patch("kobako.app.open_database", lambda _, clock: self._database(backend, clock)):
            return App(settings, RESOURCES, clock=clock)

    def _database(self, backend: str, clock: Clock) -> Database:
        if self._make:
            return self._make(clock)
        if backend == "memory":
            return MemoryDatabase(clock)
        # The files of the app before are not needed any more.
        for each in self.folder.glob("world*"):
            each.unlink()
        path = self.folder / f"world{next(self._numbers)}.db"
        shutil.copy(self._template, path)
        return QuickSQLite(path, clock)
