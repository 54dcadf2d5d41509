"""Kobako: as `kobako start` runs it, one worker, its log in a file."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.servers.postgresql import PostgreSQL

from bench import dataset
from bench.contenders.base import ROOT, Contender
from bench.contenders.kinto_api import KintoAPI, login, make_collections, records_of, user_id
from bench.load import Job, run
from bench.wire import Client, request
from bench.workloads import BATCH

SECTION = """
[app:main]
multiauth.policies = basicauth
kobako.userid_hmac_secret = {secret}
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
FILES = ("kobako.db", "kobako.secret")


class Kobako(Contender):
    """Kobako with the settings of an ini file, or without one as by default. It is filled through its API."""

    module = "kobako"
    ini = ""

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, "-m", self.module, "start", "--port", str(self.port)]

    def prepare(self) -> None:
        if self.ini:
            (self.folder / "kobako.ini").write_text(self.ini)

    def seed(self) -> None:
        make_collections(Client(self.port, login(dataset.OWNER)))
        reader = user_id(self.port, dataset.READER)
        done = run(Job(self.port, list(_batches(reader)), connections=4, seconds=None))
        assert set(done.statuses) == {200}, done.statuses
        self.requests = KintoAPI(self.port)

    def version(self) -> str:
        done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
        return done.stdout.strip()


class KobakoSQLite(Kobako):
    """Without any configuration: one file, synchronous FULL, a line of log for each request."""

    name, title = "kobako-sqlite", "Kobako, SQLite FULL"


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
        secret = (self.folder / "kobako.secret").read_text().strip()
        (self.folder / "kobako.ini").write_text(SECTION.format(secret=secret) + QUIET)


class KobakoPostgreSQL(Kobako):
    """On PostgreSQL, with objects, permissions and cache in one database."""

    name, title = "kobako-postgresql", "Kobako, PostgreSQL"

    def __init__(self, database: PostgreSQL) -> None:
        self.database = database
        super().__init__()

    def prepare(self) -> None:
        assert self.database is not None
        self.database.sql("CREATE DATABASE kobako")
        self.ini = SECTION.format(secret="of-no-use-outside-of-a-benchmark") + "".join(
            f"kobako.{part}_backend = postgresql\nkobako.{part}_url = {self.database.url('kobako')}\n"
            for part in ("storage", "permission", "cache")
        )
        super().prepare()
        subprocess.run([sys.executable, "-m", "kobako", "migrate"], cwd=self.folder, check=True, capture_output=True)

    def seed(self) -> None:
        super().seed()
        assert self.database is not None
        self.database.sql("VACUUM ANALYZE", "kobako")


def offers_postgresql() -> bool:
    """Tell whether this version of Kobako has an adapter for PostgreSQL."""
    return find_spec("kobako.databases.postgresql") is not None


def _batches(reader: str) -> Iterator[bytes]:
    owner = login(dataset.OWNER)
    for name, size in dataset.SIZES.items():
        for first in range(0, size, BATCH):
            parts = [_part(name, number, reader) for number in range(first, first + BATCH)]
            yield request("POST", "/v1/batch", owner, {"defaults": {"method": "PUT"}, "requests": parts})


def _part(collection: str, number: int, reader: str) -> dict[str, Any]:
    body: dict[str, Any] = {"data": dataset.record(number)}
    if collection == "shared" and number % dataset.READABLE == 0:
        body["permissions"] = {"read": [reader]}
    path = records_of(collection).removeprefix("/v1")
    return {"path": f"{path}/{dataset.id_of(number)}", "body": body}
