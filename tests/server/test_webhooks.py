"""A webhook through failures: of the receiver, which fails and is killed, and of the server, which is killed, too."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.listeners import receiver
from tests.listeners.free import free_port
from tests.listeners.hooks import SECRET
from tests.server.api import RECORDS, Api
from tests.server.process import Server, running
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.server

FAILURES = 5
IDS = ("a", "b", "c")
ROUNDS = 4
PATIENCE_S = 90
WEBHOOKS = 7
"""The number of a database in Valkey that no other test uses."""

INI = f"""\
[app:main]
kobako.userid_hmac_secret = a-long-and-random-text
kobako.multiauth.policies = basicauth
kobako.event_listeners = hook
kobako.event_listeners.hook.use = webhook
kobako.event_listeners.hook.resources = record
kobako.event_listeners.hook.secret = {SECRET}
kobako.event_listeners.hook.allow_private = true
kobako.event_listeners.hook.timeout_seconds = 1
kobako.event_listeners.hook.backoff_seconds = 1
"""


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def ini(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A configuration for a receiver on a port that nobody listens on yet."""
    lines = [INI, f"kobako.event_listeners.hook.url = http://127.0.0.1:{free_port()}/hook"]
    if request.param != "sqlite":
        lines += [
            f"kobako.storage_backend = {request.param}",
            f"kobako.storage_url = {DATABASES[request.param](request)}",
        ]
    path = tmp_path / "kobako.ini"
    path.write_text("\n".join(lines))
    return path


def _on_postgresql(request: pytest.FixtureRequest) -> str:
    server: PostgreSQL = request.getfixturevalue("postgresql")
    server.sql("CREATE DATABASE webhooks TEMPLATE kobako")
    return server.url("webhooks")


def _on_redis(request: pytest.FixtureRequest) -> str:
    server: Valkey = request.getfixturevalue("valkey")
    return server.url(database=WEBHOOKS)


DATABASES = {"postgresql": _on_postgresql, "redis": _on_redis}


@contextmanager
def receiving(ini: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A receiver in a process of its own, which is killed at the end."""
    port = ini.read_text().partition("127.0.0.1:")[2].partition("/")[0]
    log = str(ini.with_name("received.jsonl"))
    process = subprocess.Popen([sys.executable, receiver.__file__, port, log, str(FAILURES)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def received(ini: Path) -> list[Any]:
    """Return what came, in its order, to whichever receiver."""
    log = ini.with_name("received.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait_for(ini: Path, number: int) -> None:
    """Wait until so many messages came, taken or not."""
    end = time.monotonic() + PATIENCE_S
    while len(received(ini)) < number:
        assert time.monotonic() < end, received(ini)
        time.sleep(0.05)


def write(server: Server, round: int) -> None:
    """Write each record once more."""
    api = Api(server.port)
    for id in IDS:
        status, _, body = api.call("PUT", f"{RECORDS}/{id}", {"data": {"round": round}})
        assert status in (200, 201), body


def kill(server: Server) -> None:
    """End a server at once, with all its processes."""
    # The group that the server was given: nobody else is in it, and all end at one moment.
    os.killpg(server.process.pid, signal.SIGKILL)


def taken(ini: Path) -> dict[str, list[int]]:
    """Return which rounds of each record were received, in their order."""
    found: dict[str, list[int]] = {id: [] for id in IDS}
    for each in received(ini):
        if not each["failed"]:
            found[each["record_id"]].append(each["impacted_objects"][0]["new"]["round"])
    return found


def test_each_event_is_received_in_order_whoever_fails_and_is_killed(ini: Path) -> None:
    options = ("--ini", str(ini), "--workers", "2")
    with running(ini.parent, *options) as server:
        Api(server.port).make_list()
        with receiving(ini):
            write(server, 0)
            wait_for(ini, 2)
        # The receiver is killed: what is sent meanwhile reaches nobody.
        write(server, 1)
        with receiving(ini):
            write(server, 2)
            wait_for(ini, 3)
            kill(server)
    with receiving(ini), running(ini.parent, *options) as server:
        write(server, 3)
        end = time.monotonic() + PATIENCE_S
        while any(set(rounds) != set(range(ROUNDS)) for rounds in taken(ini).values()):
            assert time.monotonic() < end, (received(ini), server.output)
            time.sleep(0.05)

    # What was received and not noted before a kill comes again: in order, too.
    assert all(list(dict.fromkeys(rounds)) == list(range(ROUNDS)) for rounds in taken(ini).values()), taken(ini)
    assert sum(each["failed"] for each in received(ini)) == FAILURES
