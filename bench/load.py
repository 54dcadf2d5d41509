"""The client: keep-alive connections, one request at a time on each, sent again and again for a while.

It runs in a process of its own (see `rounds.py`), so that nothing of it counts as the server's.
"""

import re
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from selectors import EVENT_READ, DefaultSelector
from time import perf_counter

from bench.wire import read_body, read_head

PATIENCE_S = 120
CHUNK = 1 << 20
FAILED_PART = re.compile(rb'"status": ?[45]')


@dataclass(frozen=True)
class Job:
    """What is sent to a port: the requests in turn, from `first` on, for `seconds`; for none each of them once."""

    port: int
    requests: Sequence[bytes]
    connections: int
    seconds: float | None
    first: int = 0
    looks_inside: bool = False
    """Count the parts of batches that failed."""
    keeps_last: bool = False


@dataclass
class Done:
    """What came of a job: how long each answer took (in seconds), and how many had which status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failed_parts: int = 0
    last: bytes = b""
    """The body of the last answer, if it is kept."""


def run(job: Job) -> Done:
    """Do a job to its end: what was asked by then is waited for, and counts. Raises OSError, ValueError."""
    done = Done()
    began = perf_counter()
    left = _requests(job, began)
    with DefaultSelector() as ready:
        for _ in range(job.connections):
            _Connection(job, left, done).ask(ready)
        while ready.get_map():
            arrived = ready.select(PATIENCE_S)
            if not arrived:
                raise TimeoutError(f"no answer within {PATIENCE_S} s")
            for key, _ in arrived:
                key.data.receive(ready)
    done.seconds = perf_counter() - began
    return done


def _requests(job: Job, began: float) -> Iterator[bytes]:
    turn = job.first % len(job.requests)
    ordered = [*job.requests[turn:], *job.requests[:turn]]
    if job.seconds is None:
        yield from ordered
        return
    for each in cycle(ordered):
        if perf_counter() - began > job.seconds:
            return
        yield each


class _Connection:
    """One connection; made again where the server closes it after an answer."""

    def __init__(self, job: Job, left: Iterator[bytes], done: Done) -> None:
        self._job = job
        self._left = left
        self._done = done
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._sent = 0.0

    def ask(self, ready: DefaultSelector) -> None:
        """Send the next request, or close."""
        request = next(self._left, None)
        if request is None:
            self._close(ready)
            return
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._job.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(self._socket, EVENT_READ, self)
        self._sent = perf_counter()
        self._socket.sendall(request)

    def receive(self, ready: DefaultSelector) -> None:
        """Take in what has arrived; ask again after a whole answer."""
        assert self._socket is not None
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionError(f"the server closed the connection, after {bytes(self._received)!r}")
        self._received += data
        head = read_head(self._received)
        if head is None or head.end is None or len(self._received) < head.end:
            return
        self._note(head.status)
        self._received.clear()
        if head.closes:
            self._close(ready)
        self.ask(ready)

    def _note(self, status: int) -> None:
        done = self._done
        done.latencies.append(perf_counter() - self._sent)
        done.statuses[status] += 1
        if self._job.looks_inside:
            done.failed_parts += len(FAILED_PART.findall(self._received))
        if self._job.keeps_last:
            done.last = read_body(self._received)

    def _close(self, ready: DefaultSelector) -> None:
        if self._socket is not None:
            ready.unregister(self._socket)
            self._socket.close()
            self._socket = None
