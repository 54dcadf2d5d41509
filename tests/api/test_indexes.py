"""Indexes that a collection or a setting declares for records: what is found is the same, what can be none is told."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from kobako import resources
from kobako.app import App
from kobako.resources import indexes
from kobako.settings import Settings
from kobako.storage.base import Place
from kobako.testing.client import Client

B = "/buckets/b"
C = f"{B}/collections/c"
RECORDS = f"{C}/records"


async def filled(client: Client, indexes: Any) -> None:
    """Make a collection that declares indexes, with records."""
    await client.put(B)
    assert (await client.put(C, {"indexes": indexes})).status == 201
    for n in range(6):
        await client.put(f"{RECORDS}/r{n}", {"size": n % 3, "person": {"name": "Ada" if n % 2 else "Bob"}})


async def found(client: Client, query: str) -> list[str]:
    answer = await client.get(f"{RECORDS}?{query}")
    assert answer.status == 200, answer
    return [each["id"] for each in answer.json["data"]]


@pytest.mark.parametrize("indexes", [["size", "person.name"], ["person.name"], [], None])
async def test_a_filter_finds_the_same_with_and_without_an_index(client: Client, indexes: Any) -> None:
    await filled(client, indexes)

    assert await found(client, "size=1") == ["r4", "r1"]
    assert await found(client, "person.name=Ada&_sort=size") == ["r3", "r1", "r5"]
    assert await found(client, "in_size=0,2&person.name=Bob") == ["r2", "r0"]
    assert await found(client, "gt_size=1&_limit=1") == ["r5"]
    assert (await client.request("HEAD", f"{RECORDS}?size=1")).headers["Total-Objects"] == "2"


async def test_indexes_change_with_the_collection(client: Client) -> None:
    await filled(client, ["size"])
    for fields in (["person.name", "size"], ["person.name"], "nothing of the kind", ["size"]):
        assert (await client.patch(C, {"indexes": fields})).status == 200
        await client.put(f"{RECORDS}/r9", {"size": 1, "person": {"name": "Cy"}})

        assert await found(client, "size=1") == ["r9", "r4", "r1"]
        assert await found(client, "person.name=Cy") == ["r9"]
        await client.delete(f"{RECORDS}/r9")
        assert await found(client, "size=1") == ["r4", "r1"]


async def test_a_collection_made_anew_declares_its_own(client: Client) -> None:
    await filled(client, ["size"])
    await client.delete(C)
    await client.put(C, {"indexes": ["person.name"]})
    await client.put(f"{RECORDS}/r1", {"size": 1, "person": {"name": "Ada"}})

    assert await found(client, "size=1") == ["r1"]
    assert await found(client, "person.name=Ada") == ["r1"]


@pytest.mark.parametrize(
    ("indexes", "reason"),
    [
        pytest.param(["a", "b", "c", "d", "e", "f"], "6 fields are more than maximum value 5", id="too many"),
        pytest.param(["id"], '"id" has an index already', id="the id"),
        pytest.param(["last_modified"], '"last_modified" has an index already', id="the timestamp"),
        pytest.param([""], '"" is no field that a filter can name', id="nothing"),
        pytest.param(["_size"], '"_size" is no field that a filter can name', id="a parameter"),
        pytest.param(["x" * 201], "is no field that a filter can name", id="too long"),
        pytest.param(["a", "a"], "a field is named twice", id="twice"),
    ],
)
async def test_what_no_filter_can_name_has_no_index(client: Client, indexes: list[str], reason: str) -> None:
    await client.put(B)

    answer = await client.put(C, {"indexes": indexes})

    assert answer.status == 400
    assert reason in answer.json["message"]
    assert "indexes" in answer.json["message"]


@pytest.mark.parametrize("value", ["size", 5, {"size": 1}, [1], ["size", None], True])
async def test_what_is_no_list_of_names_is_data_as_any_other(client: Client, value: Any) -> None:
    await filled(client, value)

    assert (await client.get(C)).json["data"]["indexes"] == value
    assert await found(client, "size=1") == ["r4", "r1"]


# By settings


async def serving(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> tuple[Client, dict[str, list[str]]]:
    """Return a client of a server with these settings, and what indexes the records of each collection have."""
    declared: dict[str, list[str]] = {}
    client = Client(App(settings, resources.chosen(settings), plugins=[indexes.plugin(settings)]))
    await client.__aenter__()
    async with client.app.site.backends.begin() as tx:
        index = type(tx.storage).index

    async def noted(self: Any, place: Place, fields: Sequence[str]) -> None:
        declared[place.parent] = [*fields]
        await index(self, place, fields)

    monkeypatch.setattr(type(tx.storage), "index", noted)
    return client, declared


OF_ONE, OF_BUCKET = {"b.c.record": ("size", "person.name")}, {"b.record": ("n",)}


async def test_settings_declare_the_indexes_of_a_new_collection(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, declared = await serving(replace(settings, indexes=OF_ONE | OF_BUCKET), monkeypatch)
    async with client:
        await filled(client, None)
        await client.put(f"{B}/collections/d")
        await client.put("/buckets/other")
        await client.put("/buckets/other/collections/c")

        assert declared == {C: ["size", "person.name"], f"{B}/collections/d": ["n"]}
        assert await found(client, "size=1&person.name=Ada") == ["r1"]


async def test_what_a_collection_declares_itself_counts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    client, declared = await serving(replace(settings, indexes=OF_ONE), monkeypatch)
    async with client:
        await filled(client, ["n"])
        assert declared == {C: ["n"]}

        await client.put(C, {})

        assert declared == {C: ["size", "person.name"]}


async def test_migrate_gives_collections_that_are_there_what_settings_say_now(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, declared = await serving(settings, monkeypatch)
    async with client:
        await filled(client, None)
        await client.put(f"{B}/collections/own", {"indexes": ["n"]})
        before, declared[C] = dict(declared), []

        for changed in (OF_ONE, OF_BUCKET, {}):
            client.app.settings = replace(settings, indexes=changed)
            done = await indexes.apply(client.app)

            assert done == ["looked at the indexes of 2 collections"]
            assert declared == {**before, C: [*changed.get("b.c.record", changed.get("b.record", ()))]}
            assert await found(client, "size=1") == ["r4", "r1"]

        assert await indexes.apply(client.app) == []
