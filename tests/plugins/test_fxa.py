"""Firefox Accounts: whose a token is, and the login. Source: objects, 15.4."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.plugins.openid import Clock, parameters, user_of, visit
from tests.servers.oauth import CLIENT, OAuthServer

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import SettingsError, read_settings
from kobako.testing.client import Client

REDIRECT = "https://notes.firefox.example/#token="

Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def service() -> Iterator[OAuthServer]:
    with OAuthServer() as service:
        yield service


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(service: OAuthServer, tmp_path: Path, clock: Clock) -> Serve:
    """Return what serves a file of Cliquet's time, with these lines."""

    @asynccontextmanager
    async def serve(*lines: str, include: str = "cliquet_fxa", **environ: str) -> AsyncIterator[Client]:
        ini = tmp_path / "cliquet.ini"
        backends = [f"cliquet.{each}_backend = cliquet.{each}.memory" for each in ("storage", "cache", "permission")]
        named = [f"fxa-oauth.oauth_uri = {service.uri}", *(f"fxa-oauth.{name} = {CLIENT[name]}" for name in CLIENT)]
        domains = "fxa-oauth.webapp.authorized_domains = *.firefox.example localhost"
        policies = ["multiauth.policies = fxa", f"cliquet.includes = {include}", domains]
        ini.write_text("\n".join(["[app:main]", *backends, *policies, *named, *lines]))
        async with Client(App(read_settings(ini, environ), RESOURCES, clock=clock), user=None) as client:
            service.back = "http://localhost/v1/fxa-oauth/token"
            yield client

    return serve


def granted(service: OAuthServer, **others: Any) -> str:
    return service.grant(**{"user": "alice", "scope": ["profile"], "client_id": "kobako", **others})


@pytest.mark.parametrize("include", ["cliquet_fxa", "kinto_fxa", "fxa"])
async def test_a_token_is_whose_the_service_says(service: OAuthServer, serve: Serve, include: str) -> None:
    async with serve(include=include) as client:
        token = granted(service)

        assert await user_of(client, token) == "fxa:alice"
        assert await user_of(client, "abcdef") is None
        refused = await client.get("/buckets", headers={"Authorization": "Bearer abcdef"})
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Realm"')
        assert "fxa" in (await client.get("/")).json["capabilities"]


async def test_its_policy_may_be_named_by_its_class(service: OAuthServer, serve: Serve) -> None:
    use = "multiauth.policy.fxa.use = cliquet_fxa.authentication.FxAOAuthAuthenticationPolicy"
    async with serve(use, "multiauth.policy.fxa.realm = Notes") as client:
        assert await user_of(client, granted(service)) == "fxa:alice"
        assert (await client.get("/buckets")).headers["WWW-Authenticate"] == 'Bearer realm="Notes"'


@pytest.mark.parametrize(
    ("line", "scopes", "is_enough"),
    [
        ("fxa-oauth.required_scope = kinto notes", ["profile", "notes", "kinto"], True),
        ("fxa-oauth.required_scope = kinto notes", ["profile", "kinto"], False),
        ("fxa-oauth.scope = kinto", ["kinto"], True),
        ("fxa-oauth.scope = kinto", ["profile"], False),
        ("fxa-oauth.requested_scope = kinto", ["profile"], True),
        ("", [], False),
    ],
)
async def test_every_required_scope_has_to_be_there(
    service: OAuthServer, serve: Serve, line: str, scopes: list[str], is_enough: bool
) -> None:
    async with serve(line) as client:
        assert await user_of(client, granted(service, scope=scopes)) == ("fxa:alice" if is_enough else None)


async def test_p22_what_is_known_of_a_token_is_remembered_for_a_while(
    service: OAuthServer, serve: Serve, clock: Clock
) -> None:
    async with serve("fxa-oauth.cache_ttl_seconds = 100") as client:
        alice, bob = granted(service), granted(service, user="bob")
        for _ in range(3):
            assert [await user_of(client, each) for each in (alice, bob)] == ["fxa:alice", "fxa:bob"]
            clock.pass_s(30)
        asked = service.asked.count("/v1/verify")
        service.tokens.clear()
        clock.pass_s(11)

        assert await user_of(client, alice) is None
    assert asked == 2


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_a_service_that_does_not_answer_is_a_503(
    service: OAuthServer, serve: Serve, clock: Clock, status: int
) -> None:
    async with serve() as client:
        token = granted(service)
        service.fails["/v1/verify"] = status
        bearer = {"Authorization": f"Bearer {token}"}
        failed = await client.get("/", headers=bearer)
        again = await client.get("/", headers=bearer)
        batch = await client.request(
            "POST", "/batch", json={"requests": [{"method": "GET", "path": "/"}] * 5}, headers=bearer
        )
        service.fails.clear()
        clock.pass_s(1)

        assert [each.status for each in (failed, again, batch)] == [503, 503, 503]
        assert (failed.json["errno"], "Retry-After" in failed.headers) == (201, True)
        assert await user_of(client, token) == "fxa:alice"
        assert (await client.get("/")).status == 200
    assert service.asked.count("/v1/verify") == 2


@pytest.mark.parametrize("said", [b"<html>", {}, {"user": "alice"}, {"user": 3, "scope": ["profile"]}])
async def test_so_is_one_whose_answer_says_nothing(service: OAuthServer, serve: Serve, said: Any) -> None:
    service.says["/v1/verify"] = said
    async with serve() as client:
        assert (await client.get("/", headers={"Authorization": "Bearer abc"})).status == 503


async def test_the_heartbeat_tells_of_the_service(service: OAuthServer, serve: Serve) -> None:
    async with serve("fxa-oauth.heartbeat_timeout_seconds = 0.2") as client:
        well = await client.get("/__heartbeat__")
        service.fails["/v1/__heartbeat__"] = 503
        ill = await client.get("/__heartbeat__")
        service.goes_on.clear()
        late = await client.get("/__heartbeat__")

    assert (well.status, well.json["oauth"]) == (200, True)
    assert [(each.status, each.json["oauth"], each.json["storage"]) for each in (ill, late)] == [(503, False, True)] * 2


# The login


async def test_a_browser_logs_in_and_goes_on_with_a_token(service: OAuthServer, serve: Serve) -> None:
    async with serve("fxa-oauth.requested_scope = profile kinto", "fxa-oauth.required_scope = kinto") as client:
        sent = await client.get(f"/fxa-oauth/login?redirect={quote(REDIRECT, safe='')}")
        asked = parameters(sent.headers["Location"])
        back = visit(sent.headers["Location"])
        last = await client.get(back)
        again = await client.get(back)

        assert sent.status == last.status == 302
        assert sent.headers["Location"].startswith(f"{service.uri}/authorization?")
        assert (asked["client_id"], asked["scope"], asked["action"]) == ("kobako", "profile kinto", "signin")
        assert last.headers["Location"].startswith(REDIRECT)
        assert await user_of(client, last.headers["Location"].removeprefix(REDIRECT)) == "fxa:alice"
        assert (again.status, again.json["message"], again.json["details"][0]["errno"]) == (400, "Invalid state", 105)


async def test_what_a_login_needs_is_told(service: OAuthServer, serve: Serve) -> None:
    async with serve("fxa-oauth.requested_scope = profile kinto") as client:
        told = (await client.get("/fxa-oauth/params")).json

    assert told == {"client_id": "kobako", "oauth_uri": service.uri, "scope": "profile kinto"}


@pytest.mark.parametrize(
    ("url", "name", "description"),
    [
        ("login", "redirect", "Required"),
        ("login?redirect=nowhere", "redirect", "Must be a URL"),
        ("login?redirect=https://evil.example/", "redirect", "evil.example is not among the domains"),
        ("login?redirect=https://firefox.example/", "redirect", "firefox.example is not among the domains"),
        ("login?redirect=https://x.firefox.example.evil.example/", "redirect", "is not among the domains"),
        ("login?redirect=https://x.firefox.example@evil.example/", "redirect", "Must be a URL"),
        ("token?state=abc", "code", "Required"),
        ("token?code=abc", "state", "Required"),
        ("token?code=abc&state=abc", "state", "Invalid state"),
    ],
)
async def test_what_is_missing_or_not_allowed_is_said(serve: Serve, url: str, name: str, description: str) -> None:
    async with serve() as client:
        refused = await client.get(f"/fxa-oauth/{url}")

    assert (refused.status, refused.json["errno"], refused.json["details"][0]["name"]) == (400, 107, name)
    assert description in refused.json["details"][0]["description"]


async def test_a_login_ends_with_its_time(serve: Serve, clock: Clock) -> None:
    async with serve("fxa-oauth.state.ttl_seconds = 60") as client:
        sent = await client.get("/fxa-oauth/login?redirect=http://localhost/")
        clock.pass_s(61)

        assert (await client.get(visit(sent.headers["Location"]))).status == 400


@pytest.mark.parametrize(
    ("fails", "says", "status"),
    [({"/v1/token": 400}, {}, 400), ({"/v1/token": 500}, {}, 503), ({}, {"/v1/token": {"access_token": 3}}, 503)],
)
async def test_a_code_that_is_worth_nothing(
    service: OAuthServer, serve: Serve, fails: dict[str, int], says: dict[str, Any], status: int
) -> None:
    service.fails, service.says = fails, says
    async with serve() as client:
        sent = await client.get("/fxa-oauth/login?redirect=http://localhost/")

        assert (await client.get(visit(sent.headers["Location"]))).status == status


async def test_the_login_may_be_left_out(service: OAuthServer, serve: Serve) -> None:
    async with serve("fxa-oauth.relier.enabled = false") as client:
        answers = [(await client.get(f"/fxa-oauth/{each}")).status for each in ("params", "login", "token")]

        assert answers == [404, 404, 404]
        assert await user_of(client, granted(service)) == "fxa:alice"


# The settings


async def test_settings_come_from_the_environment_as_well(service: OAuthServer, serve: Serve) -> None:
    async with serve(KOBAKO_FXA_OAUTH_REQUIRED_SCOPE="kinto") as client:
        assert await user_of(client, granted(service)) is None
        assert await user_of(client, granted(service, scope=["kinto"])) == "fxa:alice"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", r"^Setting 'fxa-oauth\.oauth_uri' is missing\.$"),
        ("fxa-oauth.oauth_uri = accounts", r"^Setting 'fxa-oauth\.oauth_uri' is 'accounts': must be a URL"),
        (
            "fxa-oauth.oauth_uri = https://a/v1\nfxa-oauth.cache_ttl_seconds = 0",
            r"cache_ttl_seconds' is '0': Expected `int` >= 1",
        ),
        ("fxa-oauth.webap.authorized_domains = a", r"^Unknown setting 'fxa-oauth\.webap\.authorized_domains'"),
    ],
)
def test_a_setting_that_makes_no_sense_stops_the_start(tmp_path: Path, line: str, problem: str) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(f"[app:main]\nincludes = kinto_fxa\nmultiauth.policies = fxa\n{line}\n")

    with pytest.raises(SettingsError, match=problem):
        App(read_settings(ini, {}), RESOURCES)


def test_a_login_without_a_client_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text("[app:main]\nincludes = kinto_fxa\nfxa-oauth.oauth_uri = https://accounts.example/v1\n")

    App(read_settings(ini, {}), RESOURCES)

    assert "'fxa-oauth.client_secret' are needed for logins" in caplog.text
