"""A real memcached for tests: that of the machine, or the program named by KOBAKO_TEST_MEMCACHED.

Where there is neither, and the system has Debian's packages, they are unpacked into the folder .cache, once.
"""

import fcntl
import os
import shutil
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.servers.daemon import Daemon

KEPT = Path(__file__).parents[2] / ".cache" / "memcached"

MISSING = """memcached is needed by this test, and could not be unpacked from the packages of the system.
Install it (apt-get install memcached, dnf install memcached, brew install memcached), or name its program
in KOBAKO_TEST_MEMCACHED.
"""


class Memcached(Daemon):
    """A server with 64 MB; `options` are arguments of memcached."""

    def __init__(self, *options: str) -> None:
        super().__init__("memcached")
        self.program = find()
        self.options = options

    @property
    def host(self) -> str:
        """What a client connects to."""
        return f"127.0.0.1:{self.port}"

    def command(self) -> Sequence[str | Path]:
        # It refuses to be root, and becomes nobody by itself.
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        return [*self.program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", "64", *user, *self.options]


def find() -> Sequence[str | Path]:
    """Return how memcached is run. Skips the test, loudly, where there is none, and fails it in CI."""
    try:
        return _find()
    except AssertionError as error:
        if os.environ.get("CI") == "true":
            raise
        warnings.warn(str(error), stacklevel=1)  # A skip alone is a letter among dots.
        pytest.skip(str(error))


def _find() -> Sequence[str | Path]:
    """Return how memcached is run. Raises AssertionError that says what to install."""
    if program := os.environ.get("KOBAKO_TEST_MEMCACHED") or shutil.which("memcached"):
        return [program]
    KEPT.mkdir(parents=True, exist_ok=True)
    # Workers of pytest may come here at the same moment.
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (KEPT / "root").exists():
            _unpack()
    libraries = {str(each.parent) for each in (KEPT / "root").rglob("lib*.so*")}
    return ["env", f"LD_LIBRARY_PATH={':'.join(libraries)}", KEPT / "root/usr/bin/memcached"]


def _unpack() -> None:
    """Put memcached and the libraries it needs into a folder, which appears when it is whole."""
    part = KEPT / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    # Lists of packages of our own: the system's may be missing, or closed to us.
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (part / folder).mkdir(parents=True)
    _apt(part, "get", "update")
    depends = _apt(part, "cache", "depends", "--important", "memcached").splitlines()
    needed = [line.split()[-1] for line in depends if line.strip().startswith("Depends: lib")]
    _apt(part, "get", "download", "memcached", *(each for each in needed if each != "libc6"))
    for package in part.glob("*.deb"):
        _output("dpkg", "-x", str(package), "root", folder=part)
    (part / "root").rename(KEPT / "root")
    shutil.rmtree(part)


def _apt(part: Path, program: str, *command: str) -> str:
    settings = {
        "Dir::State": part / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": part / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [option for name, value in settings.items() for option in ("-o", f"{name}={value}")]
    return _output(f"apt-{program}", *options, *command, folder=part)


def _output(*command: str, folder: Path = KEPT) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    except FileNotFoundError as error:
        raise AssertionError(f"{MISSING}{error}") from None
    assert done.returncode == 0, f"{MISSING}{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
