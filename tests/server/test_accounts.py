"""Accounts on real workers: what one of them changes, all know at once. Source: objects, 14.4; reliability, P7."""

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.server.api import Api
from tests.server.process import Server, running
from tests.servers.postgresql import PostgreSQL
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.server

LINES = """\
[app:main]
kobako.includes = accounts
kobako.userid_hmac_secret = of the tests
kobako.account_create_principals = system.Everyone
kobako.account_argon2_memory_kib = 8
kobako.account_argon2_rounds = 1
multiauth.policies = account
"""

CONNECTIONS = 12
"""Which worker serves is decided for each connection."""

ROUNDS = 5


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def cache(request: pytest.FixtureRequest) -> str:
    """What the configuration says of the cache: one that all workers share."""
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        server.sql("DROP DATABASE IF EXISTS accounts_cache")
        server.sql("CREATE DATABASE accounts_cache TEMPLATE kobako")
        url = server.url("accounts_cache")
        return (
            f"kobako.storage_backend = postgresql\nkobako.permission_backend = postgresql\n"
            f"kobako.cache_backend = postgresql\nkobako.storage_url = {url}\n"
        )
    if request.param == "redis":
        valkey: Valkey = request.getfixturevalue("valkey")
        return f"kobako.cache_backend = redis\nkobako.cache_url = {valkey.url(3)}\nkobako.cache_prefix = accounts\n"
    return ""


def status(server: Server, name: str, password: str) -> int:
    """Return what a user is answered who asks for their account, by any worker."""
    api = Api(server.port)
    try:
        return int(api.call("GET", f"/v1/accounts/{name}", headers=credentials(name, password))[0])
    finally:
        api.close()


def credentials(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def change(server: Server, old: str, new: str) -> None:
    """Change the password of alice, who is refused until it is hers."""
    body = {"data": {"password": new}}
    answer = Api(server.port).call("PATCH", "/v1/accounts/alice", body, headers=credentials("alice", old))
    assert answer[0] == 200, answer[2]


def test_a_password_that_is_changed_is_refused_by_all_workers_at_once(tmp_path: Path, cache: str) -> None:
    """While others log in with it all the time, so that each worker verifies it before and after."""
    (tmp_path / "kobako.ini").write_text(LINES + cache)
    with running(tmp_path, "--workers", "2") as server:
        body = {"data": {"password": "0"}}
        assert Api(server.port).call("PUT", "/v1/accounts/alice", body, headers={"Authorization": ""})[0] == 201
        for number in range(ROUNDS):
            old, new = str(number), str(number + 1)
            is_over = threading.Event()
            seen: list[int] = []

            def log_in(old: str = old, is_over: threading.Event = is_over, seen: list[int] = seen) -> None:
                while not is_over.is_set():
                    seen.append(status(server, "alice", old))

            others = [threading.Thread(target=log_in) for _ in range(3)]
            for each in others:
                each.start()
            assert [status(server, "alice", old) for _ in range(CONNECTIONS)] == [200] * CONNECTIONS
            change(server, old, new)

            after = [status(server, "alice", old) for _ in range(CONNECTIONS)]
            is_over.set()
            for each in others:
                each.join()

            assert after == [401] * CONNECTIONS
            assert set(seen) <= {200, 401}
            assert [status(server, "alice", new) for _ in range(CONNECTIONS)] == [200] * CONNECTIONS
        assert "Traceback" not in server.output, server.output


def test_the_command_line_works_beside_a_server(tmp_path: Path) -> None:
    (tmp_path / "kobako.ini").write_text(LINES)

    def command(*arguments: str) -> str:
        run = [sys.executable, "-m", "kobako", *arguments]
        environ = {"PATH": os.environ.get("PATH", "")}
        return subprocess.run(run, cwd=tmp_path, env=environ, check=True, capture_output=True, text=True).stdout

    with running(tmp_path, "--workers", "2") as server:
        assert command("create-user", "-u", "alice", "-p", "first") == "Creating user 'alice'\n"
        assert [status(server, "alice", "first") for _ in range(CONNECTIONS)] == [200] * CONNECTIONS
        command("reset-password", "alice", "-p", "second")
        assert [status(server, "alice", "first") for _ in range(CONNECTIONS)] == [401] * CONNECTIONS
        assert status(server, "alice", "second") == 200
        assert command("list-users") == "alice\n"
        command("delete-user", "alice", "--with-data")
        assert [status(server, "alice", "second") for _ in range(CONNECTIONS)] == [401] * CONNECTIONS
