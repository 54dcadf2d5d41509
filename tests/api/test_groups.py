"""Groups: a principal that users have in common. Source: objects, 2.7 and 4; P12, P13, P14."""

from typing import Any

import pytest
from tests.api.sharing import B, C, G, R, acl, create, principal_of, share

from kobako.testing.client import Client

JSON = "application/json"


@pytest.fixture
async def owner(client: Client) -> Client:
    """The owner of a bucket with a collection and a record."""
    await create(client, B, C, R)
    return client


@pytest.fixture
async def ann(client: Client) -> Client:
    """A user with no rights."""
    return client.as_user("ann")


async def principals(client: Client) -> set[str]:
    """Return the principals of a user, as hello tells them."""
    return set((await client.get("/")).json["user"]["principals"])


# Members


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        pytest.param({"data": {"members": ["u:a"]}}, ["u:a"], id="given"),
        pytest.param({"data": {"members": ["u:a", "u:b", "u:a"]}}, ["u:a", "u:b", "u:a"], id="doubles are kept"),
        pytest.param({"data": {}}, [], id="data without members"),
        pytest.param({"data": {"name": "x"}}, [], id="other attributes"),
        pytest.param({}, None, id="an empty object has none"),
        pytest.param({"permissions": {"read": ["u:a"]}}, None, id="no data has none"),
        pytest.param({"data": {"members": ["system.Authenticated"]}}, ["system.Authenticated"], id="everybody known"),
        pytest.param({"data": {"members": ["/bucket/x", "buckets"]}}, ["/bucket/x", "buckets"], id="nearly a group"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_group_is_created_with_its_members(owner: Client, body: Any, stored: Any, method: str) -> None:
    created = await owner.request(method, G if method == "PUT" else f"{B}/groups", json=body)

    assert created.status == 201
    assert created.data.get("members") == stored


async def test_a_group_is_created_with_no_body_at_all(owner: Client) -> None:
    created = await owner.request("PUT", G)

    assert (created.status, created.data.keys()) == (201, {"id", "last_modified"})


async def test_other_attributes_are_free(owner: Client) -> None:
    created = await owner.put(G, data={"members": [], "description": {"a": [1]}})

    assert created.data["description"] == {"a": [1]}


async def test_replacing_without_data_keeps_the_members(owner: Client, ann: Client) -> None:
    await owner.put(G, data={"members": [await principal_of(ann)]})

    kept = await owner.put(G, permissions={"read": ["u:a"]})

    assert kept.data["members"] == [await principal_of(ann)]
    assert G in await principals(ann)


REFUSED = [
    pytest.param(["system.Everyone"], ".0", "'system.Everyone' is not a valid user ID.", id="everybody"),
    pytest.param(["/buckets/b/groups/h"], ".0", "'/buckets/b/groups/h' is not a valid user ID.", id="a group"),
    pytest.param(["u:a", "/buckets/b"], ".1", "'/buckets/b' is not a valid user ID.", id="under a bucket"),
    pytest.param(["u:a", ""], ".1", "Required", id="nobody"),
    pytest.param([None], ".0", "Required", id="null in it"),
    pytest.param([12], ".0", "12 is not a string", id="a number"),
    pytest.param([["u:a"]], ".0", "is not a string", id="a list in it"),
    pytest.param(None, "", "Required", id="null"),
    pytest.param("u:a", "", '"u:a" is not iterable', id="a string"),
    pytest.param({"u:a": 1}, "", "is not iterable", id="an object"),
]


@pytest.mark.parametrize(("members", "where", "description"), REFUSED)
@pytest.mark.parametrize(
    ("method", "prefix"), [("PUT", "data.members"), ("POST", "data.members"), ("PATCH", "members")]
)
async def test_who_can_be_no_member_is_refused(
    owner: Client, method: str, prefix: str, members: Any, where: str, description: str
) -> None:
    """P12."""
    await create(owner, G)
    before = (await owner.get(G)).data

    answer = await owner.request(method, G if method != "POST" else f"{B}/groups", json={"data": {"members": members}})

    assert (answer.status, answer.json["errno"]) == (400, 107)
    assert answer.json["details"][0]["name"] == prefix + where
    assert description in answer.json["details"][0]["description"]
    assert (await owner.get(G)).data == before


@pytest.mark.parametrize(
    ("operations", "name"),
    [
        ([{"op": "add", "path": "/data/members/-", "value": "system.Everyone"}], "members.0"),
        ([{"op": "add", "path": "/data/members/0", "value": "/buckets/b/groups/h"}], "members.0"),
        ([{"op": "replace", "path": "/data/members", "value": None}], "members"),
    ],
)
async def test_no_operation_makes_a_member_of_who_can_be_none(owner: Client, operations: Any, name: str) -> None:
    """P12."""
    await create(owner, G)

    answer = await owner.request("PATCH", G, json=operations, headers={"Content-Type": "application/json-patch+json"})

    assert (answer.status, answer.json["details"][0]["name"]) == (400, name)


# What membership gives


async def test_members_have_the_groups_principal(owner: Client, ann: Client) -> None:
    await owner.put(G, data={"members": [await principal_of(ann)]})

    assert await principals(ann) == {await principal_of(ann), "system.Everyone", "system.Authenticated", G}
    assert G not in await principals(owner)


async def test_hello_names_the_user_first(owner: Client, ann: Client) -> None:
    await owner.put(G, data={"members": [await principal_of(ann)]})

    user = (await ann.get("/")).json["user"]

    assert user["principals"][0] == user["id"]
    assert "user" not in (await ann.anonymous().get("/")).json


async def test_members_have_the_rights_of_the_group_in_any_bucket(owner: Client, ann: Client) -> None:
    await owner.put(G, data={"members": [await principal_of(ann)]})
    await create(owner, "/buckets/elsewhere", permissions={"read": [G]})

    assert (await ann.get("/buckets/elsewhere")).status == 200
    assert (await ann.get(B)).status == 403


async def test_a_group_may_be_in_an_acl_before_it_exists(owner: Client, ann: Client) -> None:
    await share(owner, R, "read", G)
    assert (await ann.get(R)).status == 403

    await owner.put(G, data={"members": [await principal_of(ann)]})

    assert (await ann.get(R)).status == 200


async def test_everybody_known_may_be_a_member(owner: Client, ann: Client) -> None:
    await share(owner, R, "read", G)
    await owner.put(G, data={"members": ["system.Authenticated"]})

    assert G in await principals(ann)
    assert (await ann.get(R)).status == 200
    assert (await ann.anonymous().get(R)).status == 401


CHANGES = [
    pytest.param("PUT", {"data": {"members": []}}, JSON, id="PUT"),
    pytest.param("PUT", {"data": {}}, JSON, id="PUT without members"),
    pytest.param("PATCH", {"data": {"members": ["u:other"]}}, JSON, id="PATCH"),
    pytest.param("PATCH", {"data": {"members": None}}, "application/merge-patch+json", id="merge"),
    pytest.param(
        "PATCH", [{"op": "remove", "path": "/data/members/0"}], "application/json-patch+json", id="JSON Patch"
    ),
    pytest.param("DELETE", None, JSON, id="DELETE"),
]


@pytest.mark.parametrize(("method", "body", "type"), CHANGES)
async def test_who_leaves_a_group_loses_its_rights_at_once(
    owner: Client, ann: Client, method: str, body: Any, type: str
) -> None:
    """P13."""
    await share(owner, R, "read", G)
    await owner.put(G, data={"members": [await principal_of(ann)]})
    assert (await ann.get(R)).status == 200

    answer = await owner.request(method, G, headers={"Content-Type": type}, **({} if body is None else {"json": body}))

    assert answer.status == 200
    assert G not in await principals(ann)
    assert (await ann.get(R)).status == 403


async def test_plural_deletion_takes_the_principal_too(owner: Client, ann: Client) -> None:
    await owner.put(G, data={"members": [await principal_of(ann), "system.Authenticated"]})

    await owner.delete(f"{B}/groups")

    assert G not in await principals(ann)


async def test_removing_one_member_leaves_those_with_similar_names(owner: Client, ann: Client) -> None:
    """P14."""
    me = await principal_of(ann)
    await owner.put(G, data={"members": [me[:-1], me, f"{me}x"]})

    await owner.put(G, data={"members": [me, f"{me}x"]})
    assert G in await principals(ann)

    await owner.put(G, data={"members": [me[:-1], f"{me}x"]})
    assert G not in await principals(ann)


async def test_removing_one_of_two_doubles_keeps_the_member(owner: Client, ann: Client) -> None:
    me = await principal_of(ann)
    await owner.put(G, data={"members": [me, me]})

    await owner.put(G, data={"members": [me]})

    assert G in await principals(ann)


async def test_a_group_with_a_similar_name_gives_no_right(owner: Client, ann: Client) -> None:
    """P14."""
    await share(owner, R, "read", f"{G}_")
    await owner.put(G, data={"members": [await principal_of(ann)]})
    await owner.put(f"{G}x", data={"members": [await principal_of(ann)]})

    assert (await ann.get(R)).status == 403


async def test_a_refused_change_changes_no_membership(owner: Client, ann: Client) -> None:
    await owner.put(G, data={"members": [await principal_of(ann)]})

    await owner.put(G, data={"members": []}, headers={"If-Match": '"1"'})
    await owner.put(G, data={"members": ["system.Everyone"]})
    await ann.put(G, data={"members": []})

    assert G in await principals(ann)


async def test_a_change_of_a_group_moves_no_other_list(owner: Client, ann: Client) -> None:
    await share(owner, R, "read", G)
    lists = ("/buckets", f"{B}/collections", f"{C}/records")
    before = [(await owner.get(each)).etag for each in lists]

    await owner.put(G, data={"members": [await principal_of(ann)]})
    await owner.delete(G)

    assert [(await owner.get(each)).etag for each in lists] == before


# Groups that come back


@pytest.mark.parametrize("deleted", [G, f"{B}/groups", B, "/buckets"])
async def test_a_group_created_again_has_no_right_of_the_former_one(client: Client, ann: Client, deleted: str) -> None:
    """P13: the URI of the group goes from every ACL, in every bucket."""
    other = "/buckets/elsewhere"
    mallory = client.as_user("mallory")
    await create(client, B)
    await create(mallory, other)
    await client.put(G, data={"members": ["u:a"]})
    await mallory.patch(other, permissions={"read": [G, "u:kept"], "write": [G]})

    assert (await client.delete(deleted)).status == 200
    await client.put(B, data={})
    await client.put(G, data={"members": [await principal_of(ann)]})

    assert (await ann.get(other)).status == 403
    assert await acl(mallory, other) == {"read": {"u:kept"}, "write": {await principal_of(mallory)}}


async def test_the_next_owner_of_a_bucket_makes_no_group_that_was_trusted_before(client: Client, ann: Client) -> None:
    """P13: nor one that the former owner never made."""
    mallory = client.as_user("mallory")
    await create(client, B, "/buckets/bb")
    await create(ann, "/buckets/elsewhere", permissions={"write": [G, "/buckets/bb/groups/g"]})

    await client.delete(B)
    await create(mallory, B)
    await mallory.put(G, data={"members": [await principal_of(mallory)]})

    assert (await mallory.get("/buckets/elsewhere")).status == 403
    assert (await acl(ann, "/buckets/elsewhere"))["write"] == {"/buckets/bb/groups/g", await principal_of(ann)}


@pytest.mark.parametrize("deleted", [G, B])
async def test_a_group_created_again_has_no_member_of_the_former_one(client: Client, ann: Client, deleted: str) -> None:
    """P13."""
    await create(client, B)
    await client.put(G, data={"members": [await principal_of(ann), "system.Authenticated"]})

    await client.delete(deleted)
    await client.put(B, data={})
    await client.put(G, data={"members": []})

    assert G not in await principals(ann)
    assert G not in await principals(client)


async def test_deleting_a_group_leaves_those_with_similar_names(owner: Client, ann: Client) -> None:
    """P15."""
    near = f"{B}/groups/g_"
    await share(owner, R, "read", f"{B}/groups/gx", near)
    for uri in (near, f"{B}/groups/gx", G):
        await owner.put(uri, data={"members": [await principal_of(ann)]})

    await owner.delete(near)

    assert await principals(ann) >= {G, f"{B}/groups/gx"}
    assert near not in await principals(ann)
    assert (await acl(owner, R))["read"] == {f"{B}/groups/gx"}
