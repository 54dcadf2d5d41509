"""OAuth tokens that another server is asked about. Source: RFC 7662; docs/openid.md."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.plugins.openid import Clock, user_of
from tests.plugins.openid import serving as serving_openid
from tests.servers.oauth import CLIENT, OAuthServer

from kobako.settings import Policy, SettingsError

NOW, DAY = int(time.time()), 86_400


@pytest.fixture
def service() -> Iterator[OAuthServer]:
    with OAuthServer() as service:
        yield service


def policy(service: OAuthServer, **options: str) -> Policy:
    return Policy("Robots", "oauth", {"introspection_endpoint": f"{service.url}/introspect", **CLIENT, **options})


def serving(*policies: Policy, clock: Clock | None = None) -> Any:
    return serving_openid(*policies, clock=clock, includes=("oauth",))


async def test_an_active_token_is_whose_the_server_says(service: OAuthServer) -> None:
    active = service.grant(active=True, sub="r2", username="Robot 2", scope="read write", exp=NOW + DAY)

    async with serving(policy(service)) as client:
        assert await user_of(client, active) == "robots:r2"
        assert await user_of(client, "unknown") is None
        assert (await client.get("/buckets")).headers["WWW-Authenticate"].startswith('Bearer realm="Realm"')


async def test_the_field_scheme_and_realm_may_be_others(service: OAuthServer) -> None:
    active = service.grant(active=True, sub="r2", username="Robot 2")
    other = policy(service, userid_field="username", header_type="Robot", realm="Factory")

    async with serving(other) as client:
        assert await user_of(client, active, "robot") == "robots:Robot 2"
        assert (await client.get("/buckets")).headers["WWW-Authenticate"].startswith('Robot realm="Factory"')


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"active": False}, id="not active"),
        pytest.param({"active": "true"}, id="active as a text"),
        pytest.param({"active": None}, id="nobody says"),
        pytest.param({"exp": NOW - 60}, id="expired"),
        pytest.param({"exp": "tomorrow"}, id="an end that is none"),
        pytest.param({"nbf": NOW + DAY}, id="not yet"),
        pytest.param({"scope": "read"}, id="too little"),
        pytest.param({"scope": None}, id="of no scope"),
        pytest.param({"aud": "another"}, id="of another audience"),
        pytest.param({"aud": None}, id="of no audience"),
        pytest.param({"iss": "https://evil.example"}, id="of another issuer"),
        pytest.param({"iss": None}, id="of no issuer"),
        pytest.param({"sub": None}, id="of nobody"),
        pytest.param({"sub": ""}, id="of an empty name"),
        pytest.param({"sub": 3}, id="of a number"),
    ],
)
async def test_p22_every_condition_has_to_hold(service: OAuthServer, said: dict[str, Any]) -> None:
    holds = {
        "active": True,
        "sub": "r2",
        "scope": "write read",
        "aud": ["kobako", "another"],
        "iss": "https://as.example",
        "nbf": NOW - 60,
        "exp": NOW + DAY,
    }
    strict = policy(service, required_scope="read write", audience="kobako", issuer="https://as.example")
    given = {name: value for name, value in {**holds, **said}.items() if value is not None}

    async with serving(strict) as client:
        assert await user_of(client, service.grant(**holds)) == "robots:r2"
        assert await user_of(client, service.grant(**given)) is None


async def test_p22_what_is_known_is_remembered_for_that_token_and_no_longer_than_it_holds(service: OAuthServer) -> None:
    clock = Clock()
    one = service.grant(active=True, sub="r2", exp=clock.now // 1000 + 200)
    other = service.grant(active=True, sub="c3", exp=clock.now // 1000 + 20)

    async with serving(policy(service, cache_ttl_seconds="100"), clock=clock) as client:
        for _ in range(3):
            assert [await user_of(client, each) for each in (one, other)] == ["robots:r2", "robots:c3"]
        asked = len(service.asked)
        clock.pass_s(25)
        assert [await user_of(client, each) for each in (one, other)] == ["robots:r2", None]
        service.tokens.clear()
        clock.pass_s(80)

        assert await user_of(client, one) is None
    assert asked == 2


@pytest.mark.parametrize("options", [{"client_secret": "wrong"}, {"client_id": ""}])
async def test_a_server_that_does_not_let_us_ask_is_a_503(service: OAuthServer, options: dict[str, str]) -> None:
    active = service.grant(active=True, sub="r2")

    async with serving(policy(service, **options)) as client:
        failed = await client.get("/", headers={"Authorization": f"Bearer {active}"})

    assert (failed.status, failed.json["errno"]) == (503, 201)


@pytest.mark.parametrize("said", [b"<html>", [], b"{" + b" " * 1_000_000 + b"}"])
async def test_so_is_one_that_says_nothing(service: OAuthServer, said: Any) -> None:
    service.says["/introspect"] = said

    async with serving(policy(service)) as client:
        assert (await client.get("/", headers={"Authorization": "Bearer abc"})).status == 503


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"introspection_endpoint": "introspect"}, r"introspection_endpoint' is 'introspect': must be a URL"),
        ({"cache_ttl_seconds": "0"}, r"cache_ttl_seconds' is '0': Expected `int` >= 1"),
        ({"scope": "read"}, r"^Unknown setting 'multiauth\.policy\.Robots\.scope'"),
    ],
)
async def test_a_setting_that_makes_no_sense_stops_the_start(
    service: OAuthServer, options: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        async with serving(policy(service, **options)):
            pass


async def test_the_endpoint_has_to_be_said() -> None:
    with pytest.raises(SettingsError, match=r"'multiauth\.policy\.robots\.introspection_endpoint' is missing"):
        async with serving(Policy("robots", "oauth", {})):
            pass
