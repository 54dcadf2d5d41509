"""Prometheus asks one worker and is answered for all, also for one that died. Source: objects, 16.2."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.metrics.reading import values
from tests.server.process import PATIENCE_S, Server, running

pytestmark = pytest.mark.server

ENVIRON = {"KOBAKO_INCLUDES": "kobako.plugins.prometheus", "KOBAKO_PROMETHEUS_PREFIX": ""}


def ask(server: Server, path: str) -> str:
    """Return what is answered on a connection of its own, so by any worker."""
    connection = server.connect()
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def hellos(server: Server) -> float:
    """Return how many requests for the hello view have been counted."""
    return values(ask(server, "/v1/__metrics__"), "request_summary_total")["hello get 200"]


def have_both_counted(folder: Path) -> bool:
    """Tell whether each of the two workers has answered the hello view."""
    return [b'"hello"' in file.read_bytes() for file in folder.glob("counter_*")] == [True, True]


def wait_for_two_others_than(server: Server, killed: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(alive := [each.pid for each in server.workers()]) != 2 or killed in alive:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.01)


def test_any_worker_answers_for_all_and_one_that_died_is_not_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    environ = {**ENVIRON, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with running(tmp_path, "--workers", "2", environ=environ) as server:
        asked = 0
        while not have_both_counted(folder):
            ask(server, "/v1/")
            asked += 1
            assert asked < 1000, "one worker answers everything"
        assert [hellos(server) for _ in range(10)] == [asked] * 10

        victim = server.workers()[0].pid
        os.kill(victim, signal.SIGKILL)
        wait_for_two_others_than(server, victim)
        for _ in range(20):
            ask(server, "/v1/")

        assert [hellos(server) for _ in range(10)] == [asked + 20] * 10
        assert len(list(folder.glob("counter_*"))) == 2


def test_the_folder_is_emptied_at_the_start_and_kept_where_it_was_named(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    environ = {**ENVIRON, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    for _ in range(2):
        with running(tmp_path, "--workers", "2", environ=environ) as server:
            ask(server, "/v1/")

            assert hellos(server) == 1
            assert server.stop() == 0

    assert {path.name.partition("_")[0] for path in folder.iterdir()} == {"counter", "histogram", "summary"}
    assert len(list(folder.iterdir())) <= 6


def test_a_folder_of_its_own_is_removed_when_the_server_stops(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running(tmp_path, "--workers", "2", environ={**ENVIRON, "TMPDIR": str(temporary)}) as server:
        ask(server, "/v1/")
        assert len(list(temporary.glob("kobako-metrics-*/*.db"))) >= 3

        assert server.stop() == 0

    assert list(temporary.iterdir()) == []
