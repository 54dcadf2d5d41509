"""What the tests with real clients share: a real server on SQLite, and a bucket for each test."""

import fcntl
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
from tests.clients import JS, OIDC, PAGE
from tests.server.process import running

# It warns of each request of a batch that went well.
logging.getLogger("kinto_http").setLevel(logging.ERROR)

PROJECT = Path(__file__).parents[2]
NODE_AT_LEAST = 18


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server, of two workers, that all tests with clients share."""
    folder = tmp_path_factory.mktemp("server")
    environ = {"KOBAKO_PAGINATE_BY": str(PAGE), "KOBAKO_INCLUDES": "default_bucket history"}
    with running(folder, "--workers", "2", environ=environ) as server:
        yield server.url
        assert "Traceback" not in server.output, server.output


@pytest.fixture(scope="session")
def accounts_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of another server, where users have accounts."""
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "kobako.ini").write_text(
        "[app:main]\nkobako.includes = kinto.plugins.default_bucket kinto.plugins.accounts kinto.plugins.history\n"
        "kobako.userid_hmac_secret = of the tests of clients\nkobako.default_bucket_hmac_secret = of buckets\n"
        "kobako.account_create_principals = system.Everyone\nmultiauth.policies = account\n"
    )
    with running(folder, "--workers", "2", environ={"KOBAKO_PAGINATE_BY": str(PAGE)}) as server:
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
    for folder in (JS, OIDC):
        _install(folder)
    return found


def _major_version(node: str) -> int:
    return int(subprocess.run([node, "--version"], capture_output=True, text=True).stdout.lstrip("v").partition(".")[0])


def _install(folder: Path) -> None:
    """Install what a lock file names, once for all processes of pytest. The scripts of packages are not run."""
    cache = PROJECT / ".cache" / "npm"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "installing").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install_into(folder, cache)


def _install_into(folder: Path, cache: Path) -> None:
    stamp = folder / "node_modules" / ".installed"
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    command = ["npm", "ci", "--ignore-scripts", "--omit=dev", "--cache", str(cache)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    stamp.write_text(wanted)
