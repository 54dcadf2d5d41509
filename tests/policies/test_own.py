"""Policies of one's own, by dotted name or handed over, and those that are not offered. Source: objects, 15.1."""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.api.sharing import B, principal_of, serving
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.http.authentication import bearer_token
from kobako.http.site import Authenticator, Identity
from kobako.model.resource import Resource
from kobako.protocol.errors import ServiceUnavailable
from kobako.protocol.messages import Request
from kobako.resources import RESOURCES
from kobako.settings import Policy, Settings, SettingsError, read_settings
from kobako.settings.fields import BASICAUTH
from kobako.testing.client import Client

TOKENS = f"{__name__}.tokens"


def tokens(options: Mapping[str, str], settings: Settings) -> Authenticator:
    """A policy: `token` is the user's, whose name begins with that of the project."""

    async def authenticate(request: Request) -> Identity | None:
        if bearer_token(request) != options["token"]:
            return None
        return Identity(f"{settings.project_name}-{options['user']}", frozenset({"bearers"}))

    return Authenticator(options.get("fixed", ""), authenticate, f'Bearer realm="{options.get("realm", "Realm")}"')


def headers(options: Mapping[str, str], settings: Settings) -> Authenticator:
    """A policy that believes a header."""

    async def authenticate(request: Request) -> Identity | None:
        user = request.headers.get("x-user")
        if user == "unreachable":
            raise ServiceUnavailable()
        return Identity(user) if user else None

    return Authenticator("", authenticate)


def nothing(options: Mapping[str, str], settings: Settings) -> str:
    """No policy."""
    return "nothing"


async def hello(client: Client, **given: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.anonymous().get("/", headers=given)).json.get("user", {})
    return found


async def test_a_function_that_the_settings_name_makes_a_policy_of_its_options() -> None:
    policy = Policy("Robots", TOKENS, {"token": "abc", "user": "r2"})

    async with serving(policies=(policy,)) as client:
        found = await hello(client, authorization="Bearer abc")

        assert found["id"] == "robots:kobako-r2"
        assert "bearers" in found["principals"]
        assert await hello(client, authorization="Bearer abcd") == {}


async def test_a_policy_may_have_a_name_of_its_own() -> None:
    policy = Policy("robots", TOKENS, {"token": "abc", "user": "r2", "fixed": "Machine"})

    async with serving(policies=(policy,)) as client:
        assert (await hello(client, authorization="Bearer abc"))["id"] == "machine:kobako-r2"


async def test_policies_are_tried_in_order_and_each_has_its_challenge() -> None:
    robots = Policy("robots", TOKENS, {"token": "abc", "user": "r2", "realm": "Factory"})
    people = Policy("people", f"{__name__}.headers")

    async with serving(policies=(people, robots, BASICAUTH)) as client:
        refused = await client.anonymous().get(B)
        described = (await client.get("/__api__")).json["components"]["securitySchemes"]

        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="Factory"\nBasic realm="Realm"'
        assert {name: each["scheme"] for name, each in described.items()} == {"robots": "bearer", "basicauth": "basic"}
        assert (await hello(client, authorization="Bearer abc", **{"x-user": "me"}))["id"] == "people:me"
        assert (await hello(client, authorization="Bearer abc"))["id"] == "robots:kobako-r2"
        assert (await principal_of(client)).startswith("basicauth:")


async def test_basicauth_is_a_capability_only_where_it_is_a_policy() -> None:
    async with serving(policies=(Policy("people", f"{__name__}.headers"),)) as client:
        assert (await client.get("/")).json["capabilities"] == {}


async def test_an_app_takes_authenticators_which_come_before_the_policies_of_its_settings() -> None:
    robots = tokens({"token": "abc", "user": "r2", "fixed": "robots"}, SETTINGS)
    async with Client(App(SETTINGS, RESOURCES, authenticators=[robots])) as client:
        assert (await hello(client, authorization="Bearer abc"))["id"] == "robots:kobako-r2"
        assert (await principal_of(client)).startswith("basicauth:")


async def test_a_policy_that_cannot_reach_its_service_says_so() -> None:
    async with serving(policies=(Policy("people", f"{__name__}.headers"),)) as client:
        answer = await client.anonymous().get("/", headers={"x-user": "unreachable"})

    assert (answer.status, "Retry-After" in answer.headers) == (503, True)


@pytest.mark.parametrize("user", ["a" * 1000, "a\x00b", "a\nb", "\ud800"])
async def test_what_cannot_be_kept_is_no_user(user: str) -> None:
    async with serving(policies=(Policy("people", f"{__name__}.headers"),)) as client:
        assert await hello(client, **{"x-user": user}) == {}


async def test_the_parts_of_a_batch_are_of_whom_the_policy_says() -> None:
    async with serving(policies=(Policy("people", f"{__name__}.headers"),)) as client:
        answer = await client.anonymous().batch(
            *[{"method": "GET", "path": "/", "headers": {"X-User": each}} for each in ("ann", "bob")]
        )

    assert [each["body"]["user"]["id"] for each in answer.json["responses"]] == ["people:ann", "people:bob"]


async def test_groups_are_those_before_the_batch_for_each_user_of_it() -> None:
    """Also for users whom headers other than Authorization tell apart (section 4.4)."""
    async with serving(policies=(Policy("people", f"{__name__}.headers"),)) as client:
        ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
        await client.anonymous().put(B, data={}, headers=ann)

        answer = await client.anonymous().batch(
            {
                "method": "PUT",
                "path": f"{B}/groups/g",
                "headers": ann,
                "body": {"data": {"members": ["people:bob"]}},
            },
            {"method": "GET", "path": "/", "headers": bob},
        )

        assert answer.json["responses"][0]["status"] == 201
        assert f"{B}/groups/g" not in answer.json["responses"][1]["body"]["user"]["principals"]
        assert f"{B}/groups/g" in (await hello(client, **bob))["principals"]


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ("p\nmultiauth.policy.p.use = nowhere.at_all", "'multiauth.policy.p.use' is 'nowhere.at_all', which does not"),
        ("nowhere.at_all", "'multiauth.policies' is 'nowhere.at_all', which does not exist"),
        (f"p\nmultiauth.policy.p.use = {__name__}.B", f"'{__name__}.B', which cannot be called"),
        (f"p\nmultiauth.policy.p.use = {__name__}.nothing", "returned 'nothing', which is no Authenticator"),
        ("pyramid_persona", "'multiauth.policies' is '.*pyramid_persona': .*Persona was has closed"),
        ("account", "'multiauth.policies' is 'account', which comes with a plugin that 'includes' does not have"),
    ],
)
def test_a_name_that_leads_to_no_policy_stops_the_start(tmp_path: Path, policies: str, message: str) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(f"[app:main]\nmultiauth.policies = {policies}\n")

    def start() -> None:
        App(dataclasses.replace(SETTINGS, policies=read_settings(ini, {}).policies), RESOURCES)

    with pytest.raises(SettingsError, match=message):
        start()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  a-b._~+/c==", "a-b._~+/c=="),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer a b", None),
        ("Bearer a,b", None),
        ("Bearer é", None),
        ("Bearer a=b", None),
        ("", None),
    ],
)
def test_a_bearer_token_is_what_rfc_6750_lets_it_be(header: str, token: str | None) -> None:
    assert bearer_token(Request(method="GET", path="/", headers={"authorization": header})) == token


async def test_no_lock_is_held_while_a_policy_waits() -> None:
    """It may write to the very list that the request is about to write, also in a batch."""

    async def authenticate(request: Request) -> Identity | None:
        if user := request.headers.get("x-user"):
            async with asyncio.timeout(60):
                await client.put(f"{B}/collections/{user}")
        return Identity(user) if user else None

    app = App(SETTINGS, RESOURCES, authenticators=[Authenticator("people", authenticate)])
    async with Client(app) as client:
        await client.put(B, data={}, permissions={"write": ["system.Authenticated"]})

        alone = await client.anonymous().put(f"{B}/collections/new", headers={"X-User": "ann"})
        batch = await client.anonymous().batch(
            *[{"method": "PUT", "path": f"{B}/collections/{each}", "headers": {"X-User": each}} for each in ("x", "y")]
        )

    assert alone.status == 201
    assert [each["status"] for each in batch.json["responses"]] == [200, 200]


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}], ids=["plain", "with a key"])
async def test_an_authenticator_is_asked_once_for_a_request_and_for_each_part_of_a_batch(key: dict[str, str]) -> None:
    asked: list[str] = []

    async def authenticate(request: Request) -> Identity:
        asked.append(request.path)
        return Identity("me")

    owned = Resource(name="note", path="/notes", owned=True)
    app = App(SETTINGS, [*RESOURCES, owned], authenticators=[Authenticator("mine", authenticate)])
    async with Client(app) as client:
        await client.put("/buckets/b", headers=key)
        await client.put("/notes/n", headers=dict.fromkeys(key, "other"))
        parts = [{"method": "PUT", "path": path} for path in ("/buckets/c", "/notes/m")]
        await client.request("POST", "/batch", json={"requests": parts}, headers=dict.fromkeys(key, "last"))

    assert asked == ["/v1/buckets/b", "/v1/notes/n", "/v1/batch", "/v1/buckets/c", "/v1/notes/m"]
