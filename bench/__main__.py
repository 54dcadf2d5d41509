"""`python -m bench`: measure, and write docs/benchmarks.md with its figures and its plot."""

import argparse
import json
import os
import platform
import sys
import time
import timeit
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.figures import Results
    from bench.rounds import Plan

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def main() -> None:
    """Run what the command line asks for."""
    # Servers run in folders of their own, and import the bare applications from here.
    os.environ["PYTHONPATH"] = str(ROOT)
    from bench import contenders, report, rounds
    from bench.workloads import WORKLOADS

    arguments = _arguments([*contenders.NAMES], [each.name for each in WORKLOADS])
    if arguments.again:
        kept = json.loads((arguments.output / "benchmarks.json").read_text())
        _write(report.from_json(kept), kept["about"], arguments.output)
        return
    only = set(arguments.only.replace(",", " ").split())
    if unknown := only - {*contenders.NAMES} - {each.name for each in WORKLOADS}:
        sys.exit(f"{', '.join(sorted(unknown))}: no contender or workload is called so; see --help")
    plan = rounds.Plan(
        [name for name in contenders.NAMES if name in only] or contenders.NAMES,
        [each for each in WORKLOADS if each.name in only] or WORKLOADS,
        1 if arguments.quick else arguments.rounds,
        0.1 if arguments.quick else 0.5,
    )
    results = rounds.measure(plan)
    arguments.output.mkdir(parents=True, exist_ok=True)
    _write(results, _about(plan), arguments.output)
    print(f"Written: {arguments.output / 'benchmarks.md'}", file=sys.stderr)


def _write(results: "Results", about: Mapping[str, str], output: Path) -> None:
    from bench import report, summary

    report.write(results, about, output)
    if output == DOCS:
        summary.write(results, about, ROOT / "README.md")


def _arguments(names: list[str], workloads: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        epilog=f"Contenders: {', '.join(names)}. Workloads: {', '.join(workloads)}.",
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything works")
    parser.add_argument("--only", default="", help="contenders and workloads to choose, between commas [all]")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder for the report [docs]")
    parser.add_argument(
        "--again", action="store_true", help="measure nothing, write the report of what is in the folder"
    )
    return parser.parse_args()


def _about(plan: "Plan") -> dict[str, str]:
    about = about_machine()
    command = " ".join(["python -m bench", *sys.argv[1:]])
    return {**about, "Command": f"`make bench` (`{command}`: {plan.rounds} × {plan.seconds} s)"}


def about_machine() -> dict[str, str]:
    """Return when and where a run was made."""
    interpreter = f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()})"
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()}, Python {platform.python_version()}",
        "Interpreter": f"{interpreter}, {_calls_per_second() / 1e6:.0f} million calls of a function in a second",
        "Load of the machine by others and by this, at the end": f"{os.getloadavg()[2]:.1f}, mean of 15 minutes",
    }


def _calls_per_second() -> float:
    """Return how fast the interpreter is, which is also a matter of how it was built: the best of some attempts."""
    number = 1_000_000
    return number / min(timeit.repeat("f(1)", "def f(x): return x", number=number, repeat=7, timer=time.process_time))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
