"""The history of a bucket: what is recorded, how it is listed, who is shown what. Source: objects, 11.

Trimming and snapshots: test_history_kept.py.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api.sharing import B, C, G, R, create, principal_of, put, serving, share

from kobako import SettingsError
from kobako.settings import read_settings
from kobako.testing.client import Client

HISTORY = f"{B}/history"
RECORDS = f"{C}/records"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a server with history, who owns a bucket, a collection and a record."""
    async with serving(includes=("history",)) as client:
        await create(client, B, C, R)
        yield client


async def entries(client: Client, query: str = "", bucket: str = B) -> Any:
    """Return the entries of a bucket, the newest first."""
    answer = await client.get(f"{bucket}/history?{query}")
    assert answer.status == 200, answer
    return answer.data


async def brief(client: Client, query: str = "", bucket: str = B) -> list[tuple[str, str]]:
    """Return (action, URI) of the entries of a bucket, the oldest first."""
    return [(each["action"], each["uri"]) for each in reversed(await entries(client, query, bucket))]


# Entries (11.2)


async def test_an_entry_says_who_did_what_to_which_object_and_how_it_was_then(client: Client) -> None:
    me = await principal_of(client)
    written = await client.patch(R, {"title": "x"})

    entry = (await entries(client))[0]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", entry["date"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", entry["id"])
    assert entry == {
        "id": entry["id"],
        "last_modified": (await client.get(HISTORY)).etag,
        "date": entry["date"],
        "action": "update",
        "user_id": me,
        "resource_name": "record",
        "collection_id": "c",
        "record_id": "r",
        "uri": R,
        "target": {"data": written.data, "permissions": {"write": [me]}},
    }


async def test_the_ids_of_an_entry_are_those_of_its_kind(client: Client) -> None:
    await create(client, G)

    found = {each["resource_name"]: each for each in await entries(client)}

    assert {kind: sorted(name for name in each if name.endswith("_id")) for kind, each in found.items()} == {
        "bucket": ["bucket_id", "user_id"],
        "collection": ["collection_id", "user_id"],
        "group": ["group_id", "user_id"],
        "record": ["collection_id", "record_id", "user_id"],
    }
    assert {kind: each["uri"] for kind, each in found.items()} == {
        "bucket": B,
        "collection": C,
        "group": G,
        "record": R,
    }


async def test_a_deletion_has_the_tombstone_and_no_permissions(client: Client) -> None:
    tombstone = (await client.delete(R)).data

    entry = (await entries(client))[0]

    assert entry["action"] == "delete"
    assert entry["target"] == {"data": tombstone, "permissions": {}}


async def test_the_user_is_null_for_anybody_and_found_so(client: Client) -> None:
    await share(client, C, "record:create", "system.Everyone")
    made = await client.anonymous().post(RECORDS, {"n": 1})

    [entry] = await entries(client, "user_id=null")

    assert entry["user_id"] is None
    assert entry["uri"] == f"{RECORDS}/{made.data['id']}"
    assert entry["target"]["permissions"] == {"write": ["system.Everyone"]}


# What is recorded (11.3)


async def test_every_way_to_change_an_object_is_recorded(client: Client) -> None:
    await create(client, f"{RECORDS}/s")
    made = (await client.post(RECORDS, {})).data["id"]
    await client.put(R)
    await client.patch(R, {})
    await client.delete(f"{RECORDS}?_sort=id&in_id=r,s")
    await client.batch(put(f"{B}/collections/d"), put(C))

    assert await brief(client, "_since=0") == [
        ("create", B),
        ("create", C),
        ("create", R),
        ("create", f"{RECORDS}/s"),
        ("create", f"{RECORDS}/{made}"),
        ("update", R),
        ("update", R),
        ("delete", R),
        ("delete", f"{RECORDS}/s"),
        ("create", f"{B}/collections/d"),
        ("update", C),
    ]


async def test_nothing_is_recorded_of_what_fails_is_known_or_goes_with_something_else(client: Client) -> None:
    before = (await client.head(HISTORY)).etag
    assert (await client.post(RECORDS, {"id": "r"})).status == 200
    assert (await client.put(R, {}, headers={"If-None-Match": "*"})).status == 412
    assert (await client.as_user("eve").put(R, {})).status == 403
    assert (await client.batch(put("/buckets/not valid!"))).status == 200
    assert (await client.get(R)).status == 200
    assert (await client.head(HISTORY)).etag == before

    await client.delete(C)

    assert [each["uri"] for each in await entries(client, f"_since={before}")] == [C]


async def test_entries_of_a_deleted_collection_stay(client: Client) -> None:
    await client.delete(C)

    assert await brief(client) == [("create", B), ("create", C), ("create", R), ("delete", C)]


async def test_the_history_of_a_bucket_is_deleted_with_it(client: Client) -> None:
    before = (await client.head(HISTORY)).etag
    await client.delete(B)
    assert (await client.get(HISTORY)).status == 403

    await create(client, B)

    assert await brief(client, "_since=0") == [("create", B)]
    assert (await client.head(HISTORY)).etag > before


async def test_a_batch_that_deletes_a_bucket_leaves_nothing_of_what_it_did_there(client: Client) -> None:
    await client.batch(put(f"{RECORDS}/new"), {"method": "DELETE", "path": B})
    assert (await client.get(HISTORY)).status == 403

    await client.batch(put(B), put(C), {"method": "DELETE", "path": B}, put(B), put(G))

    assert await brief(client) == [("create", B), ("create", G)]


async def test_what_is_refused_before_the_commit_is_not_recorded(client: Client) -> None:
    before = await brief(client)

    failed = await client.batch(put(f"{RECORDS}/s"), put("/buckets/not valid!"), atomic=True)

    assert failed.status == 400
    assert await brief(client) == before


async def test_a_batch_is_recorded_in_the_order_of_its_parts(client: Client) -> None:
    before = (await client.head(HISTORY)).etag

    await client.batch(put(f"{RECORDS}/s"), put(R), put(f"{RECORDS}/t"), put(C), put(R))

    done = [("create", f"{RECORDS}/s"), ("update", R), ("create", f"{RECORDS}/t"), ("update", C), ("update", R)]
    assert await brief(client, f"_since={before}") == done


async def test_each_bucket_of_a_batch_has_its_own_history(client: Client) -> None:
    await client.batch(put("/buckets/y"), put("/buckets/x"), put("/buckets/x/collections/c"))

    assert await brief(client, bucket="/buckets/x") == [
        ("create", "/buckets/x"),
        ("create", "/buckets/x/collections/c"),
    ]
    assert await brief(client, bucket="/buckets/y") == [("create", "/buckets/y")]


async def test_each_part_of_a_batch_is_recorded_for_the_user_who_sent_it(client: Client) -> None:
    bob = client.as_user("bob")
    await share(client, B, "write", await principal_of(bob))

    await client.batch(
        put(f"{RECORDS}/s"), {**put(f"{RECORDS}/t"), "headers": {"Authorization": bob.headers["authorization"]}}
    )

    [theirs, mine] = await entries(client, "_limit=2")
    assert (theirs["uri"], theirs["user_id"]) == (f"{RECORDS}/t", await principal_of(bob))
    assert (mine["uri"], mine["user_id"]) == (f"{RECORDS}/s", await principal_of(client))


@pytest.mark.parametrize("behavior", ["light", "diff"])
async def test_the_whole_object_is_recorded_whatever_is_answered(client: Client, behavior: str) -> None:
    await client.put(R, {"a": 1, "b": 2})

    patched = await client.patch(R, {"b": 3}, headers={"Response-Behavior": behavior})

    assert patched.status == 200
    found = (await entries(client))[0]["target"]["data"]
    assert (found["a"], found["b"]) == (1, 3)


async def test_p5_an_account_or_its_password_is_never_recorded(client: Client) -> None:
    """P5: the kinds of objects that are recorded are named, and accounts are none of them."""
    kinds = {each["resource_name"] for each in await entries(client)}

    assert kinds <= {"bucket", "group", "collection", "record"}
    described = (await client.get("/__api__")).json["components"]["schemas"]["HistoryData"]
    assert described["properties"]["resource_name"]["enum"] == ["bucket", "group", "collection", "record"]


# The list (11.1, 11.4)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_history_is_read_and_deleted_and_nothing_else(client: Client, method: str) -> None:
    answer = await client.request(method, HISTORY, json={"data": {}})

    assert (answer.status, answer.json["errno"]) == (405, 115)
    assert answer.headers["Allow"] == "HEAD, GET, DELETE, OPTIONS"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_entry_has_no_url(client: Client, method: str) -> None:
    id = (await entries(client))[0]["id"]

    answer = await client.request(method, f"{HISTORY}/{id}", json={"data": {}})

    assert (answer.status, answer.json["errno"]) == (404, 111)


async def test_head_tells_the_totals(client: Client) -> None:
    answer = await client.head(f"{HISTORY}?resource_name=record")

    assert answer.status == 200
    assert (answer.headers["Total-Objects"], answer.headers["Total-Records"]) == ("1", "1")


async def test_the_newest_come_first_and_pages_follow(client: Client) -> None:
    assert [each["uri"] for each in await entries(client)] == [R, C, B]

    first = await client.get(f"{HISTORY}?_limit=2")
    second = await client.get(first.headers["Next-Page"])

    assert [each["uri"] for each in (*first.data, *second.data)] == [R, C, B]
    assert [each["uri"] for each in await entries(client, "_sort=last_modified")] == [B, C, R]


async def test_a_poller_is_told_what_is_new_and_nothing_when_nothing_is(client: Client) -> None:
    etag = (await client.get(HISTORY)).etag
    assert (await client.get(HISTORY, headers={"If-None-Match": f'"{etag}"'})).status == 304

    await client.put(R, {"n": 1})

    assert [each["uri"] for each in await entries(client, f'_since="{etag}"')] == [R]
    assert (await client.get(HISTORY, headers={"If-None-Match": f'"{etag}"'})).status == 200


@pytest.fixture
async def rich(client: Client) -> Client:
    """The client, whose history has something for each filter."""
    bob = client.as_user("bob")
    await share(client, B, "write", await principal_of(bob))
    await create(client, f"{B}/collections/42", G, f"{B}/collections/42/records/7")
    await bob.put(R, {"title": "y", "status": "to-sign"})
    await client.delete(R)
    return client


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("resource_name=record&collection_id=c&record_id=r", [("create", R), ("update", R), ("delete", R)]),
        ("collection_id=42", [("create", f"{B}/collections/42"), ("create", f"{B}/collections/42/records/7")]),
        ("record_id=7", [("create", f"{B}/collections/42/records/7")]),
        ("in_record_id=7,8,", [("create", f"{B}/collections/42/records/7")]),
        ("exclude_record_id=7&resource_name=record&action=create", [("create", R)]),
        ("has_record_id=false&action=create&exclude_resource_name=collection", [("create", B), ("create", G)]),
        ("group_id=g", [("create", G)]),
        ("bucket_id=b", [("create", B), ("update", B)]),
        (f"uri={R}&action=update", [("update", R)]),
        ("exclude_resource_name=record&exclude_action=create", [("update", B)]),
        ("target.data.status=to-sign", [("update", R)]),
        ("target.data.title=y", [("update", R)]),
        ("has_target.data.deleted=true", [("delete", R)]),
        ("gt_target.data.last_modified=999999999999999", []),
        ("like_user_id=basicauth:*&action=delete", [("delete", R)]),
        ("contains_target.permissions.write=system.Everyone", []),
        ("_sort=-uri,date&_limit=1", [("create", G)]),
    ],
)
async def test_a_filter_selects_entries(rich: Client, query: str, expected: list[tuple[str, str]]) -> None:
    assert await brief(rich, query) == expected


async def test_entries_are_selected_by_their_user_and_by_their_time(rich: Client) -> None:
    mine, bobs = await principal_of(rich), await principal_of(rich.as_user("bob"))
    all = await entries(rich)

    assert [each["uri"] for each in await entries(rich, f"user_id={bobs}")] == [R]
    assert len(await entries(rich, f"exclude_user_id={bobs}")) == len(all) - 1
    assert len(await entries(rich, f"in_user_id={bobs},{mine}")) == len(all)
    before = await entries(rich, f'uri={R}&_before="{all[0]["last_modified"]}"')
    assert [each["action"] for each in before] == ["update", "create"]
    assert set((await entries(rich, "_fields=uri,target.data.title"))[1]) == {"id", "last_modified", "uri", "target"}


@pytest.mark.parametrize("query", ["timestamp=3", "gt_title=1", "_sort=timestamp", "_fields=title", "data.title=x"])
async def test_a_field_that_no_entry_has_is_refused(client: Client, query: str) -> None:
    answer = await client.get(f"{HISTORY}?{query}")

    assert (answer.status, answer.json["errno"]) == (400, 107)


# Deletion (11.5)


async def test_entries_are_deleted_by_filters_and_leave_tombstones_and_no_history(client: Client) -> None:
    before = (await client.head(HISTORY)).etag

    gone = await client.delete(f"{HISTORY}?resource_name=record")

    assert [each["deleted"] for each in gone.data] == [True]
    assert await brief(client) == [("create", B), ("create", C)]
    assert await entries(client, f"_since={before}") == gone.data


async def test_entries_are_deleted_page_by_page_and_up_to_a_time(client: Client) -> None:
    newest = (await entries(client))[0]

    first = await client.delete(f"{HISTORY}?_limit=1&_before=%22{newest['last_modified']}%22")
    second = await client.delete(first.headers["Next-Page"])

    assert (len(first.data), len(second.data)) == (1, 1)
    assert await brief(client) == [("create", R)]


async def test_only_who_may_write_the_bucket_deletes_its_history(client: Client) -> None:
    bob = client.as_user("bob")
    for permission, uri in (("read", B), ("write", C)):
        await share(client, uri, permission, await principal_of(bob))
    await client.put(R, {})
    assert (await bob.delete(HISTORY)).status == 403
    assert (await client.anonymous().delete(HISTORY)).status == 401

    await share(client, B, "write", await principal_of(bob))

    assert (await bob.delete(HISTORY)).status == 200
    assert await entries(client) == []


# Who is shown what (11.5, P17)


async def test_nobody_learns_of_an_unknown_bucket(client: Client) -> None:
    assert (await client.get("/buckets/unknown/history")).status == 403
    assert (await client.anonymous().get("/buckets/unknown/history")).status == 401
    assert (await client.as_user("bob").get(HISTORY)).status == 403


@pytest.mark.parametrize(
    ("uri", "permission", "expected"),
    [
        pytest.param(B, "read", [B, C, G, R, f"{RECORDS}/s"], id="bucket read"),
        pytest.param(B, "write", [B, C, G, R, f"{RECORDS}/s"], id="bucket write"),
        pytest.param(B, "collection:create", None, id="collection:create"),
        pytest.param(C, "read", [C, R, f"{RECORDS}/s"], id="collection read"),
        pytest.param(C, "write", [C, R, f"{RECORDS}/s"], id="collection write"),
        pytest.param(C, "record:create", None, id="record:create"),
        pytest.param(G, "read", [G], id="group read"),
        pytest.param(R, "read", [R], id="record read"),
        pytest.param(R, "write", [R], id="record write"),
    ],
)
async def test_the_rights_on_an_object_show_its_entries_from_then_on(
    client: Client, uri: str, permission: str, expected: list[str] | None
) -> None:
    bob = client.as_user("bob")
    await create(client, G, f"{RECORDS}/s")
    everything = [B, C, G, R, f"{RECORDS}/s"]
    await share(client, uri, permission, await principal_of(bob))
    if uri not in (B,):
        # Entries from before are not revealed.
        assert (await bob.get(HISTORY)).status == (403 if expected is None else 200)
        assert {each["uri"] for each in (await bob.get(HISTORY)).json.get("data", [])} == ({uri} if expected else set())

    for each in everything:
        await client.patch(each, {"n": 1})

    answer = await bob.get(HISTORY)
    if expected is None:
        assert answer.status == 403
        return
    found = [each["uri"] for each in answer.data if each["target"]["data"].get("n") == 1]
    assert sorted(found) == sorted(expected)
    totals = (await bob.head(f"{HISTORY}?target.data.n=1")).headers
    assert totals["Total-Objects"] == str(len(expected))


async def test_p17_a_right_that_is_lost_shows_nothing_any_more_and_again_when_it_comes_back(client: Client) -> None:
    """P17."""
    bob = client.as_user("bob")
    me, him = await principal_of(client), await principal_of(bob)
    await share(client, C, "read", him)
    await client.put(R, {"secret": 1})
    assert [each["uri"] for each in await entries(bob)] == [R, C]

    await share(client, C, "read", me)

    assert await entries(bob) == []
    assert (await bob.head(HISTORY)).headers["Total-Objects"] == "0"
    await share(client, R, "read", him)
    assert {each["uri"] for each in await entries(bob)} == {R}
    await share(client, C, "read", him)
    assert {each["uri"] for each in await entries(bob)} == {R, C}


async def test_p17_what_is_deleted_is_shown_to_those_who_may_read_what_it_was_in(client: Client) -> None:
    """P17."""
    bob, eve = client.as_user("bob"), client.as_user("eve")
    await share(client, C, "read", await principal_of(bob))
    await share(client, R, "read", await principal_of(eve))
    await client.put(R, {"n": 1})
    assert [each["uri"] for each in await entries(eve)] == [R, R]

    await client.delete(R)

    assert await entries(eve) == []
    assert [(each["action"], each["uri"]) for each in await entries(bob)] == [
        ("delete", R),
        ("update", R),
        ("update", R),
        ("update", C),
    ]
    await client.delete(C)
    assert await entries(bob) == []


async def test_p13_a_new_object_of_the_same_name_does_not_reveal_the_former(client: Client) -> None:
    """P13."""
    bob = client.as_user("bob")
    await client.delete(R)

    await client.put(R, {"n": 2}, permissions={"read": [await principal_of(bob)]})

    assert [(each["action"], each["target"]["data"]["n"]) for each in await entries(bob)] == [("create", 2)]


async def test_members_of_a_group_are_shown_what_the_group_may_read(client: Client) -> None:
    bob = client.as_user("bob")
    await client.put(G, {"members": [await principal_of(bob)]})
    await share(client, C, "read", G)
    assert [each["uri"] for each in await entries(bob)] == [C]

    await client.put(G, {"members": []})

    assert (await bob.get(HISTORY)).status == 403


async def test_what_everybody_reads_has_a_history_that_everybody_reads(client: Client) -> None:
    await share(client, C, "read", "system.Everyone")

    assert [each["uri"] for each in await entries(client.anonymous())] == [C]


async def test_pages_of_those_who_are_shown_some_have_no_holes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """P16."""
    monkeypatch.setattr("kobako.model.objects.SIFTED", 2)
    bob = client.as_user("bob")
    await share(client, C, "read", await principal_of(bob))
    names = [f"{RECORDS}/{n}" for n in range(5)]
    await create(client, *names, f"{B}/collections/d")
    await share(client, C, "read", await principal_of(client))
    for name in names[:3]:
        await share(client, name, "read", await principal_of(bob))

    url, pages = f"{HISTORY}?_limit=2&_sort=uri", []
    while url:
        answer = await bob.get(url)
        pages.append([each["uri"] for each in answer.data])
        url = answer.headers.get("Next-Page", "")

    assert [uri for page in pages for uri in page] == [uri for uri in names[:3] for _ in range(2)]
    assert all(len(page) == 2 for page in pages[:3])
    assert (await bob.head(HISTORY)).headers["Total-Objects"] == "6"


async def test_entries_are_not_among_the_permissions_of_a_user() -> None:
    async with serving(includes=("history",), experimental_permissions_endpoint=True) as client:
        await create(client, B, C, R)

        found = (await client.get("/permissions?exclude_resource_name=root")).data

    assert {each["uri"] for each in found} == {B, C, R}


async def test_without_explicit_permissions_entries_are_read_through_the_bucket_only() -> None:
    async with serving(includes=("history",), explicit_permissions=False) as client:
        me, bob = await principal_of(client), client.as_user("bob")
        await client.put(B, permissions={"write": [me]})
        await client.put(C, permissions={"read": [await principal_of(bob)]})

        assert await brief(client) == [("create", B), ("create", C)]
        assert (await bob.get(HISTORY)).status == 403


@pytest.mark.parametrize(
    ("right", "status", "count"), [("read", 200, 3), ("write", 200, 3), ("create", 200, 0), ("delete", 403, 0)]
)
async def test_rights_from_settings_open_every_history(right: str, status: int, count: int) -> None:
    async with serving(includes=("history",)) as client:
        bob = await principal_of(client.as_user("bob"))
    principals = {"bucket_create": frozenset({"system.Authenticated"}), f"history_{right}": frozenset({bob})}
    async with serving(includes=("history",), principals_by_permission=principals) as client:
        await create(client, B, C, R)

        answer = await client.as_user("bob").get(HISTORY)

        assert answer.status == status
        assert len(answer.json.get("data", [])) == count
        assert (await client.as_user("bob").delete(HISTORY)).status == (200 if right in ("write", "create") else 403)
        assert len(await entries(client)) == (0 if right == "write" else 3)


# Exclusions (11.6) and the capability (28)


@pytest.mark.parametrize(
    ("excluded", "recorded"),
    [
        ("/buckets/b", []),
        ("/buckets/b/collections/c", [B, G, f"{B}/collections/cc", f"{B}/collections/cc/records/r"]),
        ("/buckets/b/groups/g", [B, C, R, f"{B}/collections/cc", f"{B}/collections/cc/records/r"]),
        ("/buckets/b/collections/c/records/r", [B, C, G, f"{B}/collections/cc", f"{B}/collections/cc/records/r"]),
        ("/buckets/x\n/buckets/b/collections/cc", [B, C, R, G]),
    ],
)
async def test_what_is_excluded_is_not_recorded_with_all_that_is_in_it(excluded: str, recorded: list[str]) -> None:
    options = {"history.exclude_resources": excluded}
    async with serving(includes=("history",), plugin_options=options) as client:
        every = [B, C, R, G, f"{B}/collections/cc", f"{B}/collections/cc/records/r"]
        await client.batch(*map(put, every))

        assert {each["uri"] for each in await entries(client)} == set(recorded)


async def test_what_an_excluded_user_does_is_not_recorded() -> None:
    async with serving() as client:
        bob = await principal_of(client.as_user("bob"))
    async with serving(includes=("history",), plugin_options={"history.exclude_user_ids": f"{bob} x"}) as client:
        await create(client, B, C)
        await share(client, B, "write", bob)
        await create(client.as_user("bob"), R)

        assert {each["uri"] for each in await entries(client)} == {B, C}


async def test_hello_tells_what_the_history_does() -> None:
    async with serving(includes=("history",)) as client:
        assert (await client.get("/")).json["capabilities"]["history"] == {
            "description": "Track changes on data.",
            "url": "http://kinto.readthedocs.io/en/latest/api/1.x/history.html",
        }
    options = {
        "history.auto_trim_max_count": "10",
        "history.auto_trim_user_ids": "account:a account:b",
        "history.exclude_resources": "/buckets/a /buckets/b/collections/c /buckets/b/groups/g "
        "/buckets/b/collections/c/records/r",
    }
    async with serving(includes=("history",), plugin_options=options) as client:
        told = (await client.get("/")).json["capabilities"]["history"]
        assert told["auto_trim_max_count"] == 10
        assert told["auto_trim_user_ids"] == ["account:a", "account:b"]
        assert told["excluded_resources"] == [
            {"bucket": "a"},
            {"bucket": "b", "collection": "c"},
            {"bucket": "b", "group": "g"},
            {"bucket": "b", "collection": "c", "record": "r"},
        ]


async def test_an_installation_of_kinto_switches_it_on_by_its_own_names() -> None:
    environ = {
        "KINTO_INCLUDES": "kinto.plugins.history",
        "KINTO_HISTORY_AUTO_TRIM_MAX_COUNT": "7",
        "KINTO_HISTORY_EXCLUDE_USER_IDS": "account:a",
    }
    read = read_settings(None, environ)

    async with serving(includes=read.includes, plugin_options=read.plugin_options) as client:
        assert (await client.get("/")).json["capabilities"]["history"]["auto_trim_max_count"] == 7
        assert (await client.put(B)).status == 201
        assert len(await entries(client)) == 1


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("exclude_resources", "/buckets", "has '/buckets': must be the URIs of buckets"),
        ("exclude_resources", "blog", "has 'blog': must be"),
        ("exclude_resources", "/buckets/b/collections", "has '/buckets/b/collections': must be"),
        ("auto_trim_threshold", "-1", "is '-1': must not be negative"),
        ("auto_trim_max_count", "many", "is 'many': must be a whole number"),
        ("max_count", "3", "Unknown setting 'history.max_count'"),
    ],
)
async def test_a_setting_that_makes_no_sense_stops_the_start(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        async with serving(includes=("history",), plugin_options={f"history.{name}": value}):
            pass
