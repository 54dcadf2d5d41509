"""Processes: one master that holds the socket and looks after workers, each of which serves the app with uvicorn.

The master listens from before the first worker until after the last, so clients that arrive while a worker is
replaced wait instead of being refused, and a second server on the port is an error. A worker that is killed, or
hangs, is replaced; one that cannot start ends the server. The first SIGTERM lets what is in flight finish, for STOP_S
at most; the second ends everything at once. No worker outlives its master.

Source: reliability, O6 and O13.
"""

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Final

import uvicorn

from kobako import logs
from kobako.metrics import sharing
from kobako.server import configure_logging, served_app
from kobako.settings import Settings
from kobako.wire import IDLE_S, Connection

BACKLOG: Final = 1024
"""How many clients may wait for a worker to accept them."""

STOP_S: Final = 30
"""How long what is in flight may take to finish."""

HUNG_S: Final = 10
"""How long the interpreter of a worker may stand still before the worker is ended, and replaced."""

START_S: Final = 5.0
"""A worker that gives up earlier than this could not start, and another would not either."""

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free. Raises OSError, for one in use too."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def serve(settings: Settings, listener: socket.socket, workers: int, log_level: int) -> int:
    """Serve until a signal ends it; return the exit status: 0 after SIGTERM or SIGINT."""
    master = os.getpid()

    def work(number: int) -> None:
        end_with(master)
        configure_logging(log_level, settings)
        sharing.join(number)
        _serve(settings, listener, log_level)

    with sharing.folder(settings, workers):
        return Master(work, workers).run()


class Master:
    """The process that looks after `count` workers: `work` is what each of them does, by its number."""

    def __init__(self, work: Callable[[int], None], count: int) -> None:
        self._work, self._count = work, count
        self._workers: list[_Worker] = []
        self._signals = 0

    def run(self) -> int:
        """Have the work done until a signal comes: 0, or until a worker cannot start: 1."""
        with self._woken() as wakeup:
            self._workers = [_Worker(self._work, number) for number in range(self._count)]
            status = self._look_after(wakeup)
            self._end()
        return status

    @contextmanager
    def _woken(self) -> Iterator[int]:
        """Hear signals; each of them can be waited for at the end of a pipe."""
        wakeup, told = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told)
        for each in STOP_SIGNALS:
            signal.signal(each, self._hear)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            # The terminal was closed, and the server is not under nohup. Settings are read once: nothing is reloaded.
            signal.signal(signal.SIGHUP, self._hear)
        try:
            yield wakeup
        finally:
            signal.set_wakeup_fd(-1)
            os.close(wakeup)
            os.close(told)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            for worker in self._workers:
                worker.process.kill()
            os._exit(1)

    def _look_after(self, wakeup: int) -> int:
        """Replace workers that end, until a signal comes; return the exit status."""
        while not self._signals:
            wait([wakeup, *(worker.process.sentinel for worker in self._workers)])
            for number, worker in enumerate(self._workers):
                if self._signals or worker.process.is_alive():
                    continue
                if worker.could_not_start():
                    return 1
                self._workers[number] = _Worker(self._work, number)
        return 0

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        latest = time.monotonic() + STOP_S + 5
        for worker in self._workers:
            worker.process.join(max(0.0, latest - time.monotonic()))
            worker.process.kill()
            worker.process.join()


class _Worker:
    """A process that works, and when it was started."""

    def __init__(self, work: Callable[[int], None], number: int) -> None:
        self._born = time.monotonic()
        self.process = ForkProcess(target=_begin, args=(work, number), name=f"kobako-{number}")
        # One that comes too early would be the master's.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self.process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def could_not_start(self) -> bool:
        """Tell why it ended; one that was killed by a signal may be killed at any time, and be replaced."""
        gave_up = (self.process.exitcode or 0) > 0
        age_s = time.monotonic() - self._born
        if not gave_up and age_s < 1:
            time.sleep(0.5)
        return gave_up and age_s < START_S


def _begin(work: Callable[[int], None], number: int) -> None:
    signal.set_wakeup_fd(-1)
    # It is the master that is told of a terminal that was closed.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    work(number)


def _serve(settings: Settings, listener: socket.socket, log_level: int) -> None:
    """Serve the app until a signal comes. The settings are the master's, so that all workers have the same."""
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if log_level <= logging.DEBUG else logging.WARNING)
    config = uvicorn.Config(
        served_app(settings),
        http=Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    _Server(config).run([listener])
    logs.flush()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear signals from now on; unlike uvicorn, end as others do after one of them."""
        for each in STOP_SIGNALS:
            signal.signal(each, self.handle_exit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        yield


def end_with(master: int) -> None:
    """Stop this process as by SIGTERM when the master is gone, however it went."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    threading.Thread(target=_watch, args=(master,), daemon=True).start()


def _watch(master: int) -> None:
    # For systems that send no signal, and for requests that would not end.
    while os.getppid() == master:
        _second_of_life()
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(STOP_S):
        _second_of_life()
    os._exit(1)


def _second_of_life() -> None:
    # The timer needs no interpreter.
    faulthandler.dump_traceback_later(HUNG_S, exit=True, file=2)
    time.sleep(1)
