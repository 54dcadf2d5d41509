"""A run: contenders are started and filled, their answers checked, and then measured in turns.

A B C, A B C, ...: what else the machine does meanwhile hits all of them alike. Each turn is two measurements: one
connection, by which CPU and latency are told, and several at once, by which throughput is.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.servers.postgresql import PostgreSQL

from bench import contenders, cpu, footprint, load, pgbench
from bench.contenders.base import Contender
from bench.contenders.kobako import KobakoPostgreSQL, KobakoSQLite
from bench.figures import CONNECTIONS, Footprint, Results, Round, of_round
from bench.load import Done, Job
from bench.workloads import SYNC_PAGES_MEASURED, Workload


@dataclass(frozen=True)
class Plan:
    """What is to be measured, how often, and for how long each time."""

    contenders: Sequence[str]
    workloads: Sequence[Workload]
    rounds: int
    seconds: float


def measure(plan: Plan) -> Results:
    """Do the whole run."""
    results = Results()
    with started(plan.contenders) as running, ProcessPoolExecutor(1, get_context("spawn")) as client:
        requests = {each.name: dict(requests_of(each, plan.workloads, client)) for each in running}
        chosen = [each for each in running if each.name in plan.contenders]
        for each in chosen:
            results.titles[each.name], results.versions[each.name] = each.title, each.version()
            results.memory[each.name].append(cpu.memory(_pid(each)))
        scripts = [(each, pgbench.prepare(each)) for each in chosen if type(each) is KobakoPostgreSQL]
        for number in range(plan.rounds):
            tell(f"round {number + 1} of {plan.rounds}")
            for workload in plan.workloads:
                for each in chosen:
                    if asked := requests[each.name].get(workload.name):
                        _turn(each, workload, asked, plan.seconds, number, client, results)
                if workload.name == "put":
                    _pgbench_turn(scripts, results)
        for each in chosen:
            results.memory[each.name].append(cpu.memory(_pid(each)))
        if any(each.name == "sync" for each in plan.workloads):
            results.footprint = _footprint(chosen)
    return results


@contextmanager
def started(names: Sequence[str]) -> Iterator[list[Contender]]:
    """Start contenders and fill them; leave nothing behind."""
    with ExitStack() as stack:
        database = PostgreSQL("max_wal_size=2GB")
        stack.callback(database.remove)
        database.start()
        running = []
        for each in contenders.make(names, database):
            stack.callback(each.remove)
            tell(f"starting and filling {each.name}")
            each.install()
            each.prepare()
            each.start()
            each.seed()
            running.append(each)
        yield running


def requests_of(
    contender: Contender, workloads: Sequence[Workload], client: Executor
) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the requests of the workloads that a contender knows, after it has answered one of each as it should."""
    tell(f"checking the answers of {contender.name}")
    for workload in workloads:
        make = getattr(contender.requests, workload.name, None)
        if make is None or workload.name not in contender.only:
            continue
        requests = make()
        assert not workload.as_a_whole or len(requests) == SYNC_PAGES_MEASURED, f"{len(requests)} pages"
        done = client.submit(load.run, Job(contender.port, requests[-1:], 1, None, keeps_last=True)).result()
        _check(contender, workload, done)
        yield workload.name, requests


def _check(contender: Contender, workload: Workload, done: Done) -> None:
    answer = f"{contender.name}, {workload.name}: {dict(done.statuses)} {done.last[:500]!r}"
    assert not of_round(done, 0, 0).errors, answer
    if workload.records is not None:
        body = json.loads(done.last)
        records = body["items"] if "items" in body else body["data"]
        assert len(records) == workload.records, f"{len(records)} records: {answer}"


def _turn(
    contender: Contender, workload: Workload, requests: list[bytes], seconds: float, number: int, client: Executor,
    results: Results,
) -> None:  # fmt: skip
    for connections in CONNECTIONS:
        # Not the same requests first each time; pages of a whole are read once each.
        first = number * 7919
        job = Job(contender.port, requests, connections, None if workload.as_a_whole else seconds, first,
                  looks_inside=workload.name == "batch")  # fmt: skip
        results.rounds[contender.name, workload.name, connections].append(measured(contender, job, client))


def _pgbench_turn(scripts: Sequence[tuple[KobakoPostgreSQL, Path]], results: Results) -> None:
    for kobako, script in scripts:
        for connections in CONNECTIONS:
            results.pgbench[connections].append(pgbench.per_second(kobako, script, connections))


def _footprint(chosen: Sequence[Contender]) -> Footprint | None:
    synced = [each for each in chosen if isinstance(each, KobakoPostgreSQL | KobakoSQLite)]
    if not synced:
        return None
    tell("starting and synchronising")
    return footprint.measure(synced)


def measured(contender: Contender, job: Job, client: Executor) -> Round:
    """Have a client do a job, and return what it has cost the contender and its database."""
    roots = [_pid(contender), *([_pid(contender.database)] if contender.database else [])]
    before = [cpu.read(root) for root in roots]
    done = client.submit(load.run, job).result()
    server_s, *database_s = (cpu.spent(then, cpu.read(root)) for then, root in zip(before, roots, strict=True))
    return of_round(done, server_s, sum(database_s))


def _pid(server: Contender | PostgreSQL) -> int:
    assert server.process is not None
    return server.process.pid


def tell(text: str) -> None:
    """Say how far a run has come."""
    print(text, file=sys.stderr, flush=True)
