"""A server purges by itself what is older than the setting says, with several workers: objects, 26.2; S20."""

import time
from pathlib import Path

import pytest
from tests.server.api import RECORDS, Api
from tests.server.process import PATIENCE_S, running

pytestmark = pytest.mark.server


def test_s20_old_tombstones_are_purged_by_a_server_of_two_workers_and_pollers_are_told(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """S20."""
    with running(tmp_path, environ=variables) as server:
        api = Api(server.port)
        api.make_list()
        api.call("PUT", f"{RECORDS}/live", {"data": {}})
        since = api.call("PUT", f"{RECORDS}/r1", {"data": {}})[2]["data"]["last_modified"]
        gone = api.call("DELETE", f"{RECORDS}/r1")[2]["data"]["last_modified"]
        assert api.call("GET", f"{RECORDS}?_since={since}")[0] == 200
    while time.time() * 1000 < gone + 1100:
        time.sleep(0.05)

    purging = {**variables, "KOBAKO_PURGE_DELETED_AFTER": "1s"}
    with running(tmp_path, "--workers", "2", environ=purging) as server:
        deadline = time.monotonic() + PATIENCE_S
        while (answer := Api(server.port).call("GET", f"{RECORDS}?_since={since}"))[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        listed = Api(server.port).call("GET", f"{RECORDS}?_since=0")[2]["data"]
        output = server.output

    assert (answer[0], answer[2]["details"]) == (410, {"purged_before": gone})
    assert [each["id"] for each in listed] == ["live"]
    assert "Traceback" not in output
