"""What a contender is: a server that can be installed, started, filled and asked."""

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.servers.daemon import Daemon
from tests.servers.postgresql import PostgreSQL

from bench.workloads import BY_NAME

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "bench"


class Contender(Daemon):
    """A server program, in a folder of its own. `database` is the PostgreSQL it uses, if any."""

    name: str
    title: str
    database: PostgreSQL | None = None
    only: Collection[str] = tuple(BY_NAME)
    """The workloads it is measured with; those that its requests have no method for are left out, too."""

    requests: Any
    """An object with a method for each workload, which returns the bytes to send; there once it is seeded."""

    def __init__(self) -> None:
        super().__init__(f"bench-{self.name}")

    def install(self) -> None:
        """Install what it needs, if that is not there yet."""

    def prepare(self) -> None:
        """Make what it needs in its folder before it starts."""

    def seed(self) -> None:
        """Fill it with the data (`dataset.py`), while it runs; `requests` are there afterwards."""
        raise NotImplementedError

    def version(self) -> str:
        """Return which version is measured."""
        raise NotImplementedError


def environment(name: str, *packages: str) -> Path:
    """Return the folder with the programs of a virtual environment that has these packages."""
    venv = CACHE / f"venv-{name}"
    wanted, done = "\n".join(packages), venv / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--cache-dir", str(ROOT / ".cache" / "pip"), *packages], check=True)
        done.write_text(wanted)
    return venv / "bin"


def installed(programs: Path, package: str) -> str:
    """Return the version of a package in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([programs / "python", "-c", code], check=True, capture_output=True, text=True).stdout.strip()
