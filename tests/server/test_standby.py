"""A hot standby of PostgreSQL is served read-only: what it answers is of one moment, if an older one (S22, S26)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.api import RECORDS, Api
from tests.server.postgresql import WORKERS, environ, migrated
from tests.server.process import Server, running
from tests.servers.postgresql import PostgreSQL, Standby

from kobako.databases.base import Foreseen
from kobako.databases.postgresql import PostgreSQLDatabase
from kobako.storage.base import Place

pytestmark = pytest.mark.server

PLACE = Place("record", "/buckets/load/collections/load")
EMPTY = "/v1/buckets/load/collections/empty/records"


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgreSQL]:
    # What was answered is in the log that the standby follows.
    with migrated("synchronous_commit=on") as server:
        yield server


@pytest.fixture(scope="module")
def written(primary: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of the primary, with a list of three records, and one of none."""
    with running(tmp_path_factory.mktemp("written"), environ=environ(primary.url("kobako"))) as server:
        api = Api(server.port)
        api.make_list()
        api.call("PUT", EMPTY.removesuffix("/records"))
        for n in range(3):
            api.call("PUT", f"{RECORDS}/r{n}", {"data": {"n": n}})
        yield server


@pytest.fixture(scope="module")
def standby(primary: PostgreSQL, written: Server) -> Iterator[Standby]:
    server = Standby(primary)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def readonly(standby: Standby, tmp_path: Path) -> Iterator[Server]:
    standby.catch_up()
    with running(tmp_path, *WORKERS, environ=environ(standby.url("kobako"), KOBAKO_READONLY="true")) as server:
        yield server


def kobako(folder: Path, environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kobako", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


PATHS = ["/v1/", "/v1/__heartbeat__", "/v1/__lbheartbeat__", "/v1/buckets", "/v1/buckets/load", RECORDS,
         f"{RECORDS}/r1", f"{RECORDS}?n=1", f"{RECORDS}?_since=1&_sort=n&_limit=1", EMPTY]  # fmt: skip


def test_s22_a_standby_is_read_and_no_write_is_attempted(readonly: Server, written: Server, standby: Standby) -> None:
    """S22."""
    api, of_primary = Api(readonly.port), Api(written.port)
    errors = standby.output.count("read-only transaction")

    answers = {path: api.call("GET", path) for path in PATHS}
    again = {path: api.call("GET", path) for path in PATHS}

    assert {path: status for path, (status, _, _) in answers.items()} == dict.fromkeys(PATHS, 200)
    assert all(answers["/v1/__heartbeat__"][2].values())
    for path in (RECORDS, EMPTY, f"{RECORDS}/r1"):
        _, headers, body = of_primary.call("GET", path)
        assert (headers["ETag"], body) == (answers[path][1]["ETag"], answers[path][2])
        assert headers["ETag"] == again[path][1]["ETag"]
    assert api.call("PUT", f"{RECORDS}/new")[0] == 405
    assert standby.output.count("read-only transaction") == errors
    assert "Traceback" not in readonly.output


def test_s26_a_standby_that_lags_answers_its_own_etag_with_its_own_records(
    readonly: Server, written: Server, standby: Standby
) -> None:
    """S26."""
    api, of_primary = Api(readonly.port), Api(written.port)
    standby.pause()
    before = api.call("GET", RECORDS)
    of_primary.call("PUT", f"{RECORDS}/late", {"data": {"n": 9}})
    of_primary.call("DELETE", f"{RECORDS}/r0")
    _, primary_headers, primary_body = of_primary.call("GET", RECORDS)
    lagging = api.call("GET", RECORDS)
    not_changed = api.call("GET", RECORDS, headers={"If-None-Match": before[1]["ETag"]})
    # A client that has seen the primary: there is nothing new, and its own ETag is not confirmed.
    ahead = api.call("GET", RECORDS, headers={"If-None-Match": primary_headers["ETag"]})
    standby.catch_up()
    later = api.call("GET", RECORDS)

    assert (lagging[1]["ETag"], lagging[2]) == (before[1]["ETag"], before[2])
    assert lagging[1]["ETag"] != primary_headers["ETag"]
    assert max(each["last_modified"] for each in lagging[2]["data"]) <= int(lagging[1]["ETag"].strip('"'))
    assert not_changed[0] == 304
    assert ahead[1]["ETag"] == lagging[1]["ETag"]
    assert (later[1]["ETag"], later[2]) == (primary_headers["ETag"], primary_body)


async def test_the_version_of_a_standby_is_told_to_nobody(standby: Standby, primary: PostgreSQL) -> None:
    """S26: its snapshot says the same before and after it has replayed some commits, so no answer is given again."""
    asked = Foreseen(user=None, principals=frozenset(), uris=("/buckets/load",), place=PLACE, with_version=True)
    for server in (standby, primary):
        database = PostgreSQLDatabase(server.url("kobako"), lambda: 1)
        await database.open()
        async with database.foresee(asked) as unit:
            assert (unit.version is None) == (await database.ask_version() is None) == (server is standby)
        await database.close()


def test_without_readonly_a_write_to_a_standby_is_a_503_that_the_log_explains(
    standby: Standby, written: Server, tmp_path: Path
) -> None:
    with running(tmp_path, environ=environ(standby.url("kobako"))) as server:
        api = Api(server.port)
        written_to = [
            api.call(*each) for each in (("PUT", f"{RECORDS}/new"), ("DELETE", RECORDS), ("PUT", "/v1/buckets/b"))
        ]
        read = api.call("GET", RECORDS)

        assert [status for status, _, _ in written_to] == [503, 503, 503]
        assert all(headers["Retry-After"] for _, headers, _ in written_to)
        assert read[0] == 200
        assert "a standby can only be read: set readonly there, or name the primary" in server.output


def test_the_schema_of_a_standby_is_not_migrated(standby: Standby, tmp_path: Path) -> None:
    done = kobako(tmp_path, environ(standby.url("kobako"), KOBAKO_READONLY="true"), "migrate")

    assert "Cannot migrate the storage backend while in readonly mode." in done.stderr


def test_a_standby_of_another_schema_is_not_served(standby: Standby, primary: PostgreSQL, tmp_path: Path) -> None:
    primary.sql("CREATE DATABASE other")
    standby.catch_up()

    done = kobako(tmp_path, environ(standby.url("other"), KOBAKO_READONLY="true"), "start", "--port", "0")

    assert done.returncode == 1
    assert "not migrated: run kobako migrate" in done.stderr


def test_the_greeting_names_the_database_without_its_password(written: Server, primary: PostgreSQL) -> None:
    assert f"Database: postgresql://***@127.0.0.1:{primary.port}/kobako" in written.output
