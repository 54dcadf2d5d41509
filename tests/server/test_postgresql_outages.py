"""PostgreSQL in trouble below a server of four processes: it stays up, says 503, and heals by itself (O1 to O4)."""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.server.api import RECORDS, Api
from tests.server.postgresql import WORKERS, environ, migrated
from tests.server.process import PATIENCE_S, running
from tests.servers.postgresql import PostgreSQL

from kobako.databases.postgresql_pool import PAUSE_S

pytestmark = pytest.mark.server

WRITERS = 4
LONGER_THAN_A_STATEMENT_S = 60
POOL_OF_ONE = {"KOBAKO_STORAGE_POOL_SIZE": "1", "KOBAKO_STORAGE_MAX_OVERFLOW": "0", "KOBAKO_STORAGE_POOL_TIMEOUT": "1"}

# Objects of one bucket can not be read in any time. A superuser would not be held up by that.
SLOW = """
    CREATE ROLE box LOGIN;
    GRANT ALL ON ALL TABLES IN SCHEMA public TO box;
    ALTER TABLE objects ENABLE ROW LEVEL SECURITY;
    CREATE POLICY slow ON objects USING (bucket <> 'slow' OR pg_sleep(3600) IS NULL)"""


@pytest.fixture
def postgresql() -> Iterator[PostgreSQL]:
    """A server that a test may stop, with a migrated database."""
    with migrated() as server:
        yield server


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def locked(postgresql: PostgreSQL, table: str) -> Iterator[None]:
    """Keep everybody from a table."""
    hold = f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3600)"
    held = f"FROM pg_locks WHERE granted AND relation = '{table}'::regclass AND mode = 'AccessExclusiveLock'"
    psql = [postgresql.program("psql"), "-X", "-q", "-c", hold, postgresql.url("kobako")]
    with (postgresql.folder / "holder.log").open("wb") as log:
        holder = subprocess.Popen(psql, stdout=log, stderr=log, user=postgresql.user, group=postgresql.user, cwd="/")
    try:
        until(lambda: postgresql.ask(f"SELECT count(*) {held}", "kobako") == "1")
        yield
    finally:
        postgresql.sql(f"SELECT pg_terminate_backend(pid) {held}", "kobako")
        holder.wait(PATIENCE_S)


def get(port: int, path: str) -> tuple[int, Any]:
    """Ask on a new connection, which any of the processes may serve."""
    status, headers, _ = Api(port, LONGER_THAN_A_STATEMENT_S).call("GET", path)
    return status, headers["Retry-After"]


def test_o1_a_server_starts_without_its_database_and_serves_once_that_is_up(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """O1."""
    postgresql.stop()
    with running(tmp_path, *WORKERS, environ=environ(postgresql.url("kobako"))) as server:
        paths = ["/v1/__lbheartbeat__", "/v1/__heartbeat__", "/v1/buckets", "/v1/"]
        down = {path: get(server.port, path) for path in paths}
        states = Api(server.port).call("GET", "/v1/__heartbeat__")[2]
        writes = Api(server.port).call("PUT", "/v1/buckets/b")

        assert [down[path][0] for path in paths[:3]] == [200, 503, 503]
        assert down["/v1/buckets"][1] is not None
        assert states == {"storage": False, "permission": False, "cache": True}
        assert (writes[0], writes[1]["Retry-After"] is None) == (503, False)
        assert server.process.poll() is None

        postgresql.start()
        until(lambda: get(server.port, "/v1/buckets")[0] == 200)
        until(lambda: {get(server.port, "/v1/__heartbeat__")[0] for _ in range(8)} == {200})
        Api(server.port).make_list()


class Writer(threading.Thread):
    """Puts records, one after the other, until it is told to stop; notes every answer."""

    def __init__(self, port: int, name: str, stop: threading.Event):
        super().__init__(name=name)
        self._port, self._stop_it = port, stop
        self.statuses: Counter[int] = Counter()
        self.acknowledged: dict[str, int] = {}
        self.without_retry_after = 0

    def run(self) -> None:
        api = Api(self._port)
        while not self._stop_it.is_set():
            id = f"{self.name}-{sum(self.statuses.values())}"
            status, headers, body = api.call("PUT", f"{RECORDS}/{id}", {"data": {"n": 1}})
            self.statuses[status] += 1
            if status == 201:
                self.acknowledged[id] = body["data"]["last_modified"]
            self.without_retry_after += status == 503 and headers["Retry-After"] is None


def test_o2_a_database_restarted_under_load_gives_503s_only_and_the_pool_heals(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """O2."""
    stop = threading.Event()
    with running(tmp_path, *WORKERS, environ=environ(postgresql.url("kobako"))) as server:
        Api(server.port).make_list()
        writers = [Writer(server.port, f"w{n}", stop) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                known = sum(len(each.acknowledged) for each in writers)
                until(lambda known=known: sum(len(each.acknowledged) for each in writers) > known + 20)
                postgresql.stop()
                failed = sum(each.statuses[503] for each in writers)
                until(lambda failed=failed: sum(each.statuses[503] for each in writers) > failed)
                postgresql.start()
            known = sum(len(each.acknowledged) for each in writers)
            until(lambda: sum(len(each.acknowledged) for each in writers) > known + 20)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        found = {each["id"]: each["last_modified"] for each in Api(server.port).pages(f"{RECORDS}?_limit=500")[0]}
        # A process that could not connect just before the start says so until it tries again.
        time.sleep(PAUSE_S)
        healed = Counter(get(server.port, RECORDS)[0] for _ in range(40))

    statuses = sum((each.statuses for each in writers), Counter[int]())
    acknowledged = {id: version for each in writers for id, version in each.acknowledged.items()}
    assert set(statuses) == {201, 503}
    assert sum(each.without_retry_after for each in writers) == 0
    assert acknowledged.items() <= found.items()
    assert healed == {200: 40}


def test_o3_an_exhausted_pool_is_a_503_and_nobody_hangs(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """O3."""
    with running(tmp_path, *WORKERS, environ=environ(postgresql.url("kobako"), **POOL_OF_ONE)) as server:
        Api(server.port).make_list()
        with ThreadPoolExecutor(20) as threads:
            with locked(postgresql, "objects"):
                asked = [threads.submit(get, server.port, RECORDS) for _ in range(20)]
                until(lambda: any(each.done() for each in asked))
                first = [each.result() for each in asked if each.done()]
            answers = [each.result() for each in asked]
        later = Counter(get(server.port, RECORDS)[0] for _ in range(20))

    assert {status for status, _ in first} == {503}
    assert {status for status, _ in answers} <= {200, 503}
    assert all(retry_after for status, retry_after in answers if status == 503)
    assert later == {200: 20}


def test_o4_a_statement_that_takes_too_long_is_a_503_and_other_lists_are_served(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """O4."""
    slow = RECORDS.replace("load", "slow")
    with running(tmp_path, environ=environ(postgresql.url("kobako"))) as server:
        api = Api(server.port)
        api.make_list()
        for path in ("/v1/buckets/slow", "/v1/buckets/slow/collections/things", f"{slow}/r1", f"{RECORDS}/r1"):
            api.call("PUT", path)
    postgresql.sql(SLOW, "kobako")
    as_box = environ(postgresql.url("kobako").replace("kobako@", "box@"))
    with running(tmp_path, *WORKERS, environ=as_box) as server, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(get, server.port, slow)
        others: Counter[int] = Counter()
        while not asked.done():
            others[get(server.port, RECORDS)[0]] += 1
            time.sleep(0.2)
        status, retry_after = asked.result()

    assert (status, retry_after is None) == (503, False)
    assert "canceling statement due to statement timeout" in server.output
    assert set(others) == {200}
