"""The same script on every embedded backend, against a dict: they answer alike, and as the model says.

One user who may do everything in the buckets they make writes, patches, deletes, batches and polls, while the clock
jumps. A replica of each list follows by `_since` alone, and equals the model whenever it has polled.

Source: reliability, 3 (area E), 4.1, S4, S12, S13, S16, S19, S28, C12; HTTP API, 7, 8 and 12.
"""

import asyncio
import copy
import dataclasses
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tests.conftest import SETTINGS
from tests.oracle.backends import Backends
from tests.oracle.exchange import alone, batched, expected, problem, read, tokens
from tests.oracle.model import Answer
from tests.oracle.world import World, kind_of, parent, prefixed
from tests.oracle.worlds import ROOT, request

BACKENDS = ("memory", "sqlite")
BUCKETS = ("/buckets/b", "/buckets/ba")
COLLECTIONS = ("/buckets/b/collections/c", "/buckets/b/collections/d", "/buckets/ba/collections/c")
RECORDS = tuple(f"{each}/records/{id}" for each in COLLECTIONS for id in ("r", "s", "t"))
GROUPS = ("/buckets/b/groups/g", "/buckets/ba/groups/g")
OBJECTS = st.sampled_from(RECORDS) | st.sampled_from((*BUCKETS, *COLLECTIONS, *GROUPS))
LISTS = tuple(dict.fromkeys(parent(each) for each in (*BUCKETS, *COLLECTIONS, *RECORDS, *GROUPS)))

VALUES = st.integers(0, 4)
DATA = st.fixed_dictionaries({}, optional={"n": VALUES, "secret": st.sampled_from("abc")})
ACL = st.just({"read": ["ann"]}) | st.just({"write": []}) | st.just({"read": []})
MERGED = st.fixed_dictionaries({}, optional={"n": VALUES | st.none(), "secret": st.sampled_from("abc") | st.none()})
OPERATIONS = st.lists(
    st.fixed_dictionaries({"op": st.just("add"), "path": st.just("/data/n"), "value": VALUES})
    | st.just({"op": "remove", "path": "/data/n"})
    | st.sampled_from(("add", "remove")).map(lambda op: {"op": op, "path": "/permissions/read/ann"}),
    max_size=3,
)
BODIES = st.fixed_dictionaries({}, optional={"data": DATA, "permissions": ACL})
# What a version in a header is: the stored one, one of before, or anything.
KNOWLEDGE = st.sampled_from((None, None, None, "current", "wrong", "new"))
FILTERS = st.fixed_dictionaries({}, optional={"min_n": VALUES.map(str), "_sort": st.sampled_from(("n", "-id"))})


@st.composite
def writes(draw: st.DrawFn) -> dict[str, Any]:
    """One write to one object or list; what its precondition is, is only decided when it is sent."""
    method = draw(st.sampled_from(("PUT", "PUT", "PUT", "POST", "plain", "merge", "json", "DELETE", "DELETE", "CLEAR")))
    uri = draw(OBJECTS)
    made = request(ROOT, "PATCH" if method in ("plain", "merge", "json") else method, uri)
    if method in ("PUT", "POST"):
        made["body"] = draw(BODIES)
    if method == "POST":
        made["path"] = parent(uri)
        made["body"]["data"] = {**made["body"].get("data", {}), "id": uri.rpartition("/")[2]}
    if method in ("plain", "merge"):
        made["body"] = {"data": draw(DATA if method == "plain" else MERGED)}
        if draw(st.booleans()):
            made["body"]["permissions"] = draw(ACL)
    if method == "json":
        made["body"] = draw(OPERATIONS)
    if method == "CLEAR":
        made |= {"method": "DELETE", "path": parent(uri), "query": draw(FILTERS)}
    if made["method"] == "PATCH":
        made["dialect"] = method
    return made | {"knows": draw(KNOWLEDGE)}


class Dict(World):
    """The model: it also counts how often a list began anew, and how often without the tombstones of before."""

    def __init__(self) -> None:
        super().__init__({"bucket_create": {prefixed(ROOT)}, "bucket_read": {prefixed(ROOT)}})
        self.losses = dict.fromkeys(LISTS, 0)
        self.restarts = dict.fromkeys(LISTS, 0)

    def delete(self, uri: str, version: int) -> None:
        super().delete(uri, version)
        for each in LISTS:
            self.restarts[each] += each.startswith(uri + "/")
            self.losses[each] += each.startswith(uri + "/") and kind_of(uri) == "bucket"


class Replica:
    """What a client holds of a list that it follows."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.cursor = 0
        self.losses = 0
        self.restarts = 0


class Stores(RuleBasedStateMachine):
    """Apps, the model, and a replica of each list for each app."""

    def __init__(self) -> None:
        super().__init__()
        # The databases are older than what is written in them, and of the same age.
        self.now = 1
        # One each: a list that begins anew begins at another version on each backend, above all it ever had.
        self.worlds = {each: Dict() for each in BACKENDS}
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        backends = Backends(Path(self.folder.name))
        self.runner.run(backends.migrate())
        allowed = {name: frozenset(who) for name, who in Dict().settings.items()}
        changed = dataclasses.replace(SETTINGS, principals_by_permission=allowed)
        self.apps = {each: backends.app(each, changed, lambda: self.now) for each in BACKENDS}
        self.replicas = {(each, uri): Replica() for each in BACKENDS for uri in LISTS}
        for app in self.apps.values():
            self.runner.run(app.__aenter__())
        self.now = 1_700_000_000_000

    def teardown(self) -> None:
        try:
            for uri in LISTS:
                for backend in BACKENDS:
                    self.poll(backend, uri, 3)
        finally:
            for app in self.apps.values():
                self.runner.run(app.__aexit__(None, None, None))
            self.runner.close()
            self.folder.cleanup()

    @rule(write=writes())
    def write(self, write: dict[str, Any]) -> None:
        self.tell([write])

    @rule(parts=st.lists(writes(), min_size=2, max_size=5))
    def batch(self, parts: list[dict[str, Any]]) -> None:
        # In a batch every patch is a plain one.
        self.tell([each for each in parts if each.get("dialect") in (None, "plain")])

    @rule(uri=st.sampled_from(COLLECTIONS))
    def begin(self, uri: str) -> None:
        """Make a collection and its bucket, where they are missing; or write them again."""
        bucket = parent(parent(uri))
        self.tell([request(ROOT, "PUT", each, body={"data": {}}) for each in (bucket, uri, f"{uri}/records/r")])

    @rule(uri=st.sampled_from((*BUCKETS, *COLLECTIONS, *COLLECTIONS)), records=st.booleans())
    def recreate(self, uri: str, records: bool) -> None:
        """Delete a collection or bucket and make it again, in one batch."""
        again = [request(ROOT, "PUT", uri, body={"data": {"n": 1}})]
        if records and kind_of(uri) == "collection":
            again.append(request(ROOT, "PUT", f"{uri}/records/s", body={"data": {"n": 2}}))
        self.tell([request(ROOT, "DELETE", uri), *again])

    @rule(jump=st.sampled_from((1, 1000, 3_600_000, -1, -3_600_000)))
    def turn_the_clock(self, jump: int) -> None:
        self.now += jump

    @rule(uri=st.sampled_from(LISTS), limit=st.integers(1, 3))
    def follow(self, uri: str, limit: int) -> None:
        for backend in BACKENDS:
            self.poll(backend, uri, limit)

    @rule(uri=st.sampled_from(LISTS), query=FILTERS, method=st.sampled_from(("GET", "HEAD")))
    def look(self, uri: str, query: dict[str, str], method: str) -> None:
        self.tell([request(ROOT, method, uri, query=query)])

    def tell(self, asked: list[dict[str, Any]]) -> None:
        """Send the same to every app, compare each answer with the model, and all of them with each other."""
        if not asked:
            return
        first, *others = [[comparable(each) for each in self.exchange(backend, asked)] for backend in BACKENDS]
        for other in others:
            assert other == first, asked

    def exchange(self, backend: str, asked: list[dict[str, Any]]) -> list[Answer]:
        world = self.worlds[backend]
        asked = [each | {"headers": precondition(world, each)} for each in asked]
        answers = self.answers(self.apps[backend], asked)
        who = [world.principals(each["user"]) for each in asked]
        for each, principals, answer in zip(asked, who, answers, strict=True):
            wanted = expected(world, each, principals, in_batch=len(asked) > 1)
            assert problem(each, wanted, answer) is None, (backend, each, wanted, answer)
            if each["method"] not in ("GET", "HEAD") and answer[0] in (200, 201):
                self.check_versions(world, each, answer)
                wanted.commit(answer)
        return answers

    def answers(self, app: Any, asked: list[dict[str, Any]]) -> list[Answer]:
        if len(asked) == 1:
            return [self.runner.run(answered(app, asked[0]))]
        response = self.runner.run(app.answer(batched(asked)))
        assert response.status == 200, (response.body, asked)
        return [(each["status"], each["headers"], each["body"]) for each in json.loads(response.body)["responses"]]

    def check_versions(self, world: World, asked: dict[str, Any], answer: Answer) -> None:
        """Versions of a list only grow, by one where the clock does not; a POST of what exists is no write."""
        uri, data = asked["path"], answer[2]["data"]
        place = uri if len(uri.split("/")) % 2 == 0 else parent(uri)
        if asked["method"] == "POST" and answer[0] == 200:
            return
        versions = [each["last_modified"] for each in (data if isinstance(data, list) else [data])]
        assert len(set(versions)) == len(versions)
        if place in world.etags:
            before = world.etags[place]
            allowed = range(max(before + 1, self.now), max(before + 1, self.now) + len(versions))
            assert sorted(versions) == list(allowed), (asked, before, self.now)

    def poll(self, backend: str, uri: str, limit: int) -> None:
        """Ask for what is new, page by page; a client that was away while its bucket was deleted begins anew."""
        replica, app, world = self.replicas[backend, uri], self.apps[backend], self.worlds[backend]
        if world.losses[uri] != replica.losses:
            replica.objects.clear()
        asked = request(ROOT, "GET", uri, query={"_since": str(replica.cursor), "_limit": str(limit)})
        etags, changes = [], []
        while True:
            status, headers, body = self.runner.run(answered(app, asked))
            if status == 410:
                # What went with its bucket can not be told one by one (S20).
                assert world.losses[uri] != replica.losses, body
                replica.objects.clear()
                replica.cursor = 0
                return self.poll(backend, uri, limit)
            if status != 200:
                assert status in (403, 404), (status, body)
                return
            etags.append(int(headers["ETag"].strip('"')))
            changes += body["data"]
            token = tokens(headers)
            if not token:
                break
            asked = copy.deepcopy(asked)
            asked["query"]["_token"] = token[0]
        assert set(etags) == {etags[0]}
        assert etags[0] >= replica.cursor
        if replica.cursor and replica.restarts == world.restarts[uri] and etags[0] > replica.cursor:
            assert changes, f"{uri}: the ETag moved and nothing changed"
        self.apply(replica, changes)
        replica.cursor = etags[0]
        replica.losses, replica.restarts = world.losses[uri], world.restarts[uri]
        held = {id: each["last_modified"] for id, each in replica.objects.items()}
        assert held == {each.rpartition("/")[2]: world.objects[each]["version"] for each in world.members(uri)}

    @staticmethod
    def apply(replica: Replica, changes: list[Any]) -> None:
        for each in changes:
            replica.objects.pop(each["id"], None)
            if not each.get("deleted"):
                replica.objects[each["id"]] = each


async def answered(app: Any, asked: dict[str, Any]) -> Answer:
    """Return the answer to a request."""
    return await read(await app.answer(alone(asked)))


def precondition(world: World, asked: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a client that knows the current version, another one, or that there is nothing."""
    knows, uri = asked.get("knows"), asked["path"]
    known = world.objects[uri]["version"] if uri in world.objects else world.etags.get(uri)
    if knows == "new":
        return {"If-None-Match": "*"}
    if knows == "wrong" or (knows == "current" and (known is None or asked["method"] == "POST")):
        return {"If-Match": '"17"'}
    return {"If-Match": f'"{known}"'} if knows == "current" else {}


def comparable(answer: Answer) -> Any:
    """Return what has to be the same on all backends: all but the versions."""
    status, headers, body = answer
    if isinstance(body, dict) and isinstance(body.get("permissions"), dict):
        body = {**body, "permissions": {name: sorted(who) for name, who in body["permissions"].items()}}
    if (
        isinstance(body, dict)
        and isinstance(body.get("data"), list)
        and all("deleted" in each for each in body["data"])
    ):
        # The order of tombstones is not told.
        body = {"data": sorted(body["data"], key=lambda each: each["id"])}
    names = sorted({"ETag", "Next-Page", "Last-Modified"} & headers.keys())
    return (
        status,
        names,
        headers.get("Total-Objects"),
        re.sub(r'"last_modified": \d+', "", json.dumps(body, sort_keys=True)),
    )


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Stores,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_backends_and_model_agree() -> None:
    run(examples=10, steps=20)


@pytest.mark.slow
def test_backends_and_model_agree_over_200_scripts_of_30_steps() -> None:
    run(examples=200, steps=30)
