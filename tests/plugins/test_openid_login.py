"""The login by OpenID Connect, as a browser goes through it. Source: objects, 15.3, login flow; 29.4."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from tests.plugins.openid import CALLBACK, Clock, begin, brought, log_in, parameters, policy, serving, user_of, visit
from tests.servers.openid import AUDIENCE, OpenIDProvider

# States, tokens and keys are kept in the cache.
pytestmark = pytest.mark.usefixtures("cache_of_the_backend")


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        yield provider


async def test_a_browser_logs_in_and_goes_on_with_a_token(provider: OpenIDProvider) -> None:
    async with serving(policy(provider)) as client:
        answer = await log_in(client)

        assert answer["token_type"] == "Bearer"
        assert await user_of(client, answer["access_token"], answer["token_type"]) == "auth0:alice"


async def test_the_provider_is_asked_for_a_code(provider: OpenIDProvider) -> None:
    async with serving(policy(provider)) as client:
        sent = await begin(client, scope="openid email")

    url, asked = sent.headers["Location"], parameters(sent.headers["Location"])
    assert sent.status == 307
    assert url.startswith(f"{provider.issuer}/authorize?")
    assert len(asked.pop("state")) == 64
    assert {name: asked[name] for name in ("client_id", "response_type", "scope", "redirect_uri")} == {
        "client_id": "kobako",
        "response_type": "code",
        "scope": "openid email",
        "redirect_uri": "http://localhost/v1/openid/auth0/token",
    }
    assert "prompt" not in asked
    assert "audience" not in asked


async def test_prompt_and_audience_are_handed_on(provider: OpenIDProvider) -> None:
    async with serving(policy(provider, audience=AUDIENCE, state_length="20")) as client:
        asked = parameters((await begin(client, prompt="none")).headers["Location"])
        answer = await log_in(client)

        assert (asked["prompt"], asked["audience"], len(asked["state"])) == ("none", AUDIENCE, 40)
        assert await user_of(client, answer["access_token"]) == "auth0:alice"


async def test_parameters_are_added_to_those_the_provider_has_itself(provider: OpenIDProvider) -> None:
    provider.says["/.well-known/openid-configuration"] = provider.configuration(
        authorization_endpoint=f"{provider.issuer}/authorize?tenant=1"
    )

    async with serving(policy(provider)) as client:
        asked = parameters((await begin(client)).headers["Location"])

    assert (asked["tenant"], asked["client_id"]) == ("1", "kobako")


async def test_a_code_is_not_bound_where_the_provider_does_not_know_how(provider: OpenIDProvider) -> None:
    provider.says["/.well-known/openid-configuration"] = provider.configuration(code_challenge_methods_supported=[])

    async with serving(policy(provider)) as client:
        asked = parameters((await begin(client)).headers["Location"])

    assert "code_challenge" not in asked


@pytest.mark.parametrize("callback", ["http://localhost:8765/auth/?payload=", "myapp://login#token="])
async def test_what_the_provider_answers_is_appended_to_the_callback(provider: OpenIDProvider, callback: str) -> None:
    async with serving(policy(provider)) as client:
        assert (await log_in(client, callback=callback))["expires_in"] == 600


async def test_the_answer_of_the_provider_is_forwarded_whatever_its_status(provider: OpenIDProvider) -> None:
    provider.fails["/token"] = 400

    async with serving(policy(provider)) as client:
        assert await log_in(client) == {"error": "server_error"}


async def test_no_character_of_the_answer_ends_the_callback_early(provider: OpenIDProvider) -> None:
    provider.says["/token"] = {"access_token": "\xbf\xff\xfe?>~" * 5}

    async with serving(policy(provider)) as client:
        back = visit((await begin(client)).headers["Location"])
        location = (await client.get(back)).headers["Location"]

    payload = location.removeprefix(CALLBACK)
    assert not set("/+=#?") & set(payload)
    assert json.loads(base64.b64decode(payload.replace("%2F", "/").replace("%2B", "+").replace("%3D", "=")))


@pytest.mark.parametrize(
    ("path", "details"),
    [
        ("login?scope=openid", [("querystring", "callback", "Required")]),
        ("login?callback=&scope=openid", [("querystring", "callback", "Required")]),
        (f"login?callback={quote(CALLBACK)}", [("querystring", "scope", "Required")]),
        ("login?scope=openid&callback=nowhere", [("querystring", "callback", "Must be a URL")]),
        ("login?scope=openid&callback=javascript:alert(1)", [("querystring", "callback", "Must be a URL")]),
        ("login?scope=openid&callback=javascript://a/%250aalert(1)", [("querystring", "callback", "Must be a URL")]),
        ("login?scope=openid&callback=https://a%0d%0aSet-Cookie:b", [("querystring", "callback", "Must be a URL")]),
        (
            f"login?scope=openid&callback={quote(CALLBACK)}&prompt=login",
            [("querystring", "prompt", '"login" is not one of none')],
        ),
        (
            "login",
            [("querystring", "callback", "Required"), ("querystring", "scope", "Required")],
        ),
        ("token?state=abc", [("querystring", "code", "Required")]),
        ("token?code=abc", [("querystring", "state", "Required")]),
        (
            "token?error=access_denied&state=abc",
            [("querystring", "code", "Required"), ("querystring", "error", "The provider answered: access_denied")],
        ),
    ],
)
async def test_what_is_missing_or_wrong_is_said(
    provider: OpenIDProvider, path: str, details: list[tuple[str, str, str]]
) -> None:
    async with serving(policy(provider)) as client:
        refused = await client.get(f"/openid/auth0/{path}")

    assert (refused.status, refused.json["errno"], refused.json["error"]) == (400, 107, "Invalid parameters")
    assert [(each["location"], each["name"], each["description"]) for each in refused.json["details"]] == details


@pytest.mark.parametrize("endpoint", [f"login?scope=openid&callback={quote(CALLBACK)}", "token?code=a&state=b"])
async def test_an_unknown_provider_is_named(provider: OpenIDProvider, endpoint: str) -> None:
    async with serving(policy(provider)) as client, serving() as without:
        refused = [await each.get(f"/openid/x/{endpoint}") for each in (client, without)]

    for each in refused:
        assert (each.status, each.json["errno"]) == (400, 107)
        assert each.json["details"] == [{"location": "path", "name": "provider", "description": "Unknown provider 'x'"}]


async def test_users_by_their_addresses_need_the_scope_for_it(provider: OpenIDProvider) -> None:
    async with serving(policy(provider, userid_field="email")) as client:
        refused = await begin(client, scope="openid emails")
        answer = await log_in(client)

        assert refused.status == 400
        assert refused.json["message"] == "Provider auth0 requires 'email' scope"
        assert [(each["name"]) for each in refused.json["details"]] == ["scope"]
        assert await user_of(client, answer["access_token"]) == "auth0:alice@example.com"


# States


async def assert_bad_state(client: object, path: str) -> None:
    refused = await client.get(path)  # type: ignore[attr-defined]
    assert (refused.status, refused.json["errno"], refused.json["message"]) == (400, 107, "Invalid state")
    assert refused.json["details"] == [
        {"location": "querystring", "name": "state", "description": "Invalid state", "errno": 105}
    ]


@pytest.mark.parametrize("state", ["0" * 64, "../..", "%00", "A" * 64, "é"])
async def test_a_state_that_nobody_was_given_is_refused(provider: OpenIDProvider, state: str) -> None:
    async with serving(policy(provider)) as client:
        await assert_bad_state(client, f"/openid/auth0/token?code=abc&state={quote(state)}")

    assert "/token" not in provider.asked


async def test_a_state_serves_once(provider: OpenIDProvider) -> None:
    async with serving(policy(provider)) as client:
        back = visit((await begin(client)).headers["Location"])
        first = await client.get(back)

        assert first.status == 307
        await assert_bad_state(client, back)
    assert provider.asked.count("/token") == 1


async def test_of_two_workers_one_takes_a_state(provider: OpenIDProvider, tmp_path: Path) -> None:
    cache = {"cache_backend": "sqlite", "cache_url": f"sqlite:///{tmp_path}/cache.db"}
    async with serving(policy(provider), **cache) as one, serving(policy(provider), **cache) as other:
        for _ in range(5):
            back = visit((await begin(one)).headers["Location"])
            answers = await asyncio.gather(*(each.get(back) for each in (one, other, one, other)))

            assert sorted(each.status for each in answers) == [307, 400, 400, 400]
    assert provider.asked.count("/token") == 5


async def test_a_state_ends_with_its_time(provider: OpenIDProvider) -> None:
    clock = Clock()
    async with serving(policy(provider, state_ttl_seconds="60"), clock=clock) as client:
        in_time, late = [visit((await begin(client)).headers["Location"]) for _ in range(2)]
        clock.pass_s(59)
        assert (await client.get(in_time)).status == 307
        clock.pass_s(2)

        await assert_bad_state(client, late)


async def test_a_state_is_of_the_provider_it_was_made_for(provider: OpenIDProvider) -> None:
    with OpenIDProvider() as another:
        async with serving(policy(provider), policy(another, "google")) as client:
            back = visit((await begin(client, "auth0")).headers["Location"])

            await assert_bad_state(client, back.replace("/auth0/", "/google/"))
            assert (await log_in(client, "google"))["token_type"] == "Bearer"


# ID tokens


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"nonce": "of another login"}, id="nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"aud": "another client"}, id="audience"),
        pytest.param({"iss": "https://evil.example"}, id="issuer"),
        pytest.param({"exp": 1_700_000_000}, id="expired"),
    ],
)
async def test_an_id_token_that_is_not_of_this_login_ends_it(
    provider: OpenIDProvider, claims: dict[str, object]
) -> None:
    provider.id_claims = claims

    async with serving(policy(provider)) as client:
        back = visit((await begin(client)).headers["Location"])
        refused = await client.get(back)

    assert (refused.status, refused.json["details"][0]["name"], refused.json["details"][0]["errno"]) == (
        400,
        "code",
        105,
    )
    assert "Location" not in refused.headers


async def test_id_tokens_that_cannot_be_verified_are_the_clients_business(provider: OpenIDProvider) -> None:
    provider.says["/.well-known/openid-configuration"] = provider.configuration(
        id_token_signing_alg_values_supported=["HS256"]
    )
    provider.id_claims = {"nonce": None}

    async with serving(policy(provider)) as client:
        assert "id_token" in await log_in(client)


# Failures


@pytest.mark.parametrize("what", [b"<html>", b"[]", b"x" * 1_000_001], ids=["no JSON", "no object", "large"])
async def test_an_answer_that_is_none_is_a_503(provider: OpenIDProvider, what: bytes) -> None:
    provider.says["/token"] = what

    async with serving(policy(provider)) as client:
        back = visit((await begin(client)).headers["Location"])
        refused = await client.get(back)

    assert (refused.status, refused.json["errno"]) == (503, 201)
    assert refused.json["message"] == "Provider auth0 cannot be asked for a token."


async def test_a_provider_that_hangs_is_waited_for_so_long(provider: OpenIDProvider, tmp_path: Path) -> None:
    cache = {"cache_backend": "sqlite", "cache_url": f"sqlite:///{tmp_path}/cache.db"}
    async with serving(policy(provider), **cache):
        pass
    # What the provider is like is known by now, should it take longer than that to say.
    async with serving(policy(provider, timeout_seconds="0.2"), **cache) as client:
        back = visit((await begin(client)).headers["Location"])
        provider.goes_on.clear()

        assert (await client.get(back)).status == 503


# Callbacks


@pytest.mark.parametrize(
    ("callback", "status"),
    [
        (CALLBACK, 307),
        ("https://ADMIN.example/x", 307),
        ("https://a.apps.example:8443/#t=", 307),
        ("http://localhost:1234/auth/", 307),
        ("https://evil.example/#https://admin.example/", 400),
        ("https://admin.example.evil.example/", 400),
        ("https://admin.example@evil.example/", 400),
        ("https://evil.example\\.apps.example:8443/", 400),
        ("http://admin.example/", 400),
    ],
)
async def test_callbacks_may_be_restricted(provider: OpenIDProvider, callback: str, status: int) -> None:
    allowed = "https://admin.example https://*.apps.example:8443 http://localhost:*"

    async with serving(policy(provider, callback_origins=allowed)) as client:
        assert (await begin(client, callback=callback)).status == status


# Browsers


async def test_kinto_admin_finds_the_login_and_is_sent_back_from_another_origin(provider: OpenIDProvider) -> None:
    """As it does it: the server's URL, `auth_path`, its own address as the callback (HTTP API, 19.4)."""
    origin = {"Origin": "https://admin.example"}
    callback = "https://admin.example/#/auth/eyJhdXRoVHlwZSI6Im9wZW5pZCJ9/"
    async with serving(policy(provider)) as client:
        found = (await client.get("/", headers=origin)).json
        [shown] = found["capabilities"]["openid"]["providers"]
        login = f"{found['url'].rstrip('/')}{shown['auth_path']}?callback={quote(callback, safe='')}&scope=openid email"
        sent = await client.get(login, headers=origin)
        last = await client.get(visit(sent.headers["Location"]), headers=origin)
        answer = brought(last, callback)
        mine = await client.get(
            "/", headers={**origin, "Authorization": f"{answer['token_type']} {answer['access_token']}"}
        )

    for each in (sent, last, mine):
        assert each.headers["Access-Control-Allow-Origin"] == "*"
    for each in (sent, last):
        assert (each.headers["Cache-Control"], each.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert mine.json["user"]["id"] == "auth0:alice"


async def test_other_origins_may_be_refused_and_a_browser_that_is_sent_has_none(provider: OpenIDProvider) -> None:
    async with serving(policy(provider), cors_origins=("https://admin.example",)) as client:
        path = f"/openid/auth0/login?scope=openid&callback={quote(CALLBACK)}"
        preflight = await client.request(
            "OPTIONS",
            path,
            headers={"Origin": "https://admin.example", "Access-Control-Request-Method": "GET"},
        )

        assert (await client.get(path, headers={"Origin": "https://evil.example"})).status == 400
        assert (await client.get(path)).status == 307
        assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
        assert (await client.post(path, data={})).status == 405


async def test_a_login_needs_no_database(provider: OpenIDProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(policy(provider)) as client:
        monkeypatch.setattr(client.app.site.backends, "database", None, raising=True)

        assert (await log_in(client))["token_type"] == "Bearer"


async def test_a_readonly_server_lets_users_in(provider: OpenIDProvider) -> None:
    async with serving(policy(provider), readonly=True) as client:
        answer = await log_in(client)

        assert await user_of(client, answer["access_token"]) == "auth0:alice"


async def test_neither_codes_nor_tokens_are_logged(provider: OpenIDProvider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with serving(policy(provider)) as client:
        back = visit((await begin(client)).headers["Location"])
        answer = brought(await client.get(back))
        await user_of(client, answer["access_token"])
        await user_of(client, "a-token-that-is-refused")

    said = "\n".join(f"{each.getMessage()} {getattr(each, 'fields', '')}" for each in caplog.records)
    assert "/v1/openid/auth0/token" in said
    for secret in (parameters(back)["code"], parameters(back)["state"], answer["access_token"], "a-token-that-is"):
        assert secret not in said


def test_the_provider_of_the_tests_takes_no_code_twice(provider: OpenIDProvider) -> None:
    assert httpx.post(f"{provider.issuer}/token", data={"code": "abc"}).json() == {"error": "invalid_grant"}
