"""Timestamps: which version a write gets, what moves a list, and what never does (HTTP API, section 7)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kobako.app import App
from kobako.model import objects
from kobako.resources import RESOURCES
from kobako.resources.records import RECORD
from kobako.settings import Settings
from kobako.testing.client import Answer, Client
from kobako.testing.fixtures import HOUR, Clock

LIST = "/buckets/b/collections/c/records"
COLLECTION = "/buckets/b/collections/c"
DAY = 24 * HOUR


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(settings: Settings, clock: Clock) -> AsyncIterator[Client]:
    """A client with a collection of records, and a clock that stands still."""
    async with Client(App(settings, RESOURCES, clock=clock)) as client:
        await client.put("/buckets/b")
        await client.put(COLLECTION)
        yield client


async def stand(client: Client) -> int:
    """Return the timestamp of the list of records."""
    return (await client.get(LIST)).etag


async def changed_ids(client: Client, since: int) -> list[str]:
    """Return what a client sees that polls from a timestamp on."""
    return [each["id"] for each in (await client.get(f"{LIST}?_since={since}")).data]


# Headers


async def test_the_etag_is_the_timestamp_and_last_modified_its_seconds(client: Client) -> None:
    created = await client.put(f"{LIST}/r", {"last_modified": 1_700_000_000_999})

    assert created.headers["ETag"] == '"1700000000999"'
    assert created.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


async def test_each_response_has_the_timestamp_of_what_it_shows(client: Client) -> None:
    posted = await client.post(LIST, {"id": "a"})
    again = await client.post(LIST, {"id": "a"})
    put = await client.put(f"{LIST}/b")
    patched = await client.patch(f"{LIST}/b", {"n": 1})
    deleted = await client.delete(f"{LIST}/b")

    for response in (posted, again, put, patched, deleted):
        assert response.etag == response.data["last_modified"]
    assert again.etag == posted.etag < put.etag < patched.etag < deleted.etag
    assert await stand(client) == deleted.etag


async def test_a_list_deleted_has_the_timestamp_of_its_last_tombstone(client: Client) -> None:
    for _ in range(3):
        await client.post(LIST)

    deleted = await client.delete(LIST)
    nothing = await client.delete(LIST)

    versions = [each["last_modified"] for each in deleted.data]
    assert len(set(versions)) == 3
    assert deleted.etag == max(versions) == await stand(client) == nothing.etag


# Assignment


async def test_a_write_gets_the_time_of_the_clock(client: Client, clock: Clock) -> None:
    clock.now += HOUR

    assert (await client.put(f"{LIST}/r")).etag == clock.now


async def test_writes_in_one_millisecond_get_distinct_timestamps(client: Client) -> None:
    """S5."""
    responses = await asyncio.gather(*[client.post(LIST) for _ in range(50)])

    assert {each.status for each in responses} == {201}
    assert len({each.etag for each in responses}) == 50
    assert await stand(client) == max(each.etag for each in responses)


async def test_a_clock_set_back_does_not_turn_versions_back(client: Client, clock: Clock) -> None:
    """S12, S13."""
    first = (await client.put(f"{LIST}/r")).etag
    clock.now -= HOUR

    second = (await client.put(f"{LIST}/r")).etag

    assert second == first + 1
    assert await changed_ids(client, first) == ["r"]


async def write(client: Client, operation: str, wanted: Any) -> Answer:
    """Write a record with a timestamp of the client's own."""
    data = {"last_modified": wanted}
    match operation:
        case "POST":
            return await client.post(LIST, {"id": "new", **data})
        case "PUT new":
            return await client.put(f"{LIST}/new", data)
        case "PUT":
            return await client.put(f"{LIST}/r", data)
        case "PATCH":
            return await client.patch(f"{LIST}/r", data)
        case "merge patch":
            headers = {"Content-Type": "application/merge-patch+json"}
            return await client.patch(f"{LIST}/r", data, headers=headers)
        case "JSON Patch":
            operations = [{"op": "replace", "path": "/data/last_modified", "value": wanted}]
            headers = {"Content-Type": "application/json-patch+json"}
            return await client.request("PATCH", f"{LIST}/r", json=operations, headers=headers)
        case "PUT gone":
            return await client.put(f"{LIST}/gone", data)
        case _:
            return await client.post(LIST, {"id": "gone", **data})


NEW = ["POST", "PUT new"]
KNOWN = ["PUT", "PATCH", "merge patch", "JSON Patch", "PUT gone", "POST gone"]


@pytest.fixture
async def written(client: Client) -> int:
    """The timestamp of a list with a record `r`, another after it, and the tombstone `gone`."""
    await client.put(f"{LIST}/gone")
    await client.delete(f"{LIST}/gone")
    await client.put(f"{LIST}/r")
    await client.put(f"{LIST}/other")
    return await stand(client)


@pytest.mark.parametrize("operation", NEW + KNOWN)
async def test_a_timestamp_above_the_list_is_taken(client: Client, written: int, operation: str) -> None:
    response = await write(client, operation, written + HOUR)

    assert response.etag == written + HOUR == await stand(client)


@pytest.mark.parametrize("operation", NEW)
@pytest.mark.parametrize("wanted", [0, 1, 500, 1_500_000_000_000])
async def test_a_past_timestamp_is_taken_for_an_id_never_used_and_moves_nothing(
    client: Client, written: int, operation: str, wanted: int
) -> None:
    """S17: pollers do not see it; whoever imports the past takes that in account."""
    response = await write(client, operation, wanted)

    assert (response.status, response.etag) == (201, wanted)
    assert await stand(client) == written
    assert await changed_ids(client, written) == []


@pytest.mark.parametrize("operation", KNOWN)
@pytest.mark.parametrize("below", [1, 2, 10**9])
async def test_a_past_timestamp_of_a_known_id_is_replaced_by_a_fresh_one(
    client: Client, written: int, operation: str, below: int
) -> None:
    """S16: a poller sees the change."""
    response = await write(client, operation, written - below)

    assert response.etag > written
    assert await stand(client) == response.etag
    assert await changed_ids(client, written) == [response.data["id"]]


@pytest.mark.parametrize("operation", NEW + KNOWN)
async def test_the_timestamp_of_the_list_itself_is_replaced_by_a_fresh_one(
    client: Client, written: int, operation: str
) -> None:
    """S18."""
    response = await write(client, operation, written)

    assert response.etag > written
    assert await changed_ids(client, written) == [response.data["id"]]


@pytest.mark.parametrize("operation", NEW + KNOWN)
@pytest.mark.parametrize("wanted", [-1, 1.5, "abc", '"123"', "123", True, False, [], {}, -(2**70)])
async def test_what_is_no_timestamp_is_ignored(client: Client, written: int, operation: str, wanted: Any) -> None:
    """S15."""
    response = await write(client, operation, wanted)

    assert response.status in (200, 201)
    assert response.etag == response.data["last_modified"] > written


@pytest.mark.parametrize("operation", NEW + KNOWN)
@pytest.mark.parametrize("ahead", [DAY + 1, 10 * 365 * DAY, 9 * 10**18, 2**63, 2**64, 10**200])
async def test_a_timestamp_more_than_a_day_ahead_is_refused(
    client: Client, clock: Clock, written: int, operation: str, ahead: int
) -> None:
    """S14, S15: the list could not be polled with its own ETag any more."""
    response = await write(client, operation, clock.now + ahead)

    assert response.status == 400
    assert (response.json["details"][0]["location"], response.json["details"][0]["name"]) == ("body", "last_modified")
    assert await stand(client) == written


async def test_a_list_one_day_ahead_is_polled_with_its_own_etag(client: Client, clock: Clock) -> None:
    """S13, S14."""
    ahead = (await client.put(f"{LIST}/r", {"last_modified": clock.now + DAY - 1})).etag

    assert await changed_ids(client, ahead) == []
    assert (await client.put(f"{LIST}/s")).etag == ahead + 1
    assert await changed_ids(client, ahead) == ["s"]


@pytest.mark.parametrize(
    ("text", "status", "taken"),
    [
        ("{later}", 200, True),
        ('"{later}"', 200, True),
        ("%22{later}%22", 200, True),
        ("{now}", 200, False),
        ("1", 200, False),
        ("", 200, False),
        ("{too_late}", 400, False),
        ("abc", 400, False),
        ("-1", 400, False),
        ("1.5", 400, False),
        ("null", 400, False),
        ("true", 400, False),
        ("%D9%A1", 400, False),
        ("9223372036854775809", 400, False),
        ("1' or '1'='1", 400, False),
    ],
)
async def test_a_deletion_may_bring_its_timestamp(
    client: Client, clock: Clock, written: int, text: str, status: int, taken: bool
) -> None:
    """I3."""
    numbers = {"later": written + HOUR, "now": written, "too_late": clock.now + DAY + 1}

    response = await client.delete(f"{LIST}/r?last_modified={text.format(**numbers)}")

    assert response.status == status
    if status == 200:
        assert (response.etag == written + HOUR) if taken else (response.etag == written + 1)
    else:
        assert (response.json["details"][0]["location"], await stand(client)) == ("querystring", written)


async def test_two_objects_of_a_list_never_share_a_timestamp(client: Client) -> None:
    await client.put(f"{LIST}/a", {"last_modified": 500})

    response = await client.put(f"{LIST}/b", {"last_modified": 500})

    assert (response.status, response.json["errno"]) == (409, 122)
    assert response.headers["Retry-After"] == "3"
    assert (await client.get(f"{LIST}/b")).status == 404


# What moves a list

MOVES: dict[str, Callable[[Client], Awaitable[Answer]]] = {
    "creation": lambda client: client.post(LIST),
    "PUT of the same": lambda client: client.put(f"{LIST}/r", {"n": 1}),
    "PUT of nothing": lambda client: client.put(f"{LIST}/r"),
    "PATCH of the same": lambda client: client.patch(f"{LIST}/r", {"n": 1}),
    "PATCH of permissions": lambda client: client.patch(f"{LIST}/r", permissions={"read": ["bob"]}),
    "merge patch of nothing": lambda client: client.patch(
        f"{LIST}/r", {}, headers={"Content-Type": "application/merge-patch+json"}
    ),
    "empty JSON Patch": lambda client: client.request(
        "PATCH", f"{LIST}/r", json=[], headers={"Content-Type": "application/json-patch+json"}
    ),
    "DELETE": lambda client: client.delete(f"{LIST}/r"),
    "DELETE of the list": lambda client: client.delete(LIST),
}
LEAVES: dict[str, Callable[[Client], Awaitable[Answer]]] = {
    "reading the list": lambda client: client.get(LIST),
    "reading an object": lambda client: client.get(f"{LIST}/r"),
    "counting": lambda client: client.head(LIST),
    "heartbeat": lambda client: client.get("/__heartbeat__"),
    "POST of a known id": lambda client: client.post(LIST, {"id": "r", "n": 2}, {"read": ["bob"]}),
    "deleting nothing": lambda client: client.delete(f"{LIST}?n=7"),
    "invalid": lambda client: client.put(f"{LIST}/r", {"id": "other"}),
    "refused": lambda client: client.put(f"{LIST}/r", {}, headers={"If-Match": '"1"'}),
    "forbidden": lambda client: client.as_user("bob").put(f"{LIST}/r", {}),
    "unknown": lambda client: client.delete(f"{LIST}/unknown"),
    "writing the parent": lambda client: client.patch(COLLECTION, {"n": 1}),
    "writing another list": lambda client: client.put("/buckets/b/collections/d"),
}


@pytest.mark.parametrize("action", MOVES.values(), ids=MOVES)
async def test_each_change_moves_the_list_to_a_version_that_can_be_seen(
    client: Client, action: Callable[[Client], Awaitable[Answer]]
) -> None:
    """S24, S28: a client with the ETag sees an object or tombstone that has it."""
    before = (await client.put(f"{LIST}/r", {"n": 1})).etag

    response = await action(client)

    now = await stand(client)
    assert (response.status < 300, now) == (True, response.etag)
    assert now == before + 1
    seen = (await client.get(f"{LIST}?_since={before}")).data
    assert [each["last_modified"] for each in seen] == [now]


@pytest.mark.parametrize("action", LEAVES.values(), ids=LEAVES)
async def test_what_changes_nothing_leaves_the_list_where_it_is(
    client: Client, clock: Clock, action: Callable[[Client], Awaitable[Answer]]
) -> None:
    """S24."""
    before = (await client.put(f"{LIST}/r", {"n": 1})).etag
    clock.now += HOUR

    await action(client)

    assert await stand(client) == before


async def test_an_etag_is_a_cursor_for_its_own_list_alone(client: Client, clock: Clock) -> None:
    """S29: as docs/queries.md warns, on another list it skips changes."""
    other = "/buckets/b/collections/d/records"
    await client.put("/buckets/b/collections/d", {})
    clock.now += 1000
    await client.put(f"{LIST}/r", {})
    clock.now += 1000
    await client.put(f"{other}/s", {})
    cursor = (await client.get(other)).etag

    assert (await client.get(f"{LIST}?_since={cursor}")).data == []
    page = " ".join((Path(__file__).parents[2] / "docs/queries.md").read_text().split())
    assert "The ETag of a list is a cursor for that list alone: used on another one, it skips changes." in page


async def test_a_child_list_does_not_move_its_parent(client: Client, clock: Clock) -> None:
    lists = ["/buckets", "/buckets/b/collections", "/buckets/b/groups"]
    before = [(await client.get(url)).etag for url in [*lists, COLLECTION]]
    clock.now += HOUR

    await client.post(LIST)

    assert [(await client.get(url)).etag for url in [*lists, COLLECTION]] == before


# Empty lists, and lists that come again


async def test_an_empty_list_has_one_timestamp_until_it_is_written(client: Client, clock: Clock) -> None:
    """S21."""
    first = await asyncio.gather(*[client.get(LIST) for _ in range(20)])
    clock.now += HOUR
    later = await client.get(LIST)

    assert {each.status for each in first} == {200}
    assert {each.etag for each in [*first, later]} == {first[0].etag}


@pytest.mark.parametrize("ahead", [0, HOUR, DAY - 1])
@pytest.mark.parametrize("clock_change", [0, HOUR, -HOUR])
@pytest.mark.parametrize("deleted", [COLLECTION, "/buckets/b"])
async def test_a_list_that_comes_again_begins_above_all_it_ever_had(
    client: Client, clock: Clock, ahead: int, clock_change: int, deleted: str
) -> None:
    """S19."""
    await client.put(f"{LIST}/r", {"last_modified": clock.now + ahead})
    last = (await client.delete(f"{LIST}/r")).etag
    await client.put(f"{LIST}/s")
    last = max(last, await stand(client))
    await client.delete(deleted)
    clock.now += clock_change

    await client.put("/buckets/b")
    await client.put(COLLECTION)

    response = await client.get(LIST)
    assert response.data == []
    assert response.etag > last
    assert (await client.get(f"{LIST}/s")).status == 404
    assert (await client.put(f"{LIST}/s")).etag > response.etag


# Tombstones


async def test_a_deletion_leaves_a_tombstone_that_a_creation_takes_away(client: Client) -> None:
    before = (await client.put(f"{LIST}/r", {"n": 1})).etag
    deleted = (await client.delete(f"{LIST}/r")).data
    assert deleted == {"id": "r", "last_modified": before + 1, "deleted": True}
    assert (await client.get(f"{LIST}?_since={before}")).data == [deleted]
    assert (await client.get(f"{LIST}/r")).status == 404

    again = await client.post(LIST, {"id": "r"})

    assert again.status == 201
    assert (await client.get(f"{LIST}?_since={before}")).data == [again.data]


async def test_ten_thousand_records_leave_ten_thousand_tombstones(client: Client) -> None:
    """S23."""
    target = RECORD.target(LIST)
    async with client.app.site.backends.begin([target.place]) as tx:
        for number in range(10_000):
            await objects.write(tx, target.at(f"r{number}"), {}, {}, old=None, old_acl={}, by=None)
    before = await stand(client)

    deleted = await client.delete(LIST)

    versions = {each["last_modified"] for each in deleted.data}
    assert len(versions) == 10_000
    assert deleted.etag == max(versions) == await stand(client)
    assert min(versions) > before
    assert len(await changed_ids(client, before)) == 10_000


# Polling with what clients send as a timestamp


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("{t}", 200),
        ('"{t}"', 200),
        ("%22{t}%22", 200),
        ("null", 200),
        ("0", 200),
        ("", 400),
        ("{t}%0A", 400),
        ("%D9%A1%D9%A2%D9%A3", 400),
        ("1e3", 400),
        ("-1", 400),
        ("1.0", 400),
        ("true", 400),
        ('""', 400),
        ('"{t}', 400),
        ("9223372036854775808", 400),
        ("9223372036854775809", 400),
        ("{tomorrow}", 400),
        ("9" * 5000, 400),
        ("[1]", 400),
        ("1 or 1=1", 400),
    ],
)
@pytest.mark.parametrize("parameter", ["_since", "_before", "_to"])
async def test_a_poller_sends_an_integer_or_an_etag(
    client: Client, clock: Clock, parameter: str, text: str, status: int
) -> None:
    """S25; 19.1: both forms are in use, and `null` is no bound."""
    written = (await client.put(f"{LIST}/r")).etag
    values = text.format(t=written, tomorrow=clock.now + DAY + 1)

    response = await client.get(f"{LIST}?{parameter}={values}")

    assert response.status == status
    if text == "null":
        assert [each["id"] for each in response.data] == ["r"]
    elif status == 200:
        later = parameter == "_since" and text == "0"
        assert [each["id"] for each in response.data] == (["r"] if later else [])
