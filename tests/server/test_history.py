"""Several processes that write one bucket, with its history on. Source: reliability, S6."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.server import postgresql
from tests.server.api import Api
from tests.server.process import running
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.server

BUCKET = "/v1/buckets/load"
HISTORY = f"{BUCKET}/history"
WRITERS = 8
WRITES = 32
PROCESSES = 4


class Writer(threading.Thread):
    """Puts and deletes records in a collection of its own, alone and in batches, and notes every answer."""

    def __init__(self, port: int, number: int):
        super().__init__()
        self.port = port
        self.path = f"{BUCKET}/collections/c{number}/records"
        self.statuses: Counter[int] = Counter()

    def run(self) -> None:
        for number in range(WRITES):
            # Which process serves is decided for each connection: a new one now and then reaches all of them.
            if number % 10 == 0:
                api = Api(self.port)
            parts = [{"method": "PUT", "path": f"{self.path}/r{n}", "body": {"data": {"n": number}}} for n in (0, 1)]
            match number % 4:
                case 0:
                    status, _, body = api.call("POST", "/v1/batch", {"requests": parts})
                    assert status == 200, body
                    self.statuses.update(each["status"] for each in body["responses"])
                case 3:
                    self.statuses[api.call("DELETE", f"{self.path}/r0")[0]] += 1
                case _:
                    self.statuses[api.call("PUT", f"{self.path}/r0", {"data": {"n": number}})[0]] += 1


class Poller(threading.Thread):
    """Follows the history by its ETags."""

    def __init__(self, port: int):
        super().__init__()
        self.over = threading.Event()
        self.seen: list[str] = []
        self._api = Api(port)

    def run(self) -> None:
        etag, is_over = '"0"', False
        while not is_over:
            is_over = self.over.is_set()
            found, new = self._api.pages(f"{HISTORY}?_sort=last_modified&_since={etag.replace(chr(34), '%22')}")
            self.seen += [each["id"] for each in found]
            etag = new
            time.sleep(0.01)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "redis"])
def test_s6_writers_of_different_collections_of_a_bucket_meet_no_error_and_a_poller_misses_no_entry(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """S6."""
    environ = {"KOBAKO_INCLUDES": "history"}
    if kind == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        server.sql("CREATE DATABASE s6 TEMPLATE kobako")
        environ = postgresql.environ(server.url("s6"), **environ)
    if kind == "redis":
        valkey: Valkey = request.getfixturevalue("valkey")
        environ = postgresql.environ(valkey.url(6), **environ)
        environ |= {"KOBAKO_STORAGE_BACKEND": "redis", "KOBAKO_PERMISSION_BACKEND": "redis"}
    with running(tmp_path, "--workers", str(PROCESSES), environ=environ) as kobako:
        api = Api(kobako.port)
        for path in (BUCKET, *(f"{BUCKET}/collections/c{n}" for n in range(WRITERS))):
            assert api.call("PUT", path)[0] == 201
        poller = Poller(kobako.port)
        writers = [Writer(kobako.port, n) for n in range(WRITERS)]
        for thread in (poller, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        poller.over.set()
        poller.join()
        entries, _ = api.pages(f"{HISTORY}?_sort=last_modified")

    counted = sum((each.statuses for each in writers), Counter())
    versions = [each["last_modified"] for each in entries]
    assert set(counted) == {200, 201}
    assert len(entries) == 1 + WRITERS + counted.total()
    assert versions == sorted(set(versions))
    assert poller.seen == [each["id"] for each in entries]
