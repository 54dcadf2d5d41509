"""New Relic's agent, in its developer mode: it records, and talks to nobody. Source: HTTP API, 16.12."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.process import Server, running

from kobako import monitoring
from kobako.settings import Settings, SettingsError


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    """Where the agent would call, if it called anybody."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        collector.setblocking(False)
        yield collector


def configuration(folder: Path, collector: socket.socket) -> Path:
    """Write what the agent reads: two environments, each of which logs what it records to a file of its own."""
    path = folder / "newrelic.ini"
    path.write_text(
        "[newrelic]\n"
        f"license_key = {'0' * 40}\napp_name = Kobako's tests\ndeveloper_mode = true\nstartup_timeout = 10\n"
        f"host = 127.0.0.1\nport = {collector.getsockname()[1]}\nlog_file = {folder / 'newrelic.log'}\n"
        f"[newrelic:dev]\naudit_log_file = {folder / 'dev.log'}\n"
        f"[newrelic:prod]\naudit_log_file = {folder / 'prod.log'}\n"
    )
    return path


def hello(server: Server) -> int:
    connection = server.connect()
    connection.request("GET", "/v1/")
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.server
@pytest.mark.parametrize(("variables", "environment"), [({}, "dev"), ({"KOBAKO_NEWRELIC_ENV": "prod"}, "prod")])
def test_requests_are_transactions(
    tmp_path: Path, collector: socket.socket, variables: dict[str, str], environment: str
) -> None:
    environ = {"KOBAKO_NEWRELIC_CONFIG": str(configuration(tmp_path, collector)), **variables}

    with running(tmp_path, environ=environ) as server:
        assert [hello(server) for _ in range(3)] == [200] * 3
        assert server.stop() == 0

    recorded = (tmp_path / f"{environment}.log").read_text()
    assert "metric_data" in recorded
    assert re.search(r"WebTransaction/", recorded)
    with pytest.raises(BlockingIOError):
        collector.accept()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, r": No such file or directory\.$"),
        (b"license_key = 1", r", which is no configuration: File contains no section headers"),
        (b"\xff\xfe", r", which is no configuration: "),
    ],
)
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, content: bytes | None, rule: str) -> None:
    path = tmp_path / "newrelic.ini"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError, match=rf"^Setting 'newrelic_config' is '{path}'{rule}"):
        monitoring.check(Settings(newrelic_config=str(path)))
