"""What Kobako is to reach: so much of the limit at most, so many times less than others. CPU, server and database."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

Costs = Mapping[tuple[str, str], float]
"""Microseconds of CPU a request, by contender and workload."""

LIMITS = {
    "kobako-sqlite": "limit-sqlite-full",
    "kobako-unkept": "limit-sqlite-full",
    "kobako-postgresql": "limit-postgresql",
    "kobako-postgresql-unkept": "limit-postgresql",
}


class Row(NamedTuple):
    """Factors for a workload, None for no target. The limit is `times` requests of another workload."""

    workload: str
    limit_workload: str
    times: int
    of_limit: float
    pocketbase: float | None
    kinto: float


ROWS = (
    Row("one", "one", 1, 2.0, 4, 25),
    Row("page", "page", 1, 1.5, 6, 20),
    Row("unchanged", "hello", 1, 2.5, None, 30),
    Row("poll", "hello", 1, 2.5, None, 30),
    Row("indexed", "indexed", 1, 2.0, 6, 25),
    Row("post", "post", 1, 2.5, 2.5, 15),
    Row("put", "put", 1, 2.5, 2.5, 15),
    Row("batch", "put", 25, 1.5, 4, 30),
)


PLUGINS = 1.1
"""Times as much as without plugins."""


class Verdict(NamedTuple):
    """One target: `measured` is how many times as much as another it costs (as the limit), or how many times less."""

    workload: str
    contender: str
    other: str
    at_most: bool
    factor: float
    measured: float

    @property
    def is_reached(self) -> bool:
        """Tell whether the target is reached."""
        return self.measured <= self.factor if self.at_most else self.measured >= self.factor


def verdicts(costs: Costs) -> Iterator[Verdict]:
    """Yield the verdicts on what was measured."""
    for workload in ("one", "page"):
        if ratio := _ratio(costs, ("kobako-plugins", workload), ("kobako-sqlite", workload)):
            yield Verdict(workload, "kobako-plugins", "kobako-sqlite", True, PLUGINS, ratio)
    for row in ROWS:
        for own, limit in LIMITS.items():
            if ratio := _ratio(costs, (own, row.workload), (limit, row.limit_workload)):
                yield Verdict(row.workload, own, limit, True, row.of_limit, ratio / row.times)
        writes = ("kobako-sqlite-normal", row.workload) in costs
        for own, other, factor in (
            # PocketBase commits with synchronous NORMAL.
            ("kobako-sqlite-normal" if writes else "kobako-sqlite", "pocketbase", row.pocketbase),
            ("kobako-unkept", "pocketbase", row.pocketbase),
            ("kobako-postgresql", "kinto", row.kinto),
            ("kobako-postgresql-unkept", "kinto", row.kinto),
        ):
            if factor and (ratio := _ratio(costs, (other, row.workload), (own, row.workload))):
                yield Verdict(row.workload, own, other, False, factor, ratio)


def _ratio(costs: Costs, dividend: tuple[str, str], divisor: tuple[str, str]) -> float | None:
    if dividend in costs and divisor in costs:
        return costs[dividend] / costs[divisor]
    return None
