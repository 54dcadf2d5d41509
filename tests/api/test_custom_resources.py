"""What a resource of one's own may be like: each row of the table in objects, 27.4.

Schemas, ids, parents, permissions and lists of each user's own are in test_toolkit.py and test_plugins.py.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.conftest import SETTINGS

from kobako import (
    EVERYONE,
    App,
    Change,
    Forbidden,
    JsonObject,
    Listener,
    ObjectsChanged,
    Resource,
    Stored,
    Target,
    Transaction,
    objects,
    read_settings,
)
from kobako.testing.client import Client


class Loan(msgspec.Struct, rename={"by": "reader"}):
    title: str
    by: str = "nobody"
    pages: int | None = None


Configured = Callable[..., Client]

LOAN = Resource(name="loan", path="/loans", creators=(EVERYONE,), schema=Loan, readonly_fields=("title", "pages"))
BOOK = Resource(name="book", path="/library", creators=(EVERYONE,))


@asynccontextmanager
async def serving(*resources: Resource, listeners: Any = (), **changes: Any) -> AsyncIterator[Client]:
    async with Client(App(replace(SETTINGS, **changes), resources, listeners=listeners)) as client:
        yield client


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """Return the client of a server of books with these lines in its configuration."""

    def configured(*lines: str) -> Client:
        ini = tmp_path / "kobako.ini"
        backends = "kobako.storage_backend = memory", "kobako.cache_backend = memory"
        ini.write_text("\n".join(["[app:main]", "multiauth.policies = basicauth", *backends, *lines]))
        return Client(App(read_settings(ini, {}, resources=["book"]), [BOOK]))

    return configured


async def statuses(client: Client, path: str, *methods: str) -> list[int]:
    return [(await client.request(method, path)).status for method in methods]


# Name, URLs and methods


async def test_the_name_is_in_events_and_the_path_in_urls() -> None:
    heard: list[tuple[str, str]] = []

    async def hear(tx: Transaction, event: ObjectsChanged) -> None:
        heard.append((event.place.resource, event.uri))

    async with serving(BOOK, listeners=[Listener(hear, resources=["book"])]) as client:
        made = await client.post("/library", data={})

        assert (await client.get(f"/library/{made.data['id']}")).data == made.data
        assert heard == [("book", "/library")] or heard == [("book", f"/library/{made.data['id']}")]
        assert (await client.get("/books")).status == 404


async def test_without_methods_there_is_no_such_endpoint() -> None:
    entries = Resource(
        name="entry", path="/entries", creators=(EVERYONE,), object_methods=(), list_methods=("GET", "POST")
    )
    single = msgspec.structs.replace(BOOK, name="single", path="/singles", list_methods=())
    async with serving(entries, single) as client:
        made = await client.post("/entries", data={})

        assert await statuses(client, f"/entries/{made.data['id']}", "GET", "PUT", "DELETE") == [404, 404, 404]
        assert await statuses(client, "/entries", "GET", "HEAD", "DELETE") == [200, 405, 405]
        assert (await client.delete("/entries")).headers["Allow"] == "GET, POST, OPTIONS"
        assert await statuses(client, "/singles", "GET", "POST") == [404, 404]
        assert (await client.put(f"/singles/{made.data['id']}", data={})).status == 201
        assert "/entries/{id}" not in (await client.get("/__api__")).json["paths"]


async def test_a_deployment_may_switch_off_methods_by_either_name(configured: Configured) -> None:
    client = configured("plural_book_delete_enabled = false", "kobako.record_book_patch_enabled = false")
    async with client:
        made = await client.post("/library", data={})

        assert await statuses(client, "/library", "GET", "DELETE") == [200, 405]
        assert await statuses(client, f"/library/{made.data['id']}", "PATCH", "GET") == [405, 200]


# Schema


async def test_fields_that_stay_as_they_are_are_set_once() -> None:
    async with serving(LOAN) as client:
        made = await client.post("/loans", data={"title": "Emma", "pages": 3})
        path = f"/loans/{made.data['id']}"

        answers = [
            await client.patch(path, data={"title": "Persuasion"}),
            await client.put(path, data={"title": "Persuasion", "pages": 3}),
            await client.request(
                "PATCH", path, json=[{"op": "replace", "path": "/data/title", "value": "Persuasion"}],
                headers={"Content-Type": "application/json-patch+json"},
            ),
        ]  # fmt: skip
        both = await client.put(path, data={"title": "Persuasion", "pages": 4})
        kept = await client.put(path, data={"title": "Emma", "pages": 3, "reader": "ann"})
        patched = await client.patch(path, data={"title": "Emma", "reader": "bob"})

        for each in answers:
            assert (each.status, each.json["errno"]) == (400, 107)
            assert each.json["details"] == [{"location": "body", "name": "title", "description": "Cannot modify title"}]
        assert [each["name"] for each in both.json["details"]] == ["pages", "title"]
        assert (kept.data["reader"], patched.data["reader"], patched.data["title"]) == ("ann", "bob", "Emma")


async def test_a_replacement_may_leave_out_what_stays_and_a_patch_may_not_remove_it() -> None:
    page = Resource(name="page", path="/pages", creators=(EVERYONE,), readonly_fields=("author",))
    async with serving(page) as client:
        made = await client.post("/pages", data={"text": "a"})
        path = f"/pages/{made.data['id']}"
        await client.patch(path, data={"author": "ann"})

        replaced = await client.put(path, data={"text": "b"})
        removed = await client.patch(
            path, data={"author": None}, headers={"Content-Type": "application/merge-patch+json"}
        )
        shared = await client.put(path, permissions={"read": [EVERYONE]})

        assert (replaced.data["author"], replaced.data["text"]) == ("ann", "b")
        assert (removed.status, removed.json["details"][0]["description"]) == (400, "Cannot modify author")
        assert (shared.status, shared.data["author"]) == (200, "ann")


@pytest.mark.parametrize(
    "schema",
    [Loan, {"properties": {"title": {}, "reader": {}, "pages": {}}, "additionalProperties": False}],
    ids=["struct", "json schema"],
)
async def test_of_a_closed_schema_queries_name_no_other_fields(schema: Any) -> None:
    async with serving(msgspec.structs.replace(LOAN, schema=schema)) as client:
        made = await client.post("/loans", data={"title": "Emma"})

        for query in (
            "reader.name=a&like_title=Em*",
            "id=a&_sort=-pages,last_modified",
            "_fields=title,id",
            "_since=1",
        ):
            assert (await client.get(f"/loans?{query}")).status == 200, query
        for query, told in (
            ("has_colour=true", "Unknown filter field 'has_colour'"),
            ("by=ann", "Unknown filter field 'by'"),
            ("_sort=-colour", "Unknown sort field 'colour'"),
            ("_fields=colour", "Fields colour do not exist"),
        ):
            for method, path in (("GET", "/loans"), ("HEAD", "/loans"), ("DELETE", "/loans")):
                answer = await client.request(method, f"{path}?{query}")
                assert answer.status == 400, (method, query)
                assert method == "HEAD" or told in answer.json["message"]
        assert (await client.get(f"/loans/{made.data['id']}?_fields=colour")).status == 400
        assert len((await client.get("/loans")).data) == 1


async def test_of_an_open_schema_other_fields_are_kept_and_may_be_asked_for() -> None:
    schema = {"properties": {"title": {"type": "string"}}}
    async with serving(msgspec.structs.replace(LOAN, schema=schema)) as client:
        await client.post("/loans", data={"title": "Emma", "colour": "red"})

        assert [each["colour"] for each in (await client.get("/loans?colour=red&_sort=size")).data] == ["red"]


async def test_a_struct_drops_what_it_has_no_field_for() -> None:
    async with serving(LOAN) as client:
        made = await client.post("/loans", data={"title": "Emma", "colour": "red"})

        assert made.data.keys() == {"id", "last_modified", "title", "reader", "pages"}


async def test_a_resource_says_itself_which_fields_its_functions_add() -> None:
    async def count(tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
        return {**data, "edits": old.data()["edits"] + 1 if old else 0}

    loan = msgspec.structs.replace(LOAN, prepare=count, known_fields=("title", "reader", "edits"))
    async with serving(loan) as client:
        made = await client.post("/loans", data={"title": "Emma"})
        await client.patch(f"/loans/{made.data['id']}", data={"reader": "ann"})

        assert [each["edits"] for each in (await client.get("/loans?edits=1")).data] == [1]
        assert (await client.get("/loans?pages=1")).status == 400


# Processing


async def test_a_function_that_prepares_may_refuse_and_one_that_reacts_follows_in_the_transaction() -> None:
    async def allow(tx: Transaction, target: Target, data: JsonObject, old: Stored | None) -> JsonObject:
        if data.get("banned"):
            raise Forbidden("No such book.")
        return data

    async def keep_count(tx: Transaction, target: Target, change: Change) -> None:
        shelf = BOOK.target("/library").at("00000000-0000-4000-8000-000000000001")
        old = await objects.find(tx, shelf)
        assert old
        await objects.write(tx, shelf, {"changes": old.data()["changes"] + 1}, old=old, by=None)

    page = Resource(
        name="page", path="/library/{book_id}/pages", parent=BOOK, prepare=allow, react=keep_count, creators=(EVERYONE,)
    )
    async with serving(BOOK, page) as client:
        path = "/library/00000000-0000-4000-8000-000000000001"
        await client.put(path, data={"changes": 0})

        refused = await client.post(f"{path}/pages", data={"banned": True})
        made = await client.post(f"{path}/pages", data={})
        await client.delete(f"{path}/pages/{made.data['id']}")

        assert (refused.status, refused.json["message"]) == (403, "No such book.")
        assert (await client.get(path)).data["changes"] == 2


# Caching


async def test_anonymous_readers_keep_objects_as_long_as_the_settings_say(configured: Configured) -> None:
    client = configured("kobako.book_cache_expires_seconds = 60", f"kobako.book_read_principals = {EVERYONE}")
    async with client:
        made = await client.post("/library", data={})

        for path in ("/library", f"/library/{made.data['id']}"):
            kept = await client.anonymous().get(path)
            assert (kept.headers["Cache-Control"], "Expires" in kept.headers) == ("max-age=60", True)
            assert (await client.get(path)).headers["Cache-Control"] == "no-cache, no-store"


# All the rest is as of any resource


async def test_all_the_rest_is_as_of_any_resource() -> None:
    async with serving(BOOK, principals_by_permission={"book_read": frozenset({EVERYONE})}) as client:
        for size in (1, 2, 3):
            await client.post("/library", data={"size": size})
        page = await client.get("/library?_sort=-size&_limit=2&gt_size=0")
        following = await client.request("GET", page.headers["Next-Page"].partition("/v1")[2])
        path = f"/library/{page.data[0]['id']}"
        stale = await client.put(path, data={}, headers={"If-Match": '"1"'})
        known = await client.get("/library", headers={"If-None-Match": f'"{page.etag}"'})
        gone = await client.delete(path)

        assert [each["size"] for each in (*page.data, *following.data)] == [3, 2, 1]
        assert (stale.status, known.status) == (412, 304)
        assert (await client.get(f"/library?_since={page.etag}")).data == [gone.data]
