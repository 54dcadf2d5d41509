"""Apps on the embedded backends: each with a database of its own."""

import itertools
import shutil
from pathlib import Path
from unittest import mock

from kobako.app import App, milliseconds
from kobako.databases.base import Clock
from kobako.databases.memory import MemoryDatabase
from kobako.databases.sqlite import SQLiteDatabase
from kobako.resources import RESOURCES
from kobako.settings import Settings


class Backends:
    """A folder with a migrated database, to copy for each app: quicker than to make each anew."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._template = folder / "template.db"
        self._numbers = itertools.count()

    async def migrate(self) -> None:
        """Make the database to copy: older than any clock of a test."""
        await SQLiteDatabase(self._template, lambda: 1).migrate()

    def app(self, backend: str, settings: Settings, clock: Clock = milliseconds) -> App:
        """Return the app of an empty server."""
        with mock.patch("kobako.app.open_database", lambda _, clock: self._database(backend, clock)):
            return App(settings, RESOURCES, clock=clock)

    def _database(self, backend: str, clock: Clock) -> MemoryDatabase | SQLiteDatabase:
        if backend == "memory":
            return MemoryDatabase(clock)
        # The files of the app before are not needed any more.
        for each in self._folder.glob("world*"):
            each.unlink()
        path = self._folder / f"world{next(self._numbers)}.db"
        shutil.copy(self._template, path)
        return SQLiteDatabase(path, clock)
