"""Policies written for Pyramid, group finders and authorization policies. Source: objects, 15.1; HTTP API, 16.7."""

import dataclasses
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.api.sharing import B, principal_of, serving
from tests.conftest import SETTINGS
from tests.policies import for_pyramid

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Policy, SettingsError, read_settings
from kobako.settings.fields import BASICAUTH
from kobako.testing.client import Client

MODULE = "tests.policies.for_pyramid"
KEYS = Policy("Keys", f"{MODULE}.ByKey", {"keys": "k1=ann k2=bob"})
ADDRESSES = Policy("lan", f"{MODULE}.ByAddress", {"ipaddrs": "10.0.0.0/8", "userid": "staff", "principals": "office"})
ANN, BOB = {"X-Key": "k1"}, {"X-Key": "k2"}


async def hello(client: Client, headers: Any = None) -> dict[str, Any]:
    """Return what hello says of who asks without Basic credentials."""
    found: dict[str, Any] = (await client.anonymous().get("/", headers=headers)).json.get("user", {})
    return found


async def test_pyramid_ipauth_of_the_registry_works_in_a_stack_with_basicauth() -> None:
    async with serving(policies=(BASICAUTH, ADDRESSES)) as client:
        inside = client.at("10.1.2.3")

        assert await hello(client) == {}
        assert await hello(inside) == {
            "id": "lan:staff",
            "principals": ["lan:staff", "office", "system.Authenticated", "system.Everyone"],
        }
        assert (await principal_of(inside)).startswith("basicauth:")
        assert "office" in (await inside.get("/")).json["user"]["principals"]
        assert "office" not in (await client.get("/")).json["user"]["principals"]


async def test_its_principals_without_a_user_open_what_they_were_given() -> None:
    policy = Policy("lan", ADDRESSES.kind, {"ipaddrs": "10.0.0.1", "principals": "office"})
    async with serving(policies=(policy, BASICAUTH)) as client:
        await client.put(B, data={}, permissions={"read": ["office"]})

        assert (await client.anonymous().at("10.0.0.1").get(B)).status == 200
        assert (await client.anonymous().get(B)).status == 401


async def test_its_name_in_the_registry_means_the_policy_that_is_built_in(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(
        "[app:main]\nmultiauth.policies = a b\nmultiauth.policy.a.use = pyramid_ipauth.IPAuthenticationPolicy\n"
        "multiauth.policy.b.use = pyramid_ipauth.IPAuthentictionPolicy\n"
    )

    assert [each.kind for each in read_settings(ini, {}).policies] == ["ipauth", "ipauth"]


async def test_a_policy_is_made_of_its_options_and_its_users_bear_its_name_in_the_settings() -> None:
    async with serving(policies=(KEYS, BASICAUTH)) as client:
        assert await hello(client, ANN) == {
            "id": "keys:ann",
            "principals": ["keys:ann", "holders", "system.Authenticated", "system.Everyone"],
        }
        assert await hello(client, {"X-Key": "k3"}) == {}


async def test_the_bare_id_that_a_policy_counts_among_the_principals_is_none() -> None:
    async with serving(policies=(KEYS, BASICAUTH)) as client:
        await client.put(B, data={}, permissions={"read": ["ann"]})

        assert (await client.anonymous().get(B, headers=ANN)).status == 403


async def test_a_policy_with_a_name_of_its_own_keeps_it() -> None:
    async with serving(policies=(Policy("keys", f"{MODULE}.Named", KEYS.options),)) as client:
        assert (await hello(client, ANN))["id"] == "locksmith:ann"


async def test_a_401_offers_what_each_policy_says_to_forget() -> None:
    async with serving(policies=(ADDRESSES, KEYS, BASICAUTH)) as client:
        refused = await client.anonymous().get(B)

    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].split("\n") == ['Key realm="Keys"', "Other", 'Basic realm="Realm"']
    assert "Set-Cookie" not in refused.headers


async def test_a_policy_has_a_pyramid_request_that_is_ours_and_a_thread_to_wait_in() -> None:
    async with serving(policies=(KEYS, BASICAUTH), paginate_by=7) as client:
        url = "/buckets/é b/collections?_sort=a&b=%C3%A9"
        await client.at("10.0.0.9").post(url, data={"x": 1}, headers={**ANN, "X-Ünicode": "ü"})
        request, current, thread = for_pyramid.SEEN[-1][-1]

    assert (request.method, request.client_addr) == ("POST", "10.0.0.9")
    assert request.url == "http://localhost/v1/buckets/%C3%A9%20b/collections?_sort=a&b=%C3%A9"
    assert request.path_info == "/v1/buckets/é b/collections"
    assert dict(request.GET) == {"_sort": "a", "b": "é"}
    assert request.json_body == {"data": {"x": 1}}
    assert request.authorization[0] == "Basic"
    assert request.content_type == "application/json"
    assert request.registry.settings["userid_hmac_secret"] == "abc"
    assert request.registry.settings["paginate_by"] == 7
    assert current is request
    assert thread is not threading.main_thread()


@pytest.mark.parametrize("url", ["/%FF?a=%FF", "/buckets/\ud8ff", "/?q=\udcff"])
async def test_what_is_no_text_in_a_url_does_no_harm(url: str) -> None:
    async with serving(policies=(KEYS,)) as client:
        answer = await client.anonymous().get(url, headers=ANN)

    assert answer.status < 500


async def test_a_policy_finds_its_settings_by_the_names_of_the_file(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(
        "[app:main]\nkinto.userid_hmac_secret = abc\nmultiauth.policies = keys\nkinto.mail.host = mx\n"
        f"multiauth.policy.keys.use = {MODULE}.ByKey\nmultiauth.policy.keys.keys = k1=ann\n"
    )
    read = read_settings(ini, {})

    async with serving(policies=read.policies, given=read.given) as client:
        assert (await hello(client, ANN))["id"] == "keys:ann"
        found = for_pyramid.SEEN[-1][-1][0].registry.settings

    assert found["mail.host"] == "mx"
    assert found["multiauth.policies"] == "keys"
    assert found["multiauth.policy.keys.keys"] == "k1=ann"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ByKey", {}, r"ByKey', which cannot be made with its options: .*'keys'"),
        ("ByKey", {"keys": "", "relam": "x"}, "cannot be made with its options: .*'relam'"),
        ("Breaks", {}, "cannot be made with its options: no key server"),
    ],
)
def test_a_policy_that_cannot_be_made_stops_the_start(kind: str, options: dict[str, str], message: str) -> None:
    policies = (Policy("keys", f"{MODULE}.{kind}", options),)

    with pytest.raises(SettingsError, match=f"'multiauth.policy.keys.use' is .*{message}"):
        App(dataclasses.replace(SETTINGS, policies=policies), RESOURCES)


def test_without_pyramid_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "kobako.policies.pyramid", raising=False)
    monkeypatch.delattr("kobako.policies.pyramid", raising=False)
    monkeypatch.setitem(sys.modules, "pyramid.registry", None)

    with pytest.raises(SettingsError, match=r"which is missing: pip install 'kobako\[pyramid\]'"):
        App(dataclasses.replace(SETTINGS, policies=(KEYS,)), RESOURCES)


# Groups


async def test_a_group_finder_finds_groups_in_place_of_those_that_are_stored() -> None:
    changes: dict[str, Any] = {"policies": (KEYS, BASICAUTH), "groupfinder": f"{MODULE}.find_groups"}
    async with serving(**changes) as client:
        await client.put(B, data={}, permissions={"read": ["group:bob"]})
        await client.put(f"{B}/groups/g", data={"members": ["keys:ann"]})

        found = await hello(client, ANN)
        of_bob, of_ann = [await client.anonymous().get(B, headers=each) for each in (BOB, ANN)]

    assert {"group:ann", "KEYS:ANN"} <= set(found["principals"])
    assert f"{B}/groups/g" not in found["principals"]
    assert (of_bob.status, of_ann.status) == (200, 403)


async def test_whom_the_group_finder_does_not_know_is_not_recognized_and_the_next_policy_is_tried() -> None:
    async with serving(policies=(KEYS, ADDRESSES), groupfinder=f"{MODULE}.find_groups") as client:
        gone = {**ANN, "X-Gone": "ann"}

        assert await hello(client, gone) == {}
        assert (await hello(client.at("10.0.0.1"), gone))["id"] == "lan:staff"


# Permissions


async def test_an_authorization_policy_decides_in_place_of_the_permissions_that_are_stored() -> None:
    async with serving(policies=(KEYS,), authorization_policy=f"{MODULE}.OwnersOnly") as client:
        anybody = client.anonymous()
        made = await anybody.put("/buckets/bob", data={}, permissions={"read": ["keys:ann"]}, headers=ANN)

        found = {
            name: (await anybody.request(method, url, headers=who)).status
            for name, method, url, who in [
                ("who wrote it reads", "GET", "/buckets/bob", ANN),
                ("whose name it bears reads", "GET", "/buckets/bob", BOB),
                ("what is below", "GET", "/buckets/bob/collections/c", BOB),
                ("nobody in particular", "GET", "/buckets/bob", {}),
                ("whose name it bears deletes", "DELETE", "/buckets/bob", BOB),
            ]
        }

    assert made.status == 201
    assert found == {
        "who wrote it reads": 403,
        "whose name it bears reads": 200,
        "what is below": 403,
        "nobody in particular": 401,
        "whose name it bears deletes": 200,
    }


async def test_no_list_shows_what_acls_share_where_a_policy_decides() -> None:
    async with serving(policies=(KEYS,), authorization_policy=f"{MODULE}.OwnersOnly") as client:
        await client.anonymous().put("/buckets/bob", data={}, permissions={"read": ["keys:ann"]}, headers=ANN)

        listed = await client.anonymous().get("/buckets", headers=ANN)

    assert (listed.status, listed.json) == (200, {"data": []})


async def test_a_policy_that_looks_for_acls_finds_what_kobako_would_decide() -> None:
    async with serving(policies=(BASICAUTH,), authorization_policy=f"{MODULE}.NoDeletions") as client:
        for bucket in ("/buckets/open", "/buckets/sealed"):
            assert (await client.put(bucket, data={}, permissions={"read": ["system.Authenticated"]})).status == 201
        other = client.as_user("other")

        assert [(await other.get(each)).status for each in ("/buckets/open", "/buckets/sealed")] == [200, 200]
        assert [(await other.delete(each)).status for each in ("/buckets/open", "/buckets/sealed")] == [403, 403]
        assert [(await client.delete(each)).status for each in ("/buckets/open", "/buckets/sealed")] == [200, 403]


async def test_an_authorization_policy_looks_at_a_pyramid_request_that_is_ours() -> None:
    word = {"X-Word": "sesame"}
    async with serving(policies=(KEYS,), authorization_policy=f"{MODULE}.ByHeader", paginate_by=7) as client:
        anybody = client.anonymous().at("10.0.0.9")
        made = await anybody.put(f"{B}?a=b", data={"x": 1}, headers={**ANN, **word})
        request, current, thread = for_pyramid.ByHeader.seen[-1]
        read = [await anybody.get(B, headers=each) for each in (word, {}, {**ANN, "X-Word": "barley"})]

    assert [each.status for each in (made, *read)] == [201, 200, 401, 403]
    assert (request.method, request.client_addr, request.prefixed_userid) == ("PUT", "10.0.0.9", "keys:ann")
    assert request.url == f"http://localhost/v1{B}?a=b"
    assert request.json_body == {"data": {"x": 1}}
    assert request.registry.settings["paginate_by"] == 7
    assert current is request
    assert thread is not threading.main_thread()


async def test_each_part_of_a_batch_is_judged_by_its_own_request() -> None:
    async with serving(policies=(KEYS,), authorization_policy=f"{MODULE}.ByHeader") as client:
        answer = await client.anonymous().batch(
            *[{"method": "PUT", "path": path, "headers": {**ANN, "X-Word": word}} for path, word in
              (("/buckets/a", "sesame"), ("/buckets/b", "barley"))]
        )  # fmt: skip

    assert [each["status"] for each in answer.json["responses"]] == [201, 403]
    assert for_pyramid.ByHeader.seen[-1][0].path == "/v1/buckets/b"


async def test_what_a_request_opens_is_not_kept_for_everybody() -> None:
    changes: dict[str, Any] = {"cache_expires": {"bucket": 60}, "authorization_policy": f"{MODULE}.ByHeader"}
    async with serving(policies=(KEYS,), **changes) as client:
        anybody, word = client.anonymous(), {"X-Word": "sesame"}
        await anybody.put(B, data={}, headers={**ANN, **word})

        assert (await anybody.get(B, headers=word)).headers["Cache-Control"] == "no-cache, no-store"


@pytest.mark.parametrize(
    ("setting", "name", "message"),
    [
        ("groupfinder", "nowhere.at_all", "'multiauth.groupfinder' is 'nowhere.at_all', which does not exist"),
        ("groupfinder", f"{MODULE}.COMPAT", "which cannot be called"),
        ("authorization_policy", f"{MODULE}.find_groups", "'multiauth.authorization_policy' is .* no method 'permits'"),
        ("authorization_policy", "nowhere.at_all", "which does not exist"),
    ],
)
def test_a_name_that_leads_to_neither_stops_the_start(setting: str, name: str, message: str) -> None:
    changes: dict[str, Any] = {setting: name}

    with pytest.raises(SettingsError, match=message):
        App(dataclasses.replace(SETTINGS, **changes), RESOURCES)


@pytest.mark.parametrize("package", ["cliquet", "kinto", "kinto.core"])
def test_the_names_of_other_servers_mean_ours(tmp_path: Path, package: str) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(
        f"[app:main]\nmultiauth.groupfinder = {package}.authorization.groupfinder\n"
        f"multiauth.authorization_policy = {package}.authorization.AuthorizationPolicy\n"
    )
    settings = read_settings(ini, {})

    assert (settings.groupfinder, settings.authorization_policy, settings.warnings) == (None, None, ())
