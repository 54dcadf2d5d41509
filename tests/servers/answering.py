"""A server of JSON over HTTP, in a thread of a test: what it answers is a method, what goes wrong a test says."""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

Answered = tuple[int, Any, dict[str, str]]
"""Status, body (JSON, or bytes as they are) and headers."""


class Asked:
    """A request: `given` are the members of its JSON, its form, or the parameters of its URL."""

    def __init__(self, path: str, given: dict[str, Any], headers: dict[str, str]) -> None:
        self.path = path
        self.given = given
        self.headers = headers


class AnsweringServer(ThreadingHTTPServer):
    """Answers on 127.0.0.1. Paths in `fails` have that status, those in `says` that body; all wait for `goes_on`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.fails: dict[str, int] = {}
        self.says: dict[str, Any] = {}
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.goes_on.set()
        self.shutdown()
        self.server_close()

    def answer(self, asked: Asked) -> Answered:
        """Return what is answered when nothing goes wrong."""
        raise NotImplementedError

    def answer_or_fail(self, asked: Asked) -> Answered:
        """Return what is answered."""
        self.asked.append(asked.path)
        self.goes_on.wait()
        if asked.path in self.fails:
            return self.fails[asked.path], {"error": "server_error"}, {}
        if asked.path in self.says:
            return 200, self.says[asked.path], {}
        return self.answer(asked)


class Handler(BaseHTTPRequestHandler):
    server: AnsweringServer

    def do_GET(self) -> None:
        self._serve(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = self.headers["Content-Type"] == "application/json"
        self._serve(json.loads(sent) if is_json else dict(parse_qsl(sent, keep_blank_values=True)))

    def _serve(self, given: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, body, extra = self.server.answer_or_fail(Asked(urlsplit(self.path).path, given, headers))
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(sent)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        # Who asked may have gone meanwhile.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        pass
