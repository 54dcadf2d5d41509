"""What the tests with real clients share: a real server on SQLite, and a bucket for each test."""

import hashlib
import logging
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients import JS, PAGE
from tests.server.process import running

# It warns of each request of a batch that went well.
logging.getLogger("kinto_http").setLevel(logging.ERROR)

PROJECT = Path(__file__).parents[2]
NODE_AT_LEAST = 18


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server, of two workers, that all tests with clients share."""
    folder = tmp_path_factory.mktemp("server")
    with running(folder, "--workers", "2", environ={"KOBAKO_PAGINATE_BY": str(PAGE)}) as server:
        yield server.url
        assert "Traceback" not in server.output, server.output


@pytest.fixture(scope="session")
def accounts_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of another server, where users have accounts."""
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "kobako.ini").write_text(
        "[app:main]\nkobako.includes = kinto.plugins.accounts\nkobako.userid_hmac_secret = of the tests of clients\n"
        "kobako.account_create_principals = system.Everyone\nmultiauth.policies = account\n"
    )
    with running(folder, "--workers", "2") as server:
        yield server.url
        assert "Traceback" not in server.output, server.output


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A bucket id of the test's own, since all tests share a server."""
    return re.sub(r"\W+", "-", request.node.name)[-60:].strip("-_")


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node, with the packages of the lock file installed."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None or _major_version(found) < NODE_AT_LEAST:
        reason = f"Node {NODE_AT_LEAST} or later and npm are needed to test the JavaScript clients"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        warnings.warn(reason, stacklevel=1)  # A skip alone is a letter among dots.
        pytest.skip(reason)
    _install()
    return found


def _major_version(node: str) -> int:
    return int(subprocess.run([node, "--version"], capture_output=True, text=True).stdout.lstrip("v").partition(".")[0])


def _install() -> None:
    """Install what the lock file names, unless that was done already. The scripts of packages are not run."""
    stamp = JS / "node_modules" / ".installed"
    wanted = hashlib.sha256((JS / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    cache = PROJECT / ".cache" / "npm"
    command = ["npm", "ci", "--ignore-scripts", "--omit=dev", "--cache", str(cache)]
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    stamp.write_text(wanted)
