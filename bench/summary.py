"""The figures that the README shows: five workloads of a run, beside the others. Written by `make bench`, too."""

import re
from collections.abc import Mapping
from pathlib import Path

from bench.figures import CONNECTIONS, Results, figure, rounded
from bench.tables import table
from bench.workloads import BY_NAME

SHOWN = ("one", "page", "poll", "indexed", "put")
BESIDE = ("kobako-sqlite", "kobako-unkept", "pocketbase", "kobako-postgresql", "kinto", "limit-sqlite-full")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def section(results: Results, about: Mapping[str, str]) -> str:
    """Return the table, with when, where and how it was measured."""
    one = CONNECTIONS[0]
    shown = [name for name in BESIDE if name in results.titles]
    rows = []
    for workload in SHOWN:
        found = [results.rounds.get((name, workload, one)) for name in shown]
        cells = [rounded(figure([each.cpu_us for each in rounds]).median) if rounds else "-" for rounds in found]
        rows.append((BY_NAME[workload].title, *cells))
    told = f"{about['Date']}; {about['Machine']}; {about['Command']}."
    return "\n\n".join([table(("", *(results.titles[name] for name in shown)), rows), told])


def write(results: Results, about: Mapping[str, str], readme: Path) -> None:
    """Put the table between its marks; a run of some contenders only leaves it as it is."""
    if not results.titles.keys() >= {*BESIDE}:
        return
    text = readme.read_text()
    marked = f"{BEGIN}\n\n{section(results, about)}\n\n{END}"
    readme.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: marked, text, flags=re.DOTALL))
