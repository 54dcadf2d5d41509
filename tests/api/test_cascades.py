"""What goes with what is deleted, and what stays. Source: objects, 7; reliability, 4.7; C9, C10, C21, P13."""

import asyncio
from typing import Any

import pytest
from tests.api.sharing import WORLD, B, C, G, R, acl, create, ids, principal_of, serving, share

from kobako.testing.client import Client


@pytest.fixture
async def owner(client: Client) -> Client:
    """The owner of the world."""
    await create(client, *WORLD)
    return client


async def tombstones(client: Client, url: str) -> set[str]:
    """Return the ids of the tombstones in a list."""
    return ids(await client.get(f"{url}?_since=0&deleted=true"))


# Collections


@pytest.mark.parametrize("deleted", [C, f"{B}/collections?id=c", f"{B}/collections"])
async def test_the_records_of_a_deleted_collection_leave_tombstones_for_its_next_life(
    owner: Client, deleted: str
) -> None:
    """Reliability 4.7."""
    known = (await owner.get(f"{C}/records")).etag

    assert (await owner.delete(deleted)).status == 200
    assert (await owner.get(f"{C}/records")).status == 404
    await owner.put(C, data={})

    changes = await owner.get(f'{C}/records?_since="{known}"')
    assert {(each["id"], each.get("deleted")) for each in changes.data} == {("r", True), ("s", True)}
    assert ids(await owner.get(f"{C}/records")) == set()
    assert changes.etag >= max(each["last_modified"] for each in changes.data) > known


async def test_a_deleted_collection_leaves_a_tombstone_of_its_own(owner: Client) -> None:
    known = (await owner.get(f"{B}/collections")).etag

    deleted = await owner.delete(C)

    assert deleted.json == {"data": {"id": "c", "last_modified": deleted.etag, "deleted": True}}
    changes = await owner.get(f"{B}/collections?_since={known}")
    assert changes.data == [deleted.data]


async def test_earlier_tombstones_of_a_collection_stay(owner: Client) -> None:
    known = (await owner.get(f"{C}/records")).etag
    await owner.delete(R)

    await owner.delete(C)
    await owner.put(C, data={})

    assert ids(await owner.get(f"{C}/records?_since={known}")) == {"r", "s"}


async def test_a_record_of_the_next_life_takes_the_place_of_its_tombstone(owner: Client) -> None:
    known = (await owner.get(f"{C}/records")).etag
    await owner.delete(C)
    await owner.put(C, data={})

    await owner.put(R, data={"life": 2})

    changes = {each["id"]: each for each in (await owner.get(f"{C}/records?_since={known}")).data}
    assert changes["r"]["life"] == 2
    assert changes["s"]["deleted"] is True


@pytest.mark.parametrize("life", [C, B])
async def test_the_etag_of_a_list_goes_on_in_its_next_life(owner: Client, life: str) -> None:
    """S19."""
    ahead = (await owner.get("/buckets")).etag + 3_600_000
    await owner.put(f"{C}/records/ahead", data={"last_modified": ahead})

    await owner.delete(life)
    await owner.put(B, data={})
    await owner.put(C, data={})

    assert (await owner.get(f"{C}/records")).etag > ahead
    assert (await owner.put(f"{C}/records/new", data={})).etag > ahead + 1


async def test_no_acl_of_a_deleted_collection_or_its_records_comes_back(owner: Client) -> None:
    """P13."""
    other = owner.as_user("ann")
    ann = await principal_of(other)
    await share(owner, C, "read", ann)
    await share(owner, R, "write", ann)

    await owner.delete(C)
    await create(owner, C, R)

    assert (await other.get(C)).status == (await other.get(R)).status == 403
    assert await acl(owner, R) == {"write": {await principal_of(owner)}}


# Buckets


@pytest.mark.parametrize("deleted", [B, "/buckets"])
async def test_nothing_of_a_deleted_bucket_is_seen_in_its_next_life(owner: Client, deleted: str) -> None:
    """Reliability 4.7: another owner may take the name."""
    lists = (f"{B}/collections", f"{B}/groups", f"{C}/records")
    await owner.delete(R)
    await owner.delete(f"{B}/groups/h")
    known = [(await owner.get(each)).etag for each in lists]

    assert (await owner.delete(deleted)).status == 200
    other = owner.as_user("ann")
    await create(other, B)
    fresh = [await other.get(f"{each}?_since=0") for each in lists[:2]]
    await create(other, C)
    fresh.append(await other.get(f"{C}/records?_since=0"))

    assert [each.data for each in fresh] == [[], [], []]
    assert all(new.etag > old for new, old in zip(fresh, known, strict=True))


async def test_a_deleted_bucket_leaves_its_tombstone(owner: Client) -> None:
    known = (await owner.get("/buckets")).etag

    deleted = await owner.delete(B)

    changes = await owner.as_user("ann").get(f"/buckets?_since={known}")
    assert changes.data == []
    assert deleted.data == {"id": "b", "last_modified": deleted.etag, "deleted": True}


async def test_the_former_owner_has_no_right_in_the_next_life_of_a_bucket(owner: Client) -> None:
    """P13."""
    await owner.delete(B)
    await create(owner.as_user("ann"), *WORLD)

    for uri in WORLD:
        assert (await owner.get(uri)).status == 403
        assert (await owner.get(uri.rpartition("/")[0])).status == (200 if uri == B else 403)
    assert ids(await owner.get("/buckets")) == set()


async def test_members_lose_the_principals_of_the_groups_of_a_deleted_bucket(owner: Client) -> None:
    other = owner.as_user("ann")
    await owner.put(G, data={"members": [await principal_of(other)]})

    await owner.delete(B)

    assert G not in (await other.get("/")).json["user"]["principals"]


@pytest.mark.parametrize("deleted", ["foo", "foo_", "f-o"])
@pytest.mark.parametrize("kept", ["foobar", "foo-", "foox", "fo", "fooo", "FOO", "f_o"])
async def test_a_bucket_with_a_similar_name_is_untouched(client: Client, deleted: str, kept: str) -> None:
    """C10."""
    for id in (deleted, kept):
        bucket = f"/buckets/{id}"
        await create(client, bucket, f"{bucket}/collections/c", permissions={"read": ["u:a"]})
        await create(client, f"{bucket}/collections/c/records/r", permissions={"read": [f"/buckets/{kept}/groups/g"]})
        await client.put(f"{bucket}/groups/g", data={"members": [await principal_of(client)]})
    before = await _all_of(client, kept)

    await client.delete(f"/buckets/{deleted}")

    assert await _all_of(client, kept) == before


async def test_a_collection_with_a_similar_name_is_untouched(client: Client) -> None:
    """C10."""
    collections = [f"{B}/collections/{id}" for id in ("c", "c_", "cx", "c-c", "C")]
    await create(client, B, *collections, *[f"{each}/records/r" for each in collections])

    await client.delete(f"{B}/collections/c_")
    await client.delete(f"{B}/collections/c")

    for each in collections[2:]:
        assert ids(await client.get(f"{each}/records")) == {"r"}


async def _all_of(client: Client, id: str) -> list[Any]:
    bucket = f"/buckets/{id}"
    paths = ("", "/collections", "/groups", "/groups/g", "/collections/c", "/collections/c/records")
    answers = [await client.get(bucket + each) for each in (*paths, "/collections/c/records/r")]
    groups = {each for each in (await client.get("/")).json["user"]["principals"] if each.startswith(f"{bucket}/")}
    return [*[(each.status, each.headers.get("ETag"), each.json) for each in answers], groups]


# Plural deletion


async def test_plural_deletion_cascades_for_each_object(owner: Client) -> None:
    await create(owner, f"{B}/collections/d/records/x")

    assert ids(await owner.delete(f"{B}/collections")) == {"c", "d"}

    for id, left in (("c", {"r", "s"}), ("d", {"x"})):
        await owner.put(f"{B}/collections/{id}", data={})
        assert ids(await owner.get(f"{B}/collections/{id}/records")) == set()
        assert await tombstones(owner, f"{B}/collections/{id}/records") == left


async def test_plural_deletion_cascades_only_where_it_deletes(owner: Client) -> None:
    await create(owner, f"{B}/collections/d/records/x")

    assert ids(await owner.delete(f"{B}/collections?id=d")) == {"d"}

    assert ids(await owner.get(f"{C}/records")) == {"r", "s"}


# In a batch: at once, and seen by the rest of it


async def test_a_batch_keeps_what_it_creates_after_deleting_the_parent(owner: Client) -> None:
    answer = await owner.batch(
        {"method": "DELETE", "path": C},
        {"method": "PUT", "path": C, "body": {"data": {"life": 2}}},
        {"path": f"{C}/records"},
        {"method": "PUT", "path": R, "body": {"data": {"life": 2}}},
        {"path": f"{C}/records"},
    )

    statuses = [each["status"] for each in answer.json["responses"]]
    lists = [each["body"]["data"] for each in answer.json["responses"] if isinstance(each["body"]["data"], list)]
    assert statuses == [200, 201, 200, 201, 200]
    assert [len(each) for each in lists] == [0, 1]
    assert (await owner.get(R)).data["life"] == 2
    assert ids(await owner.get(f"{C}/records")) == {"r"}


@pytest.mark.parametrize("deleted", [C, B])
async def test_a_record_is_refused_in_a_batch_after_its_collection_was_deleted(owner: Client, deleted: str) -> None:
    """C9."""
    answer = await owner.batch(
        {"method": "PUT", "path": f"{C}/records/t", "body": {"data": {}}},
        {"method": "DELETE", "path": deleted},
        {"method": "PUT", "path": R, "body": {"data": {}}},
    )

    assert [each["status"] for each in answer.json["responses"]] == [201, 200, 404]
    assert answer.json["responses"][2]["body"]["errno"] == 111


async def test_the_rest_of_a_batch_sees_that_a_group_is_gone_from_acls(owner: Client) -> None:
    await share(owner, C, "read", G)

    answer = await owner.batch({"method": "DELETE", "path": G}, {"path": C})

    assert answer.json["responses"][1]["body"]["permissions"] == {"write": [await principal_of(owner)]}


async def test_a_bucket_deleted_and_made_again_in_a_batch_is_empty(owner: Client) -> None:
    answer = await owner.batch(
        {"method": "DELETE", "path": B},
        {"method": "PUT", "path": B, "body": {"data": {}}},
        {"path": f"{B}/collections?_since=0"},
        {"method": "PUT", "path": C, "body": {"data": {}}},
        {"method": "PUT", "path": R, "body": {"data": {"life": 2}}},
    )

    assert [each["status"] for each in answer.json["responses"]] == [200, 201, 200, 201, 201]
    assert answer.json["responses"][2]["body"]["data"] == []
    assert ids(await owner.get(f"{B}/groups?_since=0")) == set()
    assert ids(await owner.get(f"{C}/records")) == {"r"}


async def test_a_cascade_that_is_undone_leaves_everything(owner: Client) -> None:
    """C11."""
    await owner.put(G, data={"members": [await principal_of(owner)]})
    before = await _all_of(owner, "b")

    answer = await owner.batch(
        {"method": "DELETE", "path": B},
        {"method": "PUT", "path": "/buckets/x1", "body": {"data": {"last_modified": 1000}}},
        {"method": "PUT", "path": "/buckets/x2", "body": {"data": {"last_modified": 1000}}},
    )

    assert answer.status == 409
    assert await _all_of(owner, "b") == before


# Races


@pytest.mark.parametrize("deleted", [C, B])
async def test_a_record_written_while_its_parent_is_deleted_leaves_no_orphan(client: Client, deleted: str) -> None:
    """C9."""
    other = client.as_user("ann")
    ann = await principal_of(other)

    for n in range(20):
        await client.put(B, data={})
        await client.put(C, data={}, permissions={"record:create": [ann]})
        operations = [client.delete(deleted), other.put(R, data={})]
        await asyncio.gather(*(operations if n % 2 else operations[::-1]))
        await client.put(B, data={})
        await client.put(C, data={})

        assert ids(await client.get(f"{C}/records")) == set()
        assert (await client.get(R)).status == 404
        assert (await other.get(R)).status == 403
        assert (await client.put(R, data={})).json["permissions"] == {"write": [await principal_of(client)]}
        await client.delete(B)


# Events


async def test_only_the_deleted_object_has_an_event() -> None:
    """C21."""
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.append((event.action, event.place.resource, [each.new.id for each in event.changes]))

    async with serving(after_commit=[listener]) as client:
        await create(client, *WORLD)
        told.clear()

        await client.delete(C)
        await client.delete(B)

    assert told == [("delete", "collection", ["c"]), ("delete", "bucket", ["b"])]
