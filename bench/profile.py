"""`python -m bench.profile one put`: flame graphs of Kobako under a workload, in .cache/bench, and its top functions.

With `--keep` the graphs are put into `docs`, and those functions on a page beside them.

Kobako runs on SQLite as it does by default; py-spy looks at its worker from outside, at the threads that run Python:
what SQLite and the event loop do in C is in the function that calls it.
"""

import argparse
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from bench.workloads import BY_NAME

ROOT = Path(__file__).parents[1]
SECONDS = 10
RATE = 400
"""Samples per second."""
TOP = 25


def main() -> None:
    """Profile the workloads that the command line names, one object if it names none."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("workloads", nargs="*", default=["one"])
    parser.add_argument("--keep", action="store_true", help="put graphs and page into docs")
    given = parser.parse_args()
    parts = dict[str, str]()
    os.environ["PYTHONPATH"] = str(ROOT)
    from bench import load, rounds
    from bench.contenders.base import CACHE, environment

    spy = environment("tools", "py-spy") / "py-spy"
    with rounds.started(["kobako-sqlite"]) as (kobako,), ThreadPoolExecutor(1) as pool:
        assert kobako.process is not None
        worker = psutil.Process(kobako.process.pid).children()[0].pid
        for name in given.workloads:
            requests = getattr(kobako.requests, name)()
            asking = pool.submit(load.run, load.Job(kobako.port, requests, 4, SECONDS + 2.0))
            stacks = CACHE / f"profile-{name}.txt"
            _record(spy, worker, "raw", stacks, SECONDS / 2)
            _record(spy, worker, "flamegraph", stacks.with_suffix(".svg"), SECONDS / 2)
            asking.result()
            parts[name] = top(stacks.read_text())
            print(f"\n{name}: {stacks.with_suffix('.svg')}\n{parts[name]}")
        version = kobako.version()
    if given.keep:
        for name in parts:
            # Its title is the command, with the folders of this machine.
            graph = (CACHE / f"profile-{name}.svg").read_text().replace(f"{ROOT}/", "")
            (ROOT / "docs" / f"profile-{name}.svg").write_text(graph)
        (ROOT / "docs" / "profiles.md").write_text(page(parts, version))


def page(parts: Mapping[str, str], version: str) -> str:
    """Return the page that shows the graphs, with the functions in which most time was spent."""
    shown = "\n\n".join(
        f"## {BY_NAME[name].title}\n\n![flame graph](profile-{name}.svg)\n\n```text\n{text}\n```"
        for name, text in parts.items()
    )
    command = f"python -m bench.profile {' '.join(parts)} --keep"
    return f"# Where the time goes\n\nWritten by `{command}`, of {version}.\n{READING}\n{shown}\n"


READING = """
Each box is a function, as wide as the time that a worker spent in it and in what it called; what calls is above what is
called. It is Kobako on SQLite as it starts by default, asked by four connections without a pause. What the event loop
and the HTTP parser do in C is in the function that calls them; what SQLite does is not there, since its driver lets go
of the interpreter meanwhile. In the tables: the percentage of the time that a function itself took, and that with what
it called.
"""


def _record(spy: Path, process: int, format: str, output: Path, seconds: float) -> None:
    command = [spy, "record", "--pid", process, "--format", format, "--output", output]
    options = ["--duration", round(seconds), "--rate", RATE, "--gil"]
    subprocess.run([str(each) for each in (*command, *options)], check=True, capture_output=True)


def top(stacks: str) -> str:
    """Return the functions that most samples were in: themselves, and with what they called, in percent.

    `stacks`: a line for each, ``outer (file:line);inner (file:line) samples``.
    """
    itself: Counter[str] = Counter()
    with_called: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, samples = line.rpartition(" ")
        names = [re.sub(r":\d+\)$", ")", each) for each in frames.split(";")]
        itself[names[-1]] += int(samples)
        for each in set(names):
            with_called[each] += int(samples)
    whole = itself.total()
    lines = [
        f"{100 * own / whole:5.1f} {100 * with_called[name] / whole:5.1f}  {name}"
        for name, own in itself.most_common(TOP)
    ]
    return "\n".join([" self total", *lines])


if __name__ == "__main__":
    main()
