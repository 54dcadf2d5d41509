"""Passwords of accounts: verified, remembered for a while, changed, renewed, and never seen again.

Source: objects, 14.2 and 14.4; reliability, P4 to P10 and P19.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import argon2
import bcrypt
import pytest
from tests.plugins.accounts import (
    ACCOUNTS,
    QUICK,
    app,
    basic,
    first_admin,
    sign_up,
    with_options,
    with_principals,
)

from kobako import Listener, Plugin
from kobako.databases.base import BackendUnavailable
from kobako.plugins.accounts import vault
from kobako.plugins.accounts.account import ACCOUNTS as LIST
from kobako.plugins.accounts.hashing import MOST_WAITING, Hasher
from kobako.plugins.accounts.login import verified_key
from kobako.testing.client import Client

ALICE = "/accounts/alice"

# What was verified is kept in the cache.
pytestmark = pytest.mark.usefixtures("cache_of_the_backend")


@pytest.fixture
async def alice() -> AsyncIterator[Client]:
    """A user with an account."""
    async with Client(app(), None) as client:
        yield await sign_up(client, "alice")


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The hashes that passwords were compared with, None for that of nobody."""
    seen: list[str | None] = []
    verify = Hasher.verify

    async def noted(self: Hasher, password: str, hash: str | None) -> bool:
        seen.append(hash)
        return await verify(self, password, hash)

    monkeypatch.setattr(Hasher, "verify", noted)
    return seen


class Gate:
    """Holds hashing up: `reached` once a thread has come to it, and open again with `open`."""

    def __init__(self) -> None:
        self.reached, self._open = threading.Event(), threading.Event()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        self.reached.set()
        assert self._open.wait(20)

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, 20)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate before every hash that is made; it stands open when the test ends."""
    gate, make = Gate(), argon2.PasswordHasher.hash

    def held(self: argon2.PasswordHasher, password: str) -> str:
        gate.pass_through()
        return make(self, password)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", held)
    yield gate
    gate.open()


async def status(client: Client, url: str = ALICE) -> int:
    return (await client.get(url)).status


async def stored_hash(client: Client, name: str = "alice") -> str:
    async with client.app.site.backends.begin() as tx:
        secret = await vault.find(tx.storage, name)
    assert secret is not None
    return secret.hash


# Who is recognized


async def test_a_wrong_password_is_nobodys(alice: Client) -> None:
    """P6: also while the right one is remembered. What is for everybody is served all the same."""
    await alice.put("/buckets/open", data={}, permissions={"read": ["system.Everyone"]})
    wrong = [alice.as_user("alice", "wrong"), alice.as_user("alice", ""), alice.as_user("bob"), alice.anonymous()]

    assert [await status(each) for each in wrong] == [401] * 4
    assert [await status(each, "/buckets/open") for each in wrong] == [200] * 4
    assert await status(alice) == 200
    refused = await wrong[0].get(ALICE)
    assert (refused.json["errno"], refused.headers["WWW-Authenticate"]) == (104, 'Basic realm="Realm"')


async def test_what_was_verified_is_not_hashed_again_for_a_while(verified: list[str | None]) -> None:
    """It is remembered for `account_cache_ttl_seconds` after its last use, at least half of which is its own."""
    now = [1_700_000_000_000]
    settings = with_options(account_cache_ttl_seconds="30")
    async with Client(app(settings, clock=lambda: now[0]), None) as client:
        alice = await sign_up(client, "alice")
        counts = []
        for seconds in (0, 10, 10, 10, 14, 14, 31):
            now[0] += seconds * 1000
            assert await status(alice) == 200
            counts.append(len(verified))

    assert counts == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_what_was_refused_is_not_hashed_again_for_a_while(
    alice: Client, verified: list[str | None], name: str
) -> None:
    """Users of basicauth would cost a hash at each request."""
    for _ in range(3):
        assert await status(alice.as_user(name, "wrong")) == 401
    assert len(verified) == 1

    assert await status(alice.as_user(name, "wrong again")) == 401
    assert len(verified) == 2


async def test_while_nothing_is_committed_an_account_is_not_read_again(
    alice: Client, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the database says so: SQLite does. Any commit has it read, whatever it was about."""
    found, find = list[str](), vault.find

    async def noted(storage: Any, account: str) -> Any:
        found.append(account)
        return await find(storage, account)

    nobody = alice.as_user("nobody", "wrong")
    assert [await status(alice), await status(nobody)] == [200, 401]
    monkeypatch.setattr(vault, "find", noted)
    assert [await status(alice), await status(nobody), await status(alice.as_user("alice", "x"))] == [200, 401, 401]
    assert found == (["alice"] if backend == "sqlite" else ["alice", "nobody", "alice"])

    await alice.put("/buckets/another")
    found.clear()
    assert [await status(alice), await status(nobody)] == [200, 401]
    assert found == ["alice", "nobody"]


async def test_the_cache_has_no_password_and_no_hash(alice: Client) -> None:
    assert await status(alice) == 200

    known = await alice.app.site.backends.cache.get(verified_key(ACCOUNTS, "alice"))

    assert set(known) == {"proof", "at"}
    assert len(known["proof"]) == 64


async def test_another_password_is_in_force_at_once(alice: Client) -> None:
    """P7: the old one, also while it is remembered, is refused."""
    assert await status(alice) == 200
    new = alice.as_user("alice", "new")

    assert (await alice.patch(ALICE, data={"password": "new"})).status == 200
    assert [await status(alice), await status(new)] == [401, 200]
    assert (await new.put(ALICE, data={"password": "newer"})).status == 200
    assert [await status(new), await status(alice.as_user("alice", "newer"))] == [401, 200]


async def test_a_login_that_races_a_change_does_not_outlive_it(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: what was verified before the commit is remembered after it, and means nothing."""
    verify, between = Hasher.verify, asyncio.Event()
    changed = asyncio.Event()

    async def late(self: Hasher, password: str, hash: str | None) -> bool:
        right = await verify(self, password, hash)
        between.set()
        await changed.wait()
        return right

    admin = await first_admin(alice)
    assert await status(admin, "/accounts/admin") == 200
    monkeypatch.setattr(Hasher, "verify", late)
    login = asyncio.create_task(alice.get("/"))
    await between.wait()
    assert (await admin.patch(ALICE, data={"password": "new"})).status == 200
    changed.set()
    assert (await login).json["user"]["id"] == "account:alice"

    assert await alice.app.site.backends.cache.get(verified_key(ACCOUNTS, "alice")) is not None
    assert await status(alice) == 401


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_what_was_remembered_goes_with_each_change(alice: Client, method: str) -> None:
    await status(alice)

    await alice.request(method, ALICE, json={"data": {"a": 1}})

    assert await alice.app.site.backends.cache.get(verified_key(ACCOUNTS, "alice")) is None


async def test_who_is_deleted_is_nobody_at_once(alice: Client) -> None:
    assert await status(alice) == 200
    await alice.delete(ALICE)

    assert await status(alice) == 401
    again = await sign_up(alice, "alice", "another")
    assert [await status(alice), await status(again)] == [401, 200]


async def test_a_cache_that_fails_costs_time_and_nothing_else(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*arguments: Any) -> None:
        raise BackendUnavailable("no cache")

    for name in ("get", "set"):
        monkeypatch.setattr(alice.app.site.backends.cache, name, fail)

    assert [await status(alice), await status(alice.as_user("alice", "wrong"))] == [200, 401]


async def test_an_unknown_user_takes_the_same_work_as_a_wrong_password(
    alice: Client, verified: list[str | None]
) -> None:
    """P10: there is one hash to compute, of the same parameters."""
    for name in ("alice", "bob", "no name!"):
        assert await status(alice.as_user(name, "wrong")) == 401

    real = await stored_hash(alice)
    assert verified == [real, None, None]
    nobodys = Hasher(QUICK)._nobodys
    assert argon2.extract_parameters(nobodys) == argon2.extract_parameters(real)
    assert await Hasher(QUICK).verify("wrong", None) is False


async def test_hashes_are_those_of_the_settings() -> None:
    async with Client(app(with_options(account_argon2_memory_kib="16", account_argon2_rounds="2")), None) as client:
        await sign_up(client, "alice")
        parameters = argon2.extract_parameters(await stored_hash(client))

    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (argon2.Type.ID, 16, 2)


# Any password


@pytest.mark.parametrize(
    "password",
    ["x", "a:b", " ", "a" * 72, "a" * 73, "é" * 40, "\u00e9", "e\u0301", "😀", "\x01\x7f", "p" * 1_000_000],
    ids=lambda text: f"{text[:5]!a}-{len(text)}",
)
async def test_any_password_works_and_no_other_does(alice: Client, password: str) -> None:
    """P9: whatever its length, it is not its own beginning, nor another form of the same letters."""
    user = await sign_up(alice, "carol", password)
    others = [password + "x", password[:-1], password[:72] if len(password) > 72 else "another"]

    assert await status(user, "/accounts/carol") == 200
    assert {await status(alice.as_user("carol", each), "/accounts/carol") for each in others} == {401}


async def test_e_with_an_accent_in_another_form_is_another_password(alice: Client) -> None:
    await sign_up(alice, "carol", "\u00e9")

    assert await status(alice.as_user("carol", "e\u0301"), "/accounts/carol") == 401


async def test_a_password_that_is_no_text_is_refused(alice: Client) -> None:
    bodies = [
        rb'{"data": {"password": "a\u0000b"}}',
        rb'{"data": {"password": "\ud800"}}',
        b'{"data": {"password": "\xff"}}',
    ]

    answers = [
        await alice.request("PUT", ALICE, body=each, headers={"Content-Type": "application/json"}) for each in bodies
    ]

    assert [each.status for each in answers] == [400] * 3
    assert await status(alice.as_user("alice", "a\x00b")) == 401


# Hashes of another kind


@pytest.mark.parametrize("password", ["secret", "s" * 100], ids=["short", "long"])
async def test_a_hash_of_bcrypt_is_verified_and_renewed(alice: Client, password: str) -> None:
    """It counts 72 bytes; the new hash is that of all of them."""
    hash = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    await first_admin(alice, hash)
    user = alice.as_user("admin", password)

    assert await status(alice.as_user("admin", "wrong"), "/accounts/admin") == 401
    assert await stored_hash(alice, "admin") == hash
    assert await status(user, "/accounts/admin") == 200
    assert (await stored_hash(alice, "admin")).startswith("$argon2id$")
    assert await status(user, "/accounts/admin") == 200
    assert await status(alice.as_user("admin", password + "x"), "/accounts/admin") == 401


async def test_a_hash_of_other_parameters_is_renewed(alice: Client) -> None:
    await first_admin(alice, argon2.PasswordHasher(1, 16, 1).hash("secret"))

    assert await status(alice.as_user("admin"), "/accounts/admin") == 200
    assert argon2.extract_parameters(await stored_hash(alice, "admin")).memory_cost == 8


@pytest.mark.parametrize("hash", ["", "$2b$", "$2b$04$tooshort", "$argon2id$", "plain", "$1$md5$xyz"])
async def test_what_is_no_hash_is_nobodys_password(alice: Client, hash: str) -> None:
    assert await Hasher(QUICK).verify("plain", hash or "-") is False


async def test_a_renewal_does_not_undo_a_change(alice: Client, gate: Gate) -> None:
    hash = bcrypt.hashpw(b"old", bcrypt.gensalt(4)).decode()
    await first_admin(alice, hash)
    login = asyncio.create_task(alice.as_user("admin", "old").get("/"))
    await gate.wait()
    async with alice.app.site.backends.begin([vault.place("admin")]) as tx:
        await vault.keep(tx.storage, "admin", vault.Secret("changed meanwhile"))
    gate.open()

    assert (await login).json["user"]["id"] == "account:admin"
    assert await stored_hash(alice, "admin") == "changed meanwhile"


# Hashing takes its time


async def test_others_are_served_while_a_password_is_hashed(alice: Client, gate: Gate) -> None:
    """No list is locked meanwhile, not even that of accounts."""
    assert await status(alice) == 200
    signing_up = asyncio.create_task(alice.anonymous().put("/accounts/carol", data={"password": "secret"}))
    await gate.wait()

    assert (await alice.patch(ALICE, data={"a": 1})).status == 200
    assert (await alice.put("/buckets/b", data={})).status == 201
    gate.open()
    assert (await signing_up).status == 201


async def test_who_may_not_do_it_makes_no_work(alice: Client, gate: Gate) -> None:
    refused = await alice.anonymous().put(ALICE, data={"password": "stolen"})

    assert (refused.status, gate.reached.is_set()) == (401, False)


async def test_a_batch_has_each_of_its_passwords_hashed(alice: Client) -> None:
    bodies = [{"data": {"password": f"secret {number}"}} for number in range(3)]
    parts = [{"method": "PUT", "path": f"/accounts/user{number}", "body": each} for number, each in enumerate(bodies)]

    answer = await alice.anonymous().batch(*parts, {"method": "PUT", "path": ALICE, "body": bodies[0]})

    assert [each["status"] for each in answer.json["responses"]] == [201, 201, 201, 401]
    for number in range(3):
        assert await status(alice.as_user(f"user{number}", f"secret {number}"), f"/accounts/user{number}") == 200
    assert await status(alice) == 200


async def test_a_request_with_an_idempotency_key_creates_an_account_once(alice: Client) -> None:
    admin = await first_admin(alice)

    answers = [
        await admin.put("/accounts/carol", data={"password": "secret"}, headers={"Idempotency-Key": "1"})
        for _ in range(2)
    ]

    assert [each.status for each in answers] == [201, 201]
    assert answers[0].json == answers[1].json


async def test_too_many_at_once_are_told_to_come_later(alice: Client, gate: Gate) -> None:
    hasher = Hasher(QUICK)
    hashing = [asyncio.create_task(hasher.hash("x")) for _ in range(MOST_WAITING)]
    await gate.wait()

    with pytest.raises(Exception, match="please retry later"):
        await hasher.verify("x", None)
    gate.open()
    assert len(set(await asyncio.gather(*hashing))) == MOST_WAITING


async def test_of_many_who_take_a_name_at_once_one_has_it(alice: Client) -> None:
    names = ["carol"] * 8 + [f"user{number}" for number in range(4)]
    passwords = [f"secret {number}" for number in range(len(names))]

    answers = await asyncio.gather(
        *[
            alice.anonymous().put(f"/accounts/{name}", data={"password": password})
            for name, password in zip(names, passwords, strict=True)
        ]
    )

    assert sorted(each.status for each in answers) == [201] * 5 + [401] * 7
    [winner] = [password for answer, password in zip(answers[:8], passwords, strict=False) if answer.status == 201]
    assert await status(alice.as_user("carol", winner), "/accounts/carol") == 200


async def test_changes_at_once_are_made_one_after_the_other(alice: Client) -> None:
    admin = await first_admin(alice)
    assert await status(admin, "/accounts/admin") == 200

    answers = await asyncio.gather(*[admin.patch(ALICE, data={"password": f"{n}", f"by{n}": n}) for n in range(6)])

    assert [each.status for each in answers] == [200] * 6
    last = max(answers, key=lambda each: each.etag)
    assert {f"by{n}" for n in range(6)} <= last.data.keys()
    [password] = [f"{n}" for n, each in enumerate(answers) if each is last]
    assert await status(alice.as_user("alice", password)) == 200


# Seen nowhere


async def test_neither_password_nor_hash_is_seen_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    """P4 and P5: not in answers, lists, filters, events, the log, nor in what is stored of the account."""
    caplog.set_level("DEBUG")
    told: list[str] = []

    async def note(tx: Any, event: Any) -> None:
        shown = event.read_objects() if event.action == "read" else event.impacted_objects()
        told.append(json.dumps([event.payload(), shown]))

    actions = ["read", "create", "update", "delete"]
    plugin = Plugin(name="a", listeners=[Listener(note, actions), Listener(note, actions, after_commit=True)])
    merge, json_patch = ({"Content-Type": f"application/{name}-patch+json"} for name in ("merge", "json"))
    settings = with_principals(read="account:admin")
    async with Client(app(settings, plugins=[plugin]), None) as client:
        admin = await first_admin(client)
        alice = await sign_up(client, "alice", "first-hunter2")
        answers = [
            await alice.get(ALICE),
            await alice.get("/accounts"),
            await alice.post("/accounts", data={"id": "alice", "password": "hunter2"}),
            await alice.put(ALICE, data={"password": "hunter2"}, headers={"If-None-Match": "*"}),
            await alice.put(ALICE, data={"password": "hunter2"}, headers={"If-Match": '"1"'}),
            await alice.put(ALICE, data={"password": "first-hunter2"}),
            await admin.patch(ALICE, data={"password": "hunter2"}, headers={"Response-Behavior": "light"}),
            await admin.patch(ALICE, data={"password": "hunter2"}, headers={"Response-Behavior": "diff", **merge}),
            *[
                await admin.request(
                    "PATCH", ALICE, json=[{"op": op, "path": "/data/password", "value": "hunter2"}], headers=json_patch
                )
                for op in ("replace", "test")
            ],
            await admin.get("/accounts"),
            await admin.get("/accounts?_fields=password&_sort=password"),
            await admin.get("/accounts?_sort=-password&_limit=1"),
            await admin.get(admin_next(await admin.get("/accounts?_sort=-password&_limit=1"))),
            await admin.get("/permissions"),
            await admin.batch({"method": "PATCH", "path": ALICE, "body": {"data": {"password": "hunter2"}}}),
            await admin.delete(ALICE),
        ]
        found = [
            await admin.head(f"/accounts?{each}")
            for each in ("like_password=argon2", "min_password=$", "password=first", "has_password.x=true")
        ]
        states = [each async for each in stored_texts(client)]

    seen = "\n".join([json.dumps([each.headers, each.json]) for each in answers] + told + states + [caplog.text])
    assert "********" in seen
    assert [secret for secret in ("hunter2", "$argon2", "$2b") if secret in seen] == []
    # What stands for the password of each is the same text, so an order or filter tells them not apart.
    assert [each.headers["Total-Records"] for each in found] == ["0", "1", "0", "0"]


def admin_next(page: Any) -> str:
    """Return the URL of the next page, whose token has the values that the order is by."""
    return str(page.headers["Next-Page"])


async def stored_texts(client: Client) -> AsyncIterator[str]:
    """Yield what the list of accounts has stored."""
    async with client.app.site.backends.begin() as tx:
        for each in await tx.storage.list(LIST):
            yield each.json()


async def test_a_readonly_server_logs_in_and_writes_nothing(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """P19."""
    hash = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    await first_admin(alice, hash)
    # The same database, so that the accounts are there.
    database = alice.app.site.backends.database
    monkeypatch.setattr("kobako.app.open_database", lambda *_: database)
    readonly = app(replace(ACCOUNTS, readonly=True))
    client = Client(readonly, ("admin", "secret"))

    assert (await client.get("/accounts/admin")).status == 200
    assert await stored_hash(alice, "admin") == hash
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await client.request(method, "/accounts/admin", json={"data": {"password": "x"}})).status == 405
    assert (await client.post("/accounts", data={"id": "x", "password": "x"})).status == 405


async def test_credentials_of_another_kind_are_passed_over(alice: Client) -> None:
    for given in ("Bearer abc", "Basic !", "Basic " + "QQ==", "Basic OnNlY3JldA=="):
        assert (await alice.anonymous().get(ALICE, headers={"Authorization": given})).status == 401
    assert (await alice.anonymous().get(ALICE, headers=basic("alice", "secret"))).status == 200
