"""A request with an Idempotency-Key is done once, by several processes and through kill -9; and what the log says."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.server.api import RECORDS, Api
from tests.server.process import running

pytestmark = pytest.mark.server

BODY = {"data": {"n": 1}}


def send(port: int, answers: list[Any], key: str = "k") -> None:
    """Create a record, over a connection of its own: which process serves is decided for each."""
    status, headers, body = Api(port).call("POST", RECORDS, BODY, {"Idempotency-Key": key})
    answers.append((status, headers["ETag"], body))


def test_processes_do_it_once_and_a_crash_does_not_make_them_forget(tmp_path: Path) -> None:
    answers: list[Any] = []
    with running(tmp_path, "--workers", "3") as server:
        Api(server.port).make_list()
        threads = [threading.Thread(target=send, args=(server.port, answers)) for _ in range(24)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        for worker in server.workers():
            worker.kill()
    with running(tmp_path) as server:
        send(server.port, answers)
        found, _ = Api(server.port).pages(RECORDS)

    assert answers[0][0] == 201
    assert answers == [answers[0]] * 25
    assert found == [answers[0][2]["data"]]


def test_what_was_answered_before_a_crash_is_answered_again(tmp_path: Path) -> None:
    answers: list[Any] = []
    stop = threading.Event()

    def go_on() -> None:
        number = 0
        while not stop.is_set():
            try:
                send(server.port, answers, f"k{number}")
            except OSError:
                return
            number += 1

    with running(tmp_path) as server:
        Api(server.port).make_list()
        writer = threading.Thread(target=go_on)
        writer.start()
        while len(answers) < 50:
            stop.wait(0.01)
        server.process.kill()
        for worker in server.workers():
            worker.kill()
        stop.set()
    writer.join()
    before = list(answers)
    again: list[Any] = []
    with running(tmp_path) as server:
        # The next key may have been served, and its answer lost: then, too, it is done once.
        for number in range(len(before) + 1):
            send(server.port, again, f"k{number}")
        found, _ = Api(server.port).pages(RECORDS)

    assert again[:-1] == before
    assert sorted(each["id"] for each in found) == sorted(body["data"]["id"] for _, _, body in again)


@pytest.mark.parametrize("renderer", ["classic", "json"])
def test_each_request_is_one_line_of_the_log(tmp_path: Path, renderer: str) -> None:
    with running(tmp_path, "--workers", "2", environ={"KOBAKO_LOGGING_RENDERER": renderer}) as server:
        Api(server.port).call("GET", "/v1/buckets?_limit=5")
        server.stop()
        lines = [line for line in server.output.splitlines() if "/v1/buckets" in line and "first" not in line]

    assert len(lines) == 1
    if renderer == "classic":
        assert lines[0].startswith('INFO   "GET   /v1/buckets?_limit=5" 200 (')
        assert "Running kobako" in server.output
    else:
        assert json.loads(lines[0])["Fields"]["code"] == 200
