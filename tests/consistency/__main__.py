"""Run the oracle from the command line; ends with 1 when something was found.

python -m tests.consistency --backend sqlite --operations 500000 --workers 4 --kills 100 --seed 1
python -m tests.consistency --check .cache/consistency/sqlite-seed-1-abc/history.jsonl
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.consistency.backends import BACKENDS
from tests.consistency.breaks import SWITCHES
from tests.consistency.checker import check_file
from tests.consistency.runs import Plan, Report, run


def main() -> None:
    """Do what the command line asks for."""
    options = _parser().parse_args()
    if options.check:
        findings = check_file(options.check)
        print(*findings, f"{len(findings)} findings in {options.check}", sep="\n")
        sys.exit(bool(findings))
    plan = Plan(
        backend=BACKENDS[options.backend],
        operations=options.operations,
        seed=options.seed,
        workers=options.workers,
        writers=options.writers,
        pollers=options.pollers,
        kills=options.kills,
        broken=options.broken,
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{options.backend}-seed-{options.seed}-"
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=options.folder)).absolute()
    print(f"seed {options.seed}, history in {folder}", flush=True)
    # The servers of a run are ended by whoever ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = _shown(plan, folder)
    print(*report.findings, report, sep="\n")
    sys.exit(bool(report.findings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Look for missed changes and lost writes in a real server.")
    parser.add_argument("--backend", choices=BACKENDS, default="sqlite")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2, help="processes of the server")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--pollers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, default=Path(".cache/consistency"))
    parser.add_argument("--broken", choices=SWITCHES, default="", help="break the server on purpose")
    parser.add_argument("--check", type=Path, metavar="HISTORY", help="only judge a history that was kept")
    return parser


def _shown(plan: Plan, folder: Path) -> Report:
    """Do a run; in a terminal, show how far it is."""
    if not sys.stdout.isatty():
        return asyncio.run(run(plan, folder))
    from rich.progress import Progress

    with Progress() as progress:
        task = progress.add_task(f"{plan.backend.name}, seed {plan.seed}", total=plan.operations)
        return asyncio.run(run(plan, folder, lambda done: progress.update(task, completed=done)))


if __name__ == "__main__":
    main()
