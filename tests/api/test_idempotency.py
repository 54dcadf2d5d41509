"""Requests that are done once, however often they are sent: Idempotency-Key, beyond Kinto.

Source: docs/beyond-kinto.md; reliability, C11 and promise 2.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api.sharing import create, ids, put, serving, statuses
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.databases.base import BackendUnavailable
from kobako.databases.sqlite import SQLiteDatabase
from kobako.http.idempotency import DAY_MS
from kobako.protocol.errors import Conflict, Forbidden, ServiceUnavailable
from kobako.resources import RESOURCES
from kobako.storage.base import Place
from kobako.testing.client import Answer, Client

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
RECORDS = "/buckets/b/collections/c/records"


@pytest.fixture
async def owner(client: Client) -> Client:
    """A client with a collection of records, one of which exists."""
    await create(client, "/buckets/b", "/buckets/b/collections/c", f"{RECORDS}/r")
    return client


REQUESTS = [
    pytest.param("POST", RECORDS, {"data": {"n": 1}}, 201, id="POST"),
    pytest.param("PUT", f"{RECORDS}/new", {"data": {"n": 1}}, 201, id="PUT that creates"),
    pytest.param("PUT", f"{RECORDS}/r", {"data": {"n": 1}}, 200, id="PUT that replaces"),
    pytest.param("PATCH", f"{RECORDS}/r", {"data": {"n": 1}}, 200, id="PATCH"),
    pytest.param("DELETE", f"{RECORDS}/r", None, 200, id="DELETE of an object"),
    pytest.param("DELETE", RECORDS, None, 200, id="DELETE of a list"),
    pytest.param("POST", "/batch", {"requests": [put(f"{RECORDS}/x"), {"path": "/nowhere"}]}, 200, id="batch"),
    pytest.param("PUT", f"{RECORDS}/not valid!", {"data": {}}, 400, id="400"),
    pytest.param("DELETE", f"{RECORDS}/unknown", None, 404, id="404"),
    pytest.param("POST", "/batch", {"atomic": True, "requests": [{"path": "/nowhere"}]}, 404, id="atomic batch"),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
async def test_a_request_sent_again_is_not_done_again_and_has_the_same_answer(
    owner: Client, method: str, path: str, body: Any, status: int
) -> None:
    before = (await owner.get(RECORDS)).etag
    given = {} if body is None else {"json": body}

    first = await owner.request(method, path, headers=KEY, **given)
    after = (await owner.get(RECORDS)).etag
    second = await owner.request(method, path, headers=KEY, **given)

    assert first.status == status
    assert second == first
    assert (await owner.get(RECORDS)).etag == after
    assert (after > before) == (status < 400)


async def test_without_a_key_a_request_is_done_again(owner: Client) -> None:
    first, second = [await owner.post(RECORDS, {"n": 1}) for _ in range(2)]

    assert first.data["id"] != second.data["id"]


async def test_what_the_client_did_wrong_stays_wrong_under_its_key(owner: Client) -> None:
    first = await owner.put(f"{RECORDS}/r", {}, headers={**KEY, "If-Match": '"1"'})
    version = first.json["details"]["existing"]["last_modified"]

    again = await owner.put(f"{RECORDS}/r", {}, headers={**KEY, "If-Match": f'"{version}"'})
    other = await owner.put(f"{RECORDS}/r", {}, headers={"Idempotency-Key": "k2", "If-Match": f'"{version}"'})

    assert (first.status, again, other.status) == (412, first, 200)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", RECORDS, {"data": {"n": 2}}),
        ("POST", f"{RECORDS}?_fields=n", {"data": {"n": 1}}),
        ("POST", "/buckets/b/collections", {"data": {"n": 1}}),
        ("PUT", f"{RECORDS}/r", {"data": {"n": 1}}),
        ("DELETE", RECORDS, {"data": {"n": 1}}),
        ("POST", "/batch", {"requests": []}),
    ],
)
async def test_a_key_that_came_with_another_request_is_refused(
    owner: Client, method: str, path: str, body: Any
) -> None:
    await owner.post(RECORDS, {"n": 1}, headers=KEY)
    before = (await owner.get(RECORDS)).json

    answer = await owner.request(method, path, json=body, headers=KEY)

    assert (answer.status, answer.json["errno"], answer.json["error"]) == (422, 107, "Invalid parameters")
    assert answer.json["message"].startswith("Idempotency-Key was used for another request")
    assert (await owner.get(RECORDS)).json == before


async def test_the_same_body_in_another_dialect_of_patch_is_another_request(owner: Client) -> None:
    await owner.put(f"{RECORDS}/r", {"n": 1})
    await owner.patch(f"{RECORDS}/r", {"n": None}, headers=KEY)

    merge_patch = KEY | {"Content-Type": "application/merge-patch+json"}
    answer = await owner.patch(f"{RECORDS}/r", {"n": None}, headers=merge_patch)

    assert answer.status == 422


async def test_a_key_is_of_a_user(client: Client) -> None:
    mine = await client.put("/buckets/mine", {}, headers=KEY)
    hers = await client.as_user("ann").put("/buckets/hers", {}, headers=KEY)

    assert (mine.status, hers.status, hers.data["id"]) == (201, 201, "hers")


async def test_nobody_in_particular_has_keys() -> None:
    everyone = {"bucket_create": frozenset({"system.Everyone"})}
    async with serving(principals_by_permission=everyone) as client:
        answer = await client.anonymous().put("/buckets/b", {}, headers=KEY)

        assert (answer.status, answer.json["errno"]) == (401, 104)
        assert answer.json["message"] == "An Idempotency-Key needs an authenticated user."
        assert (await client.anonymous().put("/buckets/b", {})).status == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\tb", "one, two"])
async def test_a_key_is_1_to_255_visible_characters(client: Client, key: str) -> None:
    answer = await client.put("/buckets/b", {}, headers={"Idempotency-Key": key})

    assert (answer.status, answer.json["details"][0]["name"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("key", ["x", "!", "~" * 255, "\"'\\;{}"])
async def test_any_visible_characters_make_a_key(client: Client, key: str) -> None:
    first, second = [await client.put("/buckets/b", {}, headers={"Idempotency-Key": key}) for _ in range(2)]

    assert first.status == 201
    assert second == first


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_what_writes_nothing_needs_no_key(client: Client, method: str) -> None:
    plain = await client.request(method, "/buckets")

    assert (await client.request(method, "/buckets", headers={"Idempotency-Key": "no key"})).status == plain.status


async def test_a_part_of_a_batch_has_no_key_of_its_own(client: Client) -> None:
    part = {**put("/buckets/b"), "headers": {"idempotency-KEY": "k"}}

    answer = await client.batch(put("/buckets/a"), part)

    assert (answer.status, answer.json["details"][0]["name"]) == (400, "requests.1.headers")
    assert ids(await client.get("/buckets")) == set()


async def test_of_requests_sent_at_once_one_is_done(owner: Client) -> None:
    answers = await asyncio.gather(*[owner.post(RECORDS, {"n": 1}, headers=KEY) for _ in range(20)])

    assert answers[0].status == 201
    assert [each for each in answers if each != answers[0]] == []
    assert len((await owner.get(RECORDS)).data) == 2


@pytest.mark.parametrize("error", [BackendUnavailable(), ServiceUnavailable(), RuntimeError("defect")])
async def test_what_the_server_did_wrong_is_done_again(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("kobako.model.objects.write", fail)
        failed = await client.put("/buckets/b", {}, headers=KEY)

    assert failed.status >= 500
    assert (await client.put("/buckets/b", {}, headers=KEY)).status == 201


async def test_an_answer_that_cannot_be_kept_leaves_nothing_behind(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer and what was written are one commit: there is no moment when one is kept without the other."""

    async def fail(*_: Any) -> None:
        raise BackendUnavailable()

    with monkeypatch.context() as broken:
        broken.setattr("kobako.http.idempotency.remember", fail)
        failed = await client.put("/buckets/b", {}, headers=KEY)

    assert failed.status == 503
    assert ids(await client.get("/buckets?_since=0")) == set()
    assert (await client.put("/buckets/b", {}, headers=KEY)).status == 201


async def test_a_conflict_may_be_tried_again(client: Client) -> None:
    await client.put("/buckets/a", {"last_modified": 1000})

    first = await client.put("/buckets/b", {"last_modified": 1000}, headers=KEY)
    await client.delete("/buckets/a")
    second = await client.put("/buckets/b", {"last_modified": 1000}, headers=KEY)

    assert (first.status, first.headers["Retry-After"], second.status) == (409, "3", 201)


async def test_a_refusal_that_asks_to_try_again_is_not_kept() -> None:
    vetoes: list[Exception] = [Conflict()]

    async def veto(tx: Any, event: Any) -> None:
        if vetoes:
            raise vetoes.pop()

    async with serving(before_commit=[veto]) as client:
        answers = [await client.put("/buckets/a", {}, headers=KEY) for _ in range(2)]

    assert [each.status for each in answers] == [409, 201]


async def test_an_atomic_batch_in_conflict_may_be_tried_again(client: Client) -> None:
    await client.put("/buckets/a", {"last_modified": 1000})
    batch = {"atomic": True, "requests": [put("/buckets/b", last_modified=1000)]}

    first = await client.request("POST", "/batch", json=batch, headers=KEY)
    await client.delete("/buckets/a")
    second = await client.request("POST", "/batch", json=batch, headers=KEY)

    assert (first.status, statuses(second)) == (409, [201])


async def test_events_are_told_once_and_not_of_what_was_refused() -> None:
    told: list[Any] = []
    vetoes: list[Exception] = [Forbidden("Not today.")]

    async def veto(tx: Any, event: Any) -> None:
        if vetoes:
            raise vetoes.pop()

    async def listener(tx: Any, event: Any) -> None:
        told.append((event.action, [each.new.id for each in event.changes]))

    async with serving(before_commit=[veto], after_commit=[listener]) as client:
        refused = [await client.put("/buckets/a", {}, headers=KEY) for _ in range(2)]
        done = [await client.put("/buckets/b", {}, headers={"Idempotency-Key": "k2"}) for _ in range(2)]

    assert [each.status for each in refused + done] == [403, 403, 201, 201]
    assert told == [("create", ["b"])]


async def test_the_headers_of_each_answer_are_for_who_asks(client: Client) -> None:
    first = await client.put("/buckets/b", {}, headers=KEY)
    second = await client.put("/buckets/b", {}, headers={**KEY, "Origin": "https://a.org"})

    assert "Access-Control-Allow-Origin" not in first.headers
    assert second.headers.pop("Access-Control-Allow-Origin") == "*"
    assert second == first


async def test_keys_show_in_no_list(client: Client) -> None:
    before = (await client.get("/buckets")).etag

    await client.post("/batch", headers=KEY, body=b'{"requests": []}')

    after = await client.get("/buckets?_since=0")
    assert (after.data, after.etag) == ([], before)
    answer = await client.request("POST", "/batch", json={"requests": []}, headers={"Idempotency-Key": "k2"})
    assert statuses(answer) == []
    assert (await client.get("/idempotency/0/00")).status == (await client.get("/nowhere/0/00")).status == 404


class Days:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.now = 20_000 * DAY_MS + DAY_MS // 2

    def __call__(self) -> int:
        return self.now


@pytest.fixture
async def late() -> AsyncIterator[tuple[Client, Days]]:
    """A client of a server, and its clock."""
    clock = Days()
    async with Client(App(SETTINGS, RESOURCES, clock=clock)) as client:
        yield client, clock


async def send(client: Client, key: str = "k") -> Answer:
    return await client.post("/buckets", {}, headers={"Idempotency-Key": key})


@pytest.mark.parametrize(
    ("hours", "same"), [(0, True), (11, True), (12, True), (23, True), (24, False), (25, False), (60, False)]
)
async def test_an_answer_is_given_again_for_24_hours(late: tuple[Client, Days], hours: int, same: bool) -> None:
    client, clock = late
    first = await send(client)

    clock.now += hours * DAY_MS // 24
    second = await send(client)

    assert (second == first) is same
    assert second.status == 201


@pytest.mark.parametrize("days", [1, 2, 3, 4, 5, 7])
async def test_a_key_may_serve_for_something_else_once_it_is_forgotten(late: tuple[Client, Days], days: int) -> None:
    client, clock = late
    await send(client)

    clock.now += days * DAY_MS
    answer = await client.put("/buckets/b", {}, headers={"Idempotency-Key": "k"})

    assert answer.status == 201
    assert await client.put("/buckets/b", {}, headers={"Idempotency-Key": "k"}) == answer


async def test_what_is_forgotten_is_removed(late: tuple[Client, Days], monkeypatch: pytest.MonkeyPatch) -> None:
    client, clock = late
    monkeypatch.setattr("kobako.http.idempotency.SHARD", slice(0))
    for day in range(9):
        for key in range(5):
            assert (await send(client, f"{day}-{key}")).status == 201
        clock.now += DAY_MS

    async with client.app.site.backends.begin() as tx:
        kept = [await tx.storage.count(Place("idempotency-key", f"idempotency/{slot}/")) for slot in range(3)]
    assert sorted(kept) == [5, 5, 5]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_key_is_found_from_another_process_and_after_a_crash(
    migrated: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is kept in the process: another app on the same file gives the same answer."""
    path = tmp_path / "shared.db"
    path.write_bytes(migrated.read_bytes())
    monkeypatch.setattr("kobako.app.open_database", lambda settings, clock: SQLiteDatabase(path, clock))
    answers = []
    for _ in itertools.repeat(None, 2):
        async with Client(App(SETTINGS, RESOURCES)) as client:
            answers.append(await send(client))

    assert answers[0].status == 201
    assert answers[1] == answers[0]
