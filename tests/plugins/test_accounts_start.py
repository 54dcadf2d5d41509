"""Accounts and settings: what stops the start, what is warned of. Source: objects, 14.1 and 26.3; HTTP API, 16.7."""

import builtins
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.accounts import ACCOUNTS, app, first_admin, with_options, with_principals

from kobako import Settings, SettingsError, read_settings
from kobako.plugins import accounts
from kobako.plugins.accounts import options
from kobako.settings.template import render
from kobako.testing.client import Client

Read = Callable[..., Settings]

LINES = """\
[app:main]
kinto.includes = kinto.plugins.accounts
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = abc
multiauth.policies = {policies}
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
"""


@pytest.fixture
def backend() -> None:
    """What is read from settings is the same for each database."""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return the settings of a file for Kinto with these lines, and these variables."""

    def read(*lines: str, policies: str = "account", **environ: str) -> Settings:
        ini = tmp_path / "kinto.ini"
        ini.write_text("\n".join([LINES.format(policies=policies), *lines]))
        return read_settings(ini, environ)

    return read


@pytest.mark.parametrize(
    ("policies", "lines", "problem"),
    [
        ("basicauth", [], "Account policy missing the 'multiauth.policy.*.use' setting."),
        ("basicauth account", [], "Setting 'multiauth.policies' has basicauth before accounts"),
        (
            "account",
            ["kinto.account_create_principals = account:admin basicauth:boss"],
            "Setting 'account_create_principals' has 'account:admin', which has to be in 'account_write",
        ),
        ("account", ["kinto.account_cache_ttl_seconds = soon"], "Setting 'account_cache_ttl_seconds' is 'soon'"),
        ("account", ["kinto.account_cache_ttl_seconds = 0"], "Setting 'account_cache_ttl_seconds' is '0': must be 1"),
        ("account", ["kinto.account_argon2_rounds = 0"], "Setting 'account_argon2_rounds' is '0': must be 1 or more"),
        (
            "local Account",
            [
                "multiauth.policy.local.use = kinto.plugins.accounts.AccountsPolicy",
                "multiauth.policy.Account.use = tests.policies.for_pyramid.ByKey",
            ],
            "Policy 'Account' is no policy of accounts",
        ),
    ],
)
def test_what_does_not_go_together_stops_the_start(read: Read, policies: str, lines: list[str], problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        accounts.plugin(read(*lines, policies=policies))

    assert str(refused.value).startswith(problem)


def test_basicauth_may_follow_accounts(read: Read) -> None:
    assert accounts.plugin(read(policies="account basicauth")).name == "accounts"


def test_creators_may_be_everybody_or_administrators(read: Read) -> None:
    lines = "account_create_principals = system.Everyone account:a", "account_write_principals = account:a account:b"

    assert accounts.plugin(read(*lines)).name == "accounts"


async def test_users_are_prefixed_the_same_whatever_the_policy_is_called(read: Read) -> None:
    settings = read(
        "multiauth.policy.local.use = kinto.plugins.accounts.AccountsPolicy",
        "multiauth.policy.local.realm = Shop",
        policies="local",
    )
    async with Client(app(settings), None) as client:
        admin = await first_admin(client)
        assert (await admin.get("/")).json["user"]["id"] == "account:admin"
        assert (await client.get("/accounts")).headers["WWW-Authenticate"] == 'Basic realm="Shop"'


def test_options_come_from_the_file_and_the_environment(read: Read) -> None:
    found = options.read(read("kinto.account_cache_ttl_seconds = 5", KOBAKO_ACCOUNT_VALIDATION="true"))

    assert (found.cache_ttl_seconds, found.validation) == (5, True)
    validation = options.read_validation(read("kinto.account_validation.email_sender = a@example.org"))
    assert (validation.email_sender, validation.email_body_template) == ("a@example.org", "{activation-key}")


def test_a_file_for_kinto_may_have_what_its_mailer_knows(read: Read) -> None:
    lines = ["account_validation = true", "mail.queue_path = /tmp", "mail.default_sender = x"]

    assert accounts.plugin(read(*lines)).views


def test_accounts_in_memory_are_warned_of(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    accounts.plugin(read())

    assert caplog.messages == ["Setting 'storage_backend' is 'memory': accounts are lost at restart."]


@pytest.mark.parametrize("library", ["argon2", "bcrypt"])
def test_a_library_that_is_missing_is_named_with_its_extra(
    read: Read, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    really = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == library:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return really(name, *arguments)

    settings = read()
    for name in [each for each in sys.modules if each.startswith("kobako.plugins.accounts.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(SettingsError, match=rf"needs {library}: pip install 'kobako\[accounts\]'\.$"):
        accounts.plugin(settings)


# Names that have rights


async def test_names_with_rights_that_nobody_has_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    settings = with_principals(ACCOUNTS, write="account:admin account:boss /buckets/b/groups/g", read="account:reader")
    caplog.set_level(logging.WARNING, "kobako.accounts")
    first = app(with_principals(ACCOUNTS, create="account:admin"))
    async with Client(first, None) as client:
        await first_admin(client)
        again = app(settings)
        again.site.backends.database = first.site.backends.database
        [warn] = accounts.plugin(settings).tasks
        caplog.clear()
        await warn(again)

    assert [each.split(" has rights")[0] for each in caplog.messages] == ["Account 'boss'", "Account 'reader'"]
    assert "`kobako create-user -u boss`" in caplog.messages[0]


async def test_where_nobody_signs_up_there_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    settings = with_principals(ACCOUNTS, create="account:admin")
    async with Client(app(settings), None) as client:
        [warn] = accounts.plugin(settings).tasks
        caplog.clear()
        await warn(client.app)

    assert caplog.messages == []


# The configuration of `kobako init`


async def test_what_init_writes_has_accounts(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(render("memory", "memory", "127.0.0.1"))
    settings = with_options(read_settings(ini, {}), **ACCOUNTS.plugin_options)

    assert settings.warnings == ()
    async with Client(app(settings), None) as client:
        admin = await first_admin(client)
        assert (await client.put("/accounts/alice", data={"password": "secret"})).status == 201
        alice = client.as_user("alice")
        assert (await alice.put("/buckets/b", data={})).status == 403
        assert (await admin.put("/buckets/b", data={})).status == 201
        assert (await admin.patch("/accounts/alice", data={"a": 1})).status == 200
