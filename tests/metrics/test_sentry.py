"""What Sentry is sent, by a server that fails: to a receiver of our own. Source: HTTP API, 16.12."""

import base64
import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.server.process import PATIENCE_S, Server, running

from kobako import monitoring
from kobako.settings import Settings, SettingsError

PASSWORD, BODY, TOKEN, AGENT = "pw-e3c21d09", "body-7712bbd1", "token-99f0a1b2", "agent-5d0c3e77"
AUTHORIZATION = "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()

FAILING = """
import logging

def listener(options):
    def run(tx, event):
        logging.getLogger("mine").debug("about to break")
        logging.getLogger("mine").log(int(options["level"]), "strange")
        raise RuntimeError("broken")
    return run
"""


class Sentry:
    """The endpoint that Sentry's envelopes are posted to."""

    def __init__(self) -> None:
        self.envelopes: list[str] = []
        received = self.envelopes

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/api/7/envelope/":
                    received.append(body.decode())
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://public@127.0.0.1:{self.server.server_port}/7"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all envelopes."""
        found = []
        for envelope in list(self.envelopes):
            _, *items = envelope.split("\n")
            for header, payload in zip(items[::2], items[1::2], strict=False):
                if json.loads(header)["type"] == "event":
                    found.append(json.loads(payload))
        return found

    def wait_for(self, message: str) -> dict[str, Any]:
        """Return the first event with this message."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for event in self.events():
                if message in json.dumps(event.get("logentry") or event.get("message") or ""):
                    return event
            time.sleep(0.01)
        raise AssertionError(f"no event with {message!r} in {self.envelopes}")


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    sentry = Sentry()
    yield sentry
    sentry.server.shutdown()
    sentry.server.server_close()


def configured(folder: Path, sentry: Sentry, level: int = 10, **more: object) -> list[str]:
    """Write a configuration of a server in which each write fails; return the options that name it."""
    (folder / "failing.py").write_text(FAILING)
    lines = [
        "[app:main]",
        "kobako.userid_hmac_secret = 0123456789abcdef0123456789abcdef",
        "multiauth.policies = basicauth",
        "kobako.bucket_create_principals = system.Authenticated",
        f"kobako.sentry_dsn = {sentry.dsn}",
        "kobako.sentry_env = staging",
        "kobako.event_listeners = failing",
        f"event_listeners.failing.level = {level}",
        *[f"kobako.{name} = {value}" for name, value in more.items()],
        "[loggers]\nkeys = root\n[handlers]\nkeys = console\n[formatters]\nkeys = plain",
        "[logger_root]\nlevel = DEBUG\nhandlers = console",
        "[handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nformatter = plain\n[formatter_plain]",
    ]
    (folder / "kobako.ini").write_text("\n".join(lines))
    return ["--ini", "kobako.ini"]


def fail(server: Server) -> None:
    """Send a request that fails."""
    send(server, "PUT", f"/v1/buckets/b?token={TOKEN}", {"data": {"secret": BODY}})


def send(server: Server, method: str, path: str, body: object) -> None:
    """Send a request with secrets in all places, which fails."""
    connection = server.connect()
    headers = {
        "Authorization": AUTHORIZATION,
        "Content-Type": "application/json",
        "Cookie": f"session={TOKEN}",
        "User-Agent": AGENT,
    }
    connection.request(method, path, json.dumps(body), headers)
    assert connection.getresponse().status == 500
    connection.close()


@pytest.mark.server
def test_a_start_is_announced_once_and_an_error_is_reported(tmp_path: Path, sentry: Sentry) -> None:
    with running(tmp_path, "--workers", "2", *configured(tmp_path, sentry)) as server:
        fail(server)
        event = sentry.wait_for("A programmatic error")
        assert server.stop() == 0

    [start] = [each for each in sentry.events() if each["level"] == "info"]
    assert start["message"].startswith("Running kobako ")
    assert event["level"] == "error"
    assert event["environment"] == start["environment"] == "staging"
    assert [each["type"] for each in event["exception"]["values"]] == ["RuntimeError"]
    assert event["extra"]["fields"]["path"] == "/v1/buckets/b"


@pytest.mark.server
def test_what_clients_send_is_not_passed_on(tmp_path: Path, sentry: Sentry) -> None:
    with running(tmp_path, *configured(tmp_path, sentry)) as server:
        fail(server)
        parts = [
            {"method": "GET", "path": f"/v1/?token={TOKEN}"},
            {"method": "PUT", "path": "/v1/buckets/b", "body": {"data": {"secret": BODY}}},
        ]
        send(server, "POST", "/v1/batch", {"requests": parts})
        assert server.stop() == 0

    sent = "\n".join(sentry.envelopes)
    assert sent.count('"type":"RuntimeError"') == 2
    assert "subrequest.summary" in sent
    for secret in (PASSWORD, BODY, TOKEN, AGENT, AUTHORIZATION.partition(" ")[2], "0123456789abcdef"):
        assert secret not in sent, secret


@pytest.mark.server
def test_what_went_before_is_what_the_same_request_did(tmp_path: Path, sentry: Sentry) -> None:
    with running(tmp_path, *configured(tmp_path, sentry)) as server:
        fail(server)
        fail(server)
        assert server.stop() == 0

    events = [each for each in sentry.events() if each["level"] == "error"]
    crumbs = [[each["message"] for each in event["breadcrumbs"]["values"]] for event in events]
    assert [each.count("about to break") for each in crumbs] == [1, 1]


@pytest.mark.server
@pytest.mark.parametrize(
    ("levels", "messages", "crumbs"),
    [
        ({}, {"strange", "A programmatic error"}, {"about to break", "strange"}),
        ({"sentry_events_min_level": 40}, {"A programmatic error"}, {"about to break", "strange"}),
        ({"sentry_breadcrumbs_min_level": 30}, {"strange", "A programmatic error"}, {"strange"}),
    ],
)
def test_entries_of_the_log_are_sent_from_one_level_and_go_along_from_another(
    tmp_path: Path, sentry: Sentry, levels: dict[str, int], messages: set[str], crumbs: set[str]
) -> None:
    with running(tmp_path, *configured(tmp_path, sentry, level=30, **levels)) as server:
        fail(server)
        assert server.stop() == 0

    events = {
        each["logentry"]["formatted"].partition(" occurred")[0]: each
        for each in sentry.events()
        if each["level"] != "info"
    }
    error = next(each for each in events.values() if each["level"] == "error")
    assert messages <= events.keys()
    assert ("strange" in events) == ("strange" in messages)
    told = {each["message"] for each in error["breadcrumbs"]["values"]}
    assert {"about to break", "strange"} & told == crumbs


def test_an_address_that_is_none_is_refused_without_being_told() -> None:
    with pytest.raises(SettingsError, match=r"^Setting 'sentry_dsn' is no address of a Sentry project: Missing public"):
        monitoring.begin(Settings(sentry_dsn="https://sentry.example/1"))
