"""A real `kobako start` for a test: on a free port, in a folder of its own, and ended with all it has started."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PATIENCE_S = 20
"""Machines that run tests are slow at times."""


class Server:
    """A server that runs: where it answers, and the processes it is made of."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, started: float) -> None:
        self.process = process
        self.folder = folder
        self._started = started
        self.port = 0
        self.seconds_to_answer = 0.0

    @property
    def url(self) -> str:
        """The base of all URLs, as http://127.0.0.1:1234/v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def output(self) -> str:
        """What it has printed and logged until now."""
        return (self.folder / "output.log").read_text()

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that live."""
        try:
            children = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [each for each in children if _is_alive(each)]

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of its own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = PATIENCE_S) -> int:
        """Send a signal to the master, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def wait_until_it_answers(self) -> None:
        """Wait for the first answer; raises AssertionError with the log if the server ends before."""
        while time.monotonic() - self._started < PATIENCE_S:
            assert self.process.poll() is None, self.output
            if found := re.search(r"Serving http://[^/]*:(\d+)/", self.output):
                self.port = int(found[1])
                if self._answers():
                    self.seconds_to_answer = time.monotonic() - self._started
                    return
            time.sleep(0.01)
        raise AssertionError(f"no answer within {PATIENCE_S} s: {self.output}")

    def _answers(self) -> bool:
        connection = self.connect()
        try:
            connection.request("GET", "/v1/__lbheartbeat__")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def running(folder: Path, *options: str, environ: Mapping[str, str] | None = None, port: int = 0) -> Iterator[Server]:
    """Start a server in a folder, and end it after the test, with what it has started and nothing else.

    Port 0 is any free one. The environment has nothing of the test's own but what is handed in.
    """
    command = [sys.executable, "-m", "kobako", "start", "--port", str(port), *options]
    before = {"PATH": os.environ.get("PATH", ""), "PYTHONUNBUFFERED": "1"}
    with (folder / "output.log").open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**before, **(environ or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_hear_hangups,
        )
    server = Server(process, folder, started)
    try:
        server.wait_until_it_answers()
        yield server
    finally:
        _end(server)


def _hear_hangups() -> None:
    # The tests may run under nohup; the server they start is as in a terminal.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _end(server: Server) -> None:
    """Kill the session that the server was given: its id is that of the master, so nobody else is in it."""
    for session in _members(server.process.pid):
        session.kill()
    server.process.wait(PATIENCE_S)


def _members(session: int) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter():
        try:
            if os.getsid(each.pid) == session:
                found.append(each)
        except (ProcessLookupError, PermissionError):
            continue
    return found


def _is_alive(process: psutil.Process) -> bool:
    # It may end between two looks.
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
