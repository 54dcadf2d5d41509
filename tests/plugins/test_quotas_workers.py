"""Quotas in four processes: 50 parallel writers get exactly to the limit, while all is counted anew beside them.

Source: objects, 12; issue E.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.server.api import RECORDS, Api
from tests.server.postgresql import environ, migrated
from tests.server.process import PATIENCE_S, running

from kobako import backends
from kobako.app import milliseconds
from kobako.plugins.quotas import usage
from kobako.plugins.quotas.usage import OF_BUCKET, Usage

pytestmark = pytest.mark.server

WRITERS = 50
EACH = 4
"""Records that each writer creates."""

ROOM = 120
"""How many of them find room: less than there are."""


@pytest.fixture
def backend() -> str:
    """The server has a database of its own."""
    return "memory"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The database of the server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/kobako.db"
    else:
        with migrated() as server:
            yield server.url("kobako")


def size(id: str, **data: int) -> int:
    """Return the size of an object."""
    return len(json.dumps({"id": id, "last_modified": milliseconds(), **data}, separators=(",", ":")))


LISTS = size("load") + size("things") + size("more")
RECORD = size("r00-0", n=1)


class Writer(threading.Thread):
    """Creates records of one size, each over a connection of its own: which process serves is decided for each."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__()
        self.port = port
        # Half of the writers share a collection, the others another.
        self.records = RECORDS if number % 2 else RECORDS.replace("things", "more")
        self.number = number
        self.statuses: list[int] = []

    def run(self) -> None:
        for n in range(EACH):
            api = Api(self.port)
            path = f"{self.records}/r{self.number:02}-{n}"
            self.statuses.append(api.call("PUT", path, {"data": {"n": 1}})[0])
            api.close()


def configuration(folder: Path, limit: str, most: int) -> str:
    """Write a configuration with a quota, and return its path."""
    ini = folder / "kobako.ini"
    head = "[app:main]", "kobako.includes = quotas", "multiauth.policies = basicauth"
    ini.write_text("\n".join([*head, f"quotas.{limit} = {most}", ""]))
    return str(ini)


def rebuild(folder: Path, ini: str, given: Mapping[str, str], told: list[str]) -> None:
    """Run the command beside the server, and add what it logs."""
    command = [sys.executable, "-m", "kobako", "rebuild-quotas", "--ini", ini]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=6 * PATIENCE_S)
    told.append(done.stderr)
    told.append(f"status {done.returncode}")


async def counted(url: str) -> tuple[Usage, Usage]:
    """Return what the counter of the bucket says, and what it should."""
    database = backends.of_url("url", url, milliseconds)
    await database.open()
    try:
        async with database.begin() as unit:
            counters = await usage.read(unit.storage, usage.list_of("load"))
            return counters[OF_BUCKET], (await usage.survey(unit.storage, "load"))[OF_BUCKET]
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("limit", "most"), [("bucket_max_items", ROOM), ("bucket_max_bytes", LISTS + ROOM * RECORD + RECORD - 1)]
)
def test_fifty_writers_in_four_processes_get_exactly_to_the_limit(
    tmp_path: Path, url: str, limit: str, most: int
) -> None:
    given, told = environ(url), list[str]()
    ini = configuration(tmp_path, limit, most)
    with running(tmp_path, "--ini", ini, "--workers", "4", environ=given) as server:
        api = Api(server.port)
        api.make_list()
        api.call("PUT", "/v1/buckets/load/collections/more")
        writers = [Writer(server.port, number) for number in range(WRITERS)]
        counting = threading.Thread(target=rebuild, args=(tmp_path, ini, given, told))
        for each in (counting, *writers):
            each.start()
        for each in (counting, *writers):
            each.join()

    statuses = [status for each in writers for status in each.statuses]
    assert {status: statuses.count(status) for status in set(statuses)} == {201: ROOM, 507: WRITERS * EACH - ROOM}
    assert told[1] == "status 0", told
    assert asyncio.run(counted(url)) == (Usage(LISTS + ROOM * RECORD, 2, ROOM),) * 2
