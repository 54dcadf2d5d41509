"""Who calls: Basic credentials, policies, and what is no user at all. Source: HTTP API, 4."""

import base64
from typing import Any

import pytest
from tests.api.sharing import CHALLENGE, B, create, principal_of, serving

from kobako.settings import Policy
from kobako.testing.client import Client

IDS = [
    pytest.param("mat:secret", "b992239a97c257bb42eb1286deb33bf6daf8eb65e91e2d99aa00d73d0e870b1c", id="ASCII"),
    pytest.param("mat:", "2a068e1dca9783d95541736972c3bb42026f62ec96146136f64e41aefb13f1ab", id="no password"),
    pytest.param("é:ü", "58a63cccd7078e20fcc011276a38700fe2fa1f03cfa2d23ffccb7c29f0dc1343", id="UTF-8"),
]


def basic(credentials: str | bytes, scheme: str = "Basic") -> dict[str, str]:
    """Return the header for credentials."""
    raw = credentials.encode() if isinstance(credentials, str) else credentials
    return {"Authorization": f"{scheme} {base64.b64encode(raw).decode()}"}


async def user(client: Client, headers: Any) -> str | None:
    """Return who a request with these headers is from, None for anybody."""
    answer = await client.anonymous().get("/", headers=headers)
    assert answer.status == 200
    found: str | None = answer.json.get("user", {}).get("id")
    return found


@pytest.mark.parametrize(("credentials", "digest"), IDS)
async def test_the_id_of_a_user_is_a_keyed_hash_of_the_credentials(
    client: Client, credentials: str, digest: str
) -> None:
    assert await user(client, basic(credentials)) == f"basicauth:{digest}"


@pytest.mark.parametrize(
    ("credentials", "same_as"),
    [
        pytest.param("é:ü".encode("latin-1"), "é:ü", id="Latin-1 is read where it is no UTF-8"),
        pytest.param(b"mat:a:b", "mat:a:b", id="a colon in the password"),
        pytest.param(b"mat:\xff", "mat:ÿ", id="a byte that is no UTF-8"),
        pytest.param(b"mat: x ", "mat: x ", id="spaces in the password"),
    ],
)
async def test_credentials_are_utf8_or_else_latin1(client: Client, credentials: bytes, same_as: str) -> None:
    found = await user(client, basic(credentials))

    assert found is not None
    assert found == await user(client, basic(same_as))


async def test_credentials_that_differ_are_other_users(client: Client) -> None:
    pairs = ["mat:secret", "mat:Secret", "Mat:secret", "mat:", "mat:secret:", "mats:ecret", "mat:secret\x00"]

    found = [await user(client, basic(each)) for each in pairs]

    assert len(set(found)) == len(pairs)
    assert None not in found


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
async def test_the_scheme_is_in_any_case_of_letters(client: Client, scheme: str) -> None:
    assert await user(client, basic("mat:secret", scheme)) == await principal_of(client)


ODD = [
    pytest.param("", id="empty"),
    pytest.param("Basic", id="no credentials"),
    pytest.param("Basic ", id="a space for credentials"),
    pytest.param("Basic !!!!", id="no base64"),
    pytest.param("Basic bWF0OnNlY3JldA", id="base64 without its end"),
    pytest.param("Basic bWF0OnNlY3JldA==, Basic bWF0OnNlY3JldA==", id="two of them"),
    pytest.param(basic("nocolon")["Authorization"], id="no colon"),
    pytest.param(basic(":secret")["Authorization"], id="no user"),
    pytest.param(basic(":")["Authorization"], id="only a colon"),
    pytest.param(basic("")["Authorization"], id="nothing encoded"),
    pytest.param("bWF0OnNlY3JldA==", id="no scheme"),
    pytest.param("Bearer bWF0OnNlY3JldA==", id="another scheme"),
    pytest.param("Basicx bWF0OnNlY3JldA==", id="nearly the scheme"),
    pytest.param("Basic é", id="not ASCII"),
    pytest.param("Basic \ud800", id="a surrogate"),
    pytest.param("Basic " + "A" * 100_000, id="very long"),
    pytest.param("Basic bWF0\x00OnNlY3JldA==", id="NUL"),
]


@pytest.mark.parametrize("header", ODD)
async def test_who_is_not_recognized_is_anybody(client: Client, header: str) -> None:
    await create(client, B)
    await create(client, "/buckets/open", permissions={"read": ["system.Everyone"]})
    anonymous, headers = client.anonymous(), {"Authorization": header}

    protected, open_to_all = (
        await anonymous.get(B, headers=headers),
        await anonymous.get("/buckets/open", headers=headers),
    )

    assert await user(client, headers) is None
    assert (protected.status, protected.json["errno"]) == (401, 104)
    assert protected.headers["WWW-Authenticate"] == CHALLENGE
    assert open_to_all.status == 200


async def test_any_pair_is_a_user(client: Client) -> None:
    for credentials in ("x:y", "a" * 5000 + ":b", "system.Everyone:", "admin\n:x", "/buckets/b/groups/g:"):
        found = await user(client, basic(credentials))

        assert found is not None
        assert len(found) == len("basicauth:") + 64


async def test_hello_names_a_user_with_all_principals(client: Client) -> None:
    named = (await client.get("/")).json["user"]

    assert named == {
        "id": await principal_of(client),
        "principals": [await principal_of(client), "system.Authenticated", "system.Everyone"],
    }
    assert "user" not in (await client.anonymous().get("/")).json


async def test_another_secret_makes_other_users(client: Client) -> None:
    async with serving(userid_hmac_secret="abcd") as other:
        assert await principal_of(other) != await principal_of(client)


async def test_a_secret_of_digits_is_a_text() -> None:
    async with serving(userid_hmac_secret="12345") as client:
        assert (await principal_of(client)).startswith("basicauth:")


# Policies


async def test_the_name_of_a_policy_in_small_letters_prefixes_its_users() -> None:
    async with serving(policies=(Policy("MyAuth", "basicauth"),)) as client:
        assert (await principal_of(client)).startswith("myauth:")


async def test_the_first_policy_that_recognizes_a_request_counts() -> None:
    policies = (Policy("first", "basicauth"), Policy("second", "basicauth", {"realm": "Other"}))

    async with serving(policies=policies) as client:
        assert (await principal_of(client)).startswith("first:")


async def test_without_policies_nobody_is_recognized() -> None:
    async with serving(policies=()) as client:
        assert await user(client, basic("mat:secret")) is None
        refused = await client.get("/buckets")
        assert refused.status == 401
        assert "WWW-Authenticate" not in refused.headers
        assert "basicauth" not in (await client.get("/")).json["capabilities"]


async def test_basicauth_is_a_capability(client: Client) -> None:
    capability = (await client.get("/")).json["capabilities"]["basicauth"]

    assert capability == {
        "description": "Very basic authentication sessions. Not for production use.",
        "url": "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_wrong_credentials_are_no_error_of_their_own(client: Client, method: str) -> None:
    await create(client, B, permissions={"write": ["system.Everyone"]})
    body = {"json": {"data": {}}} if method[0] == "P" else {}

    answer = await client.anonymous().request(method, B, headers={"Authorization": "Basic !"}, **body)

    assert answer.status == 200
