"""What the server tells about its configuration and its makers. Source: HTTP API, 6.1 and 6.5."""

import hashlib
import os
from datetime import datetime
from pathlib import Path

import pytest
from tests.api.sharing import serving

from kobako.settings import read_settings
from kobako.testing.client import Client

INI = "[app:main]\nkinto.storage_backend = memory\nkinto.eos = 2999-01-22\nkinto.userid_hmac_secret = very-secret\n"


async def test_hello_tells_which_configuration_was_read(tmp_path: Path) -> None:
    ini = tmp_path / "kinto.ini"
    ini.write_text(INI)
    os.utime(ini, (1_700_000_000, 1_700_000_000))
    settings = read_settings(ini, {})
    ini.write_text("something else by now")

    async with serving(config=settings.config) as client:
        told = (await client.get("/")).json["config"]

    assert told == {
        "path": str(ini),
        "hash": hashlib.sha256(INI.encode()).hexdigest(),
        "modified": datetime.fromtimestamp(1_700_000_000).isoformat(),
    }


def test_without_a_configuration_nothing_is_told_of_one() -> None:
    assert read_settings(None, {}).config is None


@pytest.mark.parametrize("raw", ["2999-01-22", "2999-01-22T10:00:00Z", '"2999-01-22"'])
def test_the_end_of_the_service_is_told_as_it_was_written(tmp_path: Path, raw: str) -> None:
    ini = tmp_path / "kinto.ini"
    ini.write_text(f"[app:main]\nkinto.eos = {raw}\n")

    assert read_settings(ini, {}).eos_text == raw.strip('"')
    assert read_settings(None, {"KINTO_EOS": raw}).eos_text == raw.strip('"')
    assert read_settings(None, {"KINTO_EOS": ""}).eos is None


async def test_it_tells_who_makes_it(client: Client) -> None:
    answer = await client.anonymous().get("/contribute.json")

    assert answer.status == 200
    assert set(answer.json) == {"name", "description", "repository", "participate", "bugs", "keywords"}
    assert set(answer.json["repository"]) == {"url", "license", "tests"}
    assert set(answer.json["participate"]) == {"home", "docs", "irc", "irc-contacts"}
    assert set(answer.json["bugs"]) == {"list", "report"}
    assert (answer.json["name"], answer.json["repository"]["license"]) == ("Kobako", "Apache-2.0")


@pytest.mark.parametrize(
    ("raw", "renderer"),
    [
        ("classic", "classic"),
        ("json", "json"),
        ("cliquet.logs.ClassicLogRenderer", "classic"),
        ("cliquet.logs.MozillaHekaRenderer", "heka"),
        ("kinto.core.JsonLogFormatter", "json"),
    ],
)
def test_a_renderer_of_log_entries_is_known_by_its_names_in_other_servers(raw: str, renderer: str) -> None:
    assert read_settings(None, {"KINTO_LOGGING_RENDERER": raw}).logging_renderer == renderer
