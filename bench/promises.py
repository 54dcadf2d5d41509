"""What Kobako is to hold besides costs: writers at the same time, start and memory. Tables of the report."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Final

from bench.figures import CONNECTIONS, Footprint, Results, rounded
from bench.tables import table

ONE, SEVERAL = CONNECTIONS

SQLITE, POSTGRESQL = "kobako-sqlite", "kobako-postgresql"

TIMES_ONE_WRITER = 3.0
PART_OF_PGBENCH = 0.5
START_S, IDLE_BYTES, GROWTH_BYTES = 1.0, 80e6, 20e6

Rates = Mapping[int, float]
"""Writes per second by connections."""


WRITERS: Final = """\
PUTs per second, all to one list, as the client sees them. pgbench has no HTTP, no JSON and no Python. A PUT of Kobako
on PostgreSQL is done if nobody else has written meanwhile: of the 16 connections of pgbench most come too late, and
what counts is what they wrote; in Kobako those that come at once write together."""


def sections(results: Results) -> Iterator[str]:
    """Yield the parts of the page, as far as they were measured."""
    if any(workload == "put" for _, workload, _ in results.rounds):
        yield "## Concurrent writers"
        yield WRITERS
        yield writers(results)
    if results.footprint:
        yield "## Start and memory"
        yield footprint(results.footprint, results.titles)


def writers(results: Results) -> str:
    """Return the table of writers to one list: each PUT replaces one record."""
    pgbench = {by: median(rates) for by, rates in results.pgbench.items()}
    rows = list(_writer_rows(results, pgbench))
    if pgbench:
        rows.append(["pgbench, the same statements", *_told(pgbench), "", "", ""])
    return table(("", "one", f"{SEVERAL}", "target", "measured", ""), rows)


def _writer_rows(results: Results, pgbench: Rates) -> Iterator[list[str]]:
    for name in (SQLITE, POSTGRESQL):
        rates = {by: _rate(results, name, by) for by in CONNECTIONS if (name, "put", by) in results.rounds}
        if not rates:
            continue
        verdict = ["", "", ""]
        if name == SQLITE:
            target = f"≥ {TIMES_ONE_WRITER:g} × one connection"
            verdict = [target, *_at_least(rates[SEVERAL] / rates[ONE], TIMES_ONE_WRITER)]
        elif pgbench:
            # Of several that write if nobody else has, most have to do it again: one alone may be the faster.
            target = f"≥ {PART_OF_PGBENCH:g} × pgbench, one or 16"
            verdict = [target, *_at_least(rates[SEVERAL] / max(pgbench.values()), PART_OF_PGBENCH)]
        yield [results.titles[name], *_told(rates), *verdict]


def _rate(results: Results, name: str, connections: int) -> float:
    return median(each.per_second for each in results.rounds[name, "put", connections])


def _told(rates: Rates) -> list[str]:
    return [rounded(rates[by]) for by in CONNECTIONS]


def _at_least(measured: float, bound: float) -> tuple[str, str]:
    return f"{measured:.2f}", "reached" if measured >= bound else "**missed**"


def footprint(found: Footprint, titles: Mapping[str, str]) -> str:
    """Return the table of start and memory: medians, but the most of what was measured at rest."""
    rows = [
        _bounded("from `kobako start` to the first answer, in an empty folder", median(found.starts_s), START_S, "s"),
        _bounded("an idle worker", max(found.idle_bytes) / 1e6, IDLE_BYTES / 1e6, "MB"),
    ]
    for name, size in found.grown_bytes.items():
        what = f"grown by reading 100,000 records, pages of 1,000: {titles[name]}"
        rows.append(_bounded(what, size / 1e6, GROWTH_BYTES / 1e6, "MB"))
    return table(("", "target", "measured", ""), rows)


def _bounded(what: str, measured: float, bound: float, unit: str) -> list[str]:
    return [what, f"< {bound:g} {unit}", f"{measured:.3g} {unit}", "reached" if measured < bound else "**missed**"]
