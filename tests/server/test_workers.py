"""Several processes on one database: no conflict, no refusal, no change missed (promises 1 and 3; S1, S5, S10)."""

import random
import threading
import time
from pathlib import Path

import pytest
from tests.server.api import RECORDS, Api, Replica
from tests.server.process import running

pytestmark = pytest.mark.server

WRITES = {"sqlite": 5_000, "postgresql": 2_000, "redis": 2_000}
WRITERS = 8
PROCESSES = 4
IDS = 800


class Writer(threading.Thread):
    """Puts and deletes records in one collection, and notes every answer."""

    def __init__(self, port: int, writes: int, seed: int):
        super().__init__()
        self.port = port
        self.writes = writes
        self.random = random.Random(seed)
        self.statuses: list[int] = []
        self.versions: list[int] = []
        self.longest_s = 0.0

    def run(self) -> None:
        for number in range(self.writes):
            # Which process serves is decided for each connection: a new one now and then reaches all of them.
            if number % 25 == 0:
                api = Api(self.port)
            id = f"r{self.random.randrange(IDS)}"
            began = time.monotonic()
            if self.random.random() < 0.15:
                status, _, body = api.call("DELETE", f"{RECORDS}/{id}")
            else:
                status, _, body = api.call("PUT", f"{RECORDS}/{id}", {"data": {"number": number}})
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self.statuses.append(status)
            if status < 300:
                self.versions.append(body["data"]["last_modified"])


def test_eight_writers_in_four_processes_make_distinct_versions_and_a_poller_misses_nothing(
    tmp_path: Path, backend: str, variables: dict[str, str]
) -> None:
    """S1, S5."""
    writes = WRITES[backend]
    with running(tmp_path, "--workers", str(PROCESSES), environ=variables) as server:
        Api(server.port).make_list()
        writers = [Writer(server.port, writes // WRITERS, seed) for seed in range(WRITERS)]
        replica = Replica(server.port)
        while len(server.workers()) < PROCESSES:
            # The first one answers before the last one is there.
            time.sleep(0.01)
        idle_s = [sum(worker.cpu_times()[:2]) for worker in server.workers()]
        began = time.monotonic()
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            replica.poll()
        took_s = time.monotonic() - began
        worked_s = [sum(worker.cpu_times()[:2]) - idle for worker, idle in zip(server.workers(), idle_s, strict=True)]
        for writer in writers:
            writer.join()
        replica.poll()
        cold = {each["id"]: each for each in Api(server.port).pages(f"{RECORDS}?_limit=200")[0]}

    statuses = [status for writer in writers for status in writer.statuses]
    versions = [version for writer in writers for version in writer.versions]
    counted = {status: statuses.count(status) for status in sorted(set(statuses))}
    longest_s = max(writer.longest_s for writer in writers)
    print(f"{writes} writes in {took_s:.1f} s: {counted}; longest wait {longest_s:.2f} s; {replica.polls} polls")
    print("CPU seconds of the workers:", ", ".join(f"{each:.2f}" for each in worked_s))
    assert min(worked_s) > 0, "not every process took part"
    assert len(statuses) == writes
    assert set(statuses) <= {200, 201, 404}, "404 is the deletion of what is not there"
    assert len(versions) == len(set(versions))
    assert replica.live() == cold


def test_s10_no_process_answers_304_once_a_write_was_acknowledged(tmp_path: Path, variables: dict[str, str]) -> None:
    """S10."""
    with running(tmp_path, "--workers", str(PROCESSES), environ=variables) as server:
        Api(server.port).make_list()
        while len(server.workers()) < PROCESSES:
            time.sleep(0.01)
        # Which process serves is decided for each connection.
        apis = [Api(server.port) for _ in range(PROCESSES * 4)]
        statuses = []
        for number in range(25):
            etag = apis[0].call("GET", RECORDS)[1]["ETag"]
            current = [each.call("GET", RECORDS, headers={"If-None-Match": etag})[0] for each in apis]
            assert apis[number % len(apis)].call("PUT", f"{RECORDS}/r{number % 3}", {"data": {"n": number}})[0] < 300
            statuses += [each.call("GET", RECORDS, headers={"If-None-Match": etag})[0] for each in apis]

            assert set(current) == {304}

    assert set(statuses) == {200}
