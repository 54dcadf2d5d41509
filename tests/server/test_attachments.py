"""Large files over real HTTP: in little memory, beside other requests, and through the death of a worker (A4, A5, A9).

KOBAKO_TEST_UPLOAD_MB=1024 tries a file of that size.
"""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.server.api import Api
from tests.server.large import HEADERS, RECORDS, body, upload, upload_from_elsewhere
from tests.server.process import PATIENCE_S, Server, running

pytestmark = pytest.mark.server

MEGABYTE = 1024 * 1024
SIZE = int(os.environ.get("KOBAKO_TEST_UPLOAD_MB", "200")) * MEGABYTE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, environ=_environ(tmp_path)) as server:
        Api(server.port).make_list()
        yield server
    # Folders of tests are kept for a while.
    shutil.rmtree(tmp_path / "files")


def _environ(folder: Path) -> dict[str, str]:
    return {
        "KOBAKO_INCLUDES": "attachments",
        "KOBAKO_ATTACHMENT_BASE_PATH": str(folder / "files"),
        "PATH": os.environ.get("PATH", ""),
    }


class Beside:
    """What goes on in a thread while something else does: one value after the other."""

    def __init__(self, look: Callable[[], float]) -> None:
        self._look = look
        self._over = threading.Event()
        self.values: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            self.values.append(self._look())

    def __enter__(self) -> "Beside":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def p99_ms(self) -> float:
        """The 99th of 100, in milliseconds."""
        return 1000 * sorted(self.values)[int(len(self.values) * 0.99)]


def _read_another(server: Server) -> Callable[[], float]:
    api = Api(server.port)
    api.call("PUT", f"{RECORDS}/small")

    def read() -> float:
        started = time.perf_counter()
        assert api.call("GET", f"{RECORDS}/small")[0] == 200
        return time.perf_counter() - started

    return read


def test_a_large_file_takes_little_memory_and_others_are_served(
    server: Server, record_property: Callable[[str, object], None], tmp_path: Path
) -> None:
    """A4, A9."""
    [worker] = server.workers()
    read = _read_another(server)
    assert upload(server.port, 8 * MEGABYTE).status == 201

    with Beside(read) as alone:
        time.sleep(1)
    before = worker.memory_info().rss
    with Beside(read) as during, Beside(lambda: _resident(worker)) as memory:
        started = time.perf_counter()
        status = upload_from_elsewhere(server.port, SIZE)
        seconds = time.perf_counter() - started
    grown = (max(memory.values) - before) / MEGABYTE

    assert status == 200
    assert grown < 20
    [file] = [each for each in (tmp_path / "files").rglob("*") if each.is_file()]
    assert file.stat().st_size == SIZE
    figures = f"{SIZE // MEGABYTE} MB in {seconds:.1f} s, {grown:.1f} MB of memory; others' p99 "
    record_property("figures", f"{figures}{alone.p99_ms:.2f} ms before, {during.p99_ms:.2f} ms meanwhile")


def _resident(process: psutil.Process) -> float:
    time.sleep(0.01)
    return float(process.memory_info().rss)


def test_who_leaves_a_download_is_sent_no_more_of_it(server: Server) -> None:
    [worker] = server.workers()
    assert upload(server.port, SIZE).status == 201
    connection = server.connect()
    connection.request("GET", f"{RECORDS}/large/attachments/attachment", headers=HEADERS)
    response = connection.getresponse()
    assert (response.status, len(response.read(1000))) == (200, 1000)

    before = worker.io_counters().read_chars
    connection.close()
    response.close()
    _wait_until(lambda: not [each for each in worker.net_connections("tcp") if each.status == "ESTABLISHED"])

    assert worker.io_counters().read_chars - before < SIZE / 2


def test_a_worker_that_dies_half_way_leaves_no_record_and_no_file_after_the_sweep(
    server: Server, tmp_path: Path
) -> None:
    """A5."""
    [worker] = server.workers()
    folder = tmp_path / "files"

    def chunks() -> Iterator[bytes]:
        for number, chunk in enumerate(body(40 * MEGABYTE)):
            if number == 400:
                _wait_until(lambda: list(folder.rglob("*#*")))
                worker.send_signal(signal.SIGKILL)
            yield chunk

    with pytest.raises((OSError, http.client.HTTPException)):
        upload(server.port, 40 * MEGABYTE, chunks=chunks())
    _wait_until(server.workers)
    server.wait_until_it_answers()

    assert Api(server.port).call("GET", f"{RECORDS}/large")[0] == 404
    assert _sweep(tmp_path) == "0 files that no record has, 0 unfinished ones."
    [left] = [each for each in folder.rglob("*") if each.is_file()]
    old = time.time() - 2 * 24 * 3600
    os.utime(left, (old, old))
    assert _sweep(tmp_path) == "0 files that no record has, 1 unfinished ones."
    assert [each for each in folder.rglob("*") if each.is_file()] == []
    assert upload(server.port, MEGABYTE).status == 201


def _sweep(folder: Path) -> str:
    command = [sys.executable, "-m", "kobako", "sweep-attachments"]
    done = subprocess.run(command, cwd=folder, env=_environ(folder), capture_output=True, text=True, check=True)
    return done.stderr.strip().splitlines()[-1].partition("  ")[2].strip() or done.stderr


def test_who_is_refused_gets_an_answer_while_the_body_is_still_sent(server: Server) -> None:
    anybody = {"Content-Type": HEADERS["Content-Type"]}

    assert upload(server.port, 30 * MEGABYTE, anybody).status == 401


def _wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)
