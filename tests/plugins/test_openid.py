"""OpenID Connect, on every backend: users, and what they are told. Source: objects, 15.3 and 28; HTTP API, 2.4."""

from collections.abc import Iterator

import pytest
from tests.plugins.openid import hello, log_in, policy, serving, user_of
from tests.servers.openid import AUDIENCE, OpenIDProvider


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        yield provider


async def test_a_token_is_whose_the_provider_says(provider: OpenIDProvider) -> None:
    token = provider.grant()

    async with serving(policy(provider, "Auth0")) as client:
        found = await hello(client, token)

        assert found["id"] == "auth0:alice"
        assert found["principals"][0] == "auth0:alice"
        assert "system.Authenticated" in found["principals"]
        assert await user_of(client, "another") is None


async def test_the_profile_is_shown_to_its_user(provider: OpenIDProvider) -> None:
    token = provider.grant(name="Alice", address={"country": "JP"})

    async with serving(policy(provider)) as client:
        found = await hello(client, token)
        by_password = (await client.as_user("mat").get("/")).json["user"]

    assert found["profile"] == {**provider.profile, "name": "Alice", "address": {"country": "JP"}}
    assert "profile" not in by_password


async def test_a_browser_logs_in_and_its_user_writes(provider: OpenIDProvider) -> None:
    async with serving(policy(provider)) as client:
        answer = await log_in(client)
        mine = {"Authorization": f"{answer['token_type']} {answer['access_token']}"}

        assert (await client.put("/buckets/b", data={}, headers=mine)).status == 201


async def test_a_user_owns_what_they_make(provider: OpenIDProvider) -> None:
    mine, others = ({"Authorization": f"Bearer {provider.grant(sub=each)}"} for each in ("alice", "bob"))

    async with serving(policy(provider)) as client:
        made = await client.put("/buckets/b", data={}, headers=mine)

        assert made.json["permissions"] == {"write": ["auth0:alice"]}
        assert (await client.get("/buckets/b", headers=others)).status == 403
        assert (await client.get("/buckets/b", headers=mine)).status == 200


async def test_a_401_says_how_to_come_in(provider: OpenIDProvider) -> None:
    async with serving(policy(provider, header_type="token+JWT", realm="Shop")) as client:
        refused = await client.get("/buckets", headers={"Authorization": "token+JWT wrong"})

    assert (refused.status, refused.json["errno"]) == (401, 104)
    assert refused.headers["WWW-Authenticate"] == 'token+JWT realm="Shop"\nBasic realm="Realm"'


async def test_the_scheme_is_that_of_the_settings_in_any_case(provider: OpenIDProvider) -> None:
    token = provider.grant()

    async with serving(policy(provider, header_type="Google")) as client:
        found = [await user_of(client, token, scheme) for scheme in ("google", "GOOGLE", "Bearer")]

    assert found == ["auth0:alice", "auth0:alice", None]


async def test_hello_tells_of_the_providers(provider: OpenIDProvider) -> None:
    with OpenIDProvider() as another:
        async with serving(
            policy(provider), policy(another, "Google", audience=AUDIENCE, header_type="Google")
        ) as client:
            shown = (await client.get("/")).json["capabilities"]["openid"]

    assert shown["description"] == "OpenID connect support."
    assert shown["providers"] == [
        {
            "name": "auth0",
            "issuer": provider.issuer,
            "auth_path": "/openid/auth0/login",
            "client_id": "kobako",
            "audience": "",
            "header_type": "Bearer",
            "userinfo_endpoint": f"{provider.issuer}/userinfo",
        },
        {
            "name": "Google",
            "issuer": another.issuer,
            "auth_path": "/openid/Google/login",
            "client_id": "kobako",
            "audience": AUDIENCE,
            "header_type": "Google",
            "userinfo_endpoint": f"{another.issuer}/userinfo",
        },
    ]


async def test_the_login_is_described(provider: OpenIDProvider) -> None:
    async with serving(policy(provider)) as client:
        paths = (await client.get("/__api__")).json["paths"]

    described = {each: paths[f"/openid/{{provider}}/{each}"]["get"] for each in ("login", "token")}
    assert described["login"]["summary"] == "Send the browser to the provider"
    for each in described.values():
        assert each["security"] == []
        assert {"307", "400", "503"} <= each["responses"].keys()
        assert "200" not in each["responses"]


async def test_without_a_provider_there_is_no_capability() -> None:
    async with serving() as client:
        assert "openid" not in (await client.get("/")).json["capabilities"]


async def test_each_of_several_providers_has_its_users(provider: OpenIDProvider) -> None:
    with OpenIDProvider() as another:
        one, other = provider.grant(), another.grant()
        async with serving(policy(provider), policy(another, "google", header_type="Google")) as client:
            assert await user_of(client, one) == "auth0:alice"
            assert await user_of(client, other, "Google") == "google:alice"
            assert await user_of(client, other) is None
            assert (await hello(client, other, "Google"))["profile"]["sub"] == "alice"
