"""Accounts: what they are, and who may do what with them. Source: objects, 1.3, 14.2 and 14.3; reliability, P11."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.plugins.accounts import ACCOUNTS, WITH_BASICAUTH, app, first_admin, sign_up, with_principals

from kobako.plugins.accounts.account import KEPT
from kobako.testing.client import Answer, Client

NEW = {"password": "secret"}


@pytest.fixture
async def server() -> AsyncIterator[Client]:
    """Anybody, of a server with the accounts `admin`, `alice` and `bob`, where anybody may sign up."""
    async with Client(app(), None) as client:
        for name in ("admin", "alice", "bob"):
            await sign_up(client, name)
        yield client


@pytest.fixture
async def mat() -> AsyncIterator[Client]:
    """A user of basicauth, who has no account."""
    async with Client(app(WITH_BASICAUTH), ("mat", "a password of no account")) as client:
        yield client


# The object


async def test_an_account_that_is_created_has_its_owner_in_its_acl(server: Client) -> None:
    answer = await server.put("/accounts/carol", data={**NEW, "city": "Bern"}, permissions={"read": ["account:bob"]})

    assert answer.status == 201
    assert answer.data == {
        "id": "carol",
        "last_modified": answer.etag,
        "password": KEPT,
        "city": "Bern",
    }
    assert answer.json["permissions"] == {"read": ["account:bob"], "write": ["account:carol"]}


async def test_who_has_an_account_is_its_user(server: Client) -> None:
    hello = (await server.as_user("alice").get("/")).json

    assert hello["user"]["id"] == "account:alice"
    assert set(hello["user"]["principals"]) == {"account:alice", "system.Everyone", "system.Authenticated"}
    assert hello["capabilities"]["accounts"]["validation_enabled"] is False


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"data": {"id": "carol"}}, "Required"),
        ({"data": {"id": "carol", "password": None}}, "Required"),
        ({"data": {"id": "carol", "password": ""}}, "Required"),
        ({"data": {"id": "carol", "password": 1234}}, "data.password is not a string"),
        ({"data": {"id": "carol", "password": ["x"]}}, "data.password is not a string"),
        ({"data": {"id": "carol", "password": KEPT}}, f"data.password is '{KEPT}', which stands for a password that"),
    ],
)
async def test_an_account_needs_a_password(server: Client, method: str, body: Any, problem: str) -> None:
    url = "/accounts" if method == "POST" else "/accounts/carol"

    answer = await server.request(method, url, json=body)

    assert (answer.status, answer.json["errno"]) == (400, 107)
    [detail] = answer.json["details"]
    assert (detail["location"], detail["name"]) == ("body", "data.password")
    assert detail["description"].startswith(problem)


@pytest.mark.parametrize("body", [{"data": {}}, {"permissions": {"read": ["account:bob"]}}, {}])
async def test_a_replacement_has_to_bring_the_password(server: Client, body: Any) -> None:
    answer = await server.as_user("alice").request("PUT", "/accounts/alice", json=body)

    assert (answer.status, answer.json["details"][0]["name"]) == (400, "data.password")
    assert (await server.as_user("alice").put("/accounts/alice")).status == 400


async def test_a_patch_without_password_leaves_it_alone(server: Client) -> None:
    """P8: in all three dialects, also where the text that stands for it is sent back."""
    alice = server.as_user("alice")
    merge, json_patch = ({"Content-Type": f"application/{name}-patch+json"} for name in ("merge", "json"))
    operations = [{"op": "test", "path": "/data/password", "value": KEPT}, {"op": "add", "path": "/data/c", "value": 3}]

    answers = [
        await alice.patch("/accounts/alice", data={"a": 1}),
        await alice.patch("/accounts/alice", data={"b": 2}, headers=merge),
        await alice.request("PATCH", "/accounts/alice", json=operations, headers=json_patch),
        await alice.patch("/accounts/alice", data={"password": KEPT, "d": 4}),
        await alice.patch("/accounts/alice", permissions={"read": ["account:bob"]}),
    ]

    assert [each.status for each in answers] == [200] * 5, answers
    account = (await alice.get("/accounts/alice")).data
    assert {name: account[name] for name in "abcd"} == {"a": 1, "b": 2, "c": 3, "d": 4}


@pytest.mark.parametrize("value", [None, "", 12])
async def test_a_patch_never_takes_the_password_away(server: Client, value: Any) -> None:
    alice, merge = server.as_user("alice"), {"Content-Type": "application/merge-patch+json"}

    refused = await alice.patch("/accounts/alice", data={"password": value}, headers=merge)

    assert (refused.status, refused.json["details"][0]["name"]) == (400, "data.password")


async def test_ids_are_names_or_addresses(server: Client) -> None:
    """P11: nothing that could be another principal, or hide what it is."""
    accepted = [await server.put(f"/accounts/{id}", data=NEW) for id in ("a", "x@y.org", "A+b.c_d-e", "a" * 255)]
    odd = ["%2Ba", "a:b", "admin%0A", "a%20b", "%C3%A9", "a" * 256, "a" * 10_000, ".", "_a", "account:alice"]
    refused = [await server.put(f"/accounts/{id}", data=NEW) for id in odd]
    posted = await server.post("/accounts", data={**NEW, "id": "/buckets/x/groups/y"})

    assert [each.status for each in accepted] == [201] * 4
    assert [(each.status, each.json["message"]) for each in [*refused, posted]] == [
        (400, "path: Invalid object id") for _ in [*odd, posted]
    ]


async def test_a_name_that_is_a_principal_elsewhere_is_none_here(server: Client) -> None:
    odd = await sign_up(server, "system.Everyone")
    await server.as_user("alice").put("/buckets/a", data={}, permissions={"write": ["system.Authenticated"]})

    principals = (await odd.get("/")).json["user"]["principals"]

    assert set(principals) == {"account:system.Everyone", "system.Everyone", "system.Authenticated"}
    assert (await server.get("/buckets/a")).status == 401


async def test_the_general_generator_of_ids_is_none_of_accounts() -> None:
    async with Client(app(replace(ACCOUNTS, id_generators={"": "uuid4"})), None) as client:
        await sign_up(client, "alice")
        assert (await client.post("/accounts", data=NEW)).status == 400


# Who can do what: the table of 14.3, where anybody may sign up, where only administrators create, and where nobody does

OPEN, CLOSED = "system.Everyone", "account:admin"
MISMATCH = "data.id in body: Username and account ID do not match."
NO_ID = "data.id in body: Required"

ROWS = [
    # Who, request, then status and message where anybody may sign up, and where only administrators create.
    (None, "PUT /accounts/new", 201, 401),
    (None, "POST /accounts new", 201, 401),
    (None, "POST /accounts bob", 401, 401),
    (None, "POST /accounts", (400, NO_ID), (400, NO_ID)),
    (None, "GET /accounts", (401, "Cannot read accounts."), (401, "Cannot read accounts.")),
    (None, "HEAD /accounts", 401, 401),
    (None, "DELETE /accounts", (401, "Cannot read accounts."), (401, "Cannot read accounts.")),
    (None, "GET /accounts/bob", 401, 401),
    (None, "GET /accounts/new", 401, 401),
    (None, "PUT /accounts/bob", 401, 401),
    (None, "PATCH /accounts/bob", 401, 401),
    (None, "PATCH /accounts/new", 401, 401),
    (None, "DELETE /accounts/bob", 401, 401),
    ("alice", "GET /accounts", 200, 200),
    ("alice", "GET /accounts/alice", 200, 200),
    ("alice", "PUT /accounts/alice", 200, 200),
    ("alice", "PATCH /accounts/alice", 200, 200),
    ("alice", "DELETE /accounts/alice", 200, 200),
    ("alice", "POST /accounts alice", 200, 200),
    ("alice", "POST /accounts", (400, NO_ID), (400, NO_ID)),
    ("alice", "PUT /accounts/new", (400, MISMATCH), 403),
    ("alice", "PUT /accounts/bob", (400, MISMATCH), 403),
    ("alice", "POST /accounts new", (400, MISMATCH), 403),
    ("alice", "POST /accounts bob", (400, MISMATCH), 403),
    ("alice", "GET /accounts/bob", 403, 403),
    ("alice", "GET /accounts/new", 403, 403),
    ("alice", "PATCH /accounts/bob", 403, 403),
    ("alice", "PATCH /accounts/new", 403, 403),
    ("alice", "DELETE /accounts/bob", 403, 403),
    ("alice", "DELETE /accounts/new", 403, 403),
    ("admin", "PUT /accounts/new", 201, 201),
    ("admin", "POST /accounts new", 201, 201),
    ("admin", "POST /accounts bob", 200, 200),
    ("admin", "POST /accounts", (400, NO_ID), (400, NO_ID)),
    ("admin", "GET /accounts/bob", 200, 200),
    ("admin", "PUT /accounts/bob", 200, 200),
    ("admin", "PATCH /accounts/bob", 200, 200),
    ("admin", "DELETE /accounts/bob", 200, 200),
    ("admin", "GET /accounts/new", 404, 404),
    ("admin", "PATCH /accounts/new", 404, 404),
    ("admin", "DELETE /accounts/new", 404, 404),
    ("admin", "GET /accounts", 200, 200),
]


def has(answer: Answer, expected: Any) -> bool:
    status, message = expected if isinstance(expected, tuple) else (expected, None)
    said = (answer.json or {}).values()
    return answer.status == status and (message is None or message in said)


@pytest.mark.parametrize("creators", [OPEN, CLOSED])
async def test_the_table_of_requests_and_answers(creators: str) -> None:
    async with Client(app(with_principals(create=creators)), None) as anybody:
        admin = await first_admin(anybody)
        wrong = []
        for who, request, *expected in ROWS:
            for name in ("alice", "bob"):
                await admin.put(f"/accounts/{name}", data=NEW)
            await admin.delete("/accounts/new")
            client = anybody.as_user(who) if who else anybody
            method, url, *id = request.split()
            data = {"color": "red"} if method == "PATCH" else {**NEW, **({"id": id[0]} if id else {})}

            answer = await client.request(method, url, json={"data": data})

            if not has(answer, expected[creators == CLOSED]):
                wrong.append((who, request, answer.status, answer.json))
        assert wrong == []


async def test_the_list_is_ones_own_account_but_for_administrators_who_may_read() -> None:
    async with Client(app(with_principals(read="account:admin account:bob"))) as anybody:
        for name in ("admin", "alice", "bob"):
            await sign_up(anybody, name)
        await anybody.as_user("alice").patch("/accounts/alice", permissions={"read": ["account:bob"]})

        found = {
            name: sorted(each["id"] for each in (await anybody.as_user(name).get("/accounts")).data)
            for name in ("admin", "alice", "bob")
        }
        head = await anybody.as_user("bob").head("/accounts")

    assert found == {"admin": ["admin", "alice", "bob"], "alice": ["alice"], "bob": ["bob"]}
    assert head.headers["Total-Records"] == "1"


async def test_the_etag_of_the_list_is_that_of_all_accounts(server: Client) -> None:
    """As that of any list of which one sees a part: whoever polls misses nothing."""
    alice = server.as_user("alice")
    before = await alice.get("/accounts")
    await sign_up(server, "carol")
    after = await alice.get("/accounts")

    assert after.data == before.data
    assert after.etag > before.etag
    assert (await alice.get(f"/accounts?_since={before.etag}")).data == []


async def test_an_administrator_who_may_not_read_lists_their_own(server: Client) -> None:
    assert [each["id"] for each in (await server.as_user("admin").get("/accounts")).data] == ["admin"]


async def test_an_administrator_deletes_every_account_also_their_own(server: Client) -> None:
    admin = server.as_user("admin")

    deleted = await admin.delete("/accounts")

    assert (deleted.status, {each["id"] for each in deleted.data}) == (200, {"admin", "alice", "bob"})
    assert (await admin.get("/accounts")).status == 401


async def test_a_user_who_deletes_the_list_deletes_their_own_account(server: Client) -> None:
    deleted = await server.as_user("alice").delete("/accounts")

    assert [each["id"] for each in deleted.data] == ["alice"]
    assert (await server.as_user("bob").get("/accounts/bob")).status == 200


@pytest.mark.parametrize("permission", ["read", "write"])
async def test_what_an_acl_shares_is_a_404_all_the_same(server: Client, permission: str) -> None:
    """Each user sees their own; settings that let read everything open no more."""
    await server.as_user("alice").patch("/accounts/alice", permissions={permission: ["account:bob"]})
    bob = server.as_user("bob")

    answers = [
        await bob.get("/accounts/alice"),
        await bob.patch("/accounts/alice", data={"a": 1}),
        await bob.delete("/accounts/alice"),
    ]
    replaced = await bob.put("/accounts/alice", data={"password": "bobs"})

    assert [each.status for each in answers] == [404] * 3
    assert (replaced.status, replaced.json["message"]) == (400, MISMATCH)
    assert (await server.as_user("alice").get("/accounts/alice")).status == 200


async def test_an_account_that_everybody_may_read_is_not_told_of_to_anybody(server: Client) -> None:
    await server.as_user("alice").patch("/accounts/alice", permissions={"read": ["system.Everyone"]})

    assert (await server.get("/accounts/alice")).status == 401


async def test_administrators_may_be_a_group() -> None:
    settings = with_principals(write="/buckets/b/groups/g", create="system.Everyone")
    async with Client(app(settings), None) as anybody:
        alice, bob = await sign_up(anybody, "alice"), await sign_up(anybody, "bob")
        await bob.put("/buckets/b", data={})
        await bob.put("/buckets/b/groups/g", data={"members": ["account:alice"]})

        assert (await alice.patch("/accounts/bob", data={"a": 1})).status == 200


# ACLs


async def test_the_acl_of_an_account_is_its_users_whoever_creates_it(server: Client) -> None:
    admin = server.as_user("admin")
    made = await admin.put("/accounts/carol", data=NEW)
    changed = await admin.patch("/accounts/carol", data={"a": 1})
    replaced = await admin.put("/accounts/carol", data=NEW, permissions={"write": [], "read": ["account:bob"]})

    shown = [made.json["permissions"], changed.json["permissions"], (await admin.get("/accounts/carol")).json]
    assert shown[:2] == [{"write": ["account:carol"]}] * 2
    assert replaced.json["permissions"] == shown[2]["permissions"]
    assert shown[2]["permissions"] == {"read": ["account:bob"], "write": ["account:carol"]}
    assert (await server.as_user("carol").get("/accounts/carol")).json == shown[2]


async def test_a_user_of_another_policy_may_create_the_account_of_their_user_id(mat: Client) -> None:
    user = (await mat.get("/")).json["user"]["id"]
    own = user.partition(":")[2]

    refused = await mat.put("/accounts/carol", data=NEW)
    made = await mat.put(f"/accounts/{own}", data=NEW)

    assert (user[:10], refused.json["message"]) == ("basicauth:", MISMATCH)
    assert (made.status, made.json["permissions"]) == (201, {"write": [user]})
    assert [each["id"] for each in (await mat.get("/accounts")).data] == [own]
    assert (await mat.as_user(own).get(f"/accounts/{own}")).data == made.data


async def test_an_account_of_somebody_elses_user_id_is_not_theirs(mat: Client) -> None:
    """P11: whoever takes the name has the account, and no right that the other user has."""
    own = (await mat.get("/")).json["user"]["id"].partition(":")[2]
    thief = await sign_up(mat, own)
    await mat.put("/buckets/mats", data={})

    assert (await thief.get("/buckets/mats")).status == 403
    assert [(await mat.get(f"/accounts/{own}")).status, (await mat.put(f"/accounts/{own}", data=NEW)).status] == [
        403,
        403,
    ]


async def test_rights_stay_when_an_account_is_deleted_and_made_anew(server: Client) -> None:
    alice = server.as_user("alice")
    await alice.put("/buckets/a", data={})
    await alice.delete("/accounts/alice")

    assert (await alice.get("/buckets/a")).status == 401
    await server.put("/accounts/alice", data={"password": "another"})
    assert (await server.as_user("alice", "another").get("/buckets/a")).status == 200


async def test_accounts_are_among_ones_permissions(server: Client) -> None:
    entries = (await server.as_user("alice").get("/permissions")).data

    assert {"uri": "/accounts/alice", "resource_name": "account", "id": "alice", "account_id": "alice"}.items() <= (
        next(each for each in entries if each["uri"] != "/").items()
    )
    assert next(each for each in entries if each["uri"] == "/")["permissions"] == ["bucket:create", "account:create"]
