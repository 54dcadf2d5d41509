"""What the tests with real clients share: a real server on SQLite, and a bucket for each test."""

import logging
import re
from collections.abc import Iterator

import pytest
from tests.clients import PAGE
from tests.server.process import running

# It warns of each request of a batch that went well.
logging.getLogger("kinto_http").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server, of two workers, that all tests with clients share."""
    folder = tmp_path_factory.mktemp("server")
    with running(folder, "--workers", "2", environ={"KOBAKO_PAGINATE_BY": str(PAGE)}) as server:
        yield server.url
        assert "Traceback" not in server.output, server.output


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A bucket id of the test's own, since all tests share a server."""
    return re.sub(r"\W+", "-", request.node.name)[-60:].strip("-_")
