"""The examples of docs/toolkit.md do what the page says."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.conftest import SETTINGS

from kobako import App, read_settings
from kobako.resources import RESOURCES
from kobako.testing.client import Client

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/toolkit.md").read_text()
RESOURCE, PLUGIN, CONTRACT = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
INI, FILE_INI = re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("mycompany.shelf")
    monkeypatch.setitem(sys.modules, "mycompany", ModuleType("mycompany"))
    monkeypatch.setitem(sys.modules, "mycompany.shelf", module)
    return module


async def test_resources_are_owned_or_shared(mine: ModuleType) -> None:
    exec(RESOURCE, mine.__dict__)
    async with Client(mine.app(SETTINGS)) as client:
        made = await client.post("/mushrooms", data={"name": "cep"})
        again = await client.post("/mushrooms", data={"name": "cep"})
        await client.put("/trails/long", data={})

        assert (made.data["edible"], again.json["details"]["existing"]) == (False, made.data)
        assert (await client.as_user("bob").get("/mushrooms")).data == []
        assert (await client.post("/trails/long/spots", data={})).status == 201
        assert (await client.as_user("bob").post("/trails/long/spots", data={})).status == 403


async def test_a_plugin_is_named_in_a_configuration(mine: ModuleType, tmp_path: Path) -> None:
    exec(PLUGIN, mine.__dict__)
    ini = tmp_path / "kobako.ini"
    backends = "kobako.storage_backend = memory\nkobako.cache_backend = memory\nmultiauth.policies = basicauth\n"
    ini.write_text(f"[app:main]\n{backends}{INI}")
    async with Client(App(read_settings(ini, {}), RESOURCES)) as client:
        answers = [await client.put(f"/buckets/b{number}", data={}) for number in range(4)]

        assert [each.status for each in answers] == [201, 201, 201, 507]
        assert (await client.get("/latest")).data == ["b0", "b1", "b2"]
        assert (await client.anonymous().get("/latest")).status == 401
        assert (await client.get("/")).json["capabilities"]["shelf"]["most"] == 3


def test_the_contract_of_the_example_is_run() -> None:
    assert CONTRACT in (ROOT / "tests/backends/test_example.py").read_text()
    assert len(CONTRACT.splitlines()) < 10


async def test_a_database_is_named_in_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    ini = tmp_path / "kobako.ini"
    ini.write_text("[app:main]\nmultiauth.policies = basicauth\n" + FILE_INI.replace("/var/lib", str(tmp_path)))
    async with Client(App(read_settings(ini, {}), RESOURCES)) as client:
        assert (await client.put("/buckets/b", data={})).status == 201

    assert '"basicauth:' in (tmp_path / "kobako.json").read_text()
