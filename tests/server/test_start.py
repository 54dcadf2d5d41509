"""`kobako start` for real: it answers at once, stops gently, and looks after its workers.

Source: objects, section 26; reliability, O6, O13 and P23.
"""

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import psutil
import pytest
from tests.server.process import PATIENCE_S, Server, running

pytestmark = pytest.mark.server

ALICE = {"Authorization": "Basic " + base64.b64encode(b"alice:secret").decode()}


def get(server: Server, path: str) -> tuple[int, dict[str, object]]:
    connection = server.connect()
    connection.request("GET", f"/v1{path}", headers=ALICE)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def user_id(server: Server) -> str:
    user = get(server, "/")[1]["user"]
    assert isinstance(user, dict)
    return str(user["id"])


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def begin_to_write(server: Server) -> tuple[socket.socket, bytes]:
    """Send the first half of a request; return the connection and the second half."""
    body = b'{"data": {"size": 3}}'
    head = (
        f"PUT /v1/buckets/late HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ALICE['Authorization']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    connection.sendall(head.encode() + body[:5])
    # The server has to have taken it; no sign of that can be seen from here.
    time.sleep(0.2)
    return connection, body[5:]


# Start


def test_a_first_start_makes_a_database_and_a_secret_and_says_where(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        print(f"the first answer came after {server.seconds_to_answer:.2f} s")
        assert f"Database: {tmp_path / 'kobako.db'}" in server.output
        assert f"Secret of the user ids: {tmp_path / 'kobako.secret'}" in server.output
        assert f"curl -u alice:secret -X PUT {server.url}/buckets/first" in server.output
        assert stat.S_IMODE((tmp_path / "kobako.secret").stat().st_mode) == 0o600
        assert "WARN" not in server.output


RIGHTS = [f"{kind}_{action}" for kind in ("bucket", "group", "collection", "record") for action in ("read", "write")]


def test_p23_a_start_warns_of_all_that_everybody_may_do_and_of_a_secret_of_an_example(tmp_path: Path) -> None:
    """P23."""
    rights = [*RIGHTS, "bucket_create", "record_create"]
    environ = {f"KOBAKO_{each.upper()}_PRINCIPALS": "system.Everyone" for each in rights}
    with running(tmp_path, environ={**environ, "KOBAKO_USERID_HMAC_SECRET": "some-secret-string"}) as server:
        warnings = [line for line in server.output.splitlines() if line.startswith("WARN")]

    for each in rights:
        assert sum(f"'{each}_principals' has system.Everyone" in line for line in warnings) == 1
    assert sum("'userid_hmac_secret'" in line for line in warnings) == 1
    assert len(warnings) == len(rights) + 1
    assert "some-secret-string" not in "".join(warnings)


def test_a_second_start_keeps_users_and_data(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        first = user_id(server)
        connection, rest = begin_to_write(server)
        connection.sendall(rest)
        assert connection.recv(100).startswith(b"HTTP/1.1 201")
        server.stop()

    with running(tmp_path) as server:
        assert user_id(server) == first
        assert get(server, "/buckets/late")[0] == 200


def test_two_first_starts_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kobako", "start", "--port", "0"]
    output, environ = subprocess.PIPE, {"PATH": os.environ.get("PATH", "")}
    others = [subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output, env=environ) for _ in range(3)]
    try:
        with running(tmp_path) as server:
            wait_until(lambda: all(each.poll() is not None or psutil.Process(each.pid).children() for each in others))

            assert [each.poll() for each in others] == [None, None, None]
            assert get(server, "/buckets")[0] == 200
    finally:
        for each in others:
            each.terminate()
            each.communicate(timeout=PATIENCE_S)


def test_a_first_start_that_was_killed_before_the_schema_is_made_up_for(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "kobako.db"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert (tmp_path / "kobako.db").stat().st_size > 0

    with running(tmp_path) as server:
        assert get(server, "/buckets")[0] == 200


def test_a_configuration_is_served_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "kinto.ini").write_text(
        "[server:main]\nhost = 127.0.0.1\nport = %(http_port)s\n[app:main]\nkinto.project_name = shop\n"
        "kinto.storage_backend = kinto.core.storage.memory\nkinto.bucket_create_principals = system.Everyone\n"
    )

    with running(tmp_path, environ={"KINTO_INI": "kinto.ini"}) as server:
        assert get(server, "/")[1]["project_name"] == "shop"
        assert "WARNING  Setting 'bucket_create_principals' has system.Everyone" in server.output
        assert not (tmp_path / "kobako.db").exists()


def test_a_port_is_served_by_one_server(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        command = [sys.executable, "-m", "kobako", "start", "--port", str(server.port)]
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)

    assert second.returncode == 1
    assert second.stderr == f"Port {server.port} of 127.0.0.1 is in use: another server runs there.\n"


# Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "--workers", "2") as server:
        workers = server.workers()

        assert server.stop(number) == 0

        assert len(workers) == 2
        assert [each for each in workers if is_alive(each)] == []


def test_a_signal_to_all_processes_ends_it_with_status_0(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as server:
        os.killpg(server.process.pid, signal.SIGINT)

        assert server.process.wait(PATIENCE_S) == 0


def test_a_connection_without_a_request_does_not_delay_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        idle = server.connect()
        idle.request("GET", "/v1/")
        idle.getresponse().read()

        assert server.stop(timeout_s=5) == 0


def test_what_is_in_flight_is_finished_before_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        connection, rest = begin_to_write(server)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        still_running = server.process.poll() is None
        connection.sendall(rest)

        assert still_running
        assert connection.recv(100).startswith(b"HTTP/1.1 201")
        assert server.process.wait(PATIENCE_S) == 0

    with running(tmp_path) as server:
        assert get(server, "/buckets/late")[0] == 200


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        # The name keeps the connection open.
        _connection, _ = begin_to_write(server)
        workers = server.workers()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None

        assert server.stop(timeout_s=5) == 1

        wait_until(lambda: not any(is_alive(each) for each in workers))


# Workers


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for _ in range(3):
            [worker] = server.workers()
            worker.kill()

            # Clients that come meanwhile wait, and are served.
            assert get(server, "/")[0] == 200
            wait_until(lambda old=worker: [each.pid for each in server.workers()] not in ([], [old.pid]))

        assert server.stop() == 0


def test_no_worker_outlives_its_master(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", "2") as server:
        workers = server.workers()

        server.process.kill()

        assert len(workers) == 2
        wait_until(lambda: not any(is_alive(each) for each in workers))


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        [worker] = server.workers()
        (tmp_path / "kobako.db").unlink()
        worker.kill()

        assert server.process.wait(PATIENCE_S) == 1
        assert "run kobako migrate" in server.output
