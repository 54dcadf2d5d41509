"""The default bucket: `/buckets/default`, the bucket that each user has without making it.

Source: objects, 10.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako import App, Call, Listener, Plugin, Target, Transaction, View, encode, json_response, objects
from kobako.plugins.default_bucket import bucket_id
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Answer, Client

SECRET = {"default_bucket_hmac_secret": "bucket_id_salt"}
DEFAULT = "/buckets/default"
ARTICLES = f"{DEFAULT}/collections/articles"
RECORDS = f"{ARTICLES}/records"
WITH_BUCKET = replace(SETTINGS, includes=("default_bucket",), plugin_options=SECRET)


class Told:
    """A listener that notes what it is told, after the commit."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, tx: Any, event: Any) -> None:
        self.events.append(event)

    def created(self) -> list[tuple[str, str, str]]:
        """Return the kind, the path and the sender of each event of a creation."""
        return [
            (each.place.resource, each.uri, each.user)
            for each in self.events
            if each.action == "create"
            for _ in each.changes
        ]


@pytest.fixture
def settings() -> Settings:
    return WITH_BUCKET


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def client(settings: Settings, told: Told) -> AsyncIterator[Client]:
    async with Client(App(settings, RESOURCES, listeners=[Listener(told, after_commit=True)])) as client:
        yield client


async def own(client: Client) -> str:
    """Return the URL of the user's bucket, under its real name."""
    return f"/buckets/{(await client.get('/')).json['user']['bucket']}"


async def exists(client: Client, path: str = "") -> bool:
    """Tell whether there is something in the user's bucket, without making it."""
    found = await client.get("/buckets?_fields=id") if not path else await client.get(await own(client) + path)
    return bool(found.data) if not path else found.status == 200


# The id (10.1)


def test_the_id_is_the_beginning_of_a_keyed_hash_as_a_uuid() -> None:
    assert bucket_id("bucket_id_salt", "input data") == "70f09c2d-0785-3887-d6b7-2bc70517f963"


async def test_hello_tells_users_the_id_of_their_bucket(client: Client) -> None:
    user = (await client.get("/")).json["user"]

    assert user["bucket"] == bucket_id("bucket_id_salt", user["id"])
    assert "user" not in (await client.anonymous().get("/")).json
    assert "default_bucket" in (await client.get("/")).json["capabilities"]


async def test_each_user_has_a_bucket_of_their_own(client: Client) -> None:
    bob = client.as_user("bob")
    ids = [(await each.get(DEFAULT)).data["id"] for each in (client, bob)]

    assert f"/buckets/{ids[0]}" == await own(client)
    assert f"/buckets/{ids[1]}" == await own(bob)
    assert ids[0] != ids[1]
    assert (await bob.get(f"/buckets/{ids[0]}")).status == 403


def test_without_a_secret_the_key_is_empty_and_the_log_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        App(replace(WITH_BUCKET, plugin_options={}), RESOURCES)

    assert "Setting 'default_bucket_hmac_secret' is empty" in caplog.text
    assert bucket_id("", "input data") != bucket_id("bucket_id_salt", "input data")


# What is created (10.2)


@pytest.mark.parametrize(
    ("method", "path", "status", "errno", "created"),
    [
        pytest.param("GET", "", 200, None, ["bucket"], id="GET of the bucket"),
        pytest.param("HEAD", "", 200, None, ["bucket"], id="HEAD of the bucket"),
        pytest.param("PATCH", "", 200, None, ["bucket"], id="PATCH of the bucket"),
        pytest.param("PUT", "", 201, None, ["bucket"], id="PUT of the bucket"),
        pytest.param("GET", "/collections", 200, None, ["bucket"], id="GET of its collections"),
        pytest.param("POST", "/collections", 201, None, ["bucket", "collection"], id="POST of a collection"),
        pytest.param("GET", "/groups", 200, None, ["bucket"], id="GET of its groups"),
        pytest.param("PUT", "/groups/g", 201, None, ["bucket", "group"], id="PUT of a group"),
        pytest.param("GET", "/groups/g", 404, 110, ["bucket"], id="GET of a group"),
        pytest.param("GET", "/collections/x", 200, None, ["bucket", "collection"], id="GET of a collection"),
        pytest.param("PUT", "/collections/x", 201, None, ["bucket", "collection"], id="PUT of a collection"),
        pytest.param("GET", "/collections/x/records", 200, None, ["bucket", "collection"], id="GET of records"),
        pytest.param("DELETE", "/collections/x/records", 200, None, ["bucket", "collection"], id="DELETE of records"),
        pytest.param(
            "POST", "/collections/x/records", 201, None, ["bucket", "collection", "record"], id="POST of a record"
        ),
        pytest.param(
            "PUT", "/collections/x/records/y", 201, None, ["bucket", "collection", "record"], id="PUT of a record"
        ),
        pytest.param("GET", "/collections/x/records/y", 404, 110, ["bucket", "collection"], id="GET of a record"),
        pytest.param("DELETE", "/collections/x/records/y", 404, 110, ["bucket", "collection"], id="DELETE of a record"),
        pytest.param("PATCH", "/collections/x/records/y", 404, 110, ["bucket", "collection"], id="PATCH of a record"),
        pytest.param("POST", "/collections/x", 405, 115, [], id="a method that is not there"),
        pytest.param("GET", "/foo", 404, 111, [], id="a URL that is not there"),
        pytest.param("GET", "/collections/b@d", 400, 107, [], id="an id that none can have"),
        pytest.param("PUT", "/collections/b@d", 400, 107, ["bucket"], id="PUT of an id that none can have"),
    ],
)
async def test_what_a_request_implies_is_created(
    client: Client, told: Told, method: str, path: str, status: int, errno: int | None, created: list[str]
) -> None:
    body = {"data": {"members": []}} if method in ("PUT", "POST", "PATCH") else {}
    answer = await client.request(method, DEFAULT + path, json=body)

    assert answer.status == status
    assert errno is None or answer.json["errno"] == errno
    assert [kind for kind, _, _ in told.created()] == created


async def test_what_was_implied_is_there_though_the_answer_is_an_error(client: Client) -> None:
    answer = await client.get(f"{RECORDS}/unknown")

    assert answer.json["details"] == {"id": "unknown", "resource_name": "record"}
    assert await exists(client)
    assert await exists(client, "/collections/articles")


async def test_a_malformed_collection_id_is_told_in_known_words(client: Client) -> None:
    answer = await client.get(f"{DEFAULT}/collections/b@d/records")

    assert answer.json["details"] == [{"location": "path", "name": None, "description": "Invalid collection id"}]


async def test_a_collection_is_created_then_deleted(client: Client, told: Told) -> None:
    answer = await client.delete(ARTICLES)

    assert (answer.status, answer.data["deleted"]) == (200, True)
    assert [(each.place.resource, each.action) for each in told.events] == [
        ("bucket", "create"),
        ("collection", "create"),
        ("collection", "delete"),
    ]
    assert not await exists(client, "/collections/articles")


async def test_the_bucket_is_created_then_deleted(client: Client) -> None:
    assert (await client.delete(DEFAULT)).data["deleted"]
    assert not await exists(client)


@pytest.mark.parametrize("path", [DEFAULT, ARTICLES])
async def test_who_creates_it_and_nothing_else_is_told_so_once(client: Client, path: str) -> None:
    answers = [await client.put(path, {}, headers={"If-None-Match": "*"}) for _ in range(2)]

    assert [each.status for each in answers] == [201, 412]


async def test_what_is_created_by_the_way_is_like_any_creation(client: Client, told: Told) -> None:
    await client.get(RECORDS)
    user, bucket = (await client.get("/")).json["user"]["id"], await own(client)

    assert told.created() == [("bucket", bucket, user), ("collection", f"{bucket}/collections/articles", user)]
    for each in (DEFAULT, ARTICLES):
        assert (await client.get(each)).json["permissions"] == {"write": [user]}


async def test_nothing_is_created_twice(client: Client, told: Told) -> None:
    before = await client.post(RECORDS, {"n": 1})
    bucket = await client.get(DEFAULT)

    for _ in range(3):
        await client.post(RECORDS, {"n": 2})

    assert before.status == 201
    assert [kind for kind, _, _ in told.created()] == ["bucket", "collection"] + ["record"] * 4
    assert (await client.get(DEFAULT)).etag == bucket.etag
    assert len((await client.get(RECORDS)).data) == 4


async def test_the_requester_stands_in_write_also_where_creators_do_not(told: Told) -> None:
    settings = replace(WITH_BUCKET, explicit_permissions=False)
    async with Client(App(settings, RESOURCES)) as client:
        assert (await client.get(DEFAULT)).json["permissions"]["write"] != []


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_the_right_to_create_buckets_is_not_needed(method: str) -> None:
    settings = replace(WITH_BUCKET, principals_by_permission={"bucket_create": frozenset({"account:admin"})})
    async with Client(App(settings, RESOURCES)) as client:
        assert (await client.put("/buckets/another")).status == 403

        assert (await client.request(method, DEFAULT, json={})).status in (200, 201)
        assert (await client.post(RECORDS, {})).status == 201
        assert (await client.put("/buckets/another")).status == 403


async def test_what_a_listener_refuses_is_not_created() -> None:
    def refuse(tx: Any, event: Any) -> None:
        raise ValueError("no room")

    listeners = [Listener(refuse, resources=["collection"])]
    async with Client(App(WITH_BUCKET, RESOURCES, listeners=listeners)) as client:
        assert (await client.get(RECORDS)).status == 500
        assert not await exists(client, "/collections/articles")


async def test_a_deleted_bucket_comes_again(client: Client) -> None:
    await client.post(RECORDS, {"n": 1})
    former = (await client.get(RECORDS)).etag
    await client.delete(DEFAULT)

    again = await client.get(RECORDS)

    assert (again.status, again.data) == (200, [])
    assert again.etag > former


# The alias


async def test_answers_have_the_real_id(client: Client) -> None:
    bucket = await own(client)
    for n in range(3):
        await client.post(RECORDS, {"n": n})

    page = await client.get(f"{RECORDS}?_limit=2")

    assert f"/buckets/{(await client.get(DEFAULT)).data['id']}" == bucket
    assert page.headers["Next-Page"].startswith(f"http://localhost/v1{bucket}/collections/articles/records?")
    assert len((await client.get(page.headers["Next-Page"])).data) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_default_is_the_real_id_in_the_body_of_the_bucket(client: Client, method: str) -> None:
    answer = await client.request(method, DEFAULT, json={"data": {"id": "default", "n": 1.50}})

    assert f"/buckets/{answer.data['id']}" == await own(client)
    assert answer.data["n"] == 1.5


async def test_default_is_an_id_like_any_other_in_what_the_bucket_has(client: Client) -> None:
    made = await client.put(f"{DEFAULT}/collections/default", {"id": "default"})
    record = await client.post(f"{DEFAULT}/collections/default/records", {"id": "default"})

    assert (made.status, made.data["id"]) == (201, "default")
    assert (record.status, record.data["id"]) == (201, "default")


@pytest.mark.parametrize("body", [b"default", b'["default"]', b'{"data": "default"}'])
async def test_a_body_that_makes_no_sense_is_refused_as_ever(client: Client, body: bytes) -> None:
    answer = await client.request("PUT", DEFAULT, body=body, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.json["errno"]) == (400, 107)


async def test_a_slash_at_the_end_is_redirected_away(client: Client) -> None:
    answer = await client.get(f"{DEFAULT}/")

    assert (answer.status, answer.headers["Location"]) == (307, "http://localhost/v1/buckets/default")


@pytest.mark.parametrize("name", ["default-1234", "defaultx"])
async def test_names_that_begin_alike_are_ordinary_buckets(client: Client, told: Told, name: str) -> None:
    unknown = await client.get(f"/buckets/{name}")
    made = await client.put(f"/buckets/{name}")

    assert unknown.status == 403
    assert (made.status, made.data["id"]) == (201, name)
    assert [uri for _, uri, _ in told.created()] == [f"/buckets/{name}"]


async def test_others_reach_it_by_its_real_id(client: Client) -> None:
    await client.post(RECORDS, {"n": 1})
    await client.patch(DEFAULT, permissions={"read": ["system.Everyone"]})

    shared = await client.as_user("bob").get(f"{await own(client)}/collections/articles/records")

    assert [each["n"] for each in shared.data] == [1]


async def test_urls_of_other_plugins_in_a_bucket_have_it_too() -> None:
    async def show(call: Call) -> Any:
        """Tell which bucket is meant."""
        return json_response(encode(call.target.variables))

    view = View(name="shown", path="/buckets/{bucket_id}/shown", methods={"GET": show})
    # Also of those that are named before it.
    async with Client(App(WITH_BUCKET, RESOURCES, plugins=[Plugin(name="shows", views=[view])])) as client:
        answer = await client.get(f"{DEFAULT}/shown")

        assert f"/buckets/{answer.json['bucket_id']}" == await own(client)
        assert await exists(client)


# Who may ask


async def test_options_is_answered_as_for_any_bucket(client: Client) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    anybody = client.anonymous()

    answers = [
        await anybody.request("OPTIONS", path, headers=preflight) for path in (RECORDS, RECORDS.replace("default", "b"))
    ]

    assert answers[0] == answers[1]
    assert answers[0].status == 200
    assert not await exists(client)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_nobody_in_particular_has_no_bucket(client: Client, told: Told, method: str) -> None:
    for path in (DEFAULT, ARTICLES):
        answer = await client.anonymous().request(method, path, json={})

        assert (answer.status, answer.json["errno"]) == (401, 104)
    assert told.created() == []


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/foo", 404), ("POST", "/collections/x", 405)])
async def test_what_is_not_there_is_told_to_anybody(client: Client, method: str, path: str, status: int) -> None:
    assert (await client.anonymous().request(method, DEFAULT + path)).status == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_a_readonly_server_has_none(method: str) -> None:
    async with Client(App(replace(WITH_BUCKET, readonly=True), RESOURCES)) as client:
        answer = await client.request(method, DEFAULT, json={})

        assert answer.status == 405
        assert method == "HEAD" or answer.json["errno"] == 115


# Batches


async def test_the_parts_of_a_batch_share_what_they_imply(client: Client, told: Told) -> None:
    parts = [
        {"method": "PUT", "path": DEFAULT, "headers": {"If-None-Match": "*"}},
        {"method": "POST", "path": RECORDS, "body": {"data": {"n": 1}}},
        {"method": "GET", "path": f"{RECORDS}/unknown"},
        {"method": "GET", "path": f"{DEFAULT}/collections/others"},
        {"method": "POST", "path": f"{DEFAULT}/collections/never"},
        {"method": "GET", "path": f"{DEFAULT}/"},
        {"method": "GET", "path": "/buckets/elsewhere"},
    ]

    answer = await client.batch(*parts)

    assert [each["status"] for each in answer.json["responses"]] == [201, 201, 404, 200, 405, 200, 403]
    assert [kind for kind, _, _ in told.created()] == ["bucket", "collection", "collection", "record"]
    assert not await exists(client, "/collections/never")


@pytest.mark.parametrize("known", [True, False])
async def test_what_a_part_deletes_comes_again_for_those_after_it(client: Client, told: Told, known: bool) -> None:
    if known:
        await client.get(ARTICLES)
        told.events.clear()

    answer = await client.batch(
        {"method": "GET", "path": ARTICLES},
        {"method": "DELETE", "path": DEFAULT},
        {"method": "GET", "path": f"{DEFAULT}/collections/others"},
        {"method": "GET", "path": ARTICLES},
    )

    assert [each["status"] for each in answer.json["responses"]] == [200, 200, 200, 200]
    assert await exists(client)
    assert {each["id"] for each in (await client.get(f"{DEFAULT}/collections")).data} == {"articles", "others"}
    kinds = [kind for kind, _, _ in told.created()]
    # What the last parts imply was there, or made, before the first one.
    assert (kinds.count("bucket"), kinds.count("collection")) == ((1, 3) if known else (2, 4))


async def test_what_parts_imply_is_looked_for_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.get(ARTICLES)
    looked_for, find = list[str](), objects.find

    async def noted(tx: Transaction, target: Target) -> Any:
        looked_for.append(target.uri)
        return await find(tx, target)

    monkeypatch.setattr(objects, "find", noted)
    await client.batch(*({"method": "POST", "path": RECORDS} for _ in range(5)))

    implied = [uri for uri in looked_for if "/records/" not in uri]
    assert implied == [f"{await own(client)}/collections/articles"]


async def test_an_atomic_batch_that_fails_leaves_what_it_implied_and_nothing_else(client: Client, told: Told) -> None:
    answer = await client.batch(
        {"method": "POST", "path": RECORDS, "body": {}}, {"method": "GET", "path": f"{RECORDS}/unknown"}, atomic=True
    )

    assert answer.status == 404
    assert answer.json["details"]["request"] == 1
    assert [kind for kind, _, _ in told.created()] == ["bucket", "collection"]


async def test_a_request_with_a_key_is_done_once(client: Client, told: Told) -> None:
    key = {"Idempotency-Key": "one"}
    answers = [await client.post(RECORDS, {"n": 1}, headers=key) for _ in range(2)]

    assert [each.status for each in answers] == [201, 201]
    assert answers[0].data == answers[1].data
    assert [kind for kind, _, _ in told.created()] == ["bucket", "collection", "record"]


async def test_a_refusal_that_is_given_again_leaves_what_it_implied(client: Client, told: Told) -> None:
    key = {"Idempotency-Key": "one"}
    answers = [await client.patch(f"{RECORDS}/unknown", {"n": 1}, headers=key) for _ in range(2)]

    assert [each.status for each in answers] == [404, 404]
    assert [kind for kind, _, _ in told.created()] == ["bucket", "collection"]


# At once


async def test_requests_that_come_at_once_find_one_bucket(client: Client, told: Told) -> None:
    """C8, in one process."""
    requests: list[Any] = [client.get(DEFAULT), client.get(RECORDS), client.put(ARTICLES), client.delete(RECORDS)]
    answers: list[Answer] = await asyncio.gather(*requests, *(client.post(RECORDS, {"n": n}) for n in range(16)))

    assert {each.status for each in answers} <= {200, 201}
    kinds = [kind for kind, _, _ in told.created()]
    assert (kinds.count("bucket"), kinds.count("collection")) == (1, 1)


async def test_who_has_a_bucket_pays_one_reading(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.get(RECORDS)
    database, begun = client.app.site.backends.database, list[Any]()

    def noted(begin: Any) -> Any:
        return lambda self, *what: (begun.append(what[-2:]), begin(self, *what))[1]

    for name in {"begin", "foresee"} & {*dir(database)}:
        monkeypatch.setattr(type(database), name, noted(getattr(type(database), name)))

    await client.get(RECORDS)
    await client.get(f"{await own(client)}/collections/articles/records")

    # The last but one is of hello.
    assert [[*lists] for lists, _ in begun] == [[], [], []]
