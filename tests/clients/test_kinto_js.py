"""kinto.js and kinto-http.js, from npm, run by Node over real HTTP, on SQLite: a set of scenarios a file of `js/`.

Node has to be there in CI; elsewhere, without it, these tests are skipped and say so.

Source: HTTP API, sections 19.1 and 19.2; Objects, sections 29.1 and 29.2.
"""

import hashlib
import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from tests.clients import PAGE

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent / "js"
PROJECT = Path(__file__).parents[2]
NODE_AT_LEAST = 18


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


@pytest.mark.parametrize("scenarios", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_the_scenarios_of_a_client_pass(node: str, server_url: str, scenarios: Path):
    environ = {**os.environ, "KOBAKO_URL": server_url, "KOBAKO_PAGE": str(PAGE)}

    done = subprocess.run(
        [node, "--test-reporter=tap", scenarios.name], cwd=HERE, env=environ, capture_output=True, text=True
    )

    assert done.returncode == 0, _failures(done.stdout) + done.stderr
    counted = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert counted is not None, done.stdout
    assert int(counted[1]) >= scenarios.read_text().count("\ntest(") > 0


def _major_version(node: str) -> int:
    return int(subprocess.run([node, "--version"], capture_output=True, text=True).stdout.lstrip("v").partition(".")[0])


def _install() -> None:
    """Install what the lock file names, unless that was done already. The scripts of packages are not run."""
    stamp = HERE / "node_modules" / ".installed"
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    cache = PROJECT / ".cache" / "npm"
    command = ["npm", "ci", "--ignore-scripts", "--omit=dev", "--cache", str(cache)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    stamp.write_text(wanted)


def _failures(tap: str) -> str:
    """Return the part of a report that is about what failed."""
    return "\n".join(re.findall(r"^not ok .*?^  \.\.\.$", tap, re.MULTILINE | re.DOTALL)) or tap
