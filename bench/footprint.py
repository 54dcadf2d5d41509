"""What Kobako needs before and beside requests: time until the first answer, memory at rest, and while all is read."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from tests.server.process import running

from bench import cpu, dataset
from bench.contenders.base import Contender
from bench.contenders.kinto_api import login, records_of
from bench.figures import Footprint
from bench.wire import Client
from bench.workloads import SYNC_PAGE

STARTS = 5


def measure(contenders: Iterable[Contender]) -> Footprint:
    """Return the figures of starts in empty folders, and of a synchronisation from each of these Kobakos."""
    starts = [_start() for _ in range(STARTS)]
    synced = {each.name: _growth(each) for each in contenders}
    return Footprint([seconds for seconds, _ in starts], [size for _, size in starts], synced)


def _start() -> tuple[float, int]:
    """Return the seconds from `kobako start` to the first answer, and the memory of its worker then, in bytes."""
    with TemporaryDirectory() as folder, running(Path(folder)) as server:
        (worker,) = server.workers()
        return server.seconds_to_answer, worker.memory_info().rss


def _growth(contender: Contender) -> int:
    """Return by how many bytes the memory of a server has grown when all records of `big` were read from it."""
    contender.restart()
    assert contender.process is not None
    client = Client(contender.port, login(dataset.OWNER))
    client.call("GET", "/v1/")
    before = _resident(contender.process.pid)
    records = sum(len(page) for page in _pages(client))
    assert records == dataset.SIZES["big"], records
    return _resident(contender.process.pid) - before


def _pages(client: Client) -> Iterable[list[Any]]:
    path: str | None = f"{records_of('big')}?_limit={SYNC_PAGE}"
    while path:
        answer = client.call("GET", path)
        yield answer.json["data"]
        following = answer.headers.get("next-page")
        path = following and "/v1/" + following.split("/v1/", 1)[1]


def _resident(process: int) -> int:
    return sum(psutil.Process(each).memory_info().rss for each in cpu.tree(process))
