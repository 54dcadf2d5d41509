"""Lists limited to what is shared with the caller. Source: objects, 2.5; P16, P24."""

import pytest
from tests.api.sharing import OTHER, WORLD, B, C, R, create, ids, principal_of, share, world

from kobako.testing.client import Client


async def _with_hidden_records(client: Client) -> Client:
    """Return a user who may read two of seven records, none next to the other."""
    await create(client, B, C)
    other = client.as_user("ann")
    for position, id in enumerate(["a", "b", "c", "d", "e", "f", "g"]):
        readers = {"read": [await principal_of(other)]} if id in "be" else {}
        await client.put(f"{C}/records/{id}", data={"n": position}, permissions=readers)
    return other


async def test_pages_and_totals_tell_nothing_of_hidden_records(client: Client) -> None:
    """P16."""
    other = await _with_hidden_records(client)
    records = f"{C}/records"

    first = await other.get(f"{records}?_limit=1&_sort=n")
    second = await other.get(first.headers["Next-Page"])
    whole = await other.get(f"{records}?_limit=2")
    total = await other.head(f"{records}?_limit=1")

    assert (ids(first), ids(second)) == ({"b"}, {"e"})
    assert "Next-Page" not in second.headers
    assert "Next-Page" not in whole.headers
    assert total.headers["Total-Objects"] == "2"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("id=a", set()),
        ("in_id=a,b", {"b"}),
        ("min_n=2", {"e"}),
        ("not_n=1", {"e"}),
        ("exclude_id=b", {"e"}),
        ("_since=0", {"b", "e"}),
        ("gt_last_modified=0", {"b", "e"}),
        ("_sort=-n&_limit=1", {"e"}),
        ("like_id=*", {"b", "e"}),
        ("has_n=true", {"b", "e"}),
    ],
)
async def test_no_filter_widens_a_restricted_list(client: Client, query: str, expected: set[str]) -> None:
    """P16."""
    other = await _with_hidden_records(client)

    assert ids(await other.get(f"{C}/records?{query}")) == expected


async def test_a_restricted_list_has_the_etag_of_the_whole_one(client: Client) -> None:
    other = await _with_hidden_records(client)

    assert (await other.get(f"{C}/records")).etag == (await client.get(f"{C}/records")).etag


async def test_deletions_are_not_seen_by_who_sees_only_what_is_shared(client: Client) -> None:
    other = await _with_hidden_records(client)
    await client.delete(f"{C}/records/a")
    await client.delete(f"{C}/records/b")

    seen = await other.get(f"{C}/records?_since=0")
    all_of_them = await client.get(f"{C}/records?_since=0&deleted=true")

    assert ids(seen) == {"e"}
    assert ids(all_of_them) == {"a", "b"}


async def test_who_may_only_create_sees_no_tombstone_either() -> None:
    async with world(record_create=OTHER) as (owner, other):
        await owner.delete(R)

        assert ids(await other.get(f"{C}/records?_since=0")) == set()


async def test_plural_delete_takes_only_what_the_caller_may_write(client: Client) -> None:
    """P24."""
    other = client.as_user("ann")
    ann = await principal_of(other)
    await create(client, B, C)
    await create(client, f"{C}/records/read", permissions={"read": [ann]})
    await create(client, f"{C}/records/written", permissions={"write": [ann]})
    await create(client, f"{C}/records/hidden")

    deleted = await other.delete(f"{C}/records?_limit=10")

    assert ids(deleted) == {"written"}
    assert ids(await client.get(f"{C}/records")) == {"read", "hidden"}
    assert (await other.delete(f"{C}/records")).status == 403


async def test_paginated_delete_stays_within_what_the_caller_may_write(client: Client) -> None:
    """P24, P2."""
    other = client.as_user("ann")
    ann = await principal_of(other)
    await create(client, B, C)
    await create(client, *[f"{C}/records/mine{n}" for n in range(3)], permissions={"write": [ann]})
    await create(client, *[f"{C}/records/other{n}" for n in range(3)])

    first = await other.delete(f"{C}/records?_limit=2")
    second = await other.delete(first.headers["Next-Page"])

    assert len(ids(first)) == 2
    assert ids(first) | ids(second) == {"mine0", "mine1", "mine2"}
    assert "Next-Page" not in second.headers
    assert ids(await client.get(f"{C}/records")) == {"other0", "other1", "other2"}


async def test_a_grant_opens_one_level_only(client: Client) -> None:
    other = client.as_user("ann")
    await create(client, *WORLD)
    await share(client, R, "write", await principal_of(other))

    assert ids(await other.get(f"{C}/records")) == {"r"}
    assert (await other.get(f"{B}/collections")).status == 403
    assert ids(await other.get("/buckets")) == set()
