"""The server of a run: the test build in a folder, killed and started again on the same port as often as it takes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from tests.server.process import Server

import kobako

PYTHONPATH = os.pathsep.join(str(path) for path in (Path(__file__).parents[2], Path(kobako.__file__).parents[1]))
"""Where the test build is, and the kobako that this process has."""
ENDED_S = 40
"""How long a server may take to finish what is in flight."""


class Service:
    """A master with its workers. `options` and `environ` are those of `kobako start`."""

    def __init__(self, folder: Path, *options: str, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._options = options
        self._environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1"}
        self._environ.update(environ)
        self._server: Server
        self._starts = 0
        self.port = 0

    async def start(self) -> None:
        """Start it; return when it answers. Raises AssertionError, with what it said, if it does not."""
        await asyncio.to_thread(self._start)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that live."""
        return self._server.workers()

    def kill_master(self) -> int:
        """Kill the master; its workers should end by themselves. Return how many have not within ENDED_S."""
        orphans = self.workers()
        self._server.process.kill()
        self._server.process.wait()
        return len(psutil.wait_procs(orphans, ENDED_S)[1])

    def kill_all(self) -> None:
        """Kill the master and all its workers at once, those that outlive it too."""
        # The server leads a process group of its own.
        with suppress(ProcessLookupError):
            os.killpg(self._server.process.pid, signal.SIGKILL)
        self._server.process.wait()

    def stop(self) -> int:
        """Stop it as an operator would; return its exit status."""
        return self._server.stop(timeout_s=ENDED_S)

    def close(self) -> None:
        """End what is left of it."""
        if self._starts:
            self.kill_all()

    async def migrate(self) -> None:
        """Make the tables, in a database that has none. Raises AssertionError, with what was said, if it cannot."""
        command = [sys.executable, "-m", "tests.consistency.server", "migrate"]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=self._folder, env=self._environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def output(self) -> str:
        """Return what all its starts have printed and logged."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("*/output.log")))

    def _start(self) -> None:
        self._starts += 1
        logs = self._folder / f"start-{self._starts:03}"
        logs.mkdir()
        command = [sys.executable, "-m", "tests.consistency.server", "start", "--port", str(self.port), *self._options]
        with (logs / "output.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self._folder, env=self._environ, stdout=log, stderr=log, start_new_session=True
            )
        self._server = Server(process, logs, time.monotonic())
        self._server.wait_until_it_answers()
        self.port = self._server.port
