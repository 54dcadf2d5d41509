"""`DELETE /__user_data__/{principal}`: all that a user has goes, and all that they may do.

Source: objects, 13.3.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.api.sharing import B, C, G, acl, create, ids, principal_of, share
from tests.conftest import SETTINGS

from kobako import App, Listener, ObjectsChanged
from kobako.resources import RESOURCES
from kobako.testing.client import Client

FOLDER = "/buckets/shared"


@pytest.fixture
def told() -> list[ObjectsChanged]:
    return []


@pytest.fixture
async def mat(told: list[ObjectsChanged]) -> AsyncIterator[Client]:
    """A user who may delete what users have."""
    listener = Listener(lambda tx, event: told.append(event), actions=["delete"], after_commit=True)
    async with Client(App(SETTINGS, RESOURCES)) as anybody:
        user = await principal_of(anybody)
    settings = replace(SETTINGS, principals_by_permission=allowing(user))
    async with Client(App(settings, RESOURCES, listeners=[listener])) as client:
        yield client


def allowing(*principals: str) -> dict[str, frozenset[str]]:
    return {**SETTINGS.principals_by_permission, "user-data_delete": frozenset(principals)}


@pytest.fixture
async def alice(mat: Client) -> Client:
    return mat.as_user("alice")


async def delete(mat: Client, user: Client) -> Any:
    """Delete what a user has."""
    principal = await principal_of(user)
    answer = await mat.delete(f"/__user_data__/{principal}")
    assert (answer.status, answer.json) == (200, {"data": {"principal": principal}})
    return answer


async def test_what_only_the_user_may_write_is_deleted_with_all_that_is_in_it(
    mat: Client, alice: Client, told: list[ObjectsChanged]
) -> None:
    await create(alice, B, C, f"{C}/records/r", G, "/buckets/b-2")
    await create(mat, FOLDER)

    await delete(mat, alice)

    assert ids(await alice.get("/buckets")) == set()
    await create(mat, B)
    assert ids(await mat.get(f"{B}/collections")) == set()
    [event] = told
    assert {change.new.id for change in event.changes} == {"b", "b-2"}
    assert (event.place.resource, event.user) == ("bucket", await principal_of(mat))


async def test_objects_in_what_others_own_leave_tombstones(
    mat: Client, alice: Client, told: list[ObjectsChanged]
) -> None:
    await create(mat, FOLDER)
    await share(mat, FOLDER, "collection:create", "system.Authenticated")
    await create(alice, f"{FOLDER}/collections/hers", f"{FOLDER}/collections/hers/records/r")
    await create(mat, f"{FOLDER}/collections/his")
    await share(mat, f"{FOLDER}/collections/his", "record:create", "system.Authenticated")
    await create(alice, *(f"{FOLDER}/collections/his/records/{n}" for n in "ab"))
    await create(mat, f"{FOLDER}/collections/his/records/c")

    await delete(mat, alice)

    assert ids(await mat.get(f"{FOLDER}/collections")) == {"his"}
    records = await mat.get(f"{FOLDER}/collections/his/records?_since=0")
    assert {(each["id"], each.get("deleted", False)) for each in records.data} == {
        ("a", True),
        ("b", True),
        ("c", False),
    }
    # Ancestors first, the rest goes with them.
    assert [(each.place.resource, len(each.changes)) for each in told] == [("collection", 1), ("record", 2)]


async def test_what_others_may_write_too_stays_without_the_user(
    mat: Client, alice: Client, told: list[ObjectsChanged]
) -> None:
    user, other = await principal_of(alice), await principal_of(mat)
    await create(alice, B)
    await share(alice, B, "write", other)
    await create(mat, FOLDER)
    await share(mat, FOLDER, "read", user, "system.Everyone")
    before = [(await mat.get(each)).etag for each in (B, FOLDER)]

    await delete(mat, alice)

    assert await acl(mat, B) == {"write": {other}}
    assert await acl(mat, FOLDER) == {"write": {other}, "read": {"system.Everyone"}}
    assert [(await mat.get(each)).etag for each in (B, FOLDER)] == before
    assert told == []


async def test_an_object_that_the_user_may_only_read_has_no_writer_and_stays(alice: Client) -> None:
    user = await principal_of(alice)
    settings = replace(SETTINGS, explicit_permissions=False, principals_by_permission=allowing("system.Authenticated"))
    async with Client(App(settings, RESOURCES)) as mat:
        await create(mat, B, permissions={"read": [user, "system.Everyone"]})

        await delete(mat, mat.as_user("alice"))

        assert (await mat.get(B)).status == 200


async def test_the_user_is_in_no_group_any_more_though_its_members_stay(mat: Client, alice: Client) -> None:
    user = await principal_of(alice)
    await create(mat, B)
    await mat.put(G, {"members": [user]})
    await share(mat, B, "read", G)
    assert (await alice.get(B)).status == 200

    await delete(mat, alice)

    assert (await alice.get(B)).status == 403
    assert G not in (await alice.get("/")).json["user"]["principals"]
    assert (await mat.get(G)).data["members"] == [user]


async def test_again_it_does_nothing(mat: Client, alice: Client, told: list[ObjectsChanged]) -> None:
    await create(alice, B)

    for _ in range(2):
        await delete(mat, alice)

    assert len(told) == 1


async def test_others_keep_what_they_have(mat: Client, alice: Client) -> None:
    bob = mat.as_user("bob")
    await create(bob, B, C, f"{C}/records/r")

    await delete(mat, alice)

    assert ids(await bob.get(f"{C}/records")) == {"r"}


async def test_who_writes_meanwhile_is_served(mat: Client, alice: Client) -> None:
    bob = mat.as_user("bob")
    await create(alice, B, C)
    await share(alice, C, "record:create", "system.Authenticated")

    answers = await asyncio.gather(
        *(bob.put(f"{C}/records/{n}", {}) for n in range(10)), delete(mat, alice), bob.put("/buckets/other", {})
    )

    assert {each.status for each in answers} <= {200, 201, 403, 404}
    assert (await bob.get(f"{C}/records")).status == 403


# Who may


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 405), ("POST", 405), ("PUT", 405), ("PATCH", 405), ("DELETE", 403)]
)
async def test_it_is_for_those_whom_the_setting_names(alice: Client, method: str, status: int) -> None:
    assert (await alice.request(method, "/__user_data__/account:bob")).status == status


async def test_nobody_in_particular_has_to_say_who_they_are(mat: Client) -> None:
    answer = await mat.anonymous().delete("/__user_data__/account:bob")

    assert (answer.status, answer.json["errno"]) == (401, 104)


@pytest.mark.parametrize(
    ("changes", "status"), [({}, 404), ({"readonly": True, "principals_by_permission": allowing("account:a")}, 405)]
)
async def test_it_is_there_where_the_setting_is(changes: dict[str, Any], status: int) -> None:
    async with Client(App(replace(SETTINGS, **changes), RESOURCES)) as client:
        assert (await client.delete("/__user_data__/account:bob")).status == status


async def test_it_may_be_part_of_a_batch(mat: Client, alice: Client) -> None:
    await create(alice, B)
    user = await principal_of(alice)

    answer = await mat.batch({"method": "DELETE", "path": f"/__user_data__/{user}"}, {"path": B})

    assert [each["status"] for each in answer.json["responses"]] == [200, 403]
