"""Processes: one master that holds the socket and looks after workers, each of which serves the app with granian.

The master listens from before the first worker until after the last, so clients that arrive while a worker is
replaced wait instead of being refused, and a second server on the port is an error (granian's own sockets on Linux
would share it). A worker that is killed, or hangs, is replaced; one that cannot start ends the server. The first
SIGTERM lets what is in flight finish, for STOP_S at most; the second ends everything at once. No worker outlives its
master.

Source: reliability, O6 and O13.
"""

import asyncio
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from kobako import logs
from kobako.metrics import sharing
from kobako.server import configure_logging, served_app
from kobako.settings import Settings

BUFFER_BYTES: Final = 160 * 1024
"""What is read of a connection at once: the headers and the query that are allowed fit, with room for what is not."""

STOP_S: Final = 30
"""How long what is in flight may take to finish."""

HUNG_S: Final = 10
"""How long the interpreter of a worker may stand still before the worker is ended, and replaced."""

START_S: Final = 5.0
"""A worker that gives up earlier than this could not start, and another would not either."""

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})

_GRANIAN_LOGS: Final[dict[str, Any]] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free. Raises OSError, for one in use too."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.create_server(address[:2], family=family, backlog=1024)
    listener.setblocking(False)
    return listener


def serve(settings: Settings, listener: socket.socket, workers: int, log_level: int) -> int:
    """Serve until a signal ends it; return the exit status: 0 after SIGTERM or SIGINT."""
    # The master must not miss a signal, and a new worker must not take it with the master's handlers.
    os.register_at_fork(before=_block_signals, after_in_parent=_unblock_signals)
    host, port = listener.getsockname()[:2]
    master = Master(
        "kobako.server:create_app",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=workers,
        websockets=False,
        http1_settings=HTTP1Settings(max_buffer_size=BUFFER_BYTES),
        workers_kill_timeout=STOP_S,
        log_level=LogLevels.debug if log_level <= logging.DEBUG else LogLevels.warning,
        log_dictconfig=_GRANIAN_LOGS,
    )
    master.listener = listener
    master.ignores_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    loader = partial(_worker_app, settings, os.getpid(), log_level)
    try:
        with sharing.folder(settings, workers):
            master.serve(target_loader=loader, wrap_loader=False)
    except SystemExit as stop:
        # Workers that a signal reached before the master told them to stop count as lost: they were not.
        return 0 if master.interrupt_signal else int(stop.code or 0)
    return 0


def _worker_app(settings: Settings, master: int, log_level: int, worker: int) -> Callable[..., Awaitable[None]]:
    """Return the app, in a worker. The settings are the master's, so that all workers have the same."""
    _block_signals()
    end_with(master)
    configure_logging(log_level, settings)
    sharing.join(worker)
    app = served_app(settings)

    def served(scope: MutableMapping[str, Any], receive: Any, send: Send) -> Awaitable[None]:
        return app(scope, receive, partial(_follow_lifespan, send) if scope["type"] == "lifespan" else send)

    return served


def _block_signals() -> None:
    """Keep signals until a worker serves: granian would swallow, or never finish for, one that comes before."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


async def _follow_lifespan(send: Send, message: MutableMapping[str, Any]) -> None:
    await send(message)
    if message["type"] == "lifespan.shutdown.complete":
        logs.flush()
    if message["type"] == "lifespan.startup.complete":
        # Granian stops the loop here, begins to serve, and runs the loop again: the timer waits for that.
        asyncio.get_running_loop().call_later(0.05, _unblock_signals)


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
    # The timer needs no interpreter: when granian is told to stop under load, it may wait for a thread that waits
    # for the interpreter, which it holds itself.
    faulthandler.dump_traceback_later(HUNG_S, exit=True, file=2)
    time.sleep(1)


class Master(Server):  # type: ignore[misc, valid-type]
    """Granian's master process, with a socket of its own and other rules for workers that end."""

    listener: socket.socket
    ignores_hangup: bool
    """Started with nohup."""

    def _init_shared_socket(self) -> None:
        self._ssp, self._sso = None, self.listener
        self._sfd = self.listener.fileno()
        self._shd = SocketHolder(self._sfd, False, self.backlog)  # type: ignore[call-arg]

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        return super()._spawn_worker(idx, target, partial(callback_loader, idx))

    def signal_handler_interrupt(self, *_: Any) -> None:
        """Begin to stop; the second time, stop."""
        if self.interrupt_signal:
            for worker in self.wrks:
                worker.kill()
            os._exit(1)
        super().signal_handler_interrupt()

    def signal_handler_reload(self, *_: Any) -> None:
        """Stop: the terminal was closed. Settings are read once, so there is nothing to reload."""
        if not self.ignores_hangup:
            self.signal_handler_interrupt()

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait()
            self.main_loop_interrupt.clear()
            while self.interrupt_children and not self.interrupt_signal:
                worker = self.wrks[self.interrupt_children[0]]
                if _could_not_start(worker):
                    return
                self._respawn_workers([self.interrupt_children.pop(0)], spawn_target, target_loader)


def _could_not_start(worker: Any) -> bool:
    # Killed by a signal, the exit code is negative: that may happen to any worker, at any time.
    gave_up: bool = worker.inner.exitcode > 0
    age_s = time.monotonic() - worker.birth
    if not gave_up and age_s < 1:
        time.sleep(0.5)
    return gave_up and age_s < START_S
