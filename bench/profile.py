"""`python -m bench.profile one put`: flame graphs of Kobako under a workload, in .cache/bench, and its top functions.

Kobako runs on SQLite as it does by default; py-spy looks at its worker from outside, at the threads that run Python:
what SQLite and the event loop do in C is in the function that calls it.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
SECONDS = 10
RATE = 400
"""Samples per second."""
TOP = 25


def main() -> None:
    """Profile the workloads that the command line names, one object if it names none."""
    os.environ["PYTHONPATH"] = str(ROOT)
    from bench import load, rounds
    from bench.contenders.base import CACHE, environment

    spy = environment("tools", "py-spy") / "py-spy"
    with rounds.started(["kobako-sqlite"]) as (kobako,), ThreadPoolExecutor(1) as pool:
        assert kobako.process is not None
        worker = psutil.Process(kobako.process.pid).children()[0].pid
        for name in sys.argv[1:] or ["one"]:
            requests = getattr(kobako.requests, name)()
            asking = pool.submit(load.run, load.Job(kobako.port, requests, 4, SECONDS + 2.0))
            stacks = CACHE / f"profile-{name}.txt"
            _record(spy, worker, "raw", stacks, SECONDS / 2)
            _record(spy, worker, "flamegraph", stacks.with_suffix(".svg"), SECONDS / 2)
            asking.result()
            print(f"\n{name}: {stacks.with_suffix('.svg')}\n{top(stacks.read_text())}")


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
