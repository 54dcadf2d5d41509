"""OpenID Connect: what tokens prove, what is remembered of them, and when the provider fails.

Source: objects, 15.3; reliability, P22.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.conftest import SETTINGS
from tests.plugins.openid import Clock, policy, serving, user_of
from tests.servers.openid import AUDIENCE, CLIENT, OpenIDProvider, public_pem

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Policy, SettingsError, read_settings

# States, tokens and keys are kept in the cache.
pytestmark = pytest.mark.usefixtures("cache_of_the_backend")


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        yield provider


# The user id


@pytest.mark.parametrize(
    ("field", "profile", "user"),
    [
        pytest.param("email", {}, "auth0:alice@example.com", id="e-mail"),
        pytest.param("email", {"email_verified": False}, None, id="e-mail of anybody's claim"),
        pytest.param("email", {"email_verified": "false"}, None, id="the same as a text"),
        pytest.param("email", {"email_verified": "true"}, "auth0:alice@example.com", id="verified as a text"),
        pytest.param("email", {"email_verified": None}, None, id="nobody knows"),
        pytest.param("uid", {"uid": 1234}, "auth0:1234", id="number"),
        pytest.param("uid", {"uid": True}, None, id="truth"),
        pytest.param("uid", {"uid": ["alice"]}, None, id="list"),
        pytest.param("uid", {"uid": ""}, None, id="empty"),
        pytest.param("uid", {}, None, id="missing"),
    ],
)
async def test_p22_the_user_is_what_the_settings_say_of_the_profile(
    provider: OpenIDProvider, field: str, profile: dict[str, Any], user: str | None
) -> None:
    token = provider.grant(**profile)

    async with serving(policy(provider, userid_field=field)) as client:
        assert await user_of(client, token) == user


# What is remembered


async def test_p22_what_is_known_of_a_token_is_remembered_for_that_token(provider: OpenIDProvider) -> None:
    alice, bob = provider.grant("begins-alike.1"), provider.grant("begins-alike.2", sub="bob")

    async with serving(policy(provider)) as client:
        users = [await user_of(client, each) for each in (alice, bob, alice, bob, alice)]

    assert users == ["auth0:alice", "auth0:bob", "auth0:alice", "auth0:bob", "auth0:alice"]
    assert provider.asked.count("/userinfo") == 2


async def test_it_is_remembered_from_the_last_use_on(provider: OpenIDProvider) -> None:
    token, clock = provider.grant(), Clock()

    async with serving(policy(provider, verification_ttl_seconds="100"), clock=clock) as client:
        for _ in range(4):
            assert await user_of(client, token) == "auth0:alice"
            clock.pass_s(60)
        asked_meanwhile = provider.asked.count("/userinfo")
        provider.tokens.clear()
        clock.pass_s(41)

        assert await user_of(client, token) is None
    assert asked_meanwhile == 1


async def test_the_cache_holds_a_keyed_hash_of_the_token(provider: OpenIDProvider) -> None:
    token = provider.grant()
    scope = f"{provider.issuer}:kobako::sub:{token}".encode()
    key = "openid:verify:" + hmac.new(SETTINGS.userid_hmac_secret.encode(), scope, hashlib.sha256).hexdigest()

    async with serving(policy(provider)) as client:
        await user_of(client, token)
        kept = await client.app.site.backends.cache.get(key)

    assert kept["user"] == "alice"
    assert token not in str(kept)


async def test_a_token_that_has_expired_is_not_remembered_any_longer(provider: OpenIDProvider) -> None:
    token, clock = provider.grant_jwt(exp=int(time.time()) + 30), Clock()

    async with serving(policy(provider, audience=AUDIENCE), clock=clock) as client:
        assert await user_of(client, token) == "auth0:alice"
        clock.pass_s(20)
        assert await user_of(client, token) == "auth0:alice"
        clock.pass_s(11)
        provider.tokens.clear()

        assert await user_of(client, token) is None


async def test_the_parts_of_a_batch_ask_once(provider: OpenIDProvider) -> None:
    headers = {"Authorization": f"Bearer {provider.grant()}"}
    wrong = {"Authorization": "Bearer wrong"}
    parts = [{"method": "GET", "path": "/"}] * 20

    async with serving(policy(provider)) as client:
        answers = [
            (await client.request("POST", "/batch", json={"requests": parts}, headers=each)).json["responses"]
            for each in (headers, wrong)
        ]

    assert [each["body"].get("user", {}).get("id") for each in answers[0]] == ["auth0:alice"] * 20
    assert [each["body"].get("user") for each in answers[1]] == [None] * 20
    assert provider.asked.count("/userinfo") == 2


# Failures of the provider


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500, 503])
async def test_whoever_the_provider_does_not_answer_for_is_nobody(provider: OpenIDProvider, status: int) -> None:
    token, clock = provider.grant(), Clock()
    provider.fails["/userinfo"] = status

    async with serving(policy(provider), clock=clock) as client:
        refused = await client.get("/buckets", headers={"Authorization": f"Bearer {token}"})
        assert await user_of(client, token) is None
        provider.fails.clear()
        clock.pass_s(1)

        assert (refused.status, refused.json["errno"]) == (401, 104)
        assert await user_of(client, token) == "auth0:alice"


@pytest.mark.parametrize("said", [b"<html>", b"[]", b'"alice"', b'{"sub": "x' + b"x" * 1_000_000 + b'"}'])
async def test_a_profile_that_is_none_is_nobodys(provider: OpenIDProvider, said: bytes) -> None:
    provider.says["/userinfo"] = said

    async with serving(policy(provider)) as client:
        assert await user_of(client, "token") is None


async def test_a_provider_that_is_gone_leaves_those_it_vouched_for(provider: OpenIDProvider) -> None:
    known, unknown = provider.grant(), provider.grant()

    async with serving(policy(provider)) as client:
        assert await user_of(client, known) == "auth0:alice"
        provider.shutdown()
        provider.server_close()

        assert await user_of(client, known) == "auth0:alice"
        assert await user_of(client, unknown) is None


async def test_a_provider_that_hangs_makes_nobody_wait_in_a_queue(provider: OpenIDProvider, tmp_path: Path) -> None:
    cache = {"cache_backend": "sqlite", "cache_url": f"sqlite:///{tmp_path}/cache.db"}
    async with serving(policy(provider), **cache):
        pass
    async with serving(policy(provider, audience=AUDIENCE, timeout_seconds="0.3"), **cache) as client:
        tokens = [provider.grant_jwt(jti=str(each)) for each in range(60)]
        provider.goes_on.clear()
        # One after the other they would take 18 seconds; the test ends long after the first have.
        async with asyncio.timeout(15):
            found = await asyncio.gather(*(user_of(client, each) for each in tokens))
        mine = await client.as_user("mat").get("/buckets")

    assert found == [None] * 60
    assert mine.status == 200


# JWTs


@pytest.mark.parametrize(
    ("claims", "how"),
    [
        pytest.param({"exp": 1_700_000_000}, {}, id="expired"),
        pytest.param({"exp": None}, {}, id="no end"),
        pytest.param({"nbf": 4_000_000_000}, {}, id="not yet"),
        pytest.param({"iat": 4_000_000_000}, {}, id="of the future"),
        pytest.param({"aud": "https://another.example/"}, {}, id="of another audience"),
        pytest.param({"aud": ["https://another.example/"]}, {}, id="of other audiences"),
        pytest.param({"aud": None}, {}, id="of no audience"),
        pytest.param({"aud": "kobako"}, {}, id="of an ID token"),
        pytest.param({"iss": "https://evil.example/"}, {}, id="of another issuer"),
        pytest.param({"iss": None}, {}, id="of no issuer"),
        pytest.param({}, {"key": "evil"}, id="of another key"),
        pytest.param({}, {"key": "evil", "kid": "first"}, id="of another key, under the id of ours"),
    ],
)
async def test_a_token_with_an_audience_has_to_say_the_right_thing(
    provider: OpenIDProvider, claims: dict[str, Any], how: dict[str, str]
) -> None:
    token = provider.grant(provider.sign(provider.claims(**claims), **how))

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, token) is None
        assert await user_of(client, provider.grant_jwt()) == "auth0:alice"
    # What is wrong is not even shown to the provider.
    assert provider.asked.count("/userinfo") == 1


def signed_by_nobody(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, "none")


def signed_with_what_all_know(claims: dict[str, Any]) -> str:
    """The public key taken for a secret, as PyJWT itself would not."""
    head, _, _ = jwt.encode(claims, "x" * 32, "HS256", headers={"kid": "first"}).rpartition(".")
    mac = hmac.new(public_pem("first"), head.encode(), hashlib.sha256).digest()
    return f"{head}.{jwt.utils.base64url_encode(mac).decode()}"


def signed_with_the_secret_of_the_client(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, CLIENT["client_secret"], "HS256")


def without_signature(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "x" * 32, "HS256").rpartition(".")[0] + "."


@pytest.mark.parametrize(
    "forge",
    [
        signed_by_nobody,
        signed_with_what_all_know,
        signed_with_the_secret_of_the_client,
        without_signature,
        lambda claims: "a.b.c",
        lambda claims: "opaque",
    ],
)
async def test_a_token_that_is_not_signed_by_a_private_key_is_refused(provider: OpenIDProvider, forge: Any) -> None:
    token = provider.grant(forge(provider.claims()))

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, token) is None
    assert "/userinfo" not in provider.asked


async def test_a_forged_token_is_refused_where_the_secret_is_a_key_of_the_set(provider: OpenIDProvider) -> None:
    provider.says["/jwks"] = {
        "keys": [{"kty": "oct", "kid": "first", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}]
    }
    token = provider.grant(jwt.encode(provider.claims(), "x" * 32, "HS256", headers={"kid": "first"}))

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, token) is None


async def test_one_of_several_audiences_may_be_ours(provider: OpenIDProvider) -> None:
    token = provider.grant_jwt(aud=["https://another.example/", AUDIENCE])

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, token) == "auth0:alice"


async def test_a_token_that_the_provider_has_withdrawn_is_refused(provider: OpenIDProvider) -> None:
    token = provider.sign(provider.claims())

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, token) is None
    assert "/userinfo" in provider.asked


# Keys


async def test_a_new_key_is_looked_for_when_a_token_names_it(provider: OpenIDProvider) -> None:
    old = provider.grant_jwt()

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, old) == "auth0:alice"
        provider.rotate("second")
        new = [provider.grant_jwt(jti=str(each)) for each in range(5)]
        found = await asyncio.gather(*(user_of(client, each) for each in new))

        assert found == ["auth0:alice"] * 5
        assert await user_of(client, provider.grant(provider.sign(provider.claims(jti="x"), key="first"))) is None
    assert provider.asked.count("/jwks") == 2


async def test_unknown_keys_are_not_looked_for_all_the_time(provider: OpenIDProvider) -> None:
    clock = Clock()

    async with serving(policy(provider, audience=AUDIENCE), clock=clock) as client:
        for each in range(10):
            token = provider.sign(provider.claims(jti=str(each)), key="evil", kid=f"evil{each}")
            assert await user_of(client, token) is None
        asked_at_once = provider.asked.count("/jwks")
        clock.pass_s(2)
        assert await user_of(client, provider.sign(provider.claims(), key="evil", kid="last")) is None

    assert (asked_at_once, provider.asked.count("/jwks")) == (2, 3)


async def test_a_key_that_was_withdrawn_does_not_count_for_long(provider: OpenIDProvider) -> None:
    clock = Clock()

    async with serving(policy(provider, audience=AUDIENCE), clock=clock) as client:
        assert await user_of(client, provider.grant_jwt()) == "auth0:alice"
        stolen = provider.grant(provider.sign(provider.claims(jti="x", exp=int(time.time()) + 9000)))
        provider.rotate("second")
        clock.pass_s(3601)

        assert await user_of(client, stolen) is None


@pytest.mark.parametrize("said", [{"keys": {}}, {}, b"<html>", {"keys": [1, {"kty": "RSA"}, {"kid": "first"}]}])
async def test_keys_that_are_none_make_nobody_known(provider: OpenIDProvider, said: Any) -> None:
    token = provider.grant_jwt()
    provider.says["/jwks"] = said

    async with serving(policy(provider, audience=AUDIENCE)) as client:
        assert await user_of(client, token) is None


# The start


async def start(*policies: Policy) -> None:
    async with serving(*policies):
        pass


async def test_the_server_does_not_start_without_its_provider(provider: OpenIDProvider) -> None:
    provider.fails["/.well-known/openid-configuration"] = 500
    name, url = "multiauth.policy.auth0.issuer", f"{provider.issuer}/.well-known/openid-configuration"

    with pytest.raises(SettingsError) as refused:
        await start(policy(provider))

    problem = f"what it says of itself cannot be read: {url} answered with status 500."
    assert str(refused.value) == f"Setting '{name}' is '{provider.issuer}': {problem}"


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ({"issuer": "https://evil.example"}, "it says that it is 'https://evil.example'"),
        ({"userinfo_endpoint": "userinfo"}, "its userinfo_endpoint is 'userinfo', which is no URL"),
        ({"token_endpoint": None}, "what it says of itself is incomplete: Expected `str`, got `null`"),
    ],
)
async def test_nor_with_one_that_is_none(provider: OpenIDProvider, others: dict[str, Any], problem: str) -> None:
    provider.says["/.well-known/openid-configuration"] = provider.configuration(**others)

    with pytest.raises(SettingsError, match=problem):
        await start(policy(provider))


async def test_a_server_starts_again_while_its_provider_is_down(
    provider: OpenIDProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = {"cache_backend": "sqlite", "cache_url": f"sqlite:///{tmp_path}/cache.db"}
    token = provider.grant()
    async with serving(policy(provider), **cache):
        pass
    provider.fails["/.well-known/openid-configuration"] = 503

    async with serving(policy(provider), **cache) as client:
        assert await user_of(client, token) == "auth0:alice"
    assert "Provider 'auth0' cannot be read, and is taken to be as it was" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"issuer": ""}, r"'multiauth\.policy\.auth0\.issuer' is empty"),
        ({"client_id": ""}, r"'multiauth\.policy\.auth0\.client_id' is empty"),
        ({"userid_field": ""}, r"'multiauth\.policy\.auth0\.userid_field' is empty"),
        ({"issuer": "idp.example"}, r"issuer' is 'idp\.example': must be a URL"),
        ({"issuer": "ftp://idp.example"}, r"issuer' is 'ftp://idp\.example': must be a URL"),
        ({"header_type": 'Bearer "'}, r"header_type' is 'Bearer \"'"),
        ({"state_length": "8"}, r"state_length' is '8': Expected `int` >= 16"),
        ({"state_ttl_seconds": "soon"}, r"state_ttl_seconds' is 'soon': must be a whole number"),
        ({"isuer": "x"}, r"Unknown setting 'multiauth\.policy\.auth0\.isuer': there is multiauth\.policy\.auth0\."),
    ],
)
async def test_a_setting_that_makes_no_sense_stops_the_start(
    provider: OpenIDProvider, options: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        await start(policy(provider, **options))


async def test_issuer_and_client_have_to_be_said() -> None:
    with pytest.raises(SettingsError, match=r"^Setting 'multiauth\.policy\.auth0\.issuer' is missing\.$"):
        await start(Policy("auth0", "openid", {"client_id": "kobako"}))


async def test_the_names_of_kinto_mean_the_same(provider: OpenIDProvider, tmp_path: Path) -> None:
    ini = tmp_path / "kinto.ini"
    ini.write_text(f"""[app:main]
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = abc
kinto.includes = kinto.plugins.openid
multiauth.policies = auth0
multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy
multiauth.policy.auth0.issuer = {provider.issuer}/
multiauth.policy.auth0.client_id = kobako
multiauth.policy.auth0.client_secret = {CLIENT["client_secret"]}
""")
    settings = read_settings(ini, {})
    assert not settings.warnings

    from kobako.testing.client import Client

    async with Client(App(settings, RESOURCES), user=None) as client:
        assert await user_of(client, provider.grant()) == "auth0:alice"
