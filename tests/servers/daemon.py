"""A real server program for tests: on 127.0.0.1, in a folder of its own, ended by who started it."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

PATIENCE_S = 30

NOBODY = 65534
"""Who runs what refuses to be run by root."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Daemon:
    """A server program. `kill` is what a crash is, `stop` is what an operator does; both may be followed by `start`."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str, user: int | None = None) -> None:
        self.port = free_port()
        self.user = user
        self.folder = _folder(name, user)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """What it has printed until now."""
        return (self.folder / "output.log").read_text(errors="replace")

    def command(self) -> Sequence[str | Path]:
        """Return what is run."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether it serves by now."""
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self) -> None:
        """Run it, and return once it serves. Raises AssertionError with what it printed if it ends before."""
        with (self.folder / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log, user=self.user, group=self.user,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while not self.answers():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)

    def stop(self) -> None:
        """End it gently."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it and all its children at once, as loss of power would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: int) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        # Those of PostgreSQL have sessions of their own, and hold its memory until they are gone.
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        if number == signal.SIGKILL:
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait(PATIENCE_S)
        psutil.wait_procs(children, PATIENCE_S)


def run(command: Sequence[str | Path], user: int | None = None) -> str:
    """Run a program to its end, and return what it printed. Raises AssertionError with that if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, user=user, group=user, cwd="/", timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inside(package: str, user: int | None = None) -> Path:
    """Return the folder of a package that brings programs, or a copy of it where its place is closed to a user."""
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed: it comes with kobako[dev]"
    folder = Path(str(spec.origin)).parent
    if user is None or _is_open(folder):
        return folder
    if package not in _copies:
        _copies[package] = _folder("programs", user)
        atexit.register(shutil.rmtree, _copies[package], ignore_errors=True)
        # Libraries are found beside the package.
        for each in folder.parent.glob(f"{package}*"):
            shutil.copytree(each, _copies[package] / each.name)
    return _copies[package] / package


_copies: dict[str, Path] = {}


def _is_open(folder: Path) -> bool:
    """Tell whether everybody may go into a folder."""
    return all(each.stat().st_mode & 0o001 for each in (folder.resolve(), *folder.resolve().parents))


def _folder(name: str, user: int | None) -> Path:
    """Return a new folder of a user, where the user can go: temporary folders may be closed to others."""
    for base in (tempfile.gettempdir(), "/tmp"):
        if user is None or _is_open(Path(base)):
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
            if user is not None:
                os.chown(folder, user, user)
            return folder
    raise AssertionError(f"user {user} can not use any temporary folder")
