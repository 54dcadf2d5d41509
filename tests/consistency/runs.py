"""A run: a server of the test build, writers, pollers and a nemesis, in rounds that end at rest; then the verdict."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.consistency.backends import Backend, DatabaseServer
from tests.consistency.checker import Checker
from tests.consistency.control import Control
from tests.consistency.history import Event, Log, Op, Poll
from tests.consistency.nemesis import Nemesis
from tests.consistency.pollers import STYLES, Poller
from tests.consistency.proxy import Proxy
from tests.consistency.resting import make_world, read_all
from tests.consistency.rules.base import Finding
from tests.consistency.server import BREAK, FAULTS
from tests.consistency.service import Service
from tests.consistency.stage import Stage
from tests.consistency.writers import Writer

ROUND = 20_000
"""Operations until all is at rest and compared."""

DEFECTS = ("never retrieved", "was never awaited", "Exception in", "Exception ignored", "panicked")
"""What Python and the server log of errors that reach nobody."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is made of. `broken`: the switch that breaks the server."""

    backend: Backend
    operations: int
    seed: int
    workers: int = 2
    writers: int = 8
    pollers: int = 4
    kills: int = 20
    broken: str = ""


@dataclass
class Report:
    """What was done, and what was found."""

    history: Path
    seed: int
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    operations: int = 0
    polls: int = 0
    changes: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def see(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, Op):
            self.statuses[event.status] += 1
        elif isinstance(event, Poll):
            self.polls += 1
            self.changes += len(event.changes)

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        faults = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.operations} operations in {self.seconds:.0f} s ({statuses}), {self.polls} polls with "
            f"{self.changes} changes, faults: {faults or 'none'}; {len(self.findings)} findings, seed {self.seed}"
        )


async def run(plan: Plan, folder: Path, progress: Callable[[int], None] = lambda done: None) -> Report:
    """Do a run in an empty folder; its history stays there. Raises what keeps it from going on, as a dead server."""
    report, checker, log = Report(folder / "history.jsonl", plan.seed), Checker(), Log(folder / "history.jsonl")

    def emit(event: Event) -> None:
        log.add(event)
        report.see(event)
        checker.see(event)

    began = time.monotonic()
    try:
        async with _opened(plan, folder, emit) as nemesis:
            await Run(plan, nemesis, checker, progress).rounds()
            report.operations, report.faults = nemesis.stage.operations, nemesis.done
            report.findings = checker.finish()
            report.findings += _defects(nemesis.service.output())
    finally:
        log.close()
        report.seconds = time.monotonic() - began
    return report


class Run:
    """All who take part in a run."""

    def __init__(self, plan: Plan, nemesis: Nemesis, checker: Checker, progress: Callable[[int], None]) -> None:
        self._plan = plan
        self._nemesis = nemesis
        self._checker = checker
        self._progress = progress
        self._stage = stage = nemesis.stage
        self._writers = [Writer(f"w{number}", stage, f"{plan.seed}-w{number}") for number in range(plan.writers)]
        self._pollers = [
            Poller(f"p{number}", STYLES[number % len(STYLES)], stage, f"{plan.seed}-p{number}")
            for number in range(plan.pollers)
        ]

    async def rounds(self) -> None:
        """Do all operations, in rounds that end at rest."""
        await make_world(self._stage)
        faults = self._nemesis.schedule(self._plan.kills)
        while left := self._plan.operations - self._stage.operations:
            share = -(-len(faults) * min(left, ROUND) // left)
            await self._disturbed([faults.pop() for _ in range(share)], min(left, ROUND))
            await self._rest()

    async def _disturbed(self, faults: list[str], operations: int) -> None:
        """Write and poll while there are faults, until so many operations are done."""
        self._stage.operations_left = operations
        polling = [asyncio.create_task(each.run()) for each in self._pollers]
        writing = asyncio.gather(*(each.run() for each in self._writers), self._nemesis.run(faults, operations))
        try:
            while not writing.done():
                await asyncio.wait([writing, *polling], timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
                self._progress(self._stage.operations)
            await writing
        finally:
            await _cancelled([*polling, writing])

    async def _rest(self) -> None:
        """Let every poller come to its end, and read what there is."""
        await make_world(self._stage)
        for each in self._pollers:
            await each.catch_up()
        await read_all(self._stage)


def _defects(output: str) -> list[Finding]:
    """Return what the log says of errors that nobody caught."""
    found = (output.find(sign) for sign in DEFECTS)
    return [Finding("O7", f"the log says: {output[at : at + 3000]}") for at in found if at >= 0]


async def _cancelled(tasks: list[asyncio.Future[None]]) -> None:
    for each in tasks:
        each.cancel()
    for each in tasks:
        with suppress(asyncio.CancelledError):
            await each


@asynccontextmanager
async def _opened(plan: Plan, folder: Path, emit: Callable[[Event], None]) -> AsyncIterator[Nemesis]:
    """Start all that a run needs, and end it after the run."""
    backend = plan.backend
    control = Control(folder / "control")
    hooks = {
        "control": str(folder / "control"),
        "pauses": {p: msgspec.to_builtins(v) for p, v in backend.pauses.items()},
    }
    async with AsyncExitStack() as stack:
        database, proxy, url = await _database(backend, stack)
        environ = {
            **backend.environ(url),
            "KOBAKO_USERID_HMAC_SECRET": "the same after each start",
            FAULTS: json.dumps(hooks),
            BREAK: plan.broken,
        }
        service = Service(folder, "--workers", str(plan.workers), environ=environ)
        stack.callback(service.close)
        if database:
            await service.migrate()
        await service.start()
        stage = Stage(service.port, emit)
        yield Nemesis(folder, backend, stage, service, control, random.Random(plan.seed), database, proxy)


async def _database(backend: Backend, stack: AsyncExitStack) -> tuple[DatabaseServer | None, Proxy | None, str]:
    """Start the server of the database, if it has one, with the proxy before it; return them, and the URL to use."""
    if backend.server is None:
        return None, None, ""
    database = await asyncio.to_thread(backend.server)
    stack.callback(database.remove)
    await asyncio.to_thread(database.start)
    proxy = await stack.enter_async_context(Proxy("127.0.0.1", database.port))
    return database, proxy, database.url().replace(f":{database.port}", f":{proxy.port}", 1)
