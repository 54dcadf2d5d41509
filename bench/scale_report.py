"""What a run of `bench.scale` leaves: docs/scale.md, .json and .svg."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import curves
from bench.figures import Figure, Round, figure, rounded
from bench.report import cpu_cell
from bench.tables import table
from bench.workloads import BY_NAME

RECORDS, COLLECTIONS = "records in a collection", "collections of 100 records"
BACKENDS = ("SQLite", "PostgreSQL")

MOST = 1.3
FLAT = ("one", "page")
"""What may cost, with the most records, MOST times of what it costs with the fewest."""

Place = tuple[str, str, int]
"""Axis, backend, size."""


@dataclass
class Growth:
    """What was measured by axis, backend, size and workload; how large the databases are on disk, in bytes."""

    rounds: dict[tuple[str, str, int, str], list[Round]] = field(default_factory=lambda: defaultdict(list))
    bytes: dict[Place, int] = field(default_factory=dict)

    def sizes(self, axis: str) -> list[int]:
        """Return where an axis was measured."""
        return sorted({size for name, _, size, _ in self.rounds if name == axis})

    def figures(self, axis: str, backend: str, workload: str) -> dict[int, Figure]:
        """Return the CPU time a request by size: server and database, microseconds."""
        return {
            size: figure([each.cpu_us for each in self.rounds[axis, backend, size, workload]])
            for size in self.sizes(axis)
        }

    def lines(self, axis: str) -> Iterator[tuple[str, str]]:
        """Yield workloads and backends, in the order of tables."""
        workloads = dict.fromkeys(workload for name, _, _, workload in self.rounds if name == axis)
        return ((workload, backend) for workload in workloads for backend in BACKENDS)


READING = """
Each size is a database of its own with a Kobako of its own, one worker; all are measured in turns, and a figure is the
median of the rounds. Records have about 300 bytes of JSON, and belong to who asks. The requests of a kind are up to
1,000 different ones, spread over all that there is; each was asked once before, and no answers are kept
(`kobako.kept_answers_bytes = 0`), which would not show what grows. The filter is for a field with a declared index, and
finds 10 records whatever the size. PostgreSQL is as it comes (128 MB of buffers), and what its processes take is added
to what Kobako takes.
"""


def write(growth: Growth, about: Mapping[str, str], folder: Path) -> None:
    """Write the three files; `about` is what is said of the run."""
    text = json.dumps(as_json(growth, about), ensure_ascii=False).replace('{"axis"', '\n{"axis"')
    (folder / "scale.json").write_text(text + "\n")
    (folder / "scale.svg").write_text(curves.draw("CPU time per request, server and database", _panels(growth)))
    (folder / "scale.md").write_text(as_markdown(growth, about))


def as_json(growth: Growth, about: Mapping[str, str]) -> dict[str, Any]:
    """Return all that was measured."""
    measured = [
        {
            "axis": axis,
            "backend": backend,
            "size": size,
            "workload": workload,
            "rounds": [_kept(each) for each in found],
        }
        for (axis, backend, size, workload), found in growth.rounds.items()
    ]
    on_disk = [
        {"axis": axis, "backend": backend, "size": size, "bytes": count}
        for (axis, backend, size), count in growth.bytes.items()
    ]
    return {"about": dict(about), "measured": measured, "on_disk": on_disk}


def _kept(each: Round) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(each).items()}


def from_json(kept: Mapping[str, Any]) -> Growth:
    """Return what `as_json` has kept."""
    growth = Growth()
    for each in kept["measured"]:
        key = each["axis"], each["backend"], each["size"], each["workload"]
        growth.rounds[key] = [Round(**one) for one in each["rounds"]]
    for each in kept["on_disk"]:
        growth.bytes[each["axis"], each["backend"], each["size"]] = each["bytes"]
    return growth


def as_markdown(growth: Growth, about: Mapping[str, str]) -> str:
    """Return the page."""
    sections = [
        "# Scale",
        "Written by `make scale`: run it again, do not edit it. All rounds are in [scale.json](scale.json).",
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "![CPU time per request as the data grows](scale.svg)",
        READING.strip(),
    ]
    for axis in _axes(growth):
        sections += [
            f"## By {axis}",
            "Microseconds of CPU time a request: server, + database; ± is half of the distance between least and most.",
            _table(growth, axis),
        ]
    sections += ["## Target", _targets(growth), "## Size on disk", "MB.", _sizes_on_disk(growth)]
    return "\n\n".join(sections) + "\n"


def _axes(growth: Growth) -> Sequence[str]:
    return [each for each in (RECORDS, COLLECTIONS) if growth.sizes(each)]


def _table(growth: Growth, axis: str) -> str:
    sizes = growth.sizes(axis)
    rows = [
        [BY_NAME[workload].title, backend, *(cpu_cell(growth.rounds[axis, backend, size, workload]) for size in sizes)]
        for workload, backend in growth.lines(axis)
    ]
    return table(("", "", *(f"{size:,}" for size in sizes)), rows)


def _targets(growth: Growth) -> str:
    if len(sizes := growth.sizes(RECORDS)) < 2:
        return "Measured with one size only."
    first, last = sizes[0], sizes[-1]
    rows = []
    for workload, backend in growth.lines(RECORDS):
        if workload in FLAT:
            found = growth.figures(RECORDS, backend, workload)
            ratio = found[last].median / found[first].median
            verdict = "reached" if ratio <= MOST else "**missed**"
            rows.append([BY_NAME[workload].title, backend, f"≤ {MOST} ×", f"{ratio:.2f}", verdict])
    told = f"What is paid with {last:,} records, in parts of what is paid with {first:,}."
    return f"{told}\n\n" + table(("", "", "target", "measured", ""), rows)


def _sizes_on_disk(growth: Growth) -> str:
    rows = [
        [f"{size:,} {axis}", *(rounded(growth.bytes[axis, backend, size] / 1e6) for backend in BACKENDS)]
        for axis in _axes(growth)
        for size in growth.sizes(axis)
    ]
    return table(("", *BACKENDS), rows)


def _panels(growth: Growth) -> Mapping[str, curves.Lines]:
    return {
        axis: {
            (BY_NAME[workload].title, backend): growth.figures(axis, backend, workload)
            for workload, backend in growth.lines(axis)
        }
        for axis in _axes(growth)
    }
