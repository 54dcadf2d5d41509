"""Server programs of Debian's packages: where the system has the packages, they are unpacked into .cache, once."""

import fcntl
import os
import shutil
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

KEPT = Path(__file__).parents[2] / ".cache"

MISSING = """{name} is needed by this test, and could not be unpacked from the packages of the system.
Install it (apt-get install {name}, dnf install {name}, brew install {name}), or name its program
in {variable}.
"""


def find(name: str) -> Sequence[str | Path]:
    """Return how a program is run: that of the machine, the one named by KOBAKO_TEST_<NAME>, or an unpacked one.

    Where there is none the test is skipped, loudly, and in CI it fails: what is to be installed is said.
    """
    try:
        return _find(name)
    except AssertionError as error:
        if os.environ.get("CI") == "true":
            raise
        warnings.warn(str(error), stacklevel=1)  # A skip alone is a letter among dots.
        pytest.skip(str(error))


def _find(name: str) -> Sequence[str | Path]:
    variable = f"KOBAKO_TEST_{name.upper()}"
    if program := os.environ.get(variable) or shutil.which(name):
        return [program]
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    # Workers of pytest may come here at the same moment.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "root").exists():
            _unpack(name, folder, MISSING.format(name=name, variable=variable))
    libraries = {str(each.parent) for each in (folder / "root").rglob("lib*.so*")}
    return ["env", f"LD_LIBRARY_PATH={':'.join(libraries)}", *(folder / "root/usr").glob(f"*bin/{name}")]


def _unpack(name: str, folder: Path, missing: str) -> None:
    """Put a program and the libraries it needs into a folder, which appears when it is whole."""
    part = folder / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    # Lists of packages of our own: the system's may be missing, or closed to us.
    for each in ("state/lists/partial", "cache/archives/partial"):
        (part / each).mkdir(parents=True)
    settings = {
        "Dir::State": part / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": part / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [option for setting, value in settings.items() for option in ("-o", f"{setting}={value}")]
    _output(missing, part, "apt-get", *options, "update")
    depends = _output(missing, part, "apt-cache", *options, "depends", "--important", name).splitlines()
    needed = [line.split()[-1] for line in depends if line.strip().lstrip("|").startswith("Depends: lib")]
    _output(missing, part, "apt-get", *options, "download", name, *(each for each in needed if each != "libc6"))
    for package in part.glob("*.deb"):
        _output(missing, part, "dpkg", "-x", str(package), "root")
    (part / "root").rename(folder / "root")
    shutil.rmtree(part)


def _output(missing: str, folder: Path, *command: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    except FileNotFoundError as error:
        raise AssertionError(f"{missing}{error}") from None
    assert done.returncode == 0, f"{missing}{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
