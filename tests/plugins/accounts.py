"""What the tests of accounts share: settings with quick hashes, and requests that are made often."""

import base64
from dataclasses import replace
from typing import Any

from tests.conftest import SETTINGS

from kobako.app import App
from kobako.plugins.accounts.account import ACCOUNTS as LIST
from kobako.plugins.accounts.account import install
from kobako.plugins.accounts.hashing import Hasher
from kobako.plugins.accounts.options import Options
from kobako.resources import RESOURCES
from kobako.settings import Policy, Settings
from kobako.testing.client import Client

QUICK = Options(argon2_memory_kib=8, argon2_rounds=1)

ACCOUNTS = replace(
    SETTINGS,
    includes=("accounts",),
    policies=(Policy("account", "account"),),
    principals_by_permission={
        **SETTINGS.principals_by_permission,
        "account_create": frozenset({"system.Everyone"}),
        "account_write": frozenset({"account:admin"}),
    },
    plugin_options={"account_argon2_memory_kib": "8", "account_argon2_rounds": "1"},
    experimental_permissions_endpoint=True,
)


WITH_BASICAUTH = replace(ACCOUNTS, policies=(*ACCOUNTS.policies, Policy("basicauth", "basicauth")))


def with_options(settings: Settings = ACCOUNTS, **options: str) -> Settings:
    """Return settings with other options of the plugin: `__` in a name is a dot."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    return replace(settings, plugin_options={**settings.plugin_options, **given})


def with_principals(settings: Settings = ACCOUNTS, **principals: str) -> Settings:
    """Return settings in which others have rights on accounts."""
    given = {f"account_{name}": frozenset(each.split()) for name, each in principals.items()}
    return replace(settings, principals_by_permission={**settings.principals_by_permission, **given})


def app(settings: Settings = ACCOUNTS, **options: Any) -> App:
    """Return a server with accounts."""
    return App(settings, RESOURCES, **options)


async def sign_up(client: Client, name: str, password: str = "secret", **data: Any) -> Client:
    """Create an account as anybody may, and return a client of its user."""
    answer = await client.anonymous().put(f"/accounts/{name}", data={"password": password, **data})
    assert answer.status == 201, answer.json
    return client.as_user(name, password)


async def first_admin(client: Client, hash: str = "") -> Client:
    """Return a client of `admin`, whose account is made as the command line does; or with a hash from elsewhere."""
    async with client.app.site.backends.begin([LIST]) as tx:
        await install(tx, "admin", hash or await Hasher(QUICK).hash("secret"))
    return client.as_user("admin")


def basic(name: str, password: str) -> dict[str, str]:
    """Return the header of Basic credentials."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
