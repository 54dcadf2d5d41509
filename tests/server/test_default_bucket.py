"""C8: the first requests of a user to the default bucket, at once, on several workers, make one of everything."""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.server.api import Api
from tests.server.postgresql import WORKERS, environ, migrated
from tests.server.process import Server, running

pytestmark = pytest.mark.server

USERS = 5
ARTICLES = "/v1/buckets/default/collections/articles"
RECORDS = f"{ARTICLES}/records"
BATCH = {"requests": [{"method": "GET", "path": RECORDS[3:]}, {"method": "POST", "path": RECORDS[3:]}]}
FIRST: list[tuple[str, str, Any]] = [
    ("GET", RECORDS, None),
    ("POST", RECORDS, {"data": {}}),
    ("PUT", ARTICLES, {"data": {}}),
    ("POST", "/v1/batch", BATCH),
    ("GET", "/v1/buckets/default", None),
    ("GET", RECORDS, None),
    ("POST", RECORDS, {"data": {}}),
    ("PUT", ARTICLES, {"data": {}}),
    ("POST", "/v1/batch", BATCH),
    ("PUT", "/v1/buckets/default", {"data": {}}),
] * 2
"""20 requests."""

NOTING = '''
"""A plugin that notes, in a file, each creation that it is told of."""

import json
from pathlib import Path

from kobako import Listener, Plugin


def note(tx, event):
    with Path(__file__).with_name("created.jsonl").open("a") as file:
        for change in event.changes:
            file.write(json.dumps([event.place.resource, event.user, change.new.id]) + "\\n")


def plugin(settings):
    return Plugin(name="noting", listeners=[Listener(note, actions=["create"], after_commit=True)])
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def of_backend(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """What a server is told of where its data is."""
    if request.param == "sqlite":
        yield {}
    else:
        with migrated() as server:
            yield environ(server.url("kobako"))


def ask_at_once(server: Server, user: str) -> list[tuple[int, Any]]:
    """Send the first requests of a user, each over a connection of its own; return status and body of each answer."""
    authorization = "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()
    together, answers = threading.Barrier(len(FIRST)), list[tuple[int, Any]]()

    def ask(method: str, path: str, body: Any) -> None:
        # Which process serves is decided for each connection.
        api = Api(server.port)
        api.call("GET", "/v1/__lbheartbeat__")
        together.wait()
        status, _, answer = api.call(method, path, body, {"Authorization": authorization})
        answers.append((status, answer))

    threads = [threading.Thread(target=ask, args=each) for each in FIRST]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return answers


def statuses(answers: list[tuple[int, Any]]) -> set[int]:
    """Return the statuses of answers, and of the parts of those to batches."""
    parts = [part["status"] for _, body in answers if "responses" in body for part in body["responses"]]
    return {*(status for status, _ in answers), *parts}


def test_first_requests_at_once_create_one_bucket_and_one_collection(
    tmp_path: Path, of_backend: Mapping[str, str]
) -> None:
    (tmp_path / "noting.py").write_text(NOTING)
    plugins = {"KOBAKO_INCLUDES": "default_bucket noting", "PYTHONPATH": str(tmp_path)}
    with running(tmp_path, *WORKERS, environ={**of_backend, **plugins}) as server:
        while len(server.workers()) < int(WORKERS[-1]):
            # The first one answers before the last one is there.
            time.sleep(0.01)
        answers = [ask_at_once(server, f"user{number}") for number in range(USERS)]

    created = [json.loads(line) for line in (tmp_path / "created.jsonl").read_text().splitlines()]
    assert "Traceback" not in server.output, server.output
    assert {status for each in answers for status in statuses(each)} <= {200, 201}
    assert [len(each) for each in answers] == [len(FIRST)] * USERS
    counted = Counter((kind, user) for kind, user, _ in created)
    users = {user for _, user, _ in created}
    assert len(users) == USERS
    for user in users:
        assert counted["bucket", user] == 1
        assert counted["collection", user] == 1
        assert counted["record", user] == 8
