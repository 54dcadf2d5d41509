"""Files of records with the real clients, kinto-http and kinto-http.js, over real HTTP.

Source: objects, 29.1 and 29.3.
"""

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kinto_http import Client, KintoException
from tests.clients import JS
from tests.server.process import running

pytestmark = pytest.mark.clients


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server whose files another server shows to everybody."""
    folder = tmp_path_factory.mktemp("attachments")
    files = folder / "files"
    files.mkdir()
    shown = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=files))
    threading.Thread(target=shown.serve_forever, daemon=True).start()
    environ = {
        "KOBAKO_INCLUDES": "attachments",
        "KOBAKO_ATTACHMENT_BASE_PATH": str(files),
        "KOBAKO_ATTACHMENT_EXTRA_BASE_URL": f"http://127.0.0.1:{shown.server_port}",
    }
    try:
        with running(folder, environ=environ) as server:
            yield server.url
            assert "Traceback" not in server.output, server.output
    finally:
        shown.shutdown()
        shown.server_close()


@pytest.fixture
def alice(url: str, bucket: str) -> Client:
    client = Client(server_url=url, auth=("alice", "a-secret"), bucket=bucket, collection="things")
    client.create_bucket()
    client.create_collection()
    return client


def test_a_file_goes_up_and_comes_back(alice: Client, tmp_path: Path) -> None:
    source, target = tmp_path / "source.txt", tmp_path / "target.txt"
    source.write_text("hello")

    about = alice.add_attachment("r", str(source), data={"title": "A"}, permissions={"read": ["system.Everyone"]})
    record = alice.get_record(id="r")
    alice.download_attachment(record["data"], filepath=str(target))

    assert record["data"]["attachment"] == about
    assert (about["filename"], about["mimetype"], about["size"]) == ("source.txt", "text/plain", 5)
    assert record["data"]["title"] == "A"
    assert record["permissions"]["read"] == ["system.Everyone"]
    assert target.read_text() == "hello"


def test_a_file_is_replaced_and_removed(alice: Client, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("hello")
    alice.add_attachment("r", str(source))
    second = alice.add_attachment("r", str(source), filename="other.txt", mimetype="text/plain")

    assert second["filename"] == "other.txt"
    alice.remove_attachment("r")
    assert alice.get_record(id="r")["data"]["attachment"] is None


def test_a_file_that_is_not_taken_is_told_with_its_reason(alice: Client, tmp_path: Path) -> None:
    source = tmp_path / "program.exe"
    source.write_bytes(b"MZ" * 5_000_000)

    with pytest.raises(KintoException, match="File extension is not allowed"):
        alice.add_attachment("r", str(source))


def test_kinto_http_js_attaches_and_removes_files(node: str, url: str) -> None:
    environ = {**os.environ, "KOBAKO_URL": url, "KOBAKO_PAGE": "40"}

    done = subprocess.run(
        [node, "--test-reporter=tap", "attachments.mjs"], cwd=JS, env=environ, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 4" in done.stdout
