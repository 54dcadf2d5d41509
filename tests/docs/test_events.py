"""The examples of docs/events.md do what the page says."""

import dataclasses
import json
import re
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.listeners.webhook import options, signing
from kobako.resources import RESOURCES
from kobako.settings import read_settings
from kobako.testing.client import Client

PAGE = (Path(__file__).parents[2] / "docs/events.md").read_text()
R = "/buckets/b/collections/c/records/r"


def example(language: str, number: int) -> str:
    """Return the n-th example of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[number]


def run(text: str) -> dict[str, Any]:
    """Return the names that an example defines."""
    names: dict[str, Any] = {}
    exec(compile(text, "docs/events.md", "exec"), names)
    return names


async def test_a_listener_refuses_before_the_commit_and_another_notes_what_was_committed() -> None:
    names = run(example("python", 0))
    async with Client(names["app"](SETTINGS)) as client:
        for uri in ("/buckets/b", "/buckets/b/collections/c"):
            await client.put(uri, data={})
        await client.put(R, data={"published": True})
        names["seen"].clear()

        refused = await client.delete(R)
        await client.patch(R, data={"published": False})
        allowed = await client.delete(R)

    assert (refused.status, refused.json["message"], allowed.status) == (403, "A published article stays.", 200)
    assert [(each["action"], each["record_id"]) for each in names["seen"]] == [("update", "r"), ("delete", "r")]


async def test_a_listener_is_named_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, ini = tmp_path / "audit.jsonl", tmp_path / "kobako.ini"
    ini.write_text(example("ini", 0).replace("/var/log/audit.jsonl", str(log)))
    audit = ModuleType("mycompany.audit")
    exec(example("python", 1), audit.__dict__)
    monkeypatch.setitem(sys.modules, "mycompany.audit", audit)

    described = read_settings(ini, {}).event_listeners
    async with Client(App(dataclasses.replace(SETTINGS, event_listeners=described), RESOURCES)) as client:
        for uri in ("/buckets/b", "/buckets/b/collections/c", R):
            await client.put(uri, data={})

    [line] = log.read_text().splitlines()
    assert json.loads(line)["uri"] == R


def test_a_receiver_checks_a_signature_as_the_page_shows(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    ini.write_text(example("ini", 2))
    [described] = read_settings(ini, {}).event_listeners
    webhook = options.read(described)
    is_genuine = run(example("python", 2))["is_genuine"]
    now, secret = int(time.time()), described.options["secret"]

    headers = signing.headers(webhook.key, "search-3-1", now, b"{}")
    old = signing.headers(webhook.key, "search-3-1", now - 3600, b"{}")

    assert is_genuine(headers, b"{}", secret)
    assert not is_genuine(headers, b"[]", secret)
    assert not is_genuine(headers, b"{}", secret.replace("M", "N"))
    assert not is_genuine({**headers, "Webhook-Id": "other"}, b"{}", secret)
    assert not is_genuine(old, b"{}", secret)


async def test_the_configurations_of_the_page_start(tmp_path: Path) -> None:
    ini = tmp_path / "kobako.ini"
    for number in (1, 2):
        ini.write_text(example("ini", number))
        described = read_settings(ini, {}).event_listeners
        async with Client(App(dataclasses.replace(SETTINGS, event_listeners=described), RESOURCES)) as client:
            assert (await client.get("/")).status == 200
