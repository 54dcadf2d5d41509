"""What a refusal tells, and what it does not; no spelling of a request gets round one.

Source: objects, 2.8 and 2.9; HTTP API, 2.5 and 5.3; P1, P2, P3, P15, P16, P20, P24, C22.
"""

import asyncio
from typing import Any

import pytest
from tests.api.sharing import (
    CHALLENGE,
    OTHER,
    WORLD,
    B,
    C,
    G,
    R,
    acl,
    contents,
    create,
    ids,
    principal_of,
    serving,
    share,
    world,
)

from kobako.testing.client import Client


async def test_anybody_is_refused_with_a_challenge_and_a_user_without(client: Client) -> None:
    await create(client, B)

    anonymous, user = await client.anonymous().get(B), await client.as_user("ann").get(B)

    assert (anonymous.status, anonymous.headers["WWW-Authenticate"]) == (401, CHALLENGE)
    assert anonymous.json == {
        "code": 401,
        "errno": 104,
        "error": "Unauthorized",
        "message": "Please authenticate yourself to use this endpoint.",
    }
    assert user.status == 403
    assert "WWW-Authenticate" not in user.headers
    assert user.json == {
        "code": 403,
        "errno": 121,
        "error": "Forbidden",
        "message": "This user cannot access this resource.",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "pair", [(B, "/buckets/x"), (C, f"{B}/collections/x"), (G, f"{B}/groups/x"), (R, f"{C}/records/x")]
)
async def test_a_refusal_is_the_same_whether_the_object_exists_or_not(pair: tuple[str, str], method: str) -> None:
    """P16, P24: also for a caller who may read the object next to it."""
    body = {"json": {"data": {}}} if method[0] == "P" else {}

    async with world() as (owner, other):
        await share(owner, f"{C}/records/s", "write", await principal_of(other))
        hidden, missing = [await other.request(method, uri, **body) for uri in pair]

    assert hidden == missing
    assert hidden.status == 403
    assert "ETag" not in hidden.headers


async def test_a_preflight_is_the_same_whether_the_object_exists_or_not(client: Client) -> None:
    """P20."""
    await create(client, *WORLD)
    asking = {"Origin": "https://a.b", "Access-Control-Request-Method": "PUT"}

    hidden, missing = [
        await client.anonymous().request("OPTIONS", uri, headers=asking) for uri in (R, f"{B}/collections/x/records/x")
    ]

    assert hidden == missing
    assert hidden.status == 200


@pytest.mark.parametrize(
    ("url", "errno", "details"),
    [
        pytest.param("/buckets/x", 110, {"id": "x", "resource_name": "bucket"}, id="bucket"),
        pytest.param(f"{B}/collections/x", 110, {"id": "x", "resource_name": "collection"}, id="collection"),
        pytest.param(f"{B}/groups/x", 110, {"id": "x", "resource_name": "group"}, id="group"),
        pytest.param(f"{C}/records/x", 110, {"id": "x", "resource_name": "record"}, id="record"),
        pytest.param(f"{B}/collections/x/records", 111, {"id": "x", "resource_name": "collection"}, id="records"),
        pytest.param(f"{B}/collections/x/records/r", 111, {"id": "x", "resource_name": "collection"}, id="in nowhere"),
    ],
)
async def test_a_404_names_what_is_missing(url: str, errno: int, details: Any) -> None:
    async with world(bucket_read=frozenset({"system.Authenticated"})) as (owner, _):
        answer = await owner.get(url)

    assert answer.status == 404
    assert answer.json == {"code": 404, "errno": errno, "error": "Not Found", "details": details}


@pytest.mark.parametrize("kind", ["collection", "group"])
async def test_what_settings_let_create_needs_its_parent(kind: str) -> None:
    everybody = {f"{kind}_create": frozenset({"system.Authenticated"})}
    async with serving(principals_by_permission=everybody) as client:
        answer = await client.put(f"/buckets/x/{kind}s/y")

    assert answer.status == 404
    assert answer.json["details"] == {"id": "x", "resource_name": "bucket"}


@pytest.mark.parametrize("kind", ["collection", "group"])
@pytest.mark.parametrize("action", ["read", "write", "create"])
async def test_a_missing_bucket_is_told_to_those_only_whom_settings_let_in_everywhere(kind: str, action: str) -> None:
    """P24: they would learn it by what they may do there; all others are refused, whether it exists or not."""
    async with world(**{f"{kind}_{action}": OTHER}) as (owner, other):
        for method in ("GET", "HEAD", "DELETE"):
            let_in, here = [await other.request(method, f"/buckets/{id}/{kind}s") for id in "xb"]
            refused = [await owner.as_user("eve").request(method, f"/buckets/{id}/{kind}s") for id in "xb"]

            assert (let_in.status, here.status) in (
                [(404, 200)] if (method, action) != ("DELETE", "read") else [(403, 403)]
            )
            assert refused[0] == refused[1]
            assert refused[0].status == 403
            if method != "HEAD" and let_in.status == 404:
                assert let_in.json["details"] == {"id": "x", "resource_name": "bucket"}


async def test_anybody_learns_that_a_collection_to_write_in_is_missing(client: Client) -> None:
    await create(client, B)

    answer = await client.anonymous().put(f"{B}/collections/x/records/r")

    assert (answer.status, answer.json["errno"]) == (404, 111)


async def test_a_bad_id_in_a_post_is_told_before_access_is_decided(client: Client) -> None:
    await create(client, *WORLD)

    answer = await client.anonymous().post(f"{C}/records", data={"id": "no id!"})

    assert (answer.status, answer.json["errno"]) == (400, 107)
    assert answer.json["details"] == [{"location": "path", "name": None, "description": "Invalid object id"}]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_a_bad_id_in_the_url_is_told_after_access_is_decided(client: Client, method: str) -> None:
    await create(client, *WORLD)
    body = {} if method in ("GET", "DELETE") else {"json": {"data": {"a": 1}}}

    owner, other = [
        await each.request(method, f"{C}/records/a%20b", **body) for each in (client, client.as_user("ann"))
    ]

    assert (owner.status, owner.json["message"]) == (400, "path: Invalid object id")
    assert other.status == 403


# Ids and what is near them


@pytest.mark.parametrize("id", [")", "%25", "_", "*", "%5C", "'", "%22", "b%25", "b_", "b*", "%2a", "é", "b%0A"])
async def test_odd_ids_match_nothing_else(client: Client, id: str) -> None:
    """P15."""
    await create(client, *WORLD)
    other = client.as_user("ann")
    await share(client, B, "read", await principal_of(other))

    for url in (f"/buckets/{id}", f"/buckets/{id}/collections", f"/buckets/{id}/collections/c/records"):
        assert (await other.get(url)).status == 403
        assert (await other.delete(url)).status in (403, 404)
    assert (await other.get(f"{B}/collections/{id}")).status in (400, 404)


@pytest.mark.parametrize(
    ("shared", "near"),
    [("b", "b_"), ("b_", "bx"), ("a-b", "a"), ("a", "a-b"), ("B", "b"), ("b", "bb")],
)
async def test_a_right_on_one_bucket_is_none_on_another_with_a_similar_name(
    client: Client, shared: str, near: str
) -> None:
    """P15."""
    other = client.as_user("ann")
    await create(client, f"/buckets/{shared}", permissions={"write": [await principal_of(other)]})
    await create(client, f"/buckets/{near}", f"/buckets/{near}/collections/c")

    assert ids(await other.get("/buckets")) == {shared}
    assert (await other.get(f"/buckets/{near}")).status == 403
    assert (await other.get(f"/buckets/{near}/collections")).status == 403
    assert (await other.delete(f"/buckets/{near}/collections/c")).status == 403


SPELLINGS = [
    pytest.param(R, id="plain"),
    pytest.param(f"{R}/", id="trailing slash"),
    pytest.param(R.replace("/records/", "//records/"), id="two slashes"),
    pytest.param(R.replace("/records/", "%2Frecords%2F"), id="encoded slashes"),
    pytest.param(R.replace("/buckets/", "/Buckets/"), id="upper case"),
    pytest.param(R.replace("/records/r", "/records/%72"), id="encoded letter"),
    pytest.param(R.replace("/records/r", "/records/../records/r"), id="dots"),
]


@pytest.mark.parametrize("url", SPELLINGS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("type", ["json", "merge-patch+json", "json-patch+json"])
async def test_no_spelling_of_a_request_gets_round_the_refusal(
    client: Client, url: str, method: str, type: str
) -> None:
    """P20."""
    await create(client, *WORLD)
    before = await contents(client)
    body = [] if type == "json-patch+json" else {"data": {"stolen": True}}
    sent = {"json": body, "headers": {"Content-Type": f"application/{type}"}} if method[0] == "P" else {}

    answer = await client.as_user("ann").request(method, url, **sent)

    assert answer.status in (307, 403, 404, 405, 415)
    assert await contents(client) == before


# What errors and tokens show


async def test_posting_an_id_that_is_hidden_shows_nothing_of_it(client: Client) -> None:
    """P1."""
    other = client.as_user("ann")
    await create(client, B)
    await create(client, C, permissions={"record:create": [await principal_of(other)]})
    await client.put(R, data={"secret": "canary"})

    for headers in ({}, {"If-None-Match": "*"}, {"If-Match": '"1"'}):
        answer = await other.post(f"{C}/records", data={"id": "r"}, headers=headers)

        assert answer.status == 403
        assert "canary" not in str(answer)


async def test_a_412_shows_the_object_to_its_readers_only_and_never_its_acl(client: Client) -> None:
    """P3."""
    other = client.as_user("ann")
    await create(client, B)
    await create(client, C, permissions={"record:create": [await principal_of(other)]})
    await client.put(R, data={"secret": "canary"})

    blind = await other.put(R, data={}, headers={"If-None-Match": "*"})
    seeing = await client.put(R, data={}, headers={"If-Match": '"1"'})

    assert (blind.status, seeing.status) == (412, 412)
    assert "details" not in blind.json
    assert "canary" not in str(blind)
    assert seeing.json["details"]["existing"]["secret"] == "canary"
    assert "permissions" not in str(seeing.json)


async def test_a_token_of_one_list_shows_no_row_of_it_on_another(client: Client) -> None:
    """P2."""
    other = client.as_user("ann")
    await create(client, B, C)
    await create(client, f"{B}/collections/d", permissions={"read": [await principal_of(other)]})
    for n in range(4):
        await client.put(f"{C}/records/secret{n}", data={"n": n})
        await client.put(f"{B}/collections/d/records/open{n}", data={"n": n})
    page = await client.get(f"{C}/records?_limit=1")
    token = page.headers["Next-Page"].partition("?")[2]

    answer = await other.get(f"{B}/collections/d/records?{token}")

    assert answer.status in (200, 400)
    assert "secret" not in str(answer.json)
    assert (await other.get(page.headers["Next-Page"])).status == 403


@pytest.mark.parametrize("token", ["x", "e30=", "W10=", "bnVsbA==", "a" * 5000, "%00", "eyJhIjogMX0="])
async def test_a_forged_token_is_a_400(client: Client, token: str) -> None:
    """P2."""
    await create(client, *WORLD)

    answer = await client.get(f"{C}/records?_limit=1&_token={token}")

    assert (answer.status, answer.json.get("errno")) == (400, 107)


async def test_who_may_only_create_never_overwrites_in_a_race(client: Client) -> None:
    """C22."""
    other = client.as_user("ann")
    await create(client, B)
    await create(client, C, permissions={"record:create": [await principal_of(other)]})

    for n in range(30):
        uri = f"{C}/records/r{n}"
        hers, owners = other.put(uri, data={"by": "ann"}), client.put(uri, data={"by": "owner"})
        answers = await asyncio.gather(*((hers, owners) if n % 2 else (owners, hers)))
        first, second = answers if n % 2 else answers[::-1]
        stored = (await client.get(uri)).data
        assert stored["by"] == "owner"
        assert sorted([first.status, second.status]) in ([200, 201], [201, 403])
        if first.status == 403:
            assert await principal_of(other) not in (await acl(client, uri))["write"]
