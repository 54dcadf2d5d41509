"""What is kept of a history and what is made of it: trimming, snapshots, moves. Source: objects, 11.6 and 11.7."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.api.sharing import B, C, R, create, principal_of, put, serving, share
from tests.plugins.test_history import HISTORY, RECORDS, brief, entries

from kobako import moving
from kobako.databases.memory import MemoryDatabase
from kobako.plugins.history import trimming
from kobako.plugins.history.entries import uris_of
from kobako.storage.base import Place
from kobako.testing.client import Client

# Trimming (11.6)


def trimmed(**options: Any) -> Any:
    """A server that keeps 3 entries of each kind, and trims from 5 on; or with other options."""
    given = {"auto_trim_max_count": 3, "auto_trim_threshold": 1, **options}
    return serving(
        includes=("history",), plugin_options={f"history.{name}": str(value) for name, value in given.items()}
    )


async def test_the_newest_entries_of_each_kind_are_kept_once_there_are_too_many() -> None:
    async with trimmed() as client:
        await create(client, B, C)
        counts = []
        for n in range(8):
            await client.put(R, {"n": n})
            counts.append(len(await entries(client, "resource_name=record")))

        assert counts == [1, 2, 3, 4, 3, 4, 3, 4]
        assert [each["target"]["data"]["n"] for each in await entries(client, "resource_name=record")] == [7, 6, 5, 4]
        assert await brief(client, "exclude_resource_name=record") == [("create", B), ("create", C)]


async def test_each_bucket_is_trimmed_by_itself_also_in_a_batch() -> None:
    async with trimmed() as client:
        await client.batch(*(put(f"/buckets/{n % 2}x/groups/g{n}") for n in range(8)))
        await create(client, "/buckets/0x", "/buckets/1x")

        await client.batch(*(put(f"/buckets/{n % 2}x/groups/g{n}") for n in range(9)))

        assert [each["group_id"] for each in await entries(client, "resource_name=group", "/buckets/0x")] == [
            "g8",
            "g6",
            "g4",
        ]
        assert len(await entries(client, "resource_name=group", "/buckets/1x")) == 4


async def test_who_polls_is_told_of_what_was_trimmed_and_its_acl_goes_with_it() -> None:
    async with trimmed() as client:
        bob = client.as_user("bob")
        await create(client, B, C)
        await share(client, C, "read", await principal_of(bob))
        for n in range(4):
            await client.put(R, {"n": n})
        before = await client.get(HISTORY)

        await client.put(R, {"n": 4})

        told = await entries(client, f"_since={before.etag}")
        gone = {each["id"] for each in told if each.get("deleted")}
        assert gone == {each["id"] for each in before.data if each["target"]["data"].get("n") in (0, 1)}
        him = await principal_of(bob)
        async with client.app.site.backends.begin() as tx:
            shared = await tx.permission.shared([him], HISTORY, ["read"])
        assert not gone & shared


async def test_trimming_may_be_about_some_users_only() -> None:
    async with serving() as client:
        me = await principal_of(client)
    async with trimmed(auto_trim_user_ids=me) as client:
        bob = client.as_user("bob")
        await create(client, B, C)
        await share(client, B, "write", await principal_of(bob))
        for n in range(6):
            await bob.put(R, {"n": n})
        for n in range(5):
            await client.put(R, {"n": n})

        mine = f"user_id={me}&resource_name=record"
        assert [each["target"]["data"]["n"] for each in await entries(client, mine)] == [4, 3, 2]
        assert len(await entries(client, f"user_id={await principal_of(bob)}")) == 6


async def test_more_than_can_be_removed_at_once_is_removed_by_the_changes_that_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trimming, "AT_ONCE", 2)
    async with trimmed() as client:
        await create(client, B, C)
        await client.batch(*(put(f"{RECORDS}/{n}") for n in range(8)))

        counts = [len(await entries(client, "resource_name=record"))]
        for _ in range(3):
            await client.put(R, {})
            counts.append(len(await entries(client, "resource_name=record")))

        assert counts == [6, 5, 4, 3]


async def test_entries_that_were_deleted_do_not_count() -> None:
    async with trimmed() as client:
        await create(client, B, C)
        for n in range(4):
            await client.put(R, {"n": n})
        await client.delete(f"{HISTORY}?resource_name=record&target.data.n=3")

        await client.put(R, {"n": 4})

        assert [each["target"]["data"]["n"] for each in await entries(client, "resource_name=record")] == [4, 2, 1, 0]
        await client.put(R, {"n": 5})
        assert [each["target"]["data"]["n"] for each in await entries(client, "resource_name=record")] == [5, 4, 2]


async def test_what_is_noted_of_a_bucket_goes_with_it() -> None:
    async with trimmed() as client:
        for _ in range(2):
            await client.batch(put(B), put(C), *(put(R) for _ in range(4)))
            assert len(await entries(client, "resource_name=record")) == 4
            await client.delete(B)


async def test_nothing_is_trimmed_unless_it_is_asked_for() -> None:
    async with trimmed(auto_trim_max_count=0, auto_trim_threshold=0) as client:
        await create(client, B, C)
        for n in range(6):
            await client.put(R, {"n": n})

        assert len(await entries(client)) == 8


# Snapshots (11.7)

SNAPSHOT = f"{B}/snapshot/collections/c"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client of a server with history, who owns a bucket and a collection."""
    async with serving(includes=("history",)) as client:
        await create(client, B, C)
        yield client


async def snapshot(client: Client, at: int) -> Any:
    """Return the records at a time."""
    answer = await client.get(f"{SNAPSHOT}@{at}")
    assert answer.status == 200, answer
    assert "ETag" not in answer.headers
    return answer.data


async def test_records_are_shown_as_they_were_at_each_time(client: Client) -> None:
    states = [(0, [])]
    steps: list[tuple[str, str, Any]] = [
        ("PUT", "a", {"n": 1}),
        ("PUT", "b", {"n": 1, "deleted": True}),
        ("PATCH", "a", {"m": 2}),
        ("DELETE", "b", None),
        ("PUT", "b", {"n": 3}),
        ("DELETE", "a", None),
    ]
    for method, id, data in steps:
        answer = await client.request(method, f"{RECORDS}/{id}", **({"json": {"data": data}} if data else {}))
        assert answer.status in (200, 201), answer
        states.append((answer.data["last_modified"], (await client.get(RECORDS)).data))

    for at, records in states:
        assert await snapshot(client, at) == records
        assert await snapshot(client, max(at, 1) - 1) != records or not records
    assert await snapshot(client, 10**17) == states[-1][1]


async def test_what_the_history_does_not_know_can_not_be_told(client: Client) -> None:
    first = await client.put(R, {"n": 1})
    await client.put(f"{RECORDS}/same", {})
    now = (await client.head(RECORDS)).etag
    await client.put(R, {"n": 2})
    assert [each["id"] for each in await snapshot(client, now)] == ["same", "r"]

    await client.delete(f"{HISTORY}?target.data.last_modified={first.data['last_modified']}")

    assert [each["id"] for each in await snapshot(client, now)] == ["same"]


async def test_many_records_with_much_history(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kobako.plugins.history.snapshots.PAGE", 3)
    for n in range(3):
        await client.batch(*(put(f"{RECORDS}/{id}") | {"body": {"data": {"n": n}}} for id in range(5)))
    middle = (await entries(client, f"uri={RECORDS}/4&target.data.n=1"))[0]["target"]["data"]["last_modified"]
    await client.delete(f"{RECORDS}?in_id=0,1")

    found = await snapshot(client, middle)

    assert [(each["id"], each["n"]) for each in found] == [(str(id), 1) for id in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("timestamp", ["abc", "-1", "1.5", "", "1e3", "%D9%A1", "9" * 30])
async def test_the_time_of_a_snapshot_is_a_whole_number(client: Client, timestamp: str) -> None:
    answer = await client.get(f"{SNAPSHOT}@{timestamp}")

    assert (answer.status, answer.json["errno"]) == (400, 107)
    shown = "١" if "%" in timestamp else timestamp
    assert answer.json["details"] == [
        {"location": "path", "name": "timestamp", "description": f"Invalid timestamp '{shown}'"}
    ]


@pytest.mark.parametrize(
    ("uri", "permission", "status"),
    [
        (B, "read", 200),
        (B, "write", 200),
        (B, "collection:create", 403),
        (C, "read", 200),
        (C, "write", 200),
        (C, "record:create", 403),
        (R, "read", 403),
        (R, "write", 403),
    ],
)
async def test_a_snapshot_is_for_readers_of_the_bucket_or_the_collection(
    client: Client, uri: str, permission: str, status: int
) -> None:
    bob = client.as_user("bob")
    await create(client, R)
    await share(client, uri, permission, await principal_of(bob))

    assert (await bob.get(f"{SNAPSHOT}@5")).status == status
    assert (await client.anonymous().get(f"{SNAPSHOT}@5")).status == 401
    assert (await bob.get("/buckets/unknown/snapshot/collections/c@5")).status == 403


async def test_settings_open_no_snapshot() -> None:
    everyone = frozenset({"system.Everyone"})
    rights = {"bucket_create": everyone, "record_read": everyone, "history_read": everyone, "collection_read": everyone}
    async with serving(includes=("history",), principals_by_permission=rights) as client:
        await create(client, B, C, R)
        bob = client.as_user("bob")
        assert (await bob.get(RECORDS)).status == 200

        assert (await bob.get(f"{SNAPSHOT}@5")).status == 403


async def test_an_unknown_collection_of_a_readable_bucket_has_an_empty_snapshot(client: Client) -> None:
    assert (await client.get(f"{B}/snapshot/collections/unknown@5")).data == []


async def test_who_reads_only_a_collection_is_not_shown_another_of_its_name(client: Client) -> None:
    """P13."""
    bob = client.as_user("bob")
    await client.put(R, {"n": 1})
    then = (await client.head(RECORDS)).etag
    await client.delete(C)
    assert [each["n"] for each in await snapshot(client, then)] == [1]

    await client.put(C, permissions={"read": [await principal_of(bob)]})

    assert [each["n"] for each in await snapshot(client, then)] == [1]
    assert await snapshot(bob, then) == []


async def test_a_snapshot_is_read_and_nothing_else(client: Client) -> None:
    answer = await client.post(f"{SNAPSHOT}@5", {})

    assert (answer.status, answer.json["errno"]) == (405, 115)
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert (await client.head(f"{SNAPSHOT}@5")).status == 200
    assert (await client.get(SNAPSHOT)).json["errno"] == 111


# Moving


async def test_a_history_moves_to_another_database_with_all_the_rest(client: Client) -> None:
    bob = client.as_user("bob")
    await share(client, C, "read", await principal_of(bob))
    await create(client, R)
    await client.delete(f"{HISTORY}?resource_name=bucket")
    site = client.app.site
    target = MemoryDatabase(site.backends.clock)
    await target.open()

    await moving.move(site.backends.database, target, lambda *_: None)

    place, him = Place("history", B), await principal_of(bob)
    async with site.backends.begin() as before, target.begin() as after:
        assert await after.storage.timestamp(place) == await before.storage.timestamp(place)
        assert await after.storage.list(place) == await before.storage.list(place)
        assert len(await before.permission.shared([him], HISTORY, ["read"])) == 2
        for each in await before.storage.list(place):
            assert await after.permission.granted([him], uris_of(place, [each])) == await before.permission.granted(
                [him], uris_of(place, [each])
            )
