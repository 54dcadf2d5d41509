"""ACLs as clients change and see them. Source: objects, 1.4 to 1.6; HTTP API, 5.4, 11.3 and 11.4; C20, P13, P20."""

import asyncio
from typing import Any

import pytest
from tests.api.sharing import B, C, G, R, acl, create, principal_of, serving, share

from kobako.testing.client import Client

MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
ME = "the requester"

STORED = {"read": ["u:reader"], "write": ["u:writer"], "record:create": ["u:creator"]}


async def _change(client: Client, uri: str, method: str, body: Any, headers: Any = None) -> dict[str, set[str]]:
    """Send a change to an object that has the ACL STORED, and return the ACL as it is then, ME in it."""
    answer = await client.request(method, uri, json=body, headers=headers)
    assert answer.status == 200, answer
    me = await principal_of(client)
    return {name: {ME if each == me else each for each in who} for name, who in (await acl(client, uri)).items()}


def _all(**changed: set[str]) -> dict[str, set[str]]:
    """Return the stored ACL with the requester in `write`, as changed."""
    after = {"read": {"u:reader"}, "write": {"u:writer", ME}, "record:create": {"u:creator"}}
    after.update({name.replace("_", ":"): principals for name, principals in changed.items()})
    return {name: principals for name, principals in after.items() if principals}


CHANGES = [
    pytest.param("PUT", {"data": {"a": 1}}, None, _all(), id="PUT without permissions"),
    pytest.param("PUT", {"permissions": {}}, None, _all(), id="PUT with no permission"),
    pytest.param("PUT", {"permissions": {"read": None}}, None, _all(), id="PUT with null alone"),
    pytest.param("PUT", {}, None, _all(), id="PUT with nothing"),
    pytest.param(
        "PUT",
        {"permissions": {"read": ["u:new"]}},
        None,
        {"read": {"u:new"}, "write": {ME}},
        id="PUT with one replaces all",
    ),
    pytest.param(
        "PUT",
        {"permissions": {"read": ["u:new"], "record:create": None}},
        None,
        {"read": {"u:new"}, "write": {ME}},
        id="PUT with null and one replaces all",
    ),
    pytest.param("PUT", {"permissions": {"write": []}}, None, {"write": {ME}}, id="PUT with an empty one clears all"),
    pytest.param(
        "PUT", {"permissions": {"read": ["u:a", "u:a"]}}, None, {"read": {"u:a"}, "write": {ME}}, id="PUT with doubles"
    ),
    pytest.param("PATCH", {"data": {"a": 1}}, None, _all(), id="PATCH without permissions"),
    pytest.param("PATCH", {"permissions": {}}, None, _all(), id="PATCH with no permission"),
    pytest.param("PATCH", {"permissions": {"read": ["u:new"]}}, None, _all(read={"u:new"}), id="PATCH replaces one"),
    pytest.param("PATCH", {"permissions": {"read": []}}, None, _all(read=set()), id="PATCH with an empty one"),
    pytest.param("PATCH", {"permissions": {"read": None}}, None, _all(), id="PATCH with null"),
    pytest.param("PATCH", {"permissions": {"write": []}}, None, _all(write={ME}), id="PATCH without writers"),
    pytest.param("PATCH", {"data": {"a": 1}}, MERGE, _all(), id="merge without permissions"),
    pytest.param("PATCH", {"permissions": {"read": ["u:new"]}}, MERGE, _all(read={"u:new"}), id="merge replaces one"),
    pytest.param("PATCH", {"permissions": {"read": None}}, MERGE, _all(read=set()), id="merge with null (P20)"),
    pytest.param("PATCH", {"permissions": {"read": []}}, MERGE, _all(read=set()), id="merge with an empty one"),
    pytest.param("PATCH", {"permissions": {"write": None}}, MERGE, _all(write={ME}), id="merge without writers"),
    pytest.param("PATCH", [], JSON_PATCH, _all(), id="JSON Patch without operations"),
    pytest.param(
        "PATCH",
        [{"op": "add", "path": "/permissions/read/u:new"}],
        JSON_PATCH,
        _all(read={"u:reader", "u:new"}),
        id="JSON Patch adds without value",
    ),
    pytest.param(
        "PATCH",
        [{"op": "add", "path": "/permissions/read/u:new", "value": {"x": 1}}],
        JSON_PATCH,
        _all(read={"u:reader", "u:new"}),
        id="JSON Patch adds with any value",
    ),
    pytest.param(
        "PATCH",
        [{"op": "add", "path": "/permissions/record:create/u:new"}],
        JSON_PATCH,
        _all(record_create={"u:creator", "u:new"}),
        id="JSON Patch adds to any permission",
    ),
    pytest.param(
        "PATCH",
        [{"op": "remove", "path": "/permissions/read/u:reader"}],
        JSON_PATCH,
        _all(read=set()),
        id="JSON Patch removes",
    ),
    pytest.param(
        "PATCH",
        [{"op": "remove", "path": "/permissions/record:create"}],
        JSON_PATCH,
        _all(record_create=set()),
        id="JSON Patch clears one",
    ),
    pytest.param(
        "PATCH",
        [{"op": "replace", "path": "/permissions/read", "value": ["u:new"]}],
        JSON_PATCH,
        _all(read={"u:new"}),
        id="JSON Patch replaces one by a list",
    ),
    pytest.param(
        "PATCH",
        [{"op": "replace", "path": "/permissions/read", "value": {"u:new": ""}}],
        JSON_PATCH,
        _all(read={"u:new"}),
        id="JSON Patch replaces one by a mapping",
    ),
    pytest.param(
        "PATCH",
        [{"op": "add", "path": "/permissions/read/~1buckets~1b~1groups~1g"}],
        JSON_PATCH,
        _all(read={"u:reader", G}),
        id="JSON Patch adds a group",
    ),
]


@pytest.mark.parametrize(("method", "body", "headers", "expected"), CHANGES)
async def test_a_change_of_permissions_does_what_its_row_says(
    client: Client, method: str, body: Any, headers: Any, expected: Any
) -> None:
    await create(client, B)
    await create(client, C, permissions=STORED)

    assert await _change(client, C, method, body, headers) == expected


@pytest.mark.parametrize(("method", "body", "headers", "expected"), CHANGES)
async def test_it_does_the_same_for_a_writer_who_does_not_see_the_acl(
    client: Client, method: str, body: Any, headers: Any, expected: Any
) -> None:
    """Nothing is erased that the change does not name, whoever asks (objects, 1.6)."""
    other = client.as_user("ann")
    await create(client, B, permissions={"write": [await principal_of(other)]})
    await create(client, C)
    await client.put(C, permissions=STORED)
    owner = await principal_of(client)

    after = await _change(other, C, method, body, headers)

    # The owner has written too, and stands there until somebody replaces the writers.
    after["write"].discard(owner)
    assert after == expected


def _removal(principal: str) -> list[Any]:
    return [{"op": "remove", "path": f"/permissions/write/{principal}"}]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_answer_shows_the_acl_as_it_is_after_the_change(client: Client, method: str) -> None:
    await create(client, B)

    answer = await client.request(method, B, json={"data": {"a": 1}, "permissions": {"read": ["u:new"]}})

    assert answer.json["permissions"] == {"read": ["u:new"], "write": [await principal_of(client)]}


@pytest.mark.parametrize("url", ["/buckets/new", "/buckets"])
@pytest.mark.parametrize("given", [None, {}, {"write": []}, {"read": ["u:a"], "write": ["u:b"]}])
async def test_a_creator_joins_the_writers(client: Client, url: str, given: Any) -> None:
    send = client.post if url == "/buckets" else client.put

    answer = await send(url, data={"a": 1}, permissions=given)

    me = await principal_of(client)
    assert answer.status == 201
    assert {name: set(who) for name, who in answer.json["permissions"].items()} == {
        **{name: set(who) for name, who in (given or {}).items()},
        "write": {*(given or {}).get("write", ()), me},
    }


@pytest.mark.parametrize(
    ("method", "body", "headers"),
    [
        ("PUT", {"data": {}}, None),
        ("PATCH", {"data": {}}, None),
        ("PATCH", {"data": {"a": None}}, MERGE),
        ("PATCH", [{"op": "add", "path": "/data/a", "value": 1}], JSON_PATCH),
        ("PATCH", {"permissions": {"write": []}}, None),
    ],
)
async def test_an_editor_with_an_inherited_right_joins_the_writers(
    client: Client, method: str, body: Any, headers: Any
) -> None:
    other = client.as_user("ann")
    ann = await principal_of(other)
    await create(client, B, permissions={"write": [ann]})
    await create(client, C, R)

    await other.request(method, R, json=body, headers=headers)

    assert (await other.get(R)).json["permissions"]["write"].count(ann) == 1


async def test_an_anonymous_writer_makes_everybody_a_writer(client: Client) -> None:
    await create(client, B)
    await create(client, C, permissions={"record:create": ["system.Everyone"]})

    answer = await client.anonymous().put(R, data={})

    assert answer.json["permissions"] == {"write": ["system.Everyone"]}


async def test_nobody_removes_themselves_from_the_writers(client: Client) -> None:
    await create(client, B)
    me = await principal_of(client)

    for body, headers in (
        ({"permissions": {"write": ["u:other"]}}, None),
        ({"permissions": {"write": None}}, MERGE),
        (_removal(me), JSON_PATCH),
    ):
        answer = await client.request("PATCH", B, json=body, headers=headers)
        assert me in answer.json["permissions"]["write"]


# Who sees it


@pytest.mark.parametrize(
    "principals",
    [
        pytest.param({B: "write"}, id="writer of the bucket"),
        pytest.param({C: "write"}, id="writer of the collection"),
        pytest.param({R: "read"}, id="reader of the record"),
        pytest.param({B: "read", R: "read"}, id="reader of all"),
    ],
)
async def test_only_who_stands_in_the_objects_own_write_sees_its_acl(
    client: Client, principals: dict[str, str]
) -> None:
    other = client.as_user("ann")
    ann = await principal_of(other)
    await create(client, B, C, R)
    for uri, permission in principals.items():
        await share(client, uri, permission, ann)

    hidden, posted = await other.get(R), await other.post(f"{C}/records", data={"id": "r"})
    await share(client, R, "write", ann)
    shown = await other.get(R)

    assert hidden.json["permissions"] == {}
    assert (posted.status, posted.json["permissions"]) == (200, {})
    assert ann in shown.json["permissions"]["write"]


@pytest.mark.parametrize("principal", ["system.Everyone", "system.Authenticated", G])
async def test_standing_in_write_through_a_group_shows_the_acl(client: Client, principal: str) -> None:
    other = client.as_user("ann")
    await create(client, B, C, R)
    await client.put(G, data={"members": [await principal_of(other)]})
    await share(client, R, "write", principal)

    assert principal in (await other.get(R)).json["permissions"]["write"]


async def test_creating_without_standing_in_write_shows_nothing() -> None:
    async with serving(explicit_permissions=False) as client:
        answer = await client.put(B, data={}, permissions={"read": ["u:a"]})

        assert answer.json["permissions"] == {}


@pytest.mark.parametrize("behavior", ["light", "diff"])
async def test_partial_answers_have_no_permissions(client: Client, behavior: str) -> None:
    await create(client, B)

    patched = await client.patch(B, data={"a": 1}, headers={"Response-Behavior": behavior})
    projected = await client.get(f"{B}?_fields=a")

    assert "permissions" not in patched.json
    assert "permissions" not in projected.json


async def test_lists_and_deletions_have_no_permissions(client: Client) -> None:
    await create(client, B, C, R)

    for answer in (await client.get("/buckets"), await client.delete(R), await client.delete("/buckets")):
        assert answer.status == 200
        assert "permissions" not in str(answer.json)


async def test_permissions_without_principals_are_not_listed(client: Client) -> None:
    await create(client, B, permissions={"read": ["u:a"], "group:create": []})

    answer = await client.patch(B, permissions={"read": []})

    assert answer.json["permissions"].keys() == {"write"}


# explicit_permissions


async def test_without_explicit_permissions_no_writer_is_added() -> None:
    async with serving(explicit_permissions=False, principals_by_permission=EVERYBODY_WRITES) as client:
        await client.put(B, data={}, permissions={"read": ["u:a"]})
        await client.patch(B, data={"a": 1})
        await client.anonymous().put(B, data={})
        operations = [{"op": "test", "path": "/permissions/write", "value": {}}]
        tested = await client.request("PATCH", B, json=operations, headers=JSON_PATCH)

        assert tested.status == 200
        assert tested.json["permissions"] == {}
        assert (await client.get("/")).json["settings"]["explicit_permissions"] is False


EVERYBODY_WRITES = {f"bucket_{action}": frozenset({"system.Everyone"}) for action in ("create", "write", "read")}


# Life and death


@pytest.mark.parametrize("again", ["PUT", "POST"])
@pytest.mark.parametrize("deleted", [R, C, B])
async def test_an_object_created_again_starts_with_a_new_acl(client: Client, deleted: str, again: str) -> None:
    """P13."""
    other = client.as_user("ann")
    await create(client, B, C, R)
    await share(client, R, "write", await principal_of(other))
    assert (await other.get(R)).status == 200

    await client.delete(deleted)
    for uri in (B, C, R):
        if again == "PUT":
            await client.put(uri, data={})
        else:
            await client.post(uri.rpartition("/")[0], data={"id": uri.rpartition("/")[2]})

    assert await acl(client, R) == {"write": {await principal_of(client)}}
    assert (await other.get(R)).status == 403
    assert (await other.get(f"{C}/records")).status == 403


async def test_two_replacements_at_once_leave_one_of_them(client: Client) -> None:
    """C20."""
    await create(client, B)
    one, two = ({"read": [f"u:{n}"], "write": [f"u:{n}"], "group:create": [f"u:{n}"]} for n in "12")

    for _ in range(20):
        await asyncio.gather(client.put(B, permissions=one), client.put(B, permissions=two))
        after = await acl(client, B)
        assert len(set().union(*after.values())) == 2
        assert after["read"] == after["group:create"]


async def test_two_grants_at_once_are_both_kept(client: Client) -> None:
    """C20, C4: JSON Patch changes what is stored, not what was read before."""
    await create(client, B)

    answers = await asyncio.gather(
        *(
            client.request("PATCH", B, json=[{"op": "add", "path": f"/permissions/read/u:{n}"}], headers=JSON_PATCH)
            for n in range(20)
        )
    )

    assert {each.status for each in answers} == {200}
    assert (await acl(client, B))["read"] == {f"u:{n}" for n in range(20)}


LONG = "account:" + "é" * 500


@pytest.mark.parametrize(
    ("method", "body", "where"),
    [
        ("PUT", {"permissions": {"read": ["a", LONG]}}, "permissions.read.1"),
        ("PATCH", {"permissions": {"read": [LONG]}}, "permissions.read.0"),
        ("PATCH", [{"op": "add", "path": f"/permissions/read/{LONG}"}], None),
        ("PATCH", [{"op": "add", "path": "/permissions/read", "value": [LONG]}], None),
    ],
)
async def test_a_principal_has_1000_bytes_at_most(client: Client, method: str, body: Any, where: str | None) -> None:
    await client.put("/buckets/b")
    headers = {"Content-Type": "application/json-patch+json"} if isinstance(body, list) else {}

    refused = await client.request(method, "/buckets/b", json=body, headers=headers)

    assert refused.status == 400
    assert "is longer than 1000 bytes" in refused.json["message"]
    assert where is None or refused.json["details"][0]["name"] == where


async def test_a_member_of_a_group_has_1000_bytes_at_most(client: Client) -> None:
    await client.put("/buckets/b")

    refused = await client.put("/buckets/b/groups/g", {"members": ["account:" + "é" * 496, LONG]})

    assert (refused.status, refused.json["details"][0]["name"]) == (400, "data.members.1")
    assert (await client.put("/buckets/b/groups/g", {"members": ["account:" + "é" * 496]})).status == 201
