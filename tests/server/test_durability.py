"""What was answered with 2xx is there after a kill in the middle of its work (promise 2; C13, C24, C25, S27)."""

import contextlib
import http.client
import itertools
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import apsw
import pytest
from tests.server.api import RECORDS, Api
from tests.server.process import Server, running

pytestmark = pytest.mark.server

WRITERS = 4


def write(port: int, writer: int, acknowledged: dict[str, int]) -> None:
    """Put records one after the other until the server is gone; note the version of each that was acknowledged."""
    api = Api(port)
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in itertools.count():
            id = f"w{writer}-{number}"
            status, _, body = api.call("PUT", f"{RECORDS}/{id}", {"data": {"writer": writer}})
            assert status == 201, body
            acknowledged[id] = body["data"]["last_modified"]


PARTS = 25


def write_batches(port: int, writer: int, acknowledged: set[str]) -> None:
    """Send batches of PARTS records each, one after the other until the server is gone; note those acknowledged."""
    api = Api(port)
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in itertools.count():
            name = f"w{writer}-{number}"
            requests = [
                {"path": f"{RECORDS}/{name}-{part}", "body": {"data": {"batch": name}}} for part in range(PARTS)
            ]
            body = {"defaults": {"method": "PUT"}, "requests": requests}
            status, _, answer = api.call("POST", "/v1/batch", body)
            assert status == 200, answer
            assert [each["status"] for each in answer["responses"]] == [201] * PARTS
            acknowledged.add(name)


def kill(server: Server) -> None:
    """Kill the master and all its workers, at once."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_c13_a_batch_is_there_as_a_whole_or_not_at_all_after_kill_9(tmp_path: Path, variables: dict[str, str]) -> None:
    """C13."""
    acknowledged: set[str] = set()
    with running(tmp_path, "--workers", "2", environ=variables) as server:
        Api(server.port).make_list()
        threads = [
            threading.Thread(target=write_batches, args=(server.port, writer, acknowledged))
            for writer in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 20:
            time.sleep(0.001)
        kill(server)
        for thread in threads:
            thread.join()

    with running(tmp_path, environ=variables) as server:
        stored = Counter(each["batch"] for each in Api(server.port).pages(f"{RECORDS}?_limit=500")[0])

    assert set(stored.values()) == {PARTS}
    assert acknowledged <= stored.keys()


def test_s27_versions_go_on_above_all_that_were_acknowledged_before_kill_9(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """S27: although they lay ahead of the clock."""
    with running(tmp_path, environ=variables) as server:
        api = Api(server.port)
        api.make_list()
        ahead = int(time.time() * 1000) + 3_600_000
        assert api.call("PUT", f"{RECORDS}/ahead", {"data": {"last_modified": ahead}})[0] == 201
        last = api.call("DELETE", f"{RECORDS}/ahead")[2]["data"]["last_modified"]
        kill(server)

    with running(tmp_path, environ=variables) as server:
        api = Api(server.port)
        etag = int(api.call("GET", RECORDS)[1]["ETag"].strip('"'))
        after = api.call("PUT", f"{RECORDS}/after", {"data": {}})[2]["data"]["last_modified"]
        changes = api.call("GET", f"{RECORDS}?_since={last}")[2]["data"]

    assert last == ahead + 1 == etag
    assert after == etag + 1
    assert [each["id"] for each in changes] == ["after"]


@pytest.mark.parametrize("enough", [20, 100, 180])
def test_every_acknowledged_write_is_there_after_kill_9(
    tmp_path: Path, backend: str, variables: dict[str, str], enough: int
) -> None:
    """C24, C25: with the timestamp of its list."""
    acknowledged: dict[str, int] = {}
    with running(tmp_path, "--workers", "2", environ=variables) as server:
        Api(server.port).make_list()
        threads = [
            threading.Thread(target=write, args=(server.port, writer, acknowledged)) for writer in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        while len(acknowledged) < enough:
            time.sleep(0.001)
        kill(server)
        for thread in threads:
            thread.join()

    with running(tmp_path, environ=variables) as server:
        records, etag = Api(server.port).pages(RECORDS)
    stored = {each["id"]: each["last_modified"] for each in records}

    lost = {id: version for id, version in acknowledged.items() if stored.get(id) != version}
    print(f"{len(acknowledged)} writes acknowledged before the kill, {len(lost)} lost")
    if backend == "sqlite":
        connection = apsw.Connection(str(tmp_path / "kobako.db"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not lost
    assert etag == f'"{max(stored.values())}"'
