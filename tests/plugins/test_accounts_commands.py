"""Accounts from the command line. Source: objects, 13.3 and 26.2."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kobako import stock
from kobako.cli import cli
from kobako.server import stock_app
from kobako.testing.client import Client

Run = Callable[..., Result]

LINES = """\
[app:main]
kobako.includes = kinto.plugins.accounts
kobako.userid_hmac_secret = of the tests
kobako.account_write_principals = account:admin
kobako.account_argon2_memory_kib = 8
kobako.account_argon2_rounds = 1
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
"""


@pytest.fixture
def backend() -> None:
    """A command finds its database by the settings: SQLite, in a folder of the test's own."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with a configuration; `typed` is what is typed."""
    monkeypatch.chdir(tmp_path)
    Path("kobako.ini").write_text(LINES)
    for name in stock.INI_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments, typed="", **environ: CliRunner().invoke(cli, arguments, input=typed, env=environ)


def served(use: Callable[[Client], Awaitable[Any]]) -> Any:
    """Return what is done with a server of the same configuration, for anybody."""

    async def serve() -> Any:
        async with Client(stock_app(stock.load(Path("kobako.ini"), {})), None) as client:
            return await use(client)

    return asyncio.run(serve())


def status(name: str, password: str) -> int:
    """Return what a user is answered who asks for their account."""

    async def ask(client: Client) -> int:
        return (await client.as_user(name, password).get(f"/accounts/{name}")).status

    return int(served(ask))


def test_create_user_makes_an_account_before_the_first_start(run: Run) -> None:
    result = run("create-user", "-u", "alice", "-p", "secret")

    assert (result.exit_code, result.stdout) == (0, "Creating user 'alice'\n")
    assert status("alice", "secret") == 200

    async def acl(client: Client) -> Any:
        return (await client.as_user("alice").get("/accounts/alice")).json["permissions"]

    assert served(acl) == {"write": ["account:alice"]}


def test_create_user_replaces_an_account(run: Run) -> None:
    run("create-user", "-u", "alice", "-p", "secret")

    async def change(client: Client) -> Any:
        return await client.as_user("alice").patch("/accounts/alice", data={"a": 1}, permissions={"read": ["system.x"]})

    async def read(client: Client) -> Any:
        return (await client.as_user("alice", "new").get("/accounts/alice")).json

    assert served(change).status == 200
    assert run("create-user", "--username", "alice", "--password", "new").exit_code == 0
    after = served(read)
    assert after["data"].keys() == {"id", "last_modified", "password"}
    assert after["permissions"] == {"read": ["system.x"], "write": ["account:alice"]}
    assert status("alice", "secret") == 401


def test_create_user_asks_until_it_has_a_name_and_a_password_twice(run: Run) -> None:
    typed = "a:b\n/x\nalice\nsecret\nsicret\nsecret\nsecret\n"

    result = run("create-user", typed=typed)

    assert result.exit_code == 0, result.output
    assert result.output.count("Username: ") == 3
    assert "'a:b' is no user name: letters, digits and + . @ _ - make one, a letter or digit first." in result.output
    assert result.output.count("Sorry, passwords do not match, please try again.") == 1
    assert "secret" not in result.output
    assert result.output.endswith("Creating user 'alice'\n")
    assert status("alice", "secret") == 200


@pytest.mark.parametrize("typed", ["", "alice\n", "alice\nsecret\n"])
def test_create_user_ends_with_the_input(run: Run, typed: str) -> None:
    result = run("create-user", typed=typed)

    assert result.exit_code == 53
    assert result.stderr == "User creation aborted\n"


@pytest.mark.parametrize(
    ("environ", "status", "message"),
    [
        ({"KOBAKO_READONLY": "true"}, 51, "Cannot create a user with a readonly server."),
        ({"KOBAKO_INCLUDES": ""}, 52, "Cannot create a user when the accounts plugin is not installed."),
        ({"KOBAKO_STORAGE_BACKEND": "memory"}, 1, "Setting 'storage_backend' is 'memory': only the server itself sees"),
    ],
)
def test_create_user_refuses_where_it_cannot(run: Run, environ: dict[str, str], status: int, message: str) -> None:
    result = run("create-user", "-u", "alice", "-p", "secret", **environ)

    assert result.exit_code == status
    assert message in result.stderr


def test_list_users_lists_their_names(run: Run) -> None:
    assert run("list-users").stdout == ""
    for name in ("bob", "alice"):
        run("create-user", "-u", name, "-p", "secret")

    assert run("list-users").stdout == "alice\nbob\n"
    assert run("list-users", KOBAKO_READONLY="true").stdout == "alice\nbob\n"


def test_reset_password_changes_nothing_else(run: Run) -> None:
    run("create-user", "-u", "alice", "-p", "secret")

    async def change(client: Client) -> int:
        return (await client.as_user("alice").patch("/accounts/alice", data={"city": "Bern"})).etag

    async def read(client: Client) -> Any:
        return await client.as_user("alice", "new").get("/accounts/alice")

    before = served(change)
    result = run("reset-password", "alice", typed="new\nnew\n")

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "The password of 'alice' is changed.")
    after = served(read)
    assert after.data["city"] == "Bern"
    assert after.etag > before
    assert status("alice", "secret") == 401


def test_reset_password_of_nobody_fails(run: Run) -> None:
    result = run("reset-password", "bob", "-p", "new")

    assert (result.exit_code, result.stderr) == (1, "There is no account 'bob'.\n")
    assert run("reset-password", "bob").exit_code == 53
    assert run("reset-password", "bob", "-p", "new", KOBAKO_READONLY="true").exit_code == 51


def test_delete_user_leaves_what_they_have(run: Run) -> None:
    run("create-user", "-u", "alice", "-p", "secret")
    served(lambda client: client.as_user("alice").put("/buckets/a", data={}))

    result = run("delete-user", "alice")
    again = run("delete-user", "alice")

    assert (result.exit_code, result.stdout) == (0, "Deleted user 'alice'.\n")
    assert (again.exit_code, again.stderr) == (1, "There is no account 'alice'.\n")
    assert status("alice", "secret") == 401
    run("create-user", "-u", "alice", "-p", "other")

    async def read(client: Client) -> int:
        return (await client.as_user("alice", "other").get("/buckets/a")).status

    assert served(read) == 200


def test_delete_user_with_data_deletes_what_nobody_else_may_write(run: Run) -> None:
    for name in ("alice", "bob"):
        run("create-user", "-u", name, "-p", "secret")

    async def fill(client: Client) -> None:
        alice, bob = client.as_user("alice"), client.as_user("bob")
        await alice.put("/buckets/own", data={}, permissions={"read": ["account:bob"]})
        await alice.put("/buckets/own/collections/c", data={})
        await alice.put("/buckets/shared", data={}, permissions={"write": ["account:bob"]})
        await bob.put("/buckets/bobs", data={}, permissions={"collection:create": ["account:alice"]})
        await alice.put("/buckets/bobs/collections/c", data={})
        await bob.put("/buckets/bobs/groups/g", data={"members": ["account:alice"]})

    async def left(client: Client) -> Any:
        bob = client.as_user("bob")
        buckets = sorted(each["id"] for each in (await bob.get("/buckets")).data)
        acls = [(await bob.get(f"/buckets/{each}")).json["permissions"] for each in buckets]
        collections = (await bob.get("/buckets/bobs/collections")).data
        async with client.app.site.backends.begin() as tx:
            held = await tx.permission.held({"account:alice"})
            groups = await tx.permission.groups("account:alice")
        return buckets, acls, collections, held, groups

    served(fill)
    result = run("delete-user", "alice", "--with-data")

    assert (result.exit_code, result.stdout) == (0, "Deleted user 'alice', and objects of theirs: 2.\n"), result.stderr
    only_bob = {"write": ["account:bob"]}
    assert served(left) == (["bobs", "shared"], [only_bob, only_bob], [], set(), frozenset())
    assert run("delete-user", "alice", "--with-data").stdout == "Deleted user 'alice', and objects of theirs: 0.\n"
