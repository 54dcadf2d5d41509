"""The examples of docs/history.md are what a server takes and answers."""

import dataclasses
import json
import re
from pathlib import Path

from tests.conftest import SETTINGS

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import read_settings
from kobako.testing.client import Client

PAGE = (Path(__file__).parents[2] / "docs/history.md").read_text()
ARTICLES = "/buckets/blog/collections/articles"


def example(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


async def test_the_settings_of_the_page_record_entries_like_the_one_of_the_page(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(example("ini"))
    read = read_settings(ini, {})
    settings = dataclasses.replace(SETTINGS, includes=read.includes, plugin_options=read.plugin_options)
    async with Client(App(settings, RESOURCES)) as client:
        for uri in ("/buckets/blog", ARTICLES, "/buckets/blog/collections/drafts", f"{ARTICLES}/records/first"):
            assert (await client.put(uri)).status == 201
        await client.put(f"{ARTICLES}/records/first", {"title": "New"})
        entries = (await client.get("/buckets/blog/history")).data
        told = (await client.get("/")).json["capabilities"]["history"]
        queries = re.findall(r"^    (/buckets/blog/history.*)$", PAGE, re.MULTILINE)
        found = [len((await client.get(query)).data) for query in queries]

    shown, newest = json.loads(example("json")), entries[0]
    assert [*newest] == [*shown]
    assert {**newest["target"]["data"], "last_modified": 0} == {**shown["target"]["data"], "last_modified": 0}
    same = ("action", "resource_name", "collection_id", "record_id", "uri")
    assert [newest[name] for name in same] == [shown[name] for name in same]
    assert "drafts" not in {each.get("collection_id") for each in entries}
    assert told["auto_trim_max_count"] == 1000
    assert found == [2, 0, 0]
