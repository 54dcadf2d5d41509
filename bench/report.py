"""What a run leaves: docs/benchmarks.md, .json and .svg."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import plot, promises, targets
from bench.figures import CONNECTIONS, Figure, Footprint, Results, Round, figure, rounded
from bench.tables import table
from bench.workloads import BY_NAME, WORKLOADS, Workload

ONE, SEVERAL = CONNECTIONS

Rounds = Sequence[Round]

READING = """
How to read it: what counts is the CPU time that a request costs, in the server's processes and in its database's, as
that is what a machine has a fixed amount of; it also varies less than wall time when others use the machine.
Contenders take turns in each round, so that noise hits all of them alike; a figure is the median of the rounds, and
± is half of the distance between the least and the greatest. Throughput is what the client saw: it shares the two
cores with the servers, PocketBase uses both, Kinto has two processes, Kobako and the limit one.

- **The limit** is a bare ASGI application on the same server (uvicorn, uvloop) with prepared statements: no routes, no
  users, no permissions, no log. Nothing built this way can be faster. A 304 and a poll are compared with its `hello`.
- **Kobako** runs as `kobako start` does without any configuration, with a line of log for each request; the columns
  "NORMAL" (less durable, as PocketBase is) and "no request log" show what these cost. "All plugins" are those that
  need no other server: default bucket, accounts (asked first who it is), history, quotas, attachments, flush, counters
  and user data.
- Of each kind there are up to 1,000 different requests, which are sent in turn. Kobako gives an answer again as
  long as nothing was committed that concerns it, so these find most answers ready; "no answers kept" has each worked
  out anew (`kobako.kept_answers_bytes = 0`): that is what a request costs which nobody sent since a change.
- Before the PUTs of a round the batches of the last one have written the list, and before the PATCHes pgbench has: who
  then writes on PostgreSQL reads each object once. With 16 connections most were read in the same round.
- **Kinto** and **PocketBase** have no request log here. PocketBase has no ETags, and for PUT gets all fields by PATCH;
  an empty list it answers late on purpose, which is no CPU time.
- "Filter, declared index" is the same filter on a field that has an index, but in Kinto, where none can be declared.
- All but PocketBase and the databases are Python, and as fast as their interpreter: one that was built without
  profile-guided optimization, as some version managers build it, takes about a fifth longer than that of a
  distribution or an official image. `make PYTHON=... bench` chooses it.
- The data: 10,000 records of about 300 bytes in a collection, 100,000 in the one that is synchronised. Whoever asks
  owns them; "list, 1 % readable" is asked by a user who may read every hundredth record of 10,000.
- The database keeps what it has acknowledged through a loss of power: PostgreSQL as it comes, SQLite with
  synchronous FULL where the column says so.
"""


def write(results: Results, about: Mapping[str, str], folder: Path) -> None:
    """Write the three files; `about` is what is said of the run: date, machine, command."""
    # A line for each list, so that a new run shows what has changed.
    text = json.dumps(as_json(results, about), ensure_ascii=False).replace('{"contender"', '\n{"contender"')
    (folder / "benchmarks.json").write_text(text + "\n")
    (folder / "benchmarks.svg").write_text(
        plot.draw(
            _figures(results, ONE),
            results.titles,
            {each.name: each.title for each in _workloads(results)},
            "CPU time per request, server and database (less is better)",
        )
    )
    (folder / "benchmarks.md").write_text(as_markdown(results, about))


def as_json(results: Results, about: Mapping[str, str]) -> dict[str, Any]:
    """Return all that was measured, each round by itself."""
    measured = [
        {"contender": contender, "workload": workload, "connections": by, "rounds": [_kept(each) for each in rounds]}
        for (contender, workload, by), rounds in results.rounds.items()
    ]
    by_contender = {"titles": results.titles, "versions": results.versions, "memory": results.memory}
    once = {"pgbench": results.pgbench, "footprint": results.footprint and asdict(results.footprint)}
    return {"about": dict(about), **by_contender, **once, "measured": measured}


def _kept(each: Round) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(each).items()}


def from_json(kept: Mapping[str, Any]) -> Results:
    """Return the results that `as_json` has kept."""
    results = Results(kept["titles"], kept["versions"], memory=kept["memory"])
    # JSON has no numbers for keys.
    results.pgbench.update({int(connections): rates for connections, rates in kept["pgbench"].items()})
    results.footprint = Footprint(**kept["footprint"]) if kept["footprint"] else None
    for each in kept["measured"]:
        key = each["contender"], each["workload"], each["connections"]
        results.rounds[key] = [Round(**one) for one in each["rounds"]]
    return results


def as_markdown(results: Results, about: Mapping[str, str]) -> str:
    """Return the page."""
    sections = [
        "# Benchmarks",
        "Written by `make bench`: run it again, do not edit it. All rounds are in [benchmarks.json](benchmarks.json).",
        "\n".join(f"- {name}: {value}" for name, value in {**about, **_versions(results)}.items()),
        "![CPU time per request](benchmarks.svg)",
        READING.strip(),
        "## CPU time per request",
        "Microseconds, one connection: server, + database where it is a process of its own.",
        _table(results, ONE, cpu_cell),
        "## Targets",
        f"By the medians with one connection, and with {SEVERAL}; reached is what is reached with both.",
        table(("", "", "compared with", "target", "one", f"{SEVERAL}", ""), _target_rows(results)),
        f"## Throughput, {SEVERAL} connections",
        "Requests per second; in brackets p50 / p99 in milliseconds.",
        _table(results, SEVERAL, _throughput_cell),
        "## Latency, one connection",
        "p50 / p99 in milliseconds.",
        _table(results, ONE, _latency_cell),
        f"## CPU time per request, {SEVERAL} connections",
        "Microseconds, as above: writers that wait share a commit in Kobako on SQLite.",
        _table(results, SEVERAL, cpu_cell),
        *promises.sections(results),
        "## Memory",
        "MB resident in the server's processes, without the database's: after it was filled, and after all rounds.",
        table(("", "before", "after"), _memory_rows(results)),
        "## Errors",
        _errors(results),
    ]
    return "\n\n".join(sections) + "\n"


def _versions(results: Results) -> dict[str, str]:
    return {results.titles[name]: version for name, version in results.versions.items()}


def _workloads(results: Results) -> list[Workload]:
    measured = {workload for _, workload, _ in results.rounds}
    return [each for each in WORKLOADS if each.name in measured]


def _figures(results: Results, connections: int) -> dict[tuple[str, str], Figure]:
    return {
        (contender, workload): figure([each.cpu_us for each in rounds])
        for (contender, workload, by), rounds in results.rounds.items()
        if by == connections
    }


def _table(results: Results, connections: int, cell: Callable[[Rounds], str]) -> str:
    rows = []
    for workload in _workloads(results):
        found = [results.rounds.get((name, workload.name, connections)) for name in results.titles]
        rows.append([workload.title, *(cell(each) if each else "-" for each in found)])
    return table(("", *results.titles.values()), rows)


def cpu_cell(rounds: Rounds) -> str:
    """Return what a request has cost: server, + database, and the spread of both."""
    server, database = (figure([getattr(each, name) for each in rounds]) for name in ("server_us", "database_us"))
    whole = figure([each.cpu_us for each in rounds])
    told = rounded(server.median) + (f" + {rounded(database.median)}" if database.median else "")
    return f"{told} ±{whole.spread:.0%}"


def _throughput_cell(rounds: Rounds) -> str:
    return f"{rounded(figure([each.per_second for each in rounds]).median)} ({_latency_cell(rounds)})"


def _latency_cell(rounds: Rounds) -> str:
    p50, p99 = (figure([getattr(each, name) for each in rounds]) for name in ("p50_ms", "p99_ms"))
    return f"{rounded(p50.median)} / {rounded(p99.median)}"


def _target_rows(results: Results) -> Iterable[tuple[str, ...]]:
    for each, loaded in zip(_verdicts(results, ONE), _verdicts(results, SEVERAL), strict=True):
        sign, unit = ("≤", "×") if each.at_most else ("≥", "× less")
        own, other = results.titles[each.contender], results.titles[each.other]
        told = f"{sign} {each.factor:g} {unit}", f"{each.measured:.2f}", f"{loaded.measured:.2f}"
        reached = "reached" if each.is_reached and loaded.is_reached else "**missed**"
        yield BY_NAME[each.workload].title, own, other, *told, reached


def _verdicts(results: Results, connections: int) -> Iterable[targets.Verdict]:
    return targets.verdicts({key: each.median for key, each in _figures(results, connections).items()})


def _memory_rows(results: Results) -> Iterable[tuple[str, ...]]:
    for name, sizes in results.memory.items():
        yield results.titles[name], *(f"{size / 1e6:.0f}" for size in sizes)


def _errors(results: Results) -> str:
    lines = []
    for (contender, workload, connections), rounds in results.rounds.items():
        if errors := sum(each.errors for each in rounds):
            of = sum(each.requests for each in rounds)
            lines.append(f"- {results.titles[contender]}, {BY_NAME[workload].title}, {connections} connections: "
                         f"{errors:,} in {of:,} requests")  # fmt: skip
    return "\n".join(lines) or "No request failed, and no part of a batch."
