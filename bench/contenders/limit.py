"""The bare applications of `bench.limit`, on uvicorn like Kobako, and their requests."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from tests.servers.postgresql import PostgreSQL

from bench import dataset
from bench.contenders.base import Contender
from bench.limit import postgresql, sqlite
from bench.wire import request
from bench.workloads import CHANGES, KEPT, PAGE, SYNC_PAGES_MEASURED

WRITES = ("hello", "post", "put", "patch")


class Limit(Contender):
    """A bare application: `module` is that of `bench.limit` it is in."""

    module: str

    def command(self) -> Sequence[str | Path]:
        settings = [f"{name}={value}" for name, value in self.settings().items()]
        return ["env", *settings, sys.executable, "-m", "uvicorn", "--interface", "asgi3", "--loop", "uvloop",
                "--http", "httptools", "--host", "127.0.0.1", "--port", str(self.port), "--ws", "none",
                "--no-access-log", "--no-proxy-headers", "--no-server-header", "--log-level", "warning",
                f"bench.limit.{self.module}:app"]  # fmt: skip

    def settings(self) -> dict[str, str]:
        """Return the variables that the application reads."""
        raise NotImplementedError

    def seed(self) -> None:
        self.requests = LimitRequests()

    def version(self) -> str:
        return f"uvicorn {version('uvicorn')}"


class LimitSQLite(Limit):
    """On SQLite, as safe as `synchronous` says."""

    module = "sqlite"

    def __init__(self, synchronous: str) -> None:
        self.name = f"limit-sqlite-{synchronous.lower()}"
        self.title = f"limit, SQLite {synchronous}"
        self.synchronous = synchronous
        if synchronous == "NORMAL":
            self.only = WRITES
        super().__init__()

    def settings(self) -> dict[str, str]:
        return {"LIMIT_FILE": str(self.folder / "limit.db"), "LIMIT_SYNCHRONOUS": self.synchronous}

    def prepare(self) -> None:
        sqlite.fill(self.settings()["LIMIT_FILE"], objects(), readable())


class LimitPostgreSQL(Limit):
    """On PostgreSQL."""

    name, title, module = "limit-postgresql", "limit, PostgreSQL", "postgresql"
    database: PostgreSQL

    def __init__(self, database: PostgreSQL) -> None:
        self.database = database
        super().__init__()

    def settings(self) -> dict[str, str]:
        return {"LIMIT_URL": self.database.url("bare")}

    def prepare(self) -> None:
        self.database.sql("CREATE DATABASE bare")
        asyncio.run(postgresql.fill(self.settings()["LIMIT_URL"], objects(), readable()))
        self.database.sql("VACUUM ANALYZE", "bare")


def objects() -> Iterator[tuple[str, str, int, str]]:
    """Yield the data: list, id, timestamp (which is the number of the record), text."""
    for name, size in dataset.SIZES.items():
        for number in range(size):
            yield name, dataset.id_of(number), number, text_of(dataset.record(number))


def readable() -> list[str]:
    """Return the records of `shared` that READER may read."""
    return [dataset.id_of(n) for n in range(0, dataset.SIZES["shared"], dataset.READABLE)]


def text_of(data: Any) -> str:
    """Return JSON text."""
    return msgspec.json.encode(data).decode()


class LimitRequests:
    """One method a workload; there is none for 304, whose limit is hello, and none for batches."""

    def hello(self) -> list[bytes]:
        return [get("/hello")]

    def one(self) -> list[bytes]:
        return [get(f"/one/{dataset.id_of(n)}") for n in range(KEPT)]

    def page(self) -> list[bytes]:
        return [get(f"/page/{PAGE}")]

    def equal(self) -> list[bytes]:
        return [get(f"/equal/kind-{n}") for n in range(dataset.KINDS)]

    def indexed(self) -> list[bytes]:
        return [get(f"/indexed/topic-{n}") for n in range(dataset.KINDS)]

    def poll(self) -> list[bytes]:
        return [get(f"/since/{dataset.SIZES['items'] - 1}")]

    def changes(self) -> list[bytes]:
        return [get(f"/since/{dataset.SIZES['items'] - 1 - CHANGES}")]

    def shared(self) -> list[bytes]:
        return [get(f"/shared/{dataset.READER}")]

    def sync(self) -> list[bytes]:
        size = dataset.SIZES["big"]
        return [get(f"/sync/{before}") for before in range(size, 0, -size // SYNC_PAGES_MEASURED)][:SYNC_PAGES_MEASURED]

    def post(self) -> list[bytes]:
        return [request("POST", "/posts", {}, dataset.record(n)) for n in range(KEPT)]

    def put(self) -> list[bytes]:
        return [request("PUT", f"/writes/{dataset.id_of(n)}", {}, dataset.record(n, 1)) for n in range(KEPT)]

    def patch(self) -> list[bytes]:
        return [request("PATCH", f"/patches/{dataset.id_of(n)}", {}, {"count": n}) for n in range(KEPT)]


def get(path: str) -> bytes:
    """Return a request without a word more than needed."""
    return request("GET", path, {})
