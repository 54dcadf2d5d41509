"""kinto.js and kinto-http.js, from npm, run by Node over real HTTP, on SQLite: a set of scenarios a file of `js/`.

Node has to be there in CI; elsewhere, without it, these tests are skipped and say so.

Source: HTTP API, sections 19.1 and 19.2; Objects, sections 29.1 and 29.2.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.clients import JS, PAGE

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("scenarios", sorted(JS.glob("*.test.mjs")), ids=lambda path: path.name)
def test_the_scenarios_of_a_client_pass(node: str, server_url: str, accounts_url: str, scenarios: Path):
    urls = {"KOBAKO_URL": server_url, "KOBAKO_ACCOUNTS_URL": accounts_url}
    environ = {**os.environ, **urls, "KOBAKO_PAGE": str(PAGE)}

    done = subprocess.run(
        [node, "--test-reporter=tap", scenarios.name], cwd=JS, env=environ, capture_output=True, text=True
    )

    assert done.returncode == 0, _failures(done.stdout) + done.stderr
    counted = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert counted is not None, done.stdout
    assert int(counted[1]) >= scenarios.read_text().count("\ntest(") > 0


def _failures(tap: str) -> str:
    """Return the part of a report that is about what failed."""
    return "\n".join(re.findall(r"^not ok .*?^  \.\.\.$", tap, re.MULTILINE | re.DOTALL)) or tap
