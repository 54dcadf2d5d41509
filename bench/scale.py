"""`python -m bench.scale`: what reads cost as the data grows, on SQLite and on PostgreSQL. Writes docs/scale.md.

Each size has a database and a server of its own; all of them are measured in turns, so that what else the machine
does hits all alike. Nothing of them is left in the end.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers.postgresql import PostgreSQL

from bench import dataset, filling, rounds, scale_report
from bench.__main__ import about_machine
from bench.contenders.kinto_api import BUCKET, login, uri_of, user_id
from bench.contenders.kobako import Kobako, KobakoForgetful, KobakoPostgreSQLForgetful
from bench.filling import Record
from bench.load import Job, run
from bench.scale_report import BACKENDS, COLLECTIONS, RECORDS, Growth
from bench.wire import Client, request
from bench.workloads import BY_NAME, KEPT, PAGE

ROOT = Path(__file__).parents[1]
WORKLOADS = [BY_NAME[name] for name in ("one", "page", "poll", "indexed")]
SECONDS = 0.2
"""How long each is measured in a round: many short ones, as it is the ratio of two of them that counts."""
SELECTED = 10
"""How many records have the same value of the field with an index, whatever the size."""


class Size(NamedTuple):
    """How much is in a database: so many collections with so many records each, on the axis of one or the other."""

    axis: str
    collections: int
    records: int

    @property
    def value(self) -> int:
        """Where it is on its axis."""
        return self.records if self.axis == RECORDS else self.collections


def main() -> None:
    """Measure what the command line asks for, and write the report."""
    os.environ["PYTHONPATH"] = str(ROOT)
    arguments = _arguments()
    if arguments.again:
        kept = json.loads((arguments.output / "scale.json").read_text())
        growth, about = scale_report.from_json(kept), kept["about"]
    else:
        sizes = [Size(RECORDS, 1, each) for each in arguments.sizes]
        sizes += [Size(COLLECTIONS, each, PAGE) for each in arguments.collections]
        growth = measure(sizes, arguments.rounds)
        about = {**about_machine(), "Rounds": f"{arguments.rounds} of {SECONDS} s"}
    arguments.output.mkdir(parents=True, exist_ok=True)
    scale_report.write(growth, about, arguments.output)
    print(f"Written: {arguments.output / 'scale.md'}", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--sizes", type=_numbers, default="10000,100000,1000000,5000000",
                        help="numbers of records in a collection, each at least 100 [%(default)s]")  # fmt: skip
    parser.add_argument("--collections", type=_numbers, default="10,100,1000,10000",
                        help=f"numbers of collections of {PAGE} records [%(default)s]")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured [%(default)s]")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="folder for the report [docs]")
    parser.add_argument("--again", action="store_true", help="write the report of what is in the folder")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",") if each]


def measure(sizes: Sequence[Size], times: int) -> Growth:
    """Fill a database for each size and backend, and measure all of them in turns."""
    growth = Growth()
    with _started(sizes) as servers, ProcessPoolExecutor(1, get_context("spawn")) as client:
        asked = {server.name: dict(rounds.requests_of(server, WORKLOADS, client)) for *_, server in servers}
        for backend, size, server in servers:
            growth.bytes[size.axis, backend, size.value] = server.size_on_disk()
            _warm_up(server, asked[server.name].values(), client)
        for number in range(times):
            rounds.tell(f"round {number + 1} of {times}")
            for workload in WORKLOADS:
                for backend, size, server in servers:
                    job = Job(server.port, asked[server.name][workload.name], 1, SECONDS, number * 7919)
                    found = rounds.measured(server, job, client)
                    growth.rounds[size.axis, backend, size.value, workload.name].append(found)
    return growth


def _warm_up(server: Kobako, requests: Iterable[list[bytes]], client: Executor) -> None:
    """Ask everything once: what comes from a disk costs other work, and that only once."""
    rounds.tell(f"warming up {server.name}")
    for each in requests:
        client.submit(run, Job(server.port, each, 1, None)).result()


@contextmanager
def _started(sizes: Sequence[Size]) -> Iterator[list[tuple[str, Size, Kobako]]]:
    with ExitStack() as stack:
        database = PostgreSQL("max_wal_size=2GB")
        stack.callback(database.remove)
        database.start()
        servers: list[tuple[str, Size, Kobako]] = []
        for backend in BACKENDS:
            for size in sizes:
                server = KobakoForgetful() if backend == "SQLite" else KobakoPostgreSQLForgetful(database)
                stack.callback(server.remove)
                server.name = f"{backend}-{size.collections}-{size.records}"
                rounds.tell(f"filling {server.name}")
                server.prepare()
                server.start()
                _seed(server, size)
                servers.append((backend, size, server))
        yield servers


def _seed(server: Kobako, size: Size) -> None:
    owner = login(dataset.OWNER)
    Client(server.port, owner).call("PUT", f"/v1{BUCKET}")
    data = {"data": {"indexes": ["topic"]}}
    puts = [request("PUT", f"/v1{uri_of(_name(n))}", owner, data) for n in range(size.collections)]
    done = run(Job(server.port, puts, connections=1, seconds=None))
    assert set(done.statuses) == {201}, done.statuses
    server.fill(_parts(size, user_id(server.port, dataset.OWNER)))
    server.requests = GrownAPI(server.port, size)


def _parts(size: Size, owner: str) -> Iterator[tuple[str, Sequence[Record]]]:
    acl = {"write": [owner]}
    for collection in range(size.collections):
        for first in range(0, size.records, filling.AT_ONCE):
            numbers = range(first, min(first + filling.AT_ONCE, size.records))
            yield uri_of(_name(collection)), [Record(dataset.id_of(n), _record(n, size), acl) for n in numbers]


def _record(number: int, size: Size) -> dict[str, Any]:
    return {**dataset.record(number), "topic": f"topic-{number % (size.records // SELECTED)}"}


def _name(number: int) -> str:
    return f"collection-{number}"


class GrownAPI:
    """One method a workload: requests that are spread over all that there is."""

    def __init__(self, port: int, size: Size) -> None:
        self.owner = login(dataset.OWNER)
        self.client = Client(port, self.owner)
        self.size = size

    def one(self) -> list[bytes]:
        return [self._get(n, f"/{dataset.id_of(spread(n, self.size.records))}") for n in range(KEPT)]

    def page(self) -> list[bytes]:
        return [self._get(n, f"?_limit={PAGE}") for n in range(self._lists)]

    def poll(self) -> list[bytes]:
        return [self._get(n, f"?_since={self._etag(n)}") for n in range(self._lists)]

    def indexed(self) -> list[bytes]:
        return [self._get(n, f"?topic=topic-{spread(n, self.size.records // SELECTED)}") for n in range(KEPT)]

    @property
    def _lists(self) -> int:
        return min(KEPT, self.size.collections)

    def _records(self, number: int) -> str:
        return f"/v1{uri_of(_name(spread(number, self.size.collections)))}/records"

    def _get(self, number: int, rest: str) -> bytes:
        return request("GET", self._records(number) + rest, self.owner)

    def _etag(self, number: int) -> str:
        return self.client.call("HEAD", f"{self._records(number)}?_limit=1").headers["etag"].strip('"')


def spread(number: int, size: int) -> int:
    """Return one of `size` things: for the numbers up to KEPT, things far from each other, each equally often."""
    return number * size // KEPT if size > KEPT else number % size


if __name__ == "__main__":
    main()
