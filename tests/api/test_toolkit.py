"""An application of one's own, `examples/forest.py`: resources that are owned or shared, and a plugin.

Source: objects, 27.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
from examples import forest
from tests.conftest import SETTINGS

from kobako import (
    EVERYONE,
    App,
    Call,
    Caller,
    Listener,
    ObjectsChanged,
    Plugin,
    Resource,
    Response,
    Stored,
    Target,
    Transaction,
    View,
    decode,
    json_response,
    merge,
    objects,
    readable,
)
from kobako.resources import BUCKET, RESOURCES
from kobako.testing.client import Client

CEP = {"name": "cep", "edible": True}


@pytest.fixture
async def mat() -> AsyncIterator[Client]:
    """A user of the application."""
    async with Client(forest.app(SETTINGS)) as client:
        yield client


async def make_trail(client: Client, **permissions: list[str]) -> None:
    answer = await client.put("/trails/long", data={}, permissions=permissions)
    assert answer.status == 201


# User-owned resources


async def test_each_user_sees_their_own_objects_only(mat: Client) -> None:
    bob = mat.as_user("bob")
    made = await mat.put("/mushrooms/00000000-0000-4000-8000-000000000001", data=CEP)
    await bob.post("/mushrooms", data={"name": "morel"})
    path = f"/mushrooms/{made.data['id']}"

    assert [each["name"] for each in (await mat.get("/mushrooms")).data] == ["cep"]
    assert [each["name"] for each in (await bob.get("/mushrooms")).data] == ["morel"]
    assert ((await mat.get(path)).status, (await bob.get(path)).status) == (200, 404)
    assert (await bob.patch(path, data={"edible": False})).status == 404
    assert (await bob.delete(path)).status == 404
    assert len((await bob.delete("/mushrooms")).data) == 1
    assert (await mat.get(path)).data["name"] == "cep"


async def test_two_users_may_use_one_id(mat: Client) -> None:
    bob, path = mat.as_user("bob"), "/mushrooms/00000000-0000-4000-8000-000000000001"

    answers = [await each.put(path, data=CEP) for each in (mat, bob)]
    await mat.delete(path)

    assert [each.status for each in answers] == [201, 201]
    assert ((await mat.get(path)).status, (await bob.get(path)).status) == (404, 200)


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/x"), ("PUT", "/x")])
async def test_nobody_in_particular_owns_nothing(mat: Client, method: str, path: str) -> None:
    answer = await mat.anonymous().request(method, "/mushrooms" + path, json={"data": CEP})

    assert (answer.status, answer.json["errno"]) == (401, 104)


async def test_what_is_owned_has_no_permissions(mat: Client) -> None:
    made = await mat.post("/mushrooms", data=CEP)
    path = f"/mushrooms/{made.data['id']}"

    answers = [
        made,
        await mat.get(path),
        await mat.put(path, data=CEP),
        await mat.patch(path, data=CEP),
    ]
    refused = await mat.patch(path, permissions={"read": ["system.Everyone"]})

    assert [list(each.json) for each in answers] == [["data"]] * 4
    assert (refused.status, refused.json["errno"]) == (400, 107)


async def test_each_list_has_a_timestamp_of_its_own(mat: Client) -> None:
    bob = mat.as_user("bob")
    before = (await bob.get("/mushrooms")).etag
    await mat.post("/mushrooms", data=CEP)

    assert (await bob.get("/mushrooms")).etag == before
    assert (await mat.get("/mushrooms")).etag > before


# Unique fields


async def test_a_value_that_another_object_has_is_refused_with_that_object(mat: Client) -> None:
    first = await mat.post("/mushrooms", data=CEP)
    other = await mat.post("/mushrooms", data={"name": "morel"})

    answers = [
        await mat.post("/mushrooms", data=CEP),
        await mat.put(f"/mushrooms/{other.data['id']}", data=CEP),
        await mat.patch(f"/mushrooms/{other.data['id']}", data={"name": "cep"}),
    ]

    for each in answers:
        assert (each.status, each.json["errno"]) == (409, 122)
        assert each.json["details"] == {"field": "name", "existing": first.data}
    assert len((await mat.get("/mushrooms")).data) == 2


async def test_a_value_is_free_for_others_for_itself_and_once_it_is_gone(mat: Client) -> None:
    made = await mat.post("/mushrooms", data=CEP)
    path = f"/mushrooms/{made.data['id']}"

    by_another = await mat.as_user("bob").post("/mushrooms", data=CEP)
    again = await mat.patch(path, data={"name": "cep", "grams": 3})
    await mat.delete(path)
    afterwards = await mat.post("/mushrooms", data=CEP)

    assert (by_another.status, again.status, afterwards.status) == (201, 200, 201)


async def test_of_several_who_write_one_value_at_once_one_does(mat: Client) -> None:
    answers = await asyncio.gather(*(mat.post("/mushrooms", data={"name": "cep", "grams": n}) for n in range(6)))

    assert sorted(each.status for each in answers) == [201, 409, 409, 409, 409, 409]
    assert len((await mat.get("/mushrooms")).data) == 1


async def test_a_request_with_a_key_is_done_once_in_the_list_of_who_sends_it(mat: Client) -> None:
    answers = [await mat.post("/mushrooms", data=CEP, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    refused = await mat.post("/mushrooms", data=CEP, headers={"Idempotency-Key": "other"})

    assert [each.status for each in answers] == [201, 201]
    assert answers[0].data == answers[1].data
    assert refused.status == 409


async def test_a_part_of_a_batch_is_refused_alone(mat: Client) -> None:
    parts: list[dict[str, Any]] = [
        {"method": "POST", "path": "/mushrooms", "body": {"data": {"name": name}}} for name in ("cep", "cep", "morel")
    ]

    answers = (await mat.batch(*parts)).json["responses"]

    assert [each["status"] for each in answers] == [201, 409, 201]
    assert answers[1]["body"]["details"]["existing"] == answers[0]["body"]["data"]
    assert {each["name"] for each in (await mat.get("/mushrooms")).data} == {"cep", "morel"}


async def test_parts_of_a_batch_are_of_who_sends_each(mat: Client) -> None:
    bob = mat.as_user("bob")
    part = {"method": "POST", "path": "/mushrooms", "body": {"data": CEP}}

    answers = (await mat.batch({**part, "headers": {"Authorization": bob.headers["authorization"]}}, part)).json

    assert [each["status"] for each in answers["responses"]] == [201, 201]
    assert [len((await each.get("/mushrooms")).data) for each in (mat, bob)] == [1, 1]


# Schemas


@pytest.mark.parametrize(
    ("data", "name", "rule"),
    [
        pytest.param({"edible": True}, "data.name", "Required", id="a field is missing"),
        pytest.param({"name": 3}, "data.name", "Expected `str`, got `int`", id="another type"),
        pytest.param({"name": ""}, "data.name", "Expected `str` of length >= 1", id="a constraint"),
        pytest.param({"name": "a", "colour": 1}, "data", "Object contains unknown field `colour`", id="unknown"),
    ],
)
async def test_a_struct_says_what_is_wrong(mat: Client, data: dict[str, Any], name: str, rule: str) -> None:
    answer = await mat.post("/mushrooms", data=data)

    assert answer.status == 400
    assert answer.json["details"] == [{"location": "body", "name": name, "description": rule}]


async def test_a_struct_stores_its_defaults_and_judges_patches(mat: Client) -> None:
    made = await mat.post("/mushrooms", data={"name": "cep"})
    path = f"/mushrooms/{made.data['id']}"

    refused = await mat.patch(path, data={"grams": -1})

    assert {**made.data, "id": "", "last_modified": 0} == {
        "id": "",
        "last_modified": 0,
        "name": "cep",
        "edible": False,
        "grams": None,
    }
    assert (refused.status, refused.json["details"][0]["name"]) == (400, "grams")


async def test_a_json_schema_judges(mat: Client) -> None:
    await make_trail(mat)

    for data, name in (({}, "data"), ({"km": "far"}, "data.km"), ({"km": -1}, "data.km")):
        answer = await mat.post("/trails/long/spots", data=data)
        assert (answer.status, answer.json["details"][0]["name"]) == (400, name)
    assert (await mat.post("/trails/long/spots", data={"km": 2, "view": "sea"})).data["view"] == "sea"


# Resources that are shared


async def test_what_is_shared_has_permissions_along_parents_of_ones_own(mat: Client) -> None:
    bob, spot = mat.as_user("bob"), {"km": 1}
    await make_trail(mat)
    before = await bob.post("/trails/long/spots", data=spot)
    await mat.patch("/trails/long", permissions={"spot:create": [(await bob.get("/")).json["user"]["id"]]})

    made = await bob.post("/trails/long/spots", data=spot)

    assert (before.status, made.status) == (403, 201)
    assert (await mat.get(f"/trails/long/spots/{made.data['id']}")).status == 200
    assert (await mat.get("/trails/short/spots")).status == 403


# Lists whose objects have no URL


LEAF = Resource(
    name="leaf",
    path="/trails/{trail_id}/leaves",
    parent=forest.TRAIL,
    data_schema={"properties": {"number": {"type": "string"}, "size": {}}},
    known_fields=("number", "size"),
    object_methods=(),
)


async def only_small(tx: Transaction, target: Target, caller: Caller, found: Sequence[Stored]) -> list[Stored]:
    uris = await readable(tx, caller, [target.at(each.id) for each in found])
    return [each for each in found if each.data()["size"] < 3 and target.at(each.id).uri in uris]


@pytest.fixture
async def leaves() -> AsyncIterator[Client]:
    """A user of an application with leaves, of which others than the owner of the trail are shown small ones."""
    leaf = msgspec.structs.replace(LEAF, sift=only_small)
    async with Client(App(SETTINGS, [forest.TRAIL, leaf])) as client:
        await make_trail(client)
        for n in range(5):
            shared = {"read": ["system.Everyone"]} if n else {}
            await client.post("/trails/long/leaves", {"number": str(n), "size": n}, permissions=shared)
        yield client


async def test_objects_without_methods_have_no_url(leaves: Client) -> None:
    [leaf, *_] = (await leaves.get("/trails/long/leaves")).data

    answer = await leaves.get(f"/trails/long/leaves/{leaf['id']}")

    assert (answer.status, answer.json["errno"]) == (404, 111)
    assert "/trails/{trail_id}/leaves/{id}" not in (await leaves.get("/__api__")).json["paths"]


async def test_of_a_closed_kind_fields_are_known_and_strings_are_compared_as_such(leaves: Client) -> None:
    assert [each["size"] for each in (await leaves.get("/trails/long/leaves?number=3")).data] == [3]
    for query in ("color=red", "_sort=color", "_fields=color"):
        assert (await leaves.get(f"/trails/long/leaves?{query}")).status == 400


async def test_what_is_shown_of_a_list_may_be_more_than_a_matter_of_acls(leaves: Client) -> None:
    anybody = leaves.anonymous()

    assert [each["size"] for each in (await anybody.get("/trails/long/leaves")).data] == [2, 1]
    assert [each["size"] for each in (await anybody.get("/trails/long/leaves?_limit=1&_sort=size")).data] == [1]
    assert (await anybody.head("/trails/long/leaves")).headers["Total-Objects"] == "2"
    assert (await leaves.head("/trails/long/leaves")).headers["Total-Objects"] == "5"


async def test_several_objects_are_asked_about_at_once(leaves: Client) -> None:
    trails = [forest.TRAIL.target("/trails", name) for name in ("long", "short")]
    await leaves.put("/trails/short", permissions={"read": ["system.Everyone"]})
    async with leaves.app.site.backends.begin() as tx:
        assert await readable(tx, Caller(), trails) == {"/trails/short"}
        assert await readable(tx, Caller(), []) == set()


# The plugin


async def test_a_view_asks_for_permission(mat: Client) -> None:
    await make_trail(mat)

    answers = [await each.get("/trails/long/added") for each in (mat, mat.as_user("bob"), mat.anonymous())]

    assert [each.status for each in answers] == [200, 403, 401]
    assert answers[0].json == {"added": 0, "most": 100}


async def test_a_view_writes_and_a_listener_refuses_by_it(mat: Client) -> None:
    await make_trail(mat)
    added = await mat.post("/trails/long/spots", data={"km": 1})
    acl = (await mat.get("/trails/long")).json["permissions"]

    closed = await mat.post("/trails/long/close")
    refused = await mat.post("/trails/long/spots", data={"km": 2})

    assert (added.status, closed.status, closed.data["closed"]) == (201, 200, True)
    assert (refused.status, refused.json["message"]) == (403, "Trail long is closed.")
    assert (await mat.get("/trails/long")).json == {"data": closed.data, "permissions": acl}
    assert len((await mat.get("/trails/long/spots")).data) == 1
    assert (await mat.get("/trails/long/added")).json["added"] == 1


async def test_views_are_parts_of_a_batch_and_read_what_comes_before(mat: Client) -> None:
    answer = await mat.batch(
        {"method": "PUT", "path": "/trails/long", "body": {"data": {}}},
        {"method": "POST", "path": "/trails/long/close"},
        {"method": "GET", "path": "/trails/long/added"},
        {"method": "POST", "path": "/trails/short/close"},
        {"method": "GET", "path": "/trails/long"},
    )

    answers = answer.json["responses"]
    assert [each["status"] for each in answers] == [201, 200, 200, 403, 200]
    assert answers[4]["body"]["data"]["closed"] is True


async def test_a_batch_that_a_listener_refuses_is_undone(mat: Client) -> None:
    await make_trail(mat)
    answer = await mat.batch(
        {"method": "POST", "path": "/trails/long/close"},
        {"method": "POST", "path": "/trails/long/spots", "body": {"data": {"km": 1}}},
    )

    assert answer.status == 403
    assert "closed" not in (await mat.get("/trails/long")).data
    assert (await mat.get("/trails/long/added")).json["added"] == 0


async def test_views_have_their_methods_and_a_description(mat: Client) -> None:
    document = (await mat.get("/__api__")).json

    assert (await mat.delete("/trails/long/added")).status == 405
    assert (
        document["paths"]["/trails/{trail_id}/added"]["get"]["summary"] == "Tell how many spots were added to a trail"
    )
    fields = document["components"]["schemas"]["MushroomFields"]["properties"]
    assert fields["name"] == {"type": "string", "minLength": 1}
    assert "permissions" not in document["components"]["schemas"]["Mushroom"]["properties"]


@pytest.fixture
async def noting() -> AsyncIterator[tuple[Client, list[str]]]:
    """A client of an app with a view that writes buckets as a PATCH would; and what followed its commits."""
    noted: list[str] = []

    async def write(call: Call) -> Response:
        target = BUCKET.target("/buckets", call.target.variables["id"])
        data = decode(call.request.body)
        old = await objects.find(call.tx, target)
        new = await merge(call, target, old, data.get("data"), data.get("permissions"))
        call.tx.when_committed.append(partial(_note, noted, target.uri))
        return json_response(new.json(), 200 if old else 201)

    view = View(
        name="merged",
        path="/merged/{id}",
        methods={"POST": write},
        writes=lambda request, variables: [BUCKET.target("/buckets", variables["id"])],
    )
    async with Client(App(SETTINGS, RESOURCES, plugins=[Plugin(name="merging", views=[view])])) as client:
        yield client, noted


async def _note(noted: list[str], uri: str) -> None:
    noted.append(uri)
    if uri.endswith("fail"):
        raise ValueError("too late")


async def test_a_plugin_writes_as_a_patch_would(noting: tuple[Client, list[str]]) -> None:
    client, _ = noting
    first = await client.post("/merged/a", {"a": 1, "b": 1}, {"read": ["system.Everyone"]})
    second = await client.post("/merged/a", {"b": 2})

    assert (first.status, second.status) == (201, 200)
    bucket = await client.get("/buckets/a")
    assert (bucket.data["a"], bucket.data["b"]) == (1, 2)
    assert bucket.json["permissions"]["read"] == ["system.Everyone"]
    assert len(bucket.json["permissions"]["write"]) == 1
    for data, permissions in (([1], None), ({"id": "b"}, None), ({}, {"eat": []}), ({"record:schema": 1}, None)):
        assert (await client.post("/merged/a", data, permissions)).status == 400
    assert (await client.post("/merged/a b", {})).status == 400


async def test_what_follows_a_commit_is_done_once_all_is_committed(noting: tuple[Client, list[str]]) -> None:
    client, noted = noting
    good, bad = ({"method": "POST", "path": f"/merged/{id}", "body": {"data": {}}} for id in ("a", "b c"))

    await client.batch(good, bad, atomic=True)
    assert noted == []
    await client.batch(bad, good)
    assert noted == ["/buckets/a"]
    assert (await client.post("/merged/fail", {})).status == 201
    assert (await client.post("/merged/b", {})).status == 201
    assert noted == ["/buckets/a", "/buckets/fail", "/buckets/b"]


async def test_options_of_a_plugin_are_typed() -> None:
    settings = replace(SETTINGS, plugin_options={"trails.most": "7"})
    async with Client(forest.app(settings)) as client:
        assert (await client.get("/")).json["capabilities"]["trails"]["most"] == 7


async def test_two_applications_of_one_process_share_nothing() -> None:
    from kobako.resources import RESOURCES

    apps = forest.app(SETTINGS), forest.app(SETTINGS), App(SETTINGS, RESOURCES)
    async with Client(apps[0]) as one, Client(apps[1]) as other, Client(apps[2]) as stock:
        await make_trail(one)
        await make_trail(other)
        await one.post("/trails/long/spots", data={"km": 1})

        assert [(await each.get("/trails/long/added")).json["added"] for each in (one, other)] == [1, 0]
        assert ((await stock.get("/mushrooms")).status, (await one.get("/buckets")).status) == (404, 404)
        assert (await stock.put("/buckets/b", data={})).status == 201
        assert "trails" not in (await stock.get("/")).json["capabilities"]


async def test_all_of_it_works_in_one_batch(mat: Client) -> None:
    def post(path: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"method": "POST", "path": path, "body": {"data": data}}

    answer = await mat.batch(
        {"method": "PUT", "path": "/trails/long", "body": {"data": {}}},
        post("/trails/long/spots", {"km": 1}),
        post("/trails/long/spots", {"km": -1}),
        post("/mushrooms", CEP),
        post("/mushrooms", CEP),
        post("/trails/long/spots", {"km": 2}),
        {"method": "GET", "path": "/mushrooms?name=cep"},
        {"method": "GET", "path": "/"},
    )
    answers = answer.json["responses"]

    assert [each["status"] for each in answers] == [201, 201, 400, 201, 409, 201, 200, 200]
    assert answers[6]["body"]["data"] == [answers[3]["body"]["data"]]
    assert "trails" in answers[7]["body"]["capabilities"]
    assert (await mat.get("/trails/long/added")).json["added"] == 2


# Migrations


async def test_a_migration_is_run_once_and_listeners_hear_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran, heard = list[str](), list[str]()

    async def add_trail(app: App) -> None:
        ran.append("add-trail")
        target = forest.TRAIL.target("/trails", "first")
        async with app.transaction(target) as tx:
            await objects.write(
                tx, target, {"km": 1}, {"read": [EVERYONE]}, old=await objects.find(tx, target), by=None
            )

    async def fail(app: App) -> None:
        ran.append("fail")
        if ran.count("fail") == 1:
            raise OSError("cut off")

    async def hear(tx: Transaction, event: ObjectsChanged) -> None:
        heard.append(event.uri)

    async def no_migration() -> list[str]:
        return []

    plugin = Plugin(
        name="first",
        resources=[forest.TRAIL],
        listeners=[Listener(hear, after_commit=True)],
        migrations={"add-trail": add_trail, "fail": fail},
    )
    app = App(SETTINGS, [], plugins=[plugin])
    with pytest.raises(OSError, match="cut off"):
        await app.migrate()
    # The schema is there; what stands in for a new database on a server would be emptied.
    monkeypatch.setattr(app._database, "migrate", no_migration)
    done = [await app.migrate(), await app.migrate()]

    assert ran == ["add-trail", "fail", "fail"]
    assert done == [["plugin first: fail"], []]
    assert heard == ["/trails/first"]
    async with app:
        assert (await Client(app, None).get("/trails/first")).data["km"] == 1
