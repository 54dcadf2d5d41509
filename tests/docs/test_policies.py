"""The example of docs/policies.md does what the page says."""

import dataclasses
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import read_settings
from kobako.testing.client import Client

PAGE = (Path(__file__).parents[2] / "docs/policies.md").read_text()


def example(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


async def test_the_settings_name_a_policy_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(example("ini"))
    robots = ModuleType("mycompany.robots")
    exec(compile(example("python"), "docs/policies.md", "exec"), vars(robots))
    monkeypatch.setitem(sys.modules, "mycompany", ModuleType("mycompany"))
    monkeypatch.setitem(sys.modules, "mycompany.robots", robots)
    monkeypatch.setattr(sys.modules["mycompany"], "robots", robots, raising=False)

    settings = dataclasses.replace(SETTINGS, policies=read_settings(ini, {}).policies)
    async with Client(App(settings, RESOURCES)) as client:
        robot, stranger = client.anonymous().at("10.0.0.1"), client.anonymous()
        named = (await robot.get("/", headers={"Authorization": "Bearer 8f5c0b6e"})).json["user"]
        refused = await stranger.get("/buckets", headers={"Authorization": "Bearer 8f5c"})
        by_password = (await client.get("/")).json["user"]

    assert named["id"] == "robots:r2d2"
    assert set(named["principals"]) >= {"machines", "office"}
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].split("\n") == ['Bearer realm="kobako"', 'Basic realm="Shop"']
    assert by_password["id"].startswith("basicauth:")
