"""The nemesis: does to the server what happens to servers, at moments spread over the operations of a run.

Source: reliability, section 3, B.
"""

import asyncio
import random
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.consistency.backends import Backend, DatabaseServer
from tests.consistency.control import Control
from tests.consistency.history import Fault
from tests.consistency.hooks import POINTS
from tests.consistency.proxy import Proxy
from tests.consistency.service import Service
from tests.consistency.stage import Stage
from tests.consistency.writers import Writer

HOUR_MS = 3_600_000


@dataclass
class Nemesis:
    """What it can reach, and what it has done: by kind."""

    folder: Path
    backend: Backend
    stage: Stage
    service: Service
    control: Control
    random: random.Random
    database: DatabaseServer | None = None
    proxy: Proxy | None = None
    done: Counter[str] = field(default_factory=Counter)

    def schedule(self, kills: int) -> list[str]:
        """Return so many kills, each kind in its share, and half as many other faults, in a random order."""
        killing = [each for each in self.backend.faults if each in KILLS]
        others = [each for each in self.backend.faults if each not in KILLS]
        chosen = [killing[number % len(killing)] for number in range(kills)]
        chosen += [others[number % len(others)] for number in range(kills // 2)]
        self.random.shuffle(chosen)
        return chosen

    async def run(self, kinds: list[str], operations: int) -> None:
        """Do faults, one after the other, spread evenly over the next operations."""
        first = self.stage.operations
        for number, kind in enumerate(kinds, 1):
            await self.stage.reach(first + operations * number // (len(kinds) + 1))
            await self.do(kind)

    async def do(self, kind: str) -> None:
        """Do a fault and put it right; it is noted, however it ends."""
        start, problem = self.stage.now(), None
        try:
            problem = await FAULTS[kind](self)
        finally:
            self.done[kind] += 1
            self.stage.emit(Fault(start=start, end=self.stage.now(), kind=kind, problem=problem or ""))

    async def a_while(self, shortest_s: float, longest_s: float) -> None:
        """Let a fault last."""
        await asyncio.sleep(self.random.uniform(shortest_s, longest_s))

    def worker(self) -> psutil.Process | None:
        """Return any worker, None while all are being replaced."""
        workers = self.service.workers()
        return self.random.choice(workers) if workers else None


async def kill_worker(nemesis: Nemesis) -> None:
    """Kill a worker; the master replaces it."""
    if worker := nemesis.worker():
        worker.kill()


async def kill_at_point(nemesis: Nemesis) -> None:
    """Have the next worker killed that comes by a point of the walk: with its locks, or between COMMIT and answer."""
    nemesis.control.kills_at = nemesis.random.randint(1, len(POINTS))
    await nemesis.a_while(0.3, 1)
    nemesis.control.kills_at = 0


async def kill_master(nemesis: Nemesis) -> str | None:
    """Kill the master alone; its workers end by themselves, and all is started again."""
    left = await asyncio.to_thread(nemesis.service.kill_master)
    if left:
        nemesis.service.kill_all()
    await nemesis.service.start()
    return f"{left} workers outlived their master" if left else None


async def stop(nemesis: Nemesis) -> str | None:
    """Stop the server as an operator does, and start it again."""
    status = await asyncio.to_thread(nemesis.service.stop)
    await nemesis.service.start()
    return f"exit status {status} after SIGTERM" if status else None


async def kill_everything(nemesis: Nemesis) -> None:
    """Kill all processes of the server at once, and start it again."""
    nemesis.service.kill_all()
    await nemesis.service.start()


async def freeze_worker(nemesis: Nemesis) -> None:
    """Stop a worker for some time, wherever it is: a lock that it has stays locked."""
    if worker := nemesis.worker():
        worker.suspend()
        try:
            await nemesis.a_while(0.2, 1.5)
        finally:
            worker.resume()


async def move_clock(nemesis: Nemesis) -> None:
    """Set the server's clock forward or back by an hour, and right again."""
    nemesis.control.clock_ms = nemesis.random.choice([-HOUR_MS, HOUR_MS])
    await nemesis.a_while(0.2, 1)
    nemesis.control.clock_ms = 0


async def fill_disk(nemesis: Nemesis) -> None:
    """Let the database not grow any more, and use up the room that is left in it."""
    writer = Writer("nemesis", nemesis.stage, f"{nemesis.random.random()}")
    nemesis.control.disk_is_full = 1
    await writer.fill()
    await nemesis.a_while(0.1, 0.5)
    nemesis.control.disk_is_full = 0
    await writer.clear()


async def limit_files(nemesis: Nemesis) -> None:
    """Let no file of the workers grow much: a write in the middle of the log stops short, with an error (EFBIG)."""
    size = max(each.stat().st_size for each in nemesis.folder.glob("*.db-wal")) + nemesis.random.randrange(50_000)
    workers = nemesis.service.workers()
    _limit(workers, size)
    await nemesis.a_while(0.2, 1)
    _limit(workers, resource.RLIM_INFINITY)


def _limit(workers: list[psutil.Process], size: int) -> None:
    for each in workers:
        with suppress(psutil.NoSuchProcess):
            each.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def restart_database(nemesis: Nemesis) -> None:
    """Kill the database with all its processes, and start it again."""
    assert nemesis.database is not None
    await asyncio.to_thread(nemesis.database.kill)
    await nemesis.a_while(0, 0.5)
    await asyncio.to_thread(nemesis.database.start)


async def kill_backend(nemesis: Nemesis) -> None:
    """Kill one process of the database that serves a connection; PostgreSQL ends all others, and recovers."""
    assert nemesis.database is not None
    assert nemesis.database.process is not None
    children = psutil.Process(nemesis.database.process.pid).children()
    if serving := [each for each in children if "127.0.0.1" in " ".join(each.cmdline())]:
        nemesis.random.choice(serving).kill()


async def cut(nemesis: Nemesis) -> None:
    """Cut every connection to the database."""
    assert nemesis.proxy is not None
    nemesis.proxy.cut()


async def cut_at_commit(nemesis: Nemesis) -> None:
    """Cut a connection at a COMMIT, just before or after it is passed on."""
    assert nemesis.proxy is not None
    nemesis.proxy.cut_at(nemesis.backend.commit, arrives=nemesis.random.random() < 0.5)
    await nemesis.a_while(0.1, 0.3)


async def delay(nemesis: Nemesis) -> None:
    """Slow down every message to and from the database."""
    assert nemesis.proxy is not None
    nemesis.proxy.delay_s = nemesis.random.uniform(0.005, 0.05)
    await nemesis.a_while(0.2, 1)
    nemesis.proxy.delay_s = 0.0


async def hold(nemesis: Nemesis) -> None:
    """Pass nothing to or from the database for a time, as when a cable is out."""
    assert nemesis.proxy is not None
    nemesis.proxy.hold()
    await nemesis.a_while(0.2, 2)
    nemesis.proxy.release()


KILLS: dict[str, Callable[[Nemesis], Awaitable[str | None]]] = {
    "worker": kill_worker,
    "point": kill_at_point,
    "master": kill_master,
    "everything": kill_everything,
    "database": restart_database,
    "backend": kill_backend,
}
FAULTS: dict[str, Callable[[Nemesis], Awaitable[str | None]]] = {
    **KILLS,
    "stop": stop,
    "freeze": freeze_worker,
    "clock": move_clock,
    "disk_full": fill_disk,
    "file_limit": limit_files,
    "cut": cut,
    "cut_at_commit": cut_at_commit,
    "delay": delay,
    "hold": hold,
}
