"""The server of a run: the test build in a folder, killed and started again on the same port as often as it takes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from tests.server.process import Server

ROOT = Path(__file__).parents[2]
FREE_WITHIN_S = 40
"""How long the workers of a killed master may take to finish, and to let go of the port."""


class Service:
    """A master with its workers. `options` and `environ` are those of `kobako start`."""

    def __init__(self, folder: Path, *options: str, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._options = options
        self._environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
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

    def kill_worker(self, worker: psutil.Process) -> None:
        """Kill a worker: the master replaces it."""
        worker.kill()

    async def kill_master(self) -> None:
        """Kill the master; return when its workers have ended by themselves, as they should."""
        orphans = self.workers()
        self._server.process.kill()
        self._server.process.wait()
        _, left = await asyncio.to_thread(psutil.wait_procs, orphans, FREE_WITHIN_S)
        assert not left, f"workers outlive their master by more than {FREE_WITHIN_S} s: {left}"

    def kill_all(self) -> None:
        """Kill the master and all its workers at once."""
        # The server leads a process group of its own.
        os.killpg(self._server.process.pid, signal.SIGKILL)
        self._server.process.wait()

    def stop(self) -> int:
        """Stop it as an operator would; return its exit status."""
        return self._server.stop()

    def close(self) -> None:
        """End what is left of it."""
        if self._starts and self._server.process.poll() is None:
            self.kill_all()

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
