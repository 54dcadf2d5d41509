"""What hello tells that a server can do: each capability where it is switched on, and no other. Source: objects, 28."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SETTINGS
from tests.plugins.everything import INCLUDES, with_every_plugin
from tests.plugins.openid import policy
from tests.servers.openid import OpenIDProvider

from kobako.server import stock_app
from kobako.settings import Policy, Settings
from kobako.settings.fields import BASICAUTH
from kobako.testing.client import Client

BARE = replace(SETTINGS, policies=(), experimental_permissions_endpoint=False)
ACCOUNTS = {"includes": ("accounts",), "policies": (Policy("account", "account"),)}

TRIMMED = {"auto_trim_max_count": "7", "auto_trim_user_ids": "a", "exclude_resources": "/buckets/b"}
HISTORY = {"includes": ("history",), "plugin_options": {f"history.{name}": each for name, each in TRIMMED.items()}}


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        yield provider


async def capabilities(settings: Settings) -> dict[str, Any]:
    async with Client(stock_app(settings), None) as client:
        found: dict[str, Any] = (await client.get("/")).json["capabilities"]
    return found


@pytest.mark.parametrize(
    ("name", "changes", "more"),
    [
        ("basicauth", {"policies": (BASICAUTH,)}, set()),
        ("accounts", ACCOUNTS, {"validation_enabled"}),
        ("default_bucket", {"includes": ("default_bucket",)}, set()),
        ("history", {"includes": ("history",)}, set()),
        ("history", HISTORY, {"auto_trim_max_count", "auto_trim_user_ids", "excluded_resources"}),
        ("quotas", {"includes": ("quotas",)}, set()),
        ("counters_endpoint", {"includes": ("counters",)}, set()),
        ("flush_endpoint", {"includes": ("flush",)}, set()),
        ("schema", {"experimental_collection_schema_validation": True}, set()),
        ("permissions_endpoint", {"experimental_permissions_endpoint": True}, set()),
        ("attachments", {"includes": ("attachments",)}, {"version", "base_url"}),
    ],
)
async def test_a_capability_is_told_where_it_is_on(
    tmp_path: Path, name: str, changes: dict[str, Any], more: set[str]
) -> None:
    files = {"attachment.base_path": str(tmp_path)} if name == "attachments" else {}

    told = await capabilities(replace(BARE, **{"plugin_options": files, **changes}))

    assert told.keys() == {name}
    assert told[name].keys() == {"description", "url", *more}


async def test_openid_is_one_where_there_is_a_provider(provider: OpenIDProvider) -> None:
    told = await capabilities(replace(BARE, includes=("openid",), policies=(policy(provider),)))
    without = await capabilities(replace(BARE, includes=("openid",)))

    assert (told.keys(), without) == ({"openid"}, {})
    assert told["openid"].keys() == {"description", "url", "providers"}


async def test_all_plugins_are_told_together(tmp_path: Path) -> None:
    told = await capabilities(with_every_plugin(BARE, tmp_path))

    assert len(told) == len(INCLUDES)
    assert all(each["description"] and each["url"].startswith("http") for each in told.values())


@pytest.mark.parametrize("every_plugin", [False, True], indirect=True)
async def test_the_cases_of_permissions_meet_them_where_they_are_asked_to(every_plugin: bool) -> None:
    assert len(await capabilities(BARE)) == (len(INCLUDES) if every_plugin else 0)


async def test_nothing_is_told_of_a_bare_server() -> None:
    assert await capabilities(BARE) == {}
