"""`/permissions`: the objects on which one has rights of one's own. Source: objects, 8; reliability, P4 and P16."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api.sharing import B, C, G, R, create, principal_of, serving, share

from kobako.testing.client import Answer, Client

EVERY_BUCKET = ["collection:create", "group:create", "read", "read:attributes", "write"]
EVERY_COLLECTION = ["read", "read:attributes", "record:create", "write"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """The owner of a bucket with a collection, a group and a record."""
    async with serving(experimental_permissions_endpoint=True) as client:
        await create(client, B, C, G, R)
        yield client


def entries(answer: Answer) -> dict[str, Any]:
    """Return the permissions in an answer, sorted, by URI."""
    assert answer.status == 200, answer
    return {each["uri"]: sorted(each["permissions"]) for each in answer.data}


async def uris(client: Client, query: str = "") -> list[str]:
    """Return the URIs of a list of entries, in its order."""
    answer = await client.get(f"/permissions{query}")
    assert answer.status == 200, answer
    return [each["uri"] for each in answer.data]


async def of(settings_permission: str, **more: Any) -> dict[str, Any]:
    """Return what a stranger is told who has a permission by the settings, among the objects of somebody else."""
    async with serving() as probe:
        stranger, owner = await principal_of(probe.as_user("ann")), await principal_of(probe)
    given = {settings_permission: frozenset({stranger}), "permissions_read": frozenset({"system.Everyone"})}
    given["bucket_create"] = given.get("bucket_create", frozenset()) | {owner}
    async with serving(experimental_permissions_endpoint=True, principals_by_permission=given, **more) as client:
        await create(client, B, C, G, R)
        return entries(await client.as_user("ann").get("/permissions"))


# Activation (8.1)


async def test_it_is_served_only_where_the_setting_says_so() -> None:
    async with serving() as client:
        assert (await client.get("/permissions")).status == 404
        assert "permissions_endpoint" not in (await client.get("/")).json["capabilities"]


async def test_the_capability_says_that_it_is_served(client: Client) -> None:
    assert "permissions_endpoint" in (await client.get("/")).json["capabilities"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_it_is_only_read(client: Client, method: str) -> None:
    answer = await client.request(method, "/permissions")

    assert (answer.status, answer.json["errno"]) == (405, 115)
    assert answer.headers["Allow"] == "HEAD, GET, OPTIONS"


async def test_browsers_may_ask_for_it(client: Client) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}

    answer = await client.request("OPTIONS", "/permissions", headers=headers)

    assert (answer.status, answer.headers["Access-Control-Allow-Methods"]) == (200, "HEAD, GET, OPTIONS")
    assert "Next-Page" in (await client.get("/permissions")).headers["Access-Control-Expose-Headers"]


async def test_the_settings_say_who_may_read_it() -> None:
    given = {"permissions_read": frozenset({"system.Authenticated"})}
    async with serving(experimental_permissions_endpoint=True, principals_by_permission=given) as client:
        assert (await client.get("/permissions")).status == 200
        assert (await client.anonymous().get("/permissions")).status == 401
    given = {"permissions_read": frozenset({"basicauth:somebody"})}
    async with serving(experimental_permissions_endpoint=True, principals_by_permission=given) as client:
        assert (await client.get("/permissions")).status == 403


# Entries (8.2)


async def test_an_entry_names_the_object_and_what_it_is_in(client: Client) -> None:
    answer = await client.get("/permissions")

    found = {each["uri"]: {key: each[key] for key in each if key != "permissions"} for each in answer.data}
    assert found == {
        "/": {"uri": "/", "resource_name": "root"},
        B: {"uri": B, "resource_name": "bucket", "id": "b", "bucket_id": "b"},
        C: {"uri": C, "resource_name": "collection", "id": "c", "bucket_id": "b", "collection_id": "c"},
        G: {"uri": G, "resource_name": "group", "id": "g", "bucket_id": "b", "group_id": "g"},
        R: {
            **{"uri": R, "resource_name": "record", "id": "r"},
            **{"bucket_id": "b", "collection_id": "c", "record_id": "r"},
        },
    }


async def test_write_is_every_permission_of_the_object(client: Client) -> None:
    assert entries(await client.get("/permissions")) == {
        "/": ["bucket:create"],
        B: EVERY_BUCKET,
        C: EVERY_COLLECTION,
        G: ["read", "write"],
        R: ["read", "write"],
    }


async def test_any_permission_shows_the_attributes_of_a_bucket_or_collection(client: Client) -> None:
    ann = client.as_user("ann")
    await share(client, C, "record:create", await principal_of(ann))
    await share(client, R, "read", await principal_of(ann))

    assert entries(await ann.get("/permissions")) == {
        "/": ["bucket:create"],
        C: ["read:attributes", "record:create"],
        R: ["read"],
    }


async def test_what_is_in_an_accessible_object_is_not_listed(client: Client) -> None:
    await share(client, B, "read", "system.Everyone")

    assert entries(await client.anonymous().get("/permissions")) == {B: ["read", "read:attributes"]}


async def test_the_rights_of_groups_are_their_members(client: Client) -> None:
    ann = client.as_user("ann")
    await client.put(G, {"members": [await principal_of(ann)]})
    await share(client, C, "read", G)

    assert entries(await ann.get("/permissions"))[C] == ["read", "read:attributes"]
    assert C not in entries(await client.as_user("bob").get("/permissions"))


async def test_p16_nobody_learns_of_what_others_have(client: Client) -> None:
    bob = client.as_user("bob")

    assert entries(await bob.get("/permissions")) == {"/": ["bucket:create"]}
    assert entries(await client.anonymous().get("/permissions")) == {}
    assert (await bob.head("/permissions")).headers["Total-Objects"] == "1"


async def test_a_deleted_object_is_not_listed(client: Client) -> None:
    await client.delete(C)

    assert sorted(await uris(client)) == ["/", B, G]


@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        pytest.param("bucket_create", {"/": ["bucket:create"]}, id="creating buckets"),
        pytest.param("bucket_read", {B: ["read", "read:attributes"]}, id="reading buckets"),
        pytest.param("bucket_write", {B: EVERY_BUCKET}, id="writing buckets"),
        pytest.param("collection_create", {B: ["collection:create", "read:attributes"]}, id="creating collections"),
        pytest.param("collection_read", {C: ["read", "read:attributes"]}, id="reading collections"),
        pytest.param("collection_write", {C: EVERY_COLLECTION}, id="writing collections"),
        pytest.param("group_create", {B: ["group:create", "read:attributes"]}, id="creating groups"),
        pytest.param("group_write", {G: ["read", "write"]}, id="writing groups"),
        pytest.param("record_create", {}, id="creating records"),
        pytest.param("record_write", {}, id="writing records"),
    ],
)
async def test_rights_by_settings_are_listed_for_every_object(permission: str, expected: dict[str, Any]) -> None:
    assert await of(permission) == expected


# Filters, order, pages (8.3)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", [G, R, C, B, "/"], id="by uri, descending"),
        pytest.param("?_sort=uri", ["/", B, C, R, G], id="by uri"),
        pytest.param("?_sort=id", [B, C, G, R, "/"], id="by id, the root last"),
        pytest.param("?_sort=-id", ["/", R, G, C, B], id="by id, descending"),
        pytest.param("?_sort=bucket_id", [G, R, C, B, "/"], id="equal ones by uri, descending"),
        pytest.param("?_sort=last_modified", [G, R, C, B, "/"], id="by timestamp: ignored"),
        pytest.param("?exclude_resource_name=record", [G, C, B, "/"], id="without records"),
        pytest.param("?exclude_resource_name=record,group", [C, B, "/"], id="without records and groups"),
        pytest.param("?resource_name=collection", [C], id="one kind"),
        pytest.param("?like_uri=/buckets/b/c*", [R, C], id="like"),
        pytest.param("?has_collection_id=false", [G, B, "/"], id="has no collection"),
        pytest.param("?in_id=b,c", [C, B], id="some ids"),
        pytest.param("?_since=99&_before=%22100%22&gt_last_modified=7", [G, R, C, B, "/"], id="timestamps: ignored"),
        pytest.param("?not_deleted=true", [G, R, C, B, "/"], id="not deleted"),
        pytest.param("?deleted=true", [], id="deleted"),
    ],
)
async def test_entries_are_filtered_and_sorted(client: Client, query: str, expected: list[str]) -> None:
    assert await uris(client, query) == expected


@pytest.mark.parametrize(
    ("query", "location", "name", "description"),
    [
        pytest.param("permissions=read", "querystring", "permissions", "Unknown filter field 'permissions'", id="eq"),
        pytest.param(
            "contains_permissions=write",
            "querystring",
            "contains_permissions",
            "Unknown filter field 'contains_permissions'",
            id="operator",
        ),
        pytest.param("like_a.b=c", "querystring", "like_a.b", "Unknown filter field 'like_a.b'", id="dotted"),
        pytest.param("_sort=permissions", "querystring", None, "Unknown sort field 'permissions'", id="sort"),
        pytest.param("_sort=-x.y", "querystring", None, "Unknown sort field 'x.y'", id="sort, dotted"),
        pytest.param(
            "_fields=uri,permissions,x",
            "body",
            "Invalid _fields parameter",
            "Fields permissions,x do not exist",
            id="fields",
        ),
    ],
)
async def test_p4_other_fields_are_refused(
    client: Client, query: str, location: str, name: str | None, description: str
) -> None:
    answer = await client.get(f"/permissions?{query}")

    assert (answer.status, answer.json["errno"]) == (400, 107)
    assert answer.json["details"] == [{"location": location, "name": name, "description": description}]


async def test_the_fields_that_are_named_are_shown_with_the_id(client: Client) -> None:
    answer = await client.get("/permissions?_fields=uri&_sort=uri&_limit=2")

    assert answer.data == [{"uri": "/"}, {"uri": B, "id": "b"}]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("sort", ["id", "-id", "uri", "bucket_id,-last_modified", "resource_name,id"])
async def test_all_pages_together_are_the_list(client: Client, sort: str, size: int) -> None:
    whole = await uris(client, f"?_sort={sort}")

    found, url = [], f"/permissions?_sort={sort}&_limit={size}"
    while url:
        page = await client.get(url)
        assert 0 < len(page.data) <= size
        found += [each["uri"] for each in page.data]
        url = page.headers.get("Next-Page", "")

    assert found == whole


async def test_a_head_counts_what_passes_the_filters(client: Client) -> None:
    answer = await client.head("/permissions?exclude_resource_name=record&_limit=1")

    assert (answer.status, answer.json) == (200, None)
    assert (answer.headers["Total-Objects"], answer.headers["Total-Records"]) == ("4", "4")
    assert "Next-Page" not in answer.headers


async def test_the_settings_bound_a_page() -> None:
    async with serving(experimental_permissions_endpoint=True, paginate_by=2) as client:
        await create(client, B, C)

        answer = await client.get("/permissions")

    assert len(answer.data) == 2
    assert "Next-Page" in answer.headers


async def test_the_etag_is_a_constant_and_nothing_is_ever_unmodified(client: Client) -> None:
    before = await client.get("/permissions")
    await client.delete(C)

    after = await client.get("/permissions", headers={"If-None-Match": before.headers["ETag"]})

    assert (after.status, after.headers["ETag"]) == (200, before.headers["ETag"])
    assert len(after.data) < len(before.data)
    assert after.headers["Cache-Control"] == "no-cache, no-store"


async def test_what_is_wrong_with_the_parameters_is_told(client: Client) -> None:
    for query in ("_limit=-1", "_token=x", "_since=abc", "_limit=1&_limit=2"):
        assert (await client.get(f"/permissions?{query}")).status == 400


async def test_it_may_be_a_part_of_a_batch(client: Client) -> None:
    answer = await client.batch({"method": "GET", "path": "/permissions?_limit=1"})

    assert answer.json["responses"][0]["status"] == 200
