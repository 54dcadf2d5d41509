"""The examples of docs/openid.md are understood as the page says, and its tables have every setting."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.servers.openid import AUDIENCE, OpenIDProvider

from kobako.app import App
from kobako.plugins import oauth
from kobako.plugins.fxa.options import Options as FxaOptions
from kobako.plugins.openid.options import Options
from kobako.resources import RESOURCES
from kobako.settings import read_settings
from kobako.testing.client import Client

PAGE = (Path(__file__).parents[2] / "docs/openid.md").read_text()
EXAMPLES = re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MEMORY = "".join(f"kobako.{each}_backend = memory\n" for each in ("storage", "permission", "cache"))


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        yield provider


def write(folder: Path, text: str) -> Path:
    ini = folder / "kobako.ini"
    ini.write_text(text.replace("[app:main]\n", "[app:main]\n" + MEMORY))
    return ini


async def test_the_example_lets_users_of_a_provider_in(provider: OpenIDProvider, tmp_path: Path) -> None:
    example = EXAMPLES[0].replace("https://example.eu.auth0.com/", provider.issuer)
    settings = read_settings(write(tmp_path, example.replace("https://your.server/", AUDIENCE)), {})
    [login] = re.findall(r"^https://your\.server/v1(/openid/\S+)$", PAGE, re.MULTILINE)

    async with Client(App(settings, RESOURCES), user=None) as client:
        token = provider.grant_jwt()
        user = (await client.get("/", headers={"Authorization": f"Bearer {token}"})).json["user"]

        assert user["id"] == "auth0:alice"
        assert (await client.get(login)).status == 307
        assert (await client.get(login.replace("admin.example", "evil.example"))).status == 400


def test_the_example_of_oauth_is_understood(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, "[app:main]\n" + EXAMPLES[1]), {})

    assert [each.name for each in App(settings, RESOURCES).site.authenticators] == ["robots"]


@pytest.mark.parametrize(
    ("section", "kind"),
    [("OpenID Connect", Options), ("OAuth tokens", oauth.Options), ("Firefox Accounts", FxaOptions)],
)
def test_every_setting_is_in_its_table(section: str, kind: type[msgspec.Struct]) -> None:
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    told = {name.removeprefix("fxa-oauth.") for name in re.findall(r"`([\w.-]+)`", text)}

    assert set(kind.__struct_encode_fields__) <= told
