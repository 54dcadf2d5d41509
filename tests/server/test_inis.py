"""Files written for Kinto, of today and of the time of Cliquet, start the server as they stand.

Source: HTTP API, section 16; objects, 26.3 and 26.4.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.server.api import Api
from tests.server.process import Server, running

pytestmark = pytest.mark.server

INIS = Path(__file__).with_name("inis")
RECORD = "/v1/buckets/blog/collections/articles/records/first"


def start(ini: str, tmp_path: Path) -> Any:
    """Return a server that a copy of the file describes; %(here)s is a folder of its own."""
    shutil.copy(INIS / ini, tmp_path / "kinto.ini")
    return running(tmp_path, "--ini", "kinto.ini")


def unknown(server: Server) -> list[str]:
    """Return what the log says of names and classes that the server does not know, or not yet."""
    return re.findall(r".*(?:Unknown|no effect|no such|no step).*", server.output)


@pytest.mark.parametrize("ini", ["kinto-1.ini", "kinto-26.ini"])
def test_a_file_for_kinto_starts_a_server_that_stores(ini: str, tmp_path: Path) -> None:
    with start(ini, tmp_path) as server:
        api = Api(server.port)
        for path in ("/v1/buckets/blog", "/v1/buckets/blog/collections/articles"):
            assert api.call("PUT", path)[0] == 201
        assert api.call("PUT", RECORD, {"data": {"title": "Hello"}})[0] == 201

        status, _, body = api.call("GET", RECORD)

        assert (status, body["data"]["title"]) == (200, "Hello")
        assert [line for line in unknown(server) if "SentryHandler" not in line] == []
        assert server.stop() == 0


def test_a_file_of_today_is_served_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text('{"name": "blog"}')

    with start("kinto-26.ini", tmp_path) as server:
        api = Api(server.port)
        hello = api.call("GET", "/v1/")[2]
        assert (hello["project_name"], hello["project_docs"]) == ("Café", "https://example.org/docs?%20")
        assert hello["url"] == "https://api.example.org/v1/"
        assert {"schema", "permissions_endpoint", "accounts"} <= hello["capabilities"].keys()
        assert api.call("GET", "/v1/__version__")[2] == {"name": "blog"}

        api.call("PUT", "/v1/buckets/blog")
        api.call("PUT", "/v1/buckets/blog/collections/articles")
        assert api.call("DELETE", "/v1/buckets/blog/collections/articles/records")[0] == 405


def test_a_file_of_cliquets_time_is_served_as_it_says(tmp_path: Path) -> None:
    with start("kinto-1.ini", tmp_path) as server:
        api = Api(server.port)
        status, headers, hello = api.call("GET", "/v1/")
        assert (status, headers["Backoff"]) == (200, None)
        assert (hello["project_name"], hello["settings"]["batch_max_requests"]) == ("attic", 10)
        assert hello["user"]["id"].startswith("basicauth:")

        # Its list of steps has no redirection of versions, and Cliquet had no such policy.
        assert (api.call("GET", "/buckets")[0], headers["Content-Security-Policy"]) == (404, None)
        assert "leaves out restrict_http_methods_if_readonly, setup_csp_headers" in server.output
        assert api.call("DELETE", "/v1/buckets")[0] == 405
        for number in range(4):
            assert api.call("PUT", f"/v1/buckets/{number}")[0] == 201
        assert len(api.call("GET", "/v1/buckets")[2]["data"]) == 3

        [warning] = unknown(server)
        assert "'raven.handlers.logging.SentryHandler'" in warning
