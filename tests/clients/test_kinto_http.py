"""kinto-http, the Python client, used as its documentation tells, over real HTTP, on SQLite.

Source: HTTP API, section 19.3; Objects, section 29.3.
"""

import time

import pytest
from kinto_http import BucketNotFound, Client, CollectionNotFound, KintoBatchException, KintoException
from kinto_http.patch_type import BasicPatch, JSONPatch, MergePatch
from kinto_http.replication import replicate
from tests.clients import PAGE

pytestmark = pytest.mark.clients

ALICE, BOB = ("alice", "a-secret"), ("bob", "another-secret")


@pytest.fixture
def alice(server_url: str, bucket: str) -> Client:
    """A client whose user owns an empty collection in a bucket of this test."""
    client = Client(server_url=server_url, auth=ALICE, bucket=bucket, collection="things")
    client.create_bucket()
    client.create_collection()
    return client


@pytest.fixture
def bob(server_url: str, bucket: str) -> Client:
    """A client of another user, of the same collection."""
    return Client(server_url=server_url, auth=BOB, bucket=bucket, collection="things")


def user_id(client: Client) -> str:
    """Return the principal of the client's user."""
    return str(client.server_info()["user"]["id"])


def things(client: Client, count: int) -> None:
    """Create `thing-000`, `thing-001`, ... whose `n` is their number, and `even` whether it is."""
    with client.batch() as batch:
        for n in range(count):
            batch.create_record(id=f"thing-{n:03}", data={"n": n, "even": n % 2 == 0})


def status(error: pytest.ExceptionInfo[KintoException]) -> int:
    """Return the HTTP status that an exception is about."""
    return int(error.value.response.status_code)


# Server information


def test_the_hello_view_tells_the_user_and_the_size_of_a_batch(alice: Client):
    info = alice.server_info()

    assert info["user"]["id"].startswith("basicauth:")
    assert info["settings"]["batch_max_requests"] == 25
    assert "basicauth" in info["capabilities"]


# Buckets, collections, groups


def test_a_bucket_is_created_read_replaced_patched_and_deleted(alice: Client, bucket: str):
    created = alice.get_bucket()
    replaced = alice.update_bucket(data={"color": "red", "size": 1})
    patched = alice.patch_bucket(data={"size": 2})
    tombstone = alice.delete_bucket()

    assert created["data"]["id"] == bucket
    assert created["permissions"] == {"write": [user_id(alice)]}
    assert replaced["data"]["last_modified"] > created["data"]["last_modified"]
    assert (patched["data"]["color"], patched["data"]["size"]) == ("red", 2)
    assert tombstone["deleted"] is True
    with pytest.raises(BucketNotFound):
        alice.get_bucket()


def test_buckets_that_one_may_read_are_listed(alice: Client, bob: Client, bucket: str):
    assert bucket in {each["id"] for each in alice.get_buckets()}
    assert bucket not in {each["id"] for each in bob.get_buckets()}


def test_what_exists_already_is_not_overwritten(alice: Client, bucket: str):
    alice.update_bucket(data={"kept": True})

    with pytest.raises(KintoException) as refused:
        alice.create_bucket(data={"kept": False})
    existing = alice.create_bucket(id=bucket, data={"kept": False}, if_not_exists=True)

    assert status(refused) == 412
    assert refused.value.response.json()["details"]["existing"]["id"] == bucket
    assert existing["data"]["kept"] is True


def test_a_bucket_one_may_not_read_is_not_found_and_an_anonymous_is_asked_who_they_are(
    alice: Client, bob: Client, server_url: str, bucket: str
):
    anonymous = Client(server_url=server_url, bucket=bucket)

    with pytest.raises(BucketNotFound) as forbidden:
        bob.get_bucket()
    with pytest.raises(BucketNotFound) as unknown:
        bob.get_bucket(id="no-such-bucket")
    with pytest.raises(KintoException, match="Please authenticate") as who:
        anonymous.get_bucket()

    assert [status(forbidden), status(unknown), status(who)] == [403, 403, 401]


def test_a_collection_is_created_read_replaced_patched_and_deleted(alice: Client, bucket: str):
    alice.create_collection(id="notes", data={"title": "Notes"}, permissions={"read": ["system.Everyone"]})
    replaced = alice.update_collection(id="notes", data={"title": "My notes", "sort": "n"})
    patched = alice.patch_collection(id="notes", data={"sort": "-n"})
    alice.create_collection(id="notes", bucket=bucket, data={"title": "Ignored"}, if_not_exists=True)
    listed = alice.get_collections(_sort="id")
    alice.delete_collection(id="notes")

    assert replaced["data"]["title"] == "My notes"
    assert patched["permissions"]["read"] == ["system.Everyone"]
    assert [(each["id"], each.get("title")) for each in listed] == [("notes", "My notes"), ("things", None)]
    with pytest.raises(CollectionNotFound):
        alice.get_collection(id="notes")


def test_a_group_is_created_read_replaced_patched_and_deleted(alice: Client, bucket: str):
    alice.create_group(id="editors", data={"members": ["mary"]})
    alice.update_group(id="editors", data={"members": ["mary", "john"], "label": "Editors"})
    alice.patch_group(id="editors", data={"label": "All editors"})
    alice.create_group(id="editors", bucket=bucket, data={"members": []}, if_not_exists=True)
    read = alice.get_group(id="editors")
    listed = alice.get_groups()
    alice.delete_group(id="editors")

    assert set(read["data"]["members"]) == {"mary", "john"}
    assert read["data"]["label"] == "All editors"
    assert [each["id"] for each in listed] == ["editors"]
    assert alice.get_groups() == []


# Records


def test_a_record_is_created_read_replaced_and_deleted(alice: Client):
    created = alice.create_record(data={"name": "café", "size": 2**70, "nested": {"list": [1, None, "x"]}})["data"]
    read = alice.get_record(id=created["id"])["data"]
    replaced = alice.update_record(data={"id": created["id"], "name": "tea"})["data"]
    tombstone = alice.delete_record(id=created["id"])

    assert read == created
    assert (read["name"], read["size"], read["nested"]) == ("café", 2**70, {"list": [1, None, "x"]})
    assert replaced == {"id": created["id"], "name": "tea", "last_modified": replaced["last_modified"]}
    assert created["last_modified"] < replaced["last_modified"] < tombstone["last_modified"]
    with pytest.raises(KintoException) as gone:
        alice.get_record(id=created["id"])
    assert status(gone) == 404


def test_the_three_kinds_of_patch_change_what_they_say(alice: Client):
    alice.create_record(id="r", data={"a": 1, "nested": {"x": 1, "y": 2}, "list": [1, 2]})

    basic = alice.patch_record(id="r", changes=BasicPatch(data={"a": 2, "nested": {"x": 1, "y": 3}}))["data"]
    merged = alice.patch_record(id="r", changes=MergePatch(data={"a": None, "nested": {"x": None}}))["data"]
    operations = [
        {"op": "test", "path": "/data/nested/y", "value": 3},
        {"op": "add", "path": "/data/list/-", "value": 3},
        {"op": "move", "from": "/data/nested", "path": "/data/moved"},
        {"op": "add", "path": "/permissions/read/system.Everyone"},
    ]
    patched = alice.patch_record(id="r", changes=JSONPatch(operations))

    assert (basic["a"], basic["nested"], basic["list"]) == (2, {"x": 1, "y": 3}, [1, 2])
    assert "a" not in merged
    assert merged["nested"] == {"y": 3}
    assert (patched["data"]["list"], patched["data"]["moved"]) == ([1, 2, 3], {"y": 3})
    assert patched["permissions"]["read"] == ["system.Everyone"]


def test_a_patch_of_an_original_that_has_changed_since_is_refused(alice: Client):
    original = alice.create_record(id="r", data={"n": 1})["data"]
    alice.patch_record(original=original, changes=BasicPatch(data={"n": 2}))

    with pytest.raises(KintoException) as refused:
        alice.patch_record(original=original, changes=JSONPatch([{"op": "remove", "path": "/data/n"}]))

    assert status(refused) == 412
    assert alice.get_record(id="r")["data"]["n"] == 2


def test_a_safe_write_over_a_newer_version_is_refused_with_the_version_that_stands(alice: Client):
    mine = alice.create_record(id="r", data={"n": 1})["data"]
    newer = alice.update_record(data={**mine, "n": 2})["data"]

    with pytest.raises(KintoException) as update:
        alice.update_record(data={**mine, "n": 3})
    with pytest.raises(KintoException) as deletion:
        alice.delete_record(id="r", if_match=mine["last_modified"])
    forced = alice.update_record(data={**mine, "n": 4}, safe=False)["data"]

    assert status(update) == status(deletion) == 412
    assert update.value.response.json()["details"]["existing"] == newer
    assert update.value.response.json()["errno"] == 114
    assert (forced["n"], forced["last_modified"] > newer["last_modified"]) == (4, True)


def test_a_record_that_exists_is_returned_when_it_is_created_if_not_exists(alice: Client, bucket: str):
    arguments = {"id": "r", "bucket": bucket, "collection": "things", "if_not_exists": True}

    created = alice.create_record(**arguments, data={"n": 1}, permissions={"read": ["system.Everyone"]})
    existing = alice.create_record(**arguments, data={"n": 2})

    assert existing == created


def test_a_record_that_one_may_not_create_is_refused_with_advice(alice: Client, bob: Client):
    with pytest.raises(KintoException) as missing:
        bob.create_record(collection="no-such-collection", data={})
    with pytest.raises(KintoException, match=r"check that .* you have the permission to create") as refused:
        bob.create_record(data={})

    assert missing.value.response.json()["details"] == {"id": "no-such-collection", "resource_name": "collection"}
    assert [status(missing), status(refused)] == [404, 403]


# Deletions


def test_what_is_gone_already_may_be_deleted_if_it_exists(alice: Client, bob: Client):
    alice.create_record(id="r", data={})

    assert alice.delete_record(id="r", if_exists=True)["deleted"] is True
    assert alice.delete_record(id="r", if_exists=True) is None
    assert alice.delete_group(id="nobody", if_exists=True) is None
    assert alice.delete_collection(id="nothing", if_exists=True) is None
    assert bob.delete_bucket(id="no-such-bucket", if_exists=True) is None
    with pytest.raises(KintoException):
        alice.delete_record(id="r")


def test_all_records_are_deleted_page_after_page_and_leave_tombstones(alice: Client):
    things(alice, PAGE + 20)
    before = alice.get_records_timestamp()

    sizes = []
    while deleted := alice.delete_records():
        sizes.append(len(deleted))

    assert sizes == [PAGE, 20]
    assert alice.get_records() == []
    tombstones = alice.get_records(_since=before)
    assert len({each["id"] for each in tombstones if each["deleted"]}) == PAGE + 20


def test_deleting_a_list_that_has_changed_since_is_refused(alice: Client):
    first = alice.create_record(id="r", data={})["data"]
    alice.create_record(id="s", data={})

    with pytest.raises(KintoException) as refused:
        alice.delete_records(if_match=first["last_modified"])

    assert status(refused) == 412
    assert len(alice.get_records()) == 2


def test_a_deleted_bucket_takes_all_it_holds_with_it(alice: Client):
    things(alice, 3)
    alice.create_group(id="editors", data={"members": []})

    alice.delete_bucket()
    alice.create_bucket()
    alice.create_collection()

    assert (alice.get_records(), alice.get_groups()) == ([], [])


def test_the_collections_and_the_groups_of_a_bucket_are_deleted_at_once(alice: Client):
    alice.create_collection(id="other")
    alice.create_group(id="editors", data={"members": []})

    collections, groups = alice.delete_collections(), alice.delete_groups()

    assert {each["id"] for each in collections} == {"things", "other"}
    assert [each["id"] for each in groups] == ["editors"]
    assert (alice.get_collections(), alice.get_groups()) == ([], [])


# Lists


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({"n": 3}, [3], id="equal"),
        pytest.param({"even": True, "lt_n": 5}, [0, 2, 4], id="and"),
        pytest.param({"min_n": 7, "max_n": "8"}, [7, 8], id="from to"),
        pytest.param({"gt_n": 6, "not_n": 8}, [7, 9], id="after, but not"),
        pytest.param({"in_id": ["thing-001", "thing-004"]}, [1, 4], id="in a list"),
        pytest.param({"in_id": "thing-001"}, [1], id="in a list of one"),
        pytest.param({"exclude_id": [f"thing-{n:03}" for n in range(8)]}, [8, 9], id="exclude"),
        pytest.param({"like_id": "thing-*9"}, [9], id="like"),
        pytest.param({"has_even": False}, [], id="has not"),
        pytest.param({"missing": None}, [], id="null is not missing"),
    ],
)
def test_lists_are_filtered(filtered: Client, filters: dict[str, object], expected: list[int]):
    assert [each["n"] for each in filtered.get_records(_sort="n", **filters)] == expected


@pytest.fixture(scope="module")
def filtered(server_url: str) -> Client:
    """A client of a collection of ten things."""
    client = Client(server_url=server_url, auth=ALICE, bucket="filtered", collection="things")
    client.create_bucket()
    client.create_collection()
    things(client, 10)
    return client


def test_lists_are_sorted_and_reduced_to_some_fields(filtered: Client):
    found = filtered.get_records(_sort="even,-n", _fields="n")

    assert [each["n"] for each in found] == [9, 7, 5, 3, 1, 8, 6, 4, 2, 0]
    assert all(set(each) == {"id", "last_modified", "n"} for each in found)


def test_lists_are_read_over_all_their_pages_or_some(filtered: Client):
    assert len(filtered.get_records(_limit=4)) == 4
    assert len(filtered.get_records(_limit=4, pages=2)) == 8
    assert len(filtered.get_records(_limit=3, pages=float("inf"))) == 10
    pages = list(filtered.get_paginated_records(_limit=4, _sort="n"))
    assert [[each["n"] for each in page["data"]] for page in pages] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_long_list_is_read_whole_whatever_the_pages_of_the_server(alice: Client):
    things(alice, PAGE * 2 + 1)

    found = alice.get_records(_sort="n")

    assert [each["n"] for each in found] == list(range(PAGE * 2 + 1))


def test_changes_since_the_timestamp_of_the_list_are_all_and_only_what_changed(alice: Client):
    things(alice, 5)
    alice.get_records()
    since = alice.get_records_timestamp()

    assert alice.get_records(_since=since, if_none_match=since) == []
    alice.update_record(id="thing-001", data={"n": 100})
    alice.delete_record(id="thing-002")
    changes = alice.get_records(_since=since)
    quoted = alice.get_records(_since=f'"{since}"')

    assert [(each["id"], each.get("deleted", False)) for each in changes] == [
        ("thing-002", True),
        ("thing-001", False),
    ]
    assert quoted == changes
    assert alice.get_records_timestamp() == str(changes[0]["last_modified"])
    assert alice.clone().get_records_timestamp() == str(changes[0]["last_modified"])


# Batches


def test_a_batch_of_any_size_is_cut_to_what_the_server_takes(alice: Client):
    with alice.batch() as batch:
        for n in range(60):
            batch.create_record(id=f"r{n}", data={"n": n})
        batch.patch_record(id="r1", data={"n": -1})
        batch.delete_record(id="r2")
    results = batch.results()

    assert [each["data"]["id"] for each in results[:60]] == [f"r{n}" for n in range(60)]
    assert results[60]["data"]["n"] == -1
    assert results[61]["data"]["deleted"] is True
    assert len(alice.get_records()) == 59


def test_the_errors_of_a_batch_are_raised_together_and_the_rest_of_it_is_kept(alice: Client):
    alice.create_record(id="taken", data={})

    with pytest.raises(KintoBatchException) as error, alice.batch() as batch:  # noqa: PT012
        batch.create_record(id="taken", data={})
        batch.delete_record(id="never-there")
        batch.create_record(id="fine", data={"n": 1})

    assert [each.response.status_code for each in error.value.exceptions] == [412, 404]
    assert alice.get_record(id="fine")["data"]["n"] == 1


def test_the_errors_of_a_batch_may_be_ignored(server_url: str, alice: Client, bucket: str):
    careless = Client(server_url=server_url, auth=ALICE, bucket=bucket, collection="things", ignore_batch_4xx=True)

    with careless.batch() as batch:
        batch.delete_record(id="never-there")
        batch.create_record(id="fine", data={})

    assert [each.get("code") for each in batch.results()] == [404, None]


def test_a_batch_creates_a_bucket_and_what_it_holds(server_url: str):
    client = Client(server_url=server_url, auth=ALICE, bucket="by-batch", collection="notes")

    with client.batch() as batch:
        batch.create_bucket()
        batch.create_collection()
        batch.create_group(id="editors", data={"members": ["mary"]})
        batch.create_record(id="r", data={"n": 1})

    assert client.get_record(id="r")["data"]["n"] == 1
    assert client.get_group(id="editors")["data"]["members"] == ["mary"]


# Sharing


def test_a_record_is_shared_with_another_user_to_read_then_to_write(alice: Client, bob: Client):
    alice.create_record(id="r", data={"n": 1}, permissions={"read": [user_id(bob)]})
    alice.create_record(id="private", data={})

    read = bob.get_record(id="r")
    listed = bob.get_records()
    with pytest.raises(KintoException) as refused:
        bob.patch_record(id="r", data={"n": 2})
    alice.patch_record(id="r", permissions={"write": [user_id(bob)]})
    bob.patch_record(id="r", data={"n": 3})

    assert read["data"]["n"] == 1
    assert [each["id"] for each in listed] == ["r"]
    assert status(refused) == 403
    assert alice.get_record(id="r")["data"]["n"] == 3


def test_members_of_a_group_edit_what_is_shared_with_the_group(alice: Client, bob: Client, bucket: str):
    alice.create_group(id="editors", data={"members": [user_id(bob)]})
    alice.patch_collection(permissions={"write": [f"/buckets/{bucket}/groups/editors"]})
    alice.create_record(id="r", data={"n": 1})

    bob.update_record(id="r", data={"n": 2})
    bob.create_record(id="s", data={"n": 3})
    bob.delete_record(id="r")
    principals = bob.clone(server_url=alice.session.server_url, auth=BOB).server_info()["user"]["principals"]
    alice.patch_group(id="editors", data={"members": []})
    alice.create_record(id="t", data={})

    assert [each["id"] for each in alice.get_records()] == ["t", "s"]
    assert f"/buckets/{bucket}/groups/editors" in principals
    # No longer a member, he keeps what he created.
    assert [each["id"] for each in bob.get_records()] == ["s"]
    with pytest.raises(KintoException) as refused:
        bob.delete_record(id="t")
    assert status(refused) == 403


def test_a_user_who_may_only_create_owns_and_sees_what_they_created(alice: Client, bob: Client):
    alice.patch_collection(permissions={"record:create": ["system.Authenticated"]})
    alice.create_record(id="hers", data={})

    bob.create_record(id="his", data={"n": 1})

    assert [each["id"] for each in bob.get_records()] == ["his"]
    assert bob.get_record(id="his")["permissions"] == {"write": [user_id(bob)]}
    assert {each["id"] for each in alice.get_records()} == {"his", "hers"}


def test_everyone_reads_what_is_shared_with_everyone(alice: Client, server_url: str, bucket: str):
    alice.create_record(id="r", data={"n": 1})
    anonymous = Client(server_url=server_url, bucket=bucket, collection="things")

    alice.patch_collection(changes=JSONPatch([{"op": "add", "path": "/permissions/read/system.Everyone"}]))

    assert anonymous.get_record(id="r")["data"]["n"] == 1
    assert len(anonymous.get_records()) == 1
    with pytest.raises(KintoException):
        anonymous.create_record(data={})


# Tools built on the client


def test_a_collection_is_replicated_to_another_by_the_tool_of_the_client(alice: Client, server_url: str, bucket: str):
    things(alice, 30)
    alice.patch_collection(data={"title": "Things"})
    copy = Client(server_url=server_url, auth=ALICE, bucket=f"{bucket}-copy", collection="things")
    # A batch that takes less than 30 ms has records of the next few: one of which the list of the copy, were it opened
    # then, would have the timestamp itself, and a record asks in vain for that of its list (section 7.3).
    time.sleep(0.05)

    replicate(alice, copy)

    assert copy.get_records(_sort="id", _fields="n,even") == alice.get_records(_sort="id", _fields="n,even")
    assert copy.get_collection()["data"]["title"] == "Things"


# History


def test_the_history_is_read_with_filters_and_purged(alice: Client, bucket: str):
    things(alice, PAGE + 5)
    alice.update_record(id="thing-001", data={"n": "x"})

    everything = alice.get_history(bucket=bucket)
    of_one = alice.get_history(bucket=bucket, resource_name="record", record_id="thing-001", _sort="last_modified")
    some = alice.get_history(bucket=bucket, in_record_id="thing-002", _before=everything[0]["last_modified"])
    purged = alice.purge_history(bucket=bucket, resource_name="record", action="update")

    assert len(everything) == PAGE + 8
    assert everything[0]["user_id"] == user_id(alice)
    assert [(each["action"], each["target"]["data"]["n"]) for each in of_one] == [("create", 1), ("update", "x")]
    assert [each["record_id"] for each in some] == ["thing-002"]
    assert [each["deleted"] for each in purged] == [True]
    assert len(alice.get_history(bucket=bucket)) == PAGE + 7
