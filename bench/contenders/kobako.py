"""Kobako: as `kobako start` runs it, one worker, its log in a file."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import asyncpg
from tests.servers.postgresql import PostgreSQL

from bench import dataset, filling
from bench.contenders.base import ROOT, Contender
from bench.contenders.kinto_api import KintoAPI, login, make_collections, uri_of, user_id
from bench.filling import Record
from bench.wire import Client

SECTION = """
[app:main]
multiauth.policies = basicauth
kobako.userid_hmac_secret = {secret}
"""
UNSAFE_SECRET = "of-no-use-outside-of-a-benchmark"
UNKEPT = """
kobako.kept_answers_bytes = 0
"""
QUIET = """
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys =
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
"""
PLUGINS = """
multiauth.policies = account basicauth
multiauth.policy.account.use = account
kobako.includes = default_bucket accounts history quotas attachments flush counters user_data
kobako.default_bucket_hmac_secret = {secret}
kobako.quotas.bucket_max_items = 10000000
kobako.attachment.base_path = {folder}/files
"""
FILES = ("kobako.db", "kobako.secret")


class Kobako(Contender):
    """Kobako with the settings of an ini file, or without one as by default."""

    module = "kobako"
    ini = ""

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"sqlite:///{self.folder / 'kobako.db'}"

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", self.module, "start", "--port", str(self.port)]

    def prepare(self) -> None:
        if self.ini:
            (self.folder / "kobako.ini").write_text(self.ini)

    def seed(self) -> None:
        make_collections(Client(self.port, login(dataset.OWNER)))
        self.fill(_parts(user_id(self.port, dataset.OWNER), user_id(self.port, dataset.READER)))
        self.requests = KintoAPI(self.port)

    def fill(self, parts: Iterable[tuple[str, Sequence[Record]]]) -> None:
        """Add records to collections, each named by its URI."""
        asyncio.run(filling.fill(self.url, parts))

    def size_on_disk(self) -> int:
        """Return how large its database is, in bytes."""
        return sum(each.stat().st_size for each in self.folder.glob("kobako.db*"))

    def version(self) -> str:
        done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
        return done.stdout.strip()


class KobakoSQLite(Kobako):
    """Without any configuration: one file, synchronous FULL, a line of log for each request."""

    name, title = "kobako-sqlite", "Kobako, SQLite FULL"


class KobakoForgetful(KobakoSQLite):
    """Without keeping answers: where it counts what it costs to find them."""

    ini = SECTION.format(secret=UNSAFE_SECRET) + UNKEPT


class Twin(Kobako):
    """Kobako on a copy of the database of another one."""

    def __init__(self, original: KobakoSQLite) -> None:
        self.original = original
        super().__init__()

    def prepare(self) -> None:
        super().prepare()
        # What it has written lies in one file once it has ended.
        self.original.stop()
        for name in FILES:
            shutil.copy(self.original.folder / name, self.folder / name)
        self.original.start()

    def secret(self) -> str:
        """Return the secret of the original, which makes the same user ids."""
        return (self.folder / "kobako.secret").read_text().strip()

    def seed(self) -> None:
        self.requests = KintoAPI(self.port)


class KobakoNormal(Twin):
    """With synchronous NORMAL, as PocketBase has it: the last writes may be lost with the power."""

    name, title = "kobako-sqlite-normal", "Kobako, SQLite NORMAL"
    module = "bench.contenders.kobako_normal"
    only = ("post", "put", "patch", "batch")


class KobakoQuiet(Twin):
    """With logging at WARNING: no line for a request."""

    name, title = "kobako-quiet", "Kobako, no request log"
    only = ("hello", "one", "unchanged", "page", "poll", "put")

    def prepare(self) -> None:
        super().prepare()
        (self.folder / "kobako.ini").write_text(SECTION.format(secret=self.secret()) + QUIET)


class KobakoUnkept(Twin):
    """Each answer is worked out anew, also where nothing changed since it was given."""

    name, title = "kobako-unkept", "Kobako, no answers kept"
    only = ("one", "unchanged", "page", "equal", "indexed", "poll", "changes", "shared", "sync")

    def prepare(self) -> None:
        super().prepare()
        (self.folder / "kobako.ini").write_text(SECTION.format(secret=self.secret()) + UNKEPT)


class KobakoPlugins(Twin):
    """With all plugins that need no other server. Accounts are asked first who it is: it is none of theirs."""

    name, title = "kobako-plugins", "Kobako, all plugins"
    only = ("hello", "one", "page")

    def prepare(self) -> None:
        super().prepare()
        section = SECTION.replace("multiauth.policies = basicauth\n", PLUGINS)
        (self.folder / "kobako.ini").write_text(section.format(secret=self.secret(), folder=self.folder))


class KobakoPostgreSQL(Kobako):
    """On PostgreSQL, with objects, permissions and cache in one database."""

    name, title = "kobako-postgresql", "Kobako, PostgreSQL"
    database: PostgreSQL
    options = ""

    def __init__(self, database: PostgreSQL) -> None:
        self.database = database
        super().__init__()

    @property
    def url(self) -> str:
        return self.database.url(self.name)

    def prepare(self) -> None:
        self.database.sql(f'CREATE DATABASE "{self.name}"')
        self.ini = (
            SECTION.format(secret=UNSAFE_SECRET)
            + "".join(
                f"kobako.{part}_backend = postgresql\nkobako.{part}_url = {self.url}\n"
                for part in ("storage", "permission", "cache")
            )
            + self.options
        )
        super().prepare()
        subprocess.run([sys.executable, "-m", "kobako", "migrate"], cwd=self.folder, check=True, capture_output=True)

    def fill(self, parts: Iterable[tuple[str, Sequence[Record]]]) -> None:
        super().fill(parts)
        asyncio.run(self._vacuum())

    def size_on_disk(self) -> int:
        return int(self.database.ask(f"SELECT pg_database_size('{self.name}')"))

    async def _vacuum(self) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()


class KobakoPostgreSQLForgetful(KobakoPostgreSQL):
    """The same without keeping answers, on a database of its own."""

    options = UNKEPT


class KobakoPostgreSQLUnkept(KobakoPostgreSQL):
    """On PostgreSQL, and each answer is worked out anew."""

    name, title = "kobako-postgresql-unkept", "Kobako, PostgreSQL, no answers kept"
    only = KobakoUnkept.only

    def __init__(self, original: KobakoPostgreSQL) -> None:
        self.original = original
        super().__init__(original.database)

    @property
    def url(self) -> str:
        return self.original.url

    def prepare(self) -> None:
        (self.folder / "kobako.ini").write_text(self.original.ini + UNKEPT)

    def seed(self) -> None:
        self.requests = KintoAPI(self.port)


def _parts(owner: str, reader: str) -> Iterator[tuple[str, Sequence[Record]]]:
    for name, size in dataset.SIZES.items():
        for first in range(0, size, filling.AT_ONCE):
            numbers = range(first, min(first + filling.AT_ONCE, size))
            yield uri_of(name), [_record(name, number, owner, reader) for number in numbers]


def _record(collection: str, number: int, owner: str, reader: str) -> Record:
    is_shared = collection == "shared" and number % dataset.READABLE == 0
    acl = {"write": [owner], **({"read": [reader]} if is_shared else {})}
    return Record(dataset.id_of(number), dataset.record(number), acl)
