"""Policies by the address of the client, alone and behind proxies. Source: HTTP API, 16.7; objects, 15.5."""

import dataclasses
from typing import Any

import pytest
from tests.api.sharing import B, principal_of, serving
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Policy, SettingsError
from kobako.settings.fields import BASICAUTH
from kobako.settings.parsing import ranges
from kobako.testing.client import Client

OFFICE = {"ipaddrs": "192.168.0.* 10.0.0.0/8", "userid": "staff", "principals": "office, trusted"}


def ipauth(**options: str) -> Policy:
    return Policy("ipauth", "ipauth", options)


async def user(client: Client) -> dict[str, Any] | None:
    """Return what hello says of who asks, None for nobody."""
    found: dict[str, Any] | None = (await client.get("/")).json.get("user")
    return found


@pytest.mark.parametrize("address", ["192.168.0.1", "192.168.0.255", "10.200.3.4", "::ffff:10.0.0.1"])
async def test_who_calls_from_there_is_that_user_with_those_principals(address: str) -> None:
    async with serving(policies=(ipauth(**OFFICE),)) as client:
        found = await user(client.anonymous().at(address))

    assert found == {
        "id": "ipauth:staff",
        "principals": ["ipauth:staff", "office", "system.Authenticated", "system.Everyone", "trusted"],
    }


@pytest.mark.parametrize("address", ["192.168.1.1", "11.0.0.1", "127.0.0.1", "::1", "", "unknown", "10.0.0.1.2"])
async def test_who_calls_from_elsewhere_is_anybody(address: str) -> None:
    async with serving(policies=(ipauth(**OFFICE),)) as client:
        assert await user(client.anonymous().at(address)) is None


@pytest.mark.parametrize("order", [1, -1], ids=["basicauth first", "ipauth first"])
async def test_principals_are_added_to_whoever_calls_from_there(order: int) -> None:
    policies = (BASICAUTH, ipauth(ipaddrs="10.0.0.1", principals="office"))[::order]

    async with serving(policies=policies) as client:
        inside = client.at("10.0.0.1")
        found = await user(inside)
        outside = await user(client)

        assert found is not None
        assert outside is not None
        assert found["id"] == outside["id"] == await principal_of(client)
        assert set(found["principals"]) - set(outside["principals"]) == {"office"}
        assert await user(inside.anonymous()) is None


async def test_without_a_user_the_principals_alone_open_what_they_were_given() -> None:
    policies = (BASICAUTH, ipauth(ipaddrs="10.0.0.1", principals="office"))
    async with serving(policies=policies) as client:
        await client.put(B, data={}, permissions={"read": ["office"]})
        inside, outside = client.anonymous().at("10.0.0.1"), client.anonymous()

        assert (await inside.get(B)).status == 200
        assert (await outside.get(B)).status == 401
        refused = await inside.put(B, data={})
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="Realm"')


async def test_what_such_principals_read_is_not_kept_as_what_everybody_may_read() -> None:
    changes: dict[str, Any] = {"cache_expires": {"bucket": 60}}
    async with serving(policies=(BASICAUTH, ipauth(ipaddrs="10.0.0.1", principals="office")), **changes) as client:
        await client.put(B, data={}, permissions={"read": ["office", "system.Everyone"]})

        for_all = await client.anonymous().get(B)
        for_the_office = await client.anonymous().at("10.0.0.1").get(B)

    assert for_all.headers["Cache-Control"] == "max-age=60"
    assert for_the_office.headers["Cache-Control"] == "no-cache, no-store"


async def test_of_a_user_by_name_and_one_by_address_the_first_policy_decides() -> None:
    async with serving(policies=(ipauth(**OFFICE), BASICAUTH)) as client:
        assert await principal_of(client.at("10.0.0.1")) == "ipauth:staff"
        assert (await principal_of(client)).startswith("basicauth:")


async def test_an_address_is_no_challenge_no_capability_and_nothing_to_describe() -> None:
    async with serving(policies=(ipauth(**OFFICE),)) as client:
        refused = await client.get("/buckets")
        described = (await client.get("/__api__")).json

        assert (refused.status, "WWW-Authenticate" in refused.headers) == (401, False)
        assert (await client.get("/")).json["capabilities"] == {}
        assert described["components"]["securitySchemes"] == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "'multiauth.policy.ipauth.ipaddrs' is empty"),
        ({"ipaddrs": "10.0.0.1 nonsense"}, "ipaddrs' is '10.0.0.1 nonsense': 'nonsense' is no address"),
        ({"ipaddrs": "10.*.0.1"}, r"'10.\*.0.1' is no address"),
        ({"ipaddrs": "10.0.0.1", "proxies": "10.0.0.2"}, "'multiauth.policy.ipauth.proxies' .*'trusted_proxies'"),
    ],
)
def test_what_is_wrong_with_it_stops_the_start(options: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        App(dataclasses.replace(SETTINGS, policies=(ipauth(**options),)), RESOURCES)


# Behind proxies


async def asked_over_http(peer: str, forwarded: str | None, trusted: str) -> str | None:
    """Return whom the server takes for the user of a request that this peer hands over."""
    settings = dataclasses.replace(SETTINGS, policies=(ipauth(**OFFICE),), trusted_proxies=ranges(trusted))
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded is not None else []
    scope = {
        "type": "http", "method": "GET", "path": "/v1/", "query_string": b"", "headers": headers, "client": (peer, 5)
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    async with Client(App(settings, RESOURCES)) as client:
        await client.app(scope, receive, send)
    return "staff" if b'"ipauth:staff"' in sent[1]["body"] else None


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        pytest.param("1.2.3.4", "10.0.0.1", "", None, id="nobody is trusted by default"),
        pytest.param("1.2.3.4", "10.0.0.1", "9.9.9.9", None, id="a stranger claims"),
        pytest.param("9.9.9.9", "10.0.0.1", "9.9.9.9", "staff", id="a proxy tells"),
        pytest.param("9.9.9.9", "10.0.0.1, 1.2.3.4", "9.9.9.9", None, id="a claim that the proxy passes on"),
        pytest.param("9.9.9.9", "1.2.3.4, 10.0.0.1", "9.9.9.9", "staff", id="what stands before it is no matter"),
        pytest.param("9.9.9.9", "10.0.0.1, 9.9.9.8", "9.9.9.0/24", "staff", id="two proxies"),
        pytest.param("10.0.0.2", "1.2.3.4", "10.0.0.2", None, id="a proxy of the office, for a stranger"),
        pytest.param("10.0.0.2", "nonsense", "10.0.0.2", None, id="a proxy says nonsense: not the proxy's user"),
        pytest.param("10.0.0.2", None, "10.0.0.2", "staff", id="the proxy itself"),
    ],
)
async def test_forwarded_addresses_count_from_trusted_proxies_only(
    peer: str, forwarded: str | None, trusted: str, expected: str | None
) -> None:
    assert await asked_over_http(peer, forwarded, trusted) == expected
