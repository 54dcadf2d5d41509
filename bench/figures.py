"""What was measured, as numbers: one Round at a time, all Results, and medians with their spread."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.load import Done

GOOD = (200, 201, 304)

CONNECTIONS = (1, 16)
"""Everything is measured with each of them."""


@dataclass(frozen=True)
class Round:
    """One contender under one workload, once. CPU in microseconds a request, latencies in milliseconds."""

    server_us: float
    database_us: float
    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int

    @property
    def cpu_us(self) -> float:
        """Server and database."""
        return self.server_us + self.database_us


Key = tuple[str, str, int]
"""Contender, workload, connections."""


@dataclass
class Footprint:
    """Of each start: seconds to the first answer, memory of the worker. By contender: what a synchronisation adds."""

    starts_s: list[float]
    idle_bytes: list[int]
    grown_bytes: dict[str, int]


@dataclass
class Results:
    """All that a run has found out, by contenders. Memory in bytes: once filled, and after the last round.

    `pgbench`: PUTs per second by connections, of each round.
    """

    titles: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    rounds: dict[Key, list[Round]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    pgbench: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    footprint: Footprint | None = None


def of_round(done: Done, server_s: float, database_s: float) -> Round:
    """Return the figures of what a client has done, and of the CPU seconds that it took."""
    requests = len(done.latencies)
    latencies = sorted(done.latencies)
    return Round(
        server_us=server_s / requests * 1e6,
        database_us=database_s / requests * 1e6,
        per_second=requests / done.seconds,
        p50_ms=percentile(latencies, 50) * 1e3,
        p99_ms=percentile(latencies, 99) * 1e3,
        requests=requests,
        errors=done.failed_parts + sum(n for status, n in done.statuses.items() if status not in GOOD),
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the least value that so many percent of the values do not exceed.

    >>> percentile([1, 2, 3, 4], 50), percentile([1, 2, 3, 4], 99), percentile([7], 50)
    (2, 4, 7)
    """
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True)
class Figure:
    """The median of several rounds, and the least and the greatest of them."""

    median: float
    least: float
    most: float

    @property
    def spread(self) -> float:
        """Half of the distance between least and greatest, as a part of the median."""
        return (self.most - self.least) / 2 / self.median if self.median else 0.0


def figure(values: Sequence[float]) -> Figure:
    """Return the figure of some rounds.

    >>> figure([4.0, 1.0, 2.0])
    Figure(median=2.0, least=1.0, most=4.0)
    """
    return Figure(median(values), min(values), max(values))


def rounded(value: float) -> str:
    """Return a number as a table has it: three digits that count.

    >>> rounded(0.1234), rounded(1.0), rounded(86.44), rounded(5512.0), rounded(0.0)
    ('0.123', '1.00', '86.4', '5,510', '0')
    """
    if value == 0:
        return "0"
    if value >= 100:
        digits = len(str(int(value))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.2f}" if 1 <= value < 10 else f"{value:.3g}"
