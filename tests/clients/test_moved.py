"""A client goes on syncing where it was, after `kobako move` to PostgreSQL and back: kinto.js, run by Node.

Source: design, "One file to a cluster".
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, pairwise
from pathlib import Path

import pytest
from kinto_http import Client
from tests.clients import JS
from tests.server.postgresql import environ, migrated
from tests.server.process import running
from tests.servers.daemon import free_port
from tests.servers.postgresql import PostgreSQL

pytestmark = [pytest.mark.clients, pytest.mark.server]


@pytest.fixture
def postgresql() -> Iterator[PostgreSQL]:
    with migrated() as server:
        yield server


def move(folder: Path, source: str, target: str) -> None:
    command = [sys.executable, "-m", "kobako", "move", "--from", source, "--to", target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def change(bucket: str, url: str) -> None:
    """Make a record, replace one, and delete one, as another client would."""
    collection = Client(server_url=url, auth=("alice", "a-secret"), bucket=bucket, collection="things")
    collection.create_record(id="new", data={"n": 100})
    collection.update_record(id="r1", data={"n": 101})
    collection.delete_record(id="r2")


@pytest.fixture
def copy(node: str) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Return a function that runs a kinto.js client of a server, up to where that moves."""
    with ExitStack() as running:

        def run(url: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [node, "moved.mjs"], cwd=JS, env={**os.environ, "KOBAKO_URL": url, "KOBAKO_PAGE": "10"}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            running.callback(process.wait)
            running.callback(process.kill)
            return process

        yield run


@pytest.mark.parametrize(
    "databases",
    [
        pytest.param(["sqlite", "postgresql"], id="to PostgreSQL"),
        pytest.param(["sqlite", "postgresql", "sqlite"], id="and back"),
    ],
)
def test_a_copy_that_synced_before_a_move_goes_on_without_a_reset(
    copy: Callable[[str], "subprocess.Popen[str]"], postgresql: PostgreSQL, tmp_path: Path, databases: list[str]
) -> None:
    files = (f"sqlite:///{n}.db" for n in count())
    urls = [postgresql.url("kobako") if each == "postgresql" else next(files) for each in databases]
    port = free_port()
    with running(tmp_path, environ=environ(urls[0]), port=port) as server:
        client = copy(server.url)
        bucket = client.stdout.readline().strip()
        assert bucket.startswith("js-"), bucket + client.communicate()[0]
    for source, target in pairwise(urls):
        move(tmp_path, source, target)

    with running(tmp_path, environ=environ(urls[-1]), port=port) as server:
        change(bucket, server.url)
        said, _ = client.communicate("moved\n", timeout=60)

    assert client.returncode == 0, said
