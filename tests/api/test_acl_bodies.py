"""Permissions in bodies: what is refused, and what says nothing about ACLs.

Source: objects, 1.4; HTTP API, 2.3 and 11.1.
"""

from typing import Any

import pytest
from tests.api.sharing import B, C, G, R, acl, create, principal_of

from kobako.testing.client import Client

JSON_PATCH = {"Content-Type": "application/json-patch+json"}

REFUSED = [
    ({"foo": ["u:a"]}, "permissions", '"foo" is not one of read, write'),
    ({"read": "abc"}, "permissions.read", '"abc" is not iterable'),
    ({"read": [1]}, "permissions.read.0", "1 is not a string: {'': ''}"),
    ({"read": ["u:a", ""]}, "permissions.read.1", "Required"),
    ({"read": [None]}, "permissions.read.0", "Required"),
    ({"read": {"u:a": 1}}, "permissions.read", "is not iterable"),
    ([], "permissions", "is not a mapping type: Does not implement dict-like functionality."),
    ("read", "permissions", "is not a mapping type: Does not implement dict-like functionality."),
]


@pytest.mark.parametrize(("given", "name", "description"), REFUSED)
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
async def test_permissions_that_are_none_are_refused(
    client: Client, given: Any, name: str, description: str, method: str
) -> None:
    await create(client, B, C, R)

    answer = await client.request(method, R if method != "POST" else f"{C}/records", json={"permissions": given})

    assert answer.status == 400
    assert answer.json["details"][0]["name"] == name
    assert description in answer.json["details"][0]["description"]


@pytest.mark.parametrize(
    ("uri", "permission"),
    [(R, "record:create"), (G, "record:create"), (C, "collection:create"), (C, "group:create"), (B, "record:create")],
)
async def test_each_kind_of_object_has_its_own_permissions(client: Client, uri: str, permission: str) -> None:
    await create(client, B, C, R, G)
    operations = [{"op": "add", "path": f"/permissions/{permission}/u:a"}]

    plain = await client.patch(uri, permissions={permission: ["u:a"]})
    by_operation = await client.request("PATCH", uri, json=operations, headers=JSON_PATCH)

    assert (plain.status, by_operation.status) == (400, 400)
    assert plain.json["details"][0]["name"] == "permissions"


@pytest.mark.parametrize("name", ["__permissions__", "permissions", "acl"])
async def test_data_never_sets_an_acl(client: Client, name: str) -> None:
    await create(client, B)
    me = await principal_of(client)

    await client.put(B, data={name: {"read": ["u:a"]}})
    await client.patch(B, data={name: {"read": ["u:a"]}})

    assert await acl(client, B) == {"write": {me}}


async def test_removing_a_principal_who_is_not_there_fails(client: Client) -> None:
    await create(client, B)
    operations = [{"op": "remove", "path": "/permissions/read/u:a"}]

    answer = await client.request("PATCH", B, json=operations, headers=JSON_PATCH)

    assert answer.status == 400
    assert answer.json["details"][0]["name"] is None
    assert answer.json["details"][0]["description"].startswith("JSON Patch operation failed: ")


@pytest.mark.parametrize("permissions", [{"read": ["u:a"]}, {}])
async def test_a_change_of_permissions_alone_keeps_the_data_and_gives_a_new_version(
    client: Client, permissions: Any
) -> None:
    """S24."""
    created = await client.put(B, data={"title": "x"})

    replaced = await client.put(B, permissions=permissions)
    patched = await client.patch(B, permissions=permissions)

    assert replaced.data["title"] == patched.data["title"] == "x"
    assert created.etag < replaced.etag < patched.etag == (await client.get("/buckets")).etag


async def test_a_failed_write_leaves_the_acl_alone(client: Client) -> None:
    await create(client, B, permissions={"read": ["u:a"]})
    before = await acl(client, B)

    modified = await client.put(B, permissions={"read": ["u:b"]}, headers={"If-Match": '"1"'})
    invalid = await client.patch(B, data={"id": "other"}, permissions={"read": ["u:b"]})

    assert (modified.status, invalid.status) == (412, 400)
    assert await acl(client, B) == before
