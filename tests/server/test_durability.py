"""What was answered with 2xx is there after the server is killed in the middle of its work (promise 2; C13, C25)."""

import contextlib
import http.client
import os
import signal
import threading
import time
from pathlib import Path

import apsw
import pytest
from tests.server.api import RECORDS, Api
from tests.server.process import Server, running

pytestmark = pytest.mark.server

WRITES = 200
WRITERS = 4


def write(port: int, writer: int, acknowledged: dict[str, int]) -> None:
    """Put records one after the other until the server is gone; note the version of each that was acknowledged."""
    api = Api(port)
    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(WRITES // WRITERS):
            id = f"w{writer}-{number}"
            status, _, body = api.call("PUT", f"{RECORDS}/{id}", {"data": {"writer": writer}})
            assert status == 201, body
            acknowledged[id] = body["data"]["last_modified"]


def kill(server: Server) -> None:
    """Kill the master and all its workers, at once."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_every_acknowledged_write_is_there_after_kill_9(tmp_path: Path, share: float) -> None:
    acknowledged: dict[str, int] = {}
    with running(tmp_path, "--workers", "2") as server:
        Api(server.port).make_list()
        threads = [
            threading.Thread(target=write, args=(server.port, writer, acknowledged)) for writer in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        while len(acknowledged) < share * WRITES:
            time.sleep(0.001)
        kill(server)
        for thread in threads:
            thread.join()

    with running(tmp_path) as server:
        stored = {each["id"]: each["last_modified"] for each in Api(server.port).pages(RECORDS)[0]}

    lost = {id: version for id, version in acknowledged.items() if stored.get(id) != version}
    print(f"{len(acknowledged)} of {WRITES} writes acknowledged before the kill, {len(lost)} lost")
    connection = apsw.Connection(str(tmp_path / "kobako.db"))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not lost
    assert len(acknowledged) < WRITES, "the server was not killed in the middle"
