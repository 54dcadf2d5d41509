"""Objects: read, put, patched in three dialects, deleted; what of them is answered; their ids (HTTP API, 10, 11)."""

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako import IdGenerator
from kobako.testing.client import Answer, Client

ALWAYS_R = IdGenerator(re.compile(r"r"), lambda: "r")

LIST = "/buckets/b/collections/c/records"
OBJECT = f"{LIST}/r"
MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


@pytest.fixture
async def client(client: Client) -> Client:
    """The client, with a collection of records."""
    await client.put("/buckets/b")
    await client.put("/buckets/b/collections/c")
    return client


async def patch(client: Client, operations: Any, url: str = OBJECT, **headers: str) -> Answer:
    """Send a JSON Patch."""
    return await client.request("PATCH", url, json=operations, headers={**JSON_PATCH, **headers})


def fields(response: Answer) -> dict[str, Any]:
    """Return the fields of an object that are not the server's."""
    return {name: value for name, value in response.data.items() if name not in ("id", "last_modified")}


# Ids


@pytest.mark.parametrize("url", ["/buckets/{}", "/buckets/b/collections/{}", "/buckets/b/groups/{}", f"{LIST}/{{}}"])
@pytest.mark.parametrize(
    ("id", "accepted"),
    [
        pytest.param("a", True, id="short"),
        pytest.param("A-b_9", True, id="signs"),
        pytest.param("9", True, id="digit"),
        pytest.param("x" * 255, True, id="255 characters"),
        pytest.param("550e8400-e29b-41d4-a716-446655440000", True, id="uuid"),
        pytest.param("x" * 10_000, False, id="I11"),
        pytest.param("abc%0A", False, id="I10"),
        pytest.param("_a", False, id="underscore first"),
        pytest.param("-a", False, id="hyphen first"),
        pytest.param("a.b", False, id="dot"),
        pytest.param("a%20b", False, id="space"),
        pytest.param("%C3%A9", False, id="letter of another alphabet"),
        pytest.param("%D9%A1", False, id="digit of another alphabet"),
        pytest.param("a%25", False, id="percent"),
        pytest.param("a')--", False, id="P15"),
        pytest.param("a*", False, id="star"),
        pytest.param("a%5C", False, id="backslash"),
    ],
)
async def test_an_id_is_accepted_or_invalid(client: Client, url: str, id: str, accepted: bool) -> None:
    """I10, I11, P15. Who may read no unknown bucket is not told that its id is bad."""
    others = (("PATCH", b'{"data": {}}'), ("GET", b""), ("DELETE", b""))
    for method, body in (("PUT", b"{}"), *(() if url == "/buckets/{}" else others)):
        response = await client.request(method, url.format(id), body=body)

        assert response.status == (400 if not accepted else 201 if method == "PUT" else 200)
        if not accepted:
            detail = {"location": "path", "name": None, "description": "Invalid object id"}
            assert response.json["details"] == [detail]
            assert response.json["message"] == "path: Invalid object id"


@pytest.mark.parametrize("id", [None, 1, 1.5, "", True, [], {}, ["r"], "a\n", "a/b", "x" * 10_000, "é"])
async def test_a_new_object_cannot_bring_a_bad_id(client: Client, id: Any) -> None:
    response = await client.post(LIST, {"id": id})

    assert response.status == 400
    assert response.json["details"] == [{"location": "path", "name": None, "description": "Invalid object id"}]


@pytest.mark.parametrize(
    ("url", "length"), [(LIST, 36), ("/buckets", 8), ("/buckets/b/collections", 8), ("/buckets/b/groups", 8)]
)
async def test_an_id_is_made_where_none_is_brought(client: Client, url: str, length: int) -> None:
    responses = [await client.post(url) for _ in range(5)]

    ids = [each.data["id"] for each in responses]
    assert [each.status for each in responses] == [201] * 5
    assert {len(each) for each in ids} == {length}
    assert len(set(ids)) == 5


@pytest.mark.parametrize("id", ["other", None, 1, "", [], "R"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_id_in_the_body_is_that_of_the_url(client: Client, method: str, id: Any) -> None:
    await client.put(OBJECT, {"n": 1})

    response = await client.request(method, OBJECT, json={"data": {"id": id}})

    assert response.status == 400
    detail = {"location": "body", "name": "id", "description": "Object id does not match existing object"}
    assert response.json["details"] == [detail]
    assert (await client.put(OBJECT, {"id": "r"})).status == 200


# GET


async def test_an_object_is_read_with_its_permissions(client: Client) -> None:
    created = await client.put(OBJECT, {"n": 1}, {"read": ["system.Everyone", "bob", "bob"]})

    response = await client.get(f"{OBJECT}?n=2&_limit=1&unknown=3")

    assert (response.status, response.data) == (200, created.data)
    assert response.data["n"] == 1
    assert sorted(response.json["permissions"]) == ["read", "write"]
    assert sorted(response.json["permissions"]["read"]) == ["bob", "system.Everyone"]
    assert len(response.json["permissions"]["write"]) == 1
    assert response.headers["Cache-Control"] == "no-cache, no-store"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a", {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        ("a.b", {"a": {"b": 1}}),
        ("a.c.d,a.b", {"a": {"b": 1, "c": {"d": 2}}}),
        ("text.x,list.0", {"text": "str", "list": [1]}),
        ("unknown,a.x", {"a": {}}),
        ("a,a.b", {"a": {"b": 1, "c": {"d": 2, "e": 3}}}),
        (" text , ", {"text": "str"}),
        ("id", {}),
        ("__proto__,a'b,$x,a)--", {}),
    ],
)
async def test_some_fields_of_an_object_are_read_without_permissions(
    client: Client, names: str, expected: dict[str, Any]
) -> None:
    """I16."""
    await client.put(OBJECT, {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "text": "str", "list": [1], "deleted": False})

    response = await client.get(f"{OBJECT}?_fields={names}")

    assert fields(response) == expected
    assert response.data.keys() >= {"id", "last_modified"}
    assert "permissions" not in response.json


async def test_empty_fields_are_no_fields(client: Client) -> None:
    await client.put(OBJECT, {"a": 1})

    assert (await client.get(f"{OBJECT}?_fields=")).json.keys() == {"data", "permissions"}


# PUT and POST


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data": {}}', b'{"permissions": {}}'])
async def test_a_put_creates_what_is_not_there(client: Client, body: bytes) -> None:
    response = await client.request("PUT", OBJECT, body=body)

    assert (response.status, fields(response)) == (201, {})
    assert (await client.get(OBJECT)).data == response.data


async def test_a_put_replaces_all_fields(client: Client) -> None:
    await client.put(OBJECT, {"a": 1, "b": {"c": 1}})

    response = await client.put(OBJECT, {"b": {"d": 2}})

    assert (response.status, fields(response)) == (200, {"b": {"d": 2}})
    assert (await client.get(OBJECT)).data == response.data


@pytest.mark.parametrize("body", [b"", b"{}", b'{"permissions": {"read": ["bob"]}}'])
async def test_a_put_without_data_keeps_the_fields(client: Client, body: bytes) -> None:
    """19.2: kinto-http.js leaves `data` out when there is nothing in it."""
    before = await client.put(OBJECT, {"a": 1})

    response = await client.request("PUT", OBJECT, body=body)

    assert (response.status, fields(response)) == (200, {"a": 1})
    assert response.etag > before.etag


async def test_a_put_over_a_tombstone_creates(client: Client) -> None:
    await client.put(OBJECT, {"a": 1}, {"read": ["system.Everyone"]})
    await client.delete(OBJECT)

    response = await client.put(OBJECT)

    assert (response.status, fields(response)) == (201, {})
    assert response.json["permissions"].keys() == {"write"}


async def test_a_post_of_a_known_id_returns_what_is_there(client: Client) -> None:
    created = await client.post(LIST, {"id": "r", "n": 1})

    response = await client.post(LIST, {"id": "r", "n": 2}, {"read": ["bob"]})

    assert (created.status, response.status) == (201, 200)
    assert response.json == created.json == (await client.get(OBJECT)).json


@pytest.mark.parametrize("settings", [replace(SETTINGS, id_generators={"record": f"{__name__}.ALWAYS_R"})])
async def test_a_post_whose_new_id_is_there_returns_what_is_there(client: Client) -> None:
    """Only of ids that are never made again nobody asks whether they are there."""
    created = await client.post(LIST, {"n": 1})

    response = await client.post(LIST, {"n": 2})

    assert (created.status, response.status) == (201, 200)
    assert response.json == created.json == (await client.get(OBJECT)).json


async def test_a_post_of_a_known_id_is_validated_all_the_same(client: Client) -> None:
    await client.put(OBJECT)

    assert (await client.post(LIST, {"id": "r"}, {"unknown": []})).status == 400


async def test_a_post_of_an_id_that_is_not_readable_shows_nothing(client: Client) -> None:
    """P1."""
    await client.patch("/buckets/b/collections/c", permissions={"record:create": ["system.Authenticated"]})
    await client.put(OBJECT, {"secret": 1})

    response = await client.as_user("bob").post(LIST, {"id": "r"})

    assert response.status == 403
    assert "details" not in response.json


@pytest.mark.parametrize("name", ["deleted", "schema", "permissions", "data", "text", "parent_id", "", "id2"])
async def test_no_field_but_two_is_the_servers(client: Client, name: str) -> None:
    for value in (True, None, {"a": [1]}):
        created = await client.put(OBJECT, {name: value})

        assert fields(created) == {name: value} == fields(await client.get(OBJECT))
        assert [each["id"] for each in (await client.get(LIST)).data] == ["r"]


# PATCH


@pytest.mark.parametrize(
    ("dialect", "given", "expected"),
    [
        pytest.param({}, {"b": 2}, {"a": {"x": 1, "y": None}, "n": 1, "b": 2}, id="plain adds"),
        pytest.param({}, {"a": {"z": 1}}, {"a": {"z": 1}, "n": 1}, id="plain replaces whole"),
        pytest.param({}, {"n": None}, {"a": {"x": 1, "y": None}, "n": None}, id="plain keeps null"),
        pytest.param({}, {}, {"a": {"x": 1, "y": None}, "n": 1}, id="plain nothing"),
        pytest.param(MERGE, {"a": {"z": 1}}, {"a": {"x": 1, "y": None, "z": 1}, "n": 1}, id="merge goes down"),
        pytest.param(MERGE, {"n": None, "a": {"x": None}}, {"a": {"y": None}}, id="merge removes"),
        pytest.param(
            MERGE,
            {"n": {"z": {"q": None, "r": 1}}},
            {"a": {"x": 1, "y": None}, "n": {"z": {"r": 1}}},
            id="merge over 1",
        ),
        pytest.param(MERGE, {"a": [None, {"q": None}]}, {"a": [None, {"q": None}], "n": 1}, id="merge array"),
        pytest.param(
            MERGE, {"id": None, "last_modified": None, "n": 2}, {"a": {"x": 1, "y": None}, "n": 2}, id="merge id"
        ),
        pytest.param(MERGE, {"unknown": None}, {"a": {"x": 1, "y": None}, "n": 1}, id="merge unknown"),
    ],
)
@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", ";charset=UTF-8 ; x=y"])
async def test_a_patch_changes_some_fields(
    client: Client, dialect: dict[str, str], given: Any, expected: Any, parameters: str
) -> None:
    """The dialect is that of the media type, without its parameters."""
    before = await client.put(OBJECT, {"a": {"x": 1, "y": None}, "n": 1})
    content_type = dialect.get("Content-Type", "application/json") + parameters

    response = await client.patch(OBJECT, given, headers={"Content-Type": content_type})

    assert (response.status, fields(response)) == (200, expected)
    assert (await client.get(OBJECT)).data == response.data
    assert response.etag > before.etag
    assert "permissions" in response.json


@pytest.mark.parametrize("headers", [{}, MERGE])
@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_patch_has_to_say_something(client: Client, headers: dict[str, str], body: bytes) -> None:
    await client.put(OBJECT)

    response = await client.request("PATCH", OBJECT, body=body, headers=headers)

    assert response.status == 400
    description = "Provide at least one of data or permissions"
    assert response.json["details"] == [{"location": "body", "name": "data", "description": description}]
    assert response.json["message"] == description


@pytest.mark.parametrize("headers", [{}, MERGE, JSON_PATCH])
async def test_a_patch_never_creates(client: Client, headers: dict[str, str]) -> None:
    body: Any = [] if headers is JSON_PATCH else {"data": {"a": 1}}

    response = await client.request("PATCH", OBJECT, json=body, headers=headers)

    assert (response.status, response.json["errno"]) == (404, 110)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        pytest.param([], {"a": {"b": 1}, "l": [1, 2]}, id="nothing"),
        pytest.param(
            [{"op": "add", "path": "/data/n", "value": None}], {"a": {"b": 1}, "l": [1, 2], "n": None}, id="add"
        ),
        pytest.param([{"op": "add", "path": "/data/l/-", "value": 3}], {"a": {"b": 1}, "l": [1, 2, 3]}, id="append"),
        pytest.param([{"op": "remove", "path": "/data/l/0"}], {"a": {"b": 1}, "l": [2]}, id="remove"),
        pytest.param([{"op": "replace", "path": "/data", "value": {"id": "r"}}], {}, id="replace all"),
        pytest.param(
            [{"op": "move", "from": "/data/a/b", "path": "/data/c"}], {"a": {}, "c": 1, "l": [1, 2]}, id="move"
        ),
        pytest.param([{"op": "copy", "from": "/data/l", "path": "/data/a"}], {"a": [1, 2], "l": [1, 2]}, id="copy"),
        pytest.param([{"op": "test", "path": "/data/a", "value": {"b": 1.0}}], {"a": {"b": 1}, "l": [1, 2]}, id="test"),
        pytest.param([{"op": "add", "path": "/other", "value": 1}], {"a": {"b": 1}, "l": [1, 2]}, id="elsewhere"),
    ],
)
@pytest.mark.parametrize("parameters", ["", "; charset=utf-8"])
async def test_a_json_patch_changes_the_stored_object(
    client: Client, operations: Any, expected: Any, parameters: str
) -> None:
    before = await client.put(OBJECT, {"a": {"b": 1}, "l": [1, 2]})

    response = await patch(client, operations, **{"Content-Type": JSON_PATCH["Content-Type"] + parameters})

    assert (response.status, fields(response)) == (200, expected)
    assert response.etag > before.etag
    assert (await client.get(OBJECT)).data == response.data


DEEP: Any = 1
for _ in range(190):
    DEEP = [DEEP]
INTO_ITSELF = [{"op": "add", "path": "/data/l" + "/0" * 50, "value": DEEP}]


@pytest.mark.parametrize(
    ("operations", "name"),
    [
        pytest.param({}, "", id="no array"),
        pytest.param([1], "0", id="no operation"),
        pytest.param([[]], "0", id="array"),
        pytest.param([{"op": "test", "path": "/data", "value": 1}, {}], "1.op", id="empty"),
        pytest.param([{"op": "put", "path": "/data/a", "value": 1}], "0.op", id="bad op"),
        pytest.param([{"op": ["add"], "path": "/data/a", "value": 1}], "0.op", id="op array"),
        pytest.param([{"op": "add", "path": "data", "value": 1}], "0.path", id="bad path"),
        pytest.param([{"op": "add", "path": 1, "value": 1}], "0.path", id="path number"),
        pytest.param([{"op": "add", "value": 1}], "0.path", id="no path"),
        pytest.param([{"op": "move", "path": "/data/b", "from": "x"}], "0.from", id="bad from"),
        pytest.param([{"op": "copy", "path": "/data/b"}], "0.from", id="no from"),
        pytest.param([{"op": "add", "path": "/data/b"}], "0.value", id="add without value"),
        pytest.param([{"op": "replace", "path": "/data/a"}], "0.value", id="replace without value"),
        pytest.param([{"op": "test", "path": "/data/a"}], "0.value", id="test without value"),
        pytest.param([{"op": "add", "path": "/data/b", "value": 1, "x": 1}], "0", id="unknown member"),
        pytest.param([{"op": "remove", "path": "/data/x"}], None, id="remove unknown"),
        pytest.param([{"op": "replace", "path": "/data/x", "value": 1}], None, id="replace unknown"),
        pytest.param([{"op": "test", "path": "/data/a", "value": True}], None, id="test true against 1"),
        pytest.param([{"op": "move", "from": "/data/o", "path": "/data/o/x"}], None, id="I27 into its child"),
        pytest.param([{"op": "remove", "path": "/data"}], None, id="I27 remove data"),
        pytest.param([{"op": "remove", "path": ""}], "0.path", id="I27 remove root"),
        pytest.param([{"op": "add", "path": "", "value": {}}], "0.path", id="I27 add root"),
        pytest.param([{"op": "replace", "path": "", "value": {"data": {}}}], "0.path", id="I27 replace root"),
        pytest.param([{"op": "move", "from": "", "path": "/data/x"}], "0.from", id="I27 move root"),
        pytest.param([{"op": "copy", "from": "", "path": "/data/x"}], "0.from", id="I27 copy root"),
        pytest.param([{"op": "copy", "from": "/data", "path": ""}], "0.path", id="I27 onto root"),
        pytest.param([{"op": "remove", "path": "/"}], None, id="I27 remove an empty name"),
        pytest.param([{"op": "move", "from": "/data", "path": "/data/x"}], None, id="I27 data into itself"),
        pytest.param([{"op": "move", "from": "/data", "path": "/other"}], None, id="I27 data away"),
        pytest.param([{"op": "add", "path": "/data" + "/a" * 100_000, "value": 1}], None, id="I27 100,000 steps"),
        pytest.param([{"op": "replace", "path": "/data", "value": 1}], None, id="replace data by a scalar"),
        pytest.param([{"op": "replace", "path": "/data", "value": []}], None, id="replace data by an array"),
        pytest.param([{"op": "add", "path": "/data/l/9", "value": 1}], None, id="beyond the end"),
        pytest.param([{"op": "add", "path": "/data/l/x", "value": 1}], None, id="no index"),
        pytest.param([{"op": "add", "path": "/data/l/-1", "value": 1}], None, id="negative index"),
        pytest.param([{"op": "add", "path": "/data/l/" + "1" * 5000, "value": 1}], None, id="huge index"),
        pytest.param([{"op": "add", "path": "/data/a/b", "value": 1}], None, id="into a number"),
        pytest.param([{"op": "add", "path": "/data/~2", "value": 1}], None, id="bad escape"),
        pytest.param([{"op": "add", "path": "/data/x/y", "value": 1}], None, id="no parent"),
        pytest.param([{"op": "add", "path": "/permissions/x/bob"}], "permissions", id="I27 unknown permission"),
        pytest.param([{"op": "add", "path": "/permissions", "value": 1}], None, id="I27 no permissions"),
        pytest.param([{"op": "add", "path": "/permissions/read", "value": 1}], None, id="I27 no principals"),
        pytest.param([{"op": "add", "path": "/permissions/read/"}], None, id="I27 empty principal"),
        pytest.param([{"op": "remove", "path": "/permissions/read/nobody"}], None, id="revoke who has none"),
        pytest.param([{"op": "test", "path": "/permissions/read/nobody"}], None, id="test who has none"),
        pytest.param([{"op": "copy", "from": "/permissions", "path": "/data/acl"}], None, id="permissions into data"),
        pytest.param([{"op": "add", "path": "/data/n", "value": 1}] * 10_000, "", id="I27 10,000 operations"),
        pytest.param([{"op": "copy", "from": "/data/l", "path": "/data/l/-"}] * 50, None, id="I27 doubling"),
        pytest.param(
            [{"op": "add", "path": "/data/l/0", "value": DEEP}] * 2 + INTO_ITSELF, None, id="I27 deep on deep"
        ),
        pytest.param([{"op": "replace", "path": "/data/id", "value": "x"}], "id", id="another id"),
        pytest.param([{"op": "replace", "path": "/data/id", "value": None}], "id", id="null id"),
    ],
)
async def test_a_json_patch_that_does_not_fit_changes_nothing(
    client: Client, operations: Any, name: str | None
) -> None:
    """I27."""
    before = await client.put(OBJECT, {"a": 1, "o": {"p": {}}, "l": [1]}, {"read": ["alice"]})

    response = await patch(client, operations)

    assert response.status == 400
    assert name in [each["name"] for each in response.json["details"]]
    assert {each["location"] for each in response.json["details"]} == {"body"}
    if name is None:
        assert response.json["message"].startswith("body: JSON Patch operation failed: ")
    assert (await client.get(OBJECT)).json == before.json


# Response-Behavior


@pytest.mark.parametrize(
    ("behavior", "headers", "given", "expected"),
    [
        pytest.param("full", {}, {"a": 2}, {"id", "last_modified", "a", "b", "c"}, id="full"),
        pytest.param("", {}, {"a": 2}, {"id", "last_modified", "a", "b", "c"}, id="empty"),
        pytest.param("light", {}, {"a": 2, "b": 2}, {"a"}, id="light: those that changed"),
        pytest.param("light", {}, {"a": 1}, set(), id="light: nothing changed"),
        pytest.param("light", {}, {"last_modified": 1, "id": "r"}, {"last_modified"}, id="light: server field"),
        pytest.param("light", MERGE, {"c": {"y": 1}}, {"c"}, id="light: merged"),
        pytest.param("diff", {}, {"a": 2, "b": 2}, set(), id="diff: as provided"),
        pytest.param("diff", {}, {"a": 2, "last_modified": 1}, {"last_modified"}, id="diff: server field"),
        pytest.param("diff", MERGE, {"c": {"y": 1}}, {"c"}, id="diff: merged"),
        pytest.param("diff", MERGE, {"a": None}, set(), id="diff: removed"),
    ],
)
async def test_a_patch_answers_as_much_as_asked(
    client: Client, behavior: str, headers: dict[str, str], given: Any, expected: set[str]
) -> None:
    await client.put(OBJECT, {"a": 1, "b": 2, "c": {"x": 1}})

    response = await client.patch(OBJECT, given, headers={**headers, "Response-Behavior": behavior})

    stored = await client.get(OBJECT)
    assert (response.status, response.etag) == (200, stored.etag)
    assert response.data == {name: stored.data[name] for name in expected}
    assert ("permissions" in response.json) == (behavior in ("full", ""))


@pytest.mark.parametrize(("behavior", "expected"), [("light", {"last_modified", "n"}), ("diff", {"last_modified"})])
async def test_of_a_json_patch_the_whole_result_counts_as_provided(
    client: Client, behavior: str, expected: set[str]
) -> None:
    await client.put(OBJECT, {"a": 1})

    operations = [{"op": "add", "path": "/data/n", "value": 1}]
    response = await patch(client, operations, **{"Response-Behavior": behavior})

    assert response.data.keys() == expected
    assert response.data["last_modified"] == response.etag


@pytest.mark.parametrize("behavior", ["Full", "LIGHT", "foo", "light,diff"])
async def test_another_behavior_is_refused(client: Client, behavior: str) -> None:
    await client.put(OBJECT)

    response = await client.patch(OBJECT, {}, headers={"Response-Behavior": behavior})

    assert response.status == 400
    assert response.json["details"][0]["description"] == f'"{behavior}" is not one of full, light, diff'
    assert (await client.put(OBJECT, {}, headers={"Response-Behavior": behavior})).status == 200


# DELETE


async def test_a_deletion_answers_the_tombstone_alone(client: Client) -> None:
    await client.put(OBJECT, {"a": 1})

    response = await client.request("DELETE", OBJECT, json={})

    assert response.status == 200
    assert response.json == {"data": {"id": "r", "last_modified": response.etag, "deleted": True}}


async def test_what_is_deleted_is_not_there(client: Client) -> None:
    await client.put(OBJECT)
    await client.delete(OBJECT)

    for method in ("GET", "PATCH", "DELETE"):
        response = await client.request(method, OBJECT, body=b'{"data": {}}')

        assert (response.status, response.json["errno"]) == (404, 110)
        assert response.json["details"] == {"id": "r", "resource_name": "record"}


# One decision, however a request is spelled


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("GET", OBJECT, {}, None),
        ("HEAD", OBJECT, {}, None),
        ("GET", f"{OBJECT}?_fields=n", {}, None),
        ("PUT", OBJECT, {}, {"data": {}}),
        ("PUT", OBJECT, {"If-None-Match": "*"}, {"data": {}}),
        ("PATCH", OBJECT, {}, {"data": {}}),
        ("PATCH", OBJECT, MERGE, {"permissions": {"read": None}}),
        ("PATCH", OBJECT, JSON_PATCH, [{"op": "add", "path": "/permissions/write/system.Everyone"}]),
        ("PATCH", OBJECT, {**JSON_PATCH, "Response-Behavior": "diff"}, []),
        ("DELETE", OBJECT, {}, None),
        ("POST", LIST, {}, {"data": {"id": "r"}}),
        ("GET", LIST, {}, None),
        ("HEAD", LIST, {}, None),
        ("DELETE", LIST, {}, None),
        ("GET", f"{LIST}?id=r", {}, None),
        ("GET", "/buckets/b%2Fcollections%2Fc%2Frecords%2Fr", {}, None),
        ("GET", "/buckets/%62/collections/c/records/r", {}, None),
    ],
)
async def test_who_may_not_is_refused_by_every_door(
    client: Client, method: str, url: str, headers: dict[str, str], body: Any
) -> None:
    """P20."""
    before = await client.put(OBJECT, {"n": 1})
    options = {"headers": headers} | ({} if body is None else {"json": body})

    assert (await client.as_user("bob").request(method, url, **options)).status == 403
    assert (await client.anonymous().request(method, url, **options)).status == 401
    assert (await client.get(OBJECT)).json == before.json


@pytest.mark.parametrize(
    "url",
    [f"{OBJECT}/", f"/{OBJECT}", OBJECT.replace("/b/", "//b/"), OBJECT.upper(), "/v1/V1" + OBJECT, f"{OBJECT}/.."],
)
async def test_another_spelling_is_another_url(client: Client, url: str) -> None:
    """P20: it is not found, or sent on to where it is refused."""
    await client.put(OBJECT, {"n": 1}, {"read": ["system.Everyone"]})

    for method in ("GET", "DELETE"):
        assert (await client.anonymous().request(method, url)).status in (307, 404)
    assert (await client.get(OBJECT)).status == 200


async def test_a_merge_patch_takes_a_permission_away(client: Client) -> None:
    """P20."""
    await client.put(OBJECT, {"n": 1}, {"read": ["system.Everyone"]})

    response = await client.patch(OBJECT, permissions={"read": None}, headers=MERGE)

    assert "read" not in response.json["permissions"]
    assert (await client.anonymous().get(OBJECT)).status == 401


# In parallel


def statuses(responses: list[Answer]) -> dict[int, int]:
    """Return how many of the responses have each status."""
    found = [each.status for each in responses]
    return {each: found.count(each) for each in set(found)}


async def test_of_many_replacements_of_one_version_one_succeeds(client: Client) -> None:
    """C1."""
    version = (await client.put(OBJECT)).headers["ETag"]

    writes = [client.put(OBJECT, {"n": number}, headers={"If-Match": version}) for number in range(50)]
    responses = await asyncio.gather(*writes)

    assert statuses(responses) == {200: 1, 412: 49}


async def test_of_many_creations_one_succeeds(client: Client) -> None:
    """C2."""
    writes = [client.put(OBJECT, {"n": number}, headers={"If-None-Match": "*"}) for number in range(50)]
    responses = await asyncio.gather(*writes)

    assert statuses(responses) == {201: 1, 412: 49}
    [created] = [each for each in responses if each.status == 201]
    assert (await client.get(OBJECT)).data == created.data


async def test_of_many_posts_of_one_id_one_creates_and_all_get_its_object(client: Client) -> None:
    """C3."""
    responses = await asyncio.gather(*[client.post(LIST, {"id": "r", "n": number}) for number in range(50)])

    assert statuses(responses) == {201: 1, 200: 49}
    assert len({each.data["n"] for each in responses}) == 1
    assert len({each.etag for each in responses}) == 1


@pytest.mark.parametrize("headers", [{}, MERGE])
async def test_patches_of_different_fields_are_all_kept(client: Client, headers: dict[str, str]) -> None:
    """C4."""
    await client.put(OBJECT)

    writes = [client.patch(OBJECT, {f"f{number}": number}, headers=headers) for number in range(50)]
    responses = await asyncio.gather(*writes)

    assert statuses(responses) == {200: 50}
    assert fields(await client.get(OBJECT)) == {f"f{number}": number for number in range(50)}


async def test_every_element_appended_is_there_once(client: Client) -> None:
    """C5."""
    await client.put(OBJECT, {"l": []})

    async def append(worker: int) -> list[int]:
        done = []
        for number in range(100):
            operations = [{"op": "add", "path": "/data/l/-", "value": worker * 1000 + number}]
            if (await patch(client, operations)).status == 200:
                done.append(worker * 1000 + number)
        return done

    acknowledged = [each for done in await asyncio.gather(*map(append, range(20))) for each in done]

    assert len(acknowledged) == 2000
    assert sorted((await client.get(OBJECT)).data["l"]) == sorted(acknowledged)


async def test_of_many_deletions_one_succeeds(client: Client) -> None:
    """C6."""
    before = (await client.put(OBJECT)).etag

    responses = await asyncio.gather(*[client.delete(OBJECT) for _ in range(50)])

    assert statuses(responses) == {200: 1, 404: 49}
    assert [each["id"] for each in (await client.get(f"{LIST}?_since={before}")).data] == ["r"]
    [deleted] = [each for each in responses if each.status == 200]
    assert (await client.get(LIST)).etag == deleted.etag > before
