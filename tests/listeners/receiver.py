"""A receiver of webhooks: over HTTP on 127.0.0.1, in a thread of a test, or in a process of its own that is killed.

As a process: `python receiver.py PORT LOG FAILURES`. What comes is a line of LOG; the first FAILURES lines of the log,
whoever wrote them, are answered with 500.
"""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Received:
    """One message as it came."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body
        self.json: Any = json.loads(body)


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets; `answer` says with which status, or raises."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Received], int] = lambda _: 204, port: int = 0) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.came = threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """What a webhook is sent to."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def note(self, received: Received) -> None:
        """Keep a message."""
        with self.came:
            self.received.append(received)
            self.came.notify_all()

    def wait_for(self, number: int) -> list[Received]:
        """Return what came, once it is so many messages; raises AssertionError after some time."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.received) >= number, 20), self.received
            return list(self.received)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        server = self.server
        assert isinstance(server, Receiver)
        server.note(received)
        self.send_response(server.answer(received))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        raise AssertionError("a webhook is posted")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main(port: int, log: str, failures: int) -> None:
    """Receive until killed."""
    lock = threading.Lock()

    def answer(received: Received) -> int:
        with lock, open(log, "a+", encoding="utf-8") as file:
            file.seek(0)
            fails = len(file.readlines()) < failures
            file.write(json.dumps({"failed": fails, "headers": received.headers, **received.json}) + "\n")
        return 500 if fails else 200

    Receiver(answer, port).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
