"""JSON schemas: what is one, whom it judges, and what it may cost. Source: objects, 9; reliability, I17 to I21."""

import asyncio
import dataclasses
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.conftest import SETTINGS

from kobako.resources.schema_rules import RulesCache
from kobako.server import stock_app
from kobako.settings import Settings
from kobako.testing.client import Answer, Client

B = "/buckets/b"
C = f"{B}/collections/c"
R = f"{C}/records/r"
TITLE = {"properties": {"title": {"type": "string"}}}


@pytest.fixture
def settings() -> Settings:
    return dataclasses.replace(SETTINGS, experimental_collection_schema_validation=True)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Client]:
    """A client of the stock server, with a bucket and a collection."""
    async with Client(stock_app(settings)) as client:
        await client.put(B)
        await client.put(C)
        yield client


async def under(client: Client, schema: Any, /, **data: Any) -> Answer:
    """Give the collection a schema and put a record under it."""
    given = await client.put(C, {"schema": schema})
    assert given.status == 200, given
    return await client.put(R, data)


def problem(answer: Answer) -> dict[str, Any]:
    """Return the one problem of a refused request."""
    assert (answer.status, answer.json["errno"], answer.json["error"]) == (400, 107, "Invalid parameters"), answer
    [found] = answer.json["details"]
    assert found["location"] == "body"
    found_problem: dict[str, Any] = found
    return found_problem


# What is a schema (9.2)

INVALID = [
    pytest.param({"type": "foo"}, "type", id="type"),
    pytest.param({"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": True}, "", id="draft 4"),
    pytest.param({"properties": {"a": {"required": True}}}, "required", id="below"),
    pytest.param({"pattern": "("}, "pattern", id="pattern"),
    pytest.param(None, '"None" is not a mapping type: ', id="null"),
    pytest.param([], '"[]" is not a mapping type: ', id="array"),
    pytest.param(True, '"True" is not a mapping type: ', id="boolean"),
]


@pytest.mark.parametrize("validates", [True, False])
@pytest.mark.parametrize(("schema", "beginning"), INVALID)
async def test_a_schema_is_one_of_draft_7_whatever_it_says(schema: Any, beginning: str, validates: bool) -> None:
    settings = dataclasses.replace(SETTINGS, experimental_collection_schema_validation=validates)
    async with Client(stock_app(settings)) as client:
        await client.put(B)

        created = await client.put(C, {"schema": schema})
        await client.put(C)
        patched = await client.patch(C, {"schema": schema})
        posted = await client.post("/buckets", {"id": "x", "record:schema": schema})
        on_bucket = await client.patch(B, {"group:schema": schema})

    assert problem(created)["name"] == "data.schema"
    assert problem(created)["description"].startswith(beginning)
    assert problem(patched)["name"] == "schema"
    assert problem(posted)["name"] == "data.record:schema"
    assert problem(on_bucket)["name"] == "group:schema"


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({}, id="empty"),
        pytest.param({"$schema": "nonsense", "$id": "::", "x": 1}, id="strange names"),
        pytest.param({"pattern": "^(?!a)"}, id="lookaround"),
        pytest.param({"$ref": "http://nowhere.example/x"}, id="reference to elsewhere"),
    ],
)
async def test_a_valid_schema_is_accepted(client: Client, schema: Any) -> None:
    assert (await client.put(C, {"schema": schema})).status == 200
    assert (await client.put(B, {"collection:schema": schema})).status == 200


# What is judged (9.1, 9.3, 9.4)


async def test_the_capability_says_that_records_are_validated(client: Client) -> None:
    assert "schema" in (await client.get("/")).json["capabilities"]


async def test_nothing_is_validated_without_the_setting() -> None:
    async with Client(stock_app(SETTINGS)) as client:
        await client.put(B, {"record:schema": TITLE, "group:schema": TITLE, "collection:schema": TITLE})
        await client.put(C, {"schema": TITLE, "title": 1})

        assert "schema" not in (await client.get("/")).json["capabilities"]
        assert (await client.put(R, {"title": 1, "schema": "mine"})).data["schema"] == "mine"
        assert (await client.put(f"{B}/groups/g", {"title": 1})).status == 201


async def test_a_record_is_judged_however_it_is_written(client: Client) -> None:
    assert (await under(client, TITLE, title="a")).status == 201
    merge = {"Content-Type": "application/merge-patch+json"}
    operations = [{"op": "replace", "path": "/data/title", "value": 12}]

    refused = [
        await client.put(R, {"title": 12}),
        await client.post(f"{C}/records", {"title": 12}),
        await client.patch(R, {"title": 12}),
        await client.patch(R, {"title": 12}, headers=merge),
        await client.request("PATCH", R, json=operations, headers={"Content-Type": "application/json-patch+json"}),
    ]

    for each in refused:
        assert problem(each) == {"location": "body", "name": "title", "description": "12 is not of type 'string'"}
        assert each.json["message"] == "title in body: 12 is not of type 'string'"
    assert (await client.get(R)).data["title"] == "a"
    assert (await client.patch(R, {"other": 1})).status == 200


async def test_stored_data_is_judged_again_when_only_permissions_change(client: Client) -> None:
    await client.put(R, {"title": 12})
    await client.put(C, {"schema": TITLE})

    answer = await client.put(R, permissions={"read": ["system.Everyone"]})

    assert problem(answer)["name"] == "title"
    assert "read" not in (await client.get(R)).json["permissions"]


async def test_parts_of_a_batch_are_judged_one_by_one(client: Client) -> None:
    await client.put(C, {"schema": TITLE})
    requests = [
        {"method": "PUT", "path": f"{C}/records/{n}", "body": {"data": {"title": title}}}
        for n, title in enumerate(["a", 1])
    ]

    answer = await client.batch(*requests)

    assert [each["status"] for each in answer.json["responses"]] == [201, 400]


async def test_of_duplicate_keys_the_last_one_counts_for_schemas_filters_and_patches(client: Client) -> None:
    """I15: one rule, whoever looks."""
    await client.put(C, {"schema": {"properties": {"a": {"const": 2}}}})
    kept = await client.request("PUT", R, body=b'{"data": {"a": 1, "a": 2}}')
    refused = await client.request("PUT", R, body=b'{"data": {"a": 2, "a": 1}}')
    headers = {"Content-Type": "application/merge-patch+json"}
    merged = await client.request("PATCH", R, body=b'{"data": {"b": 1, "b": null}}', headers=headers)

    assert (kept.status, refused.status, merged.status) == (201, 400, 200)
    assert "b" not in merged.data
    assert [len((await client.get(f"{C}/records?a={value}")).data) for value in (1, 2)] == [0, 1]


async def test_an_existing_object_that_is_posted_again_is_not_judged(client: Client) -> None:
    await client.put(R, {"title": 12})
    await client.put(C, {"schema": TITLE})

    assert (await client.post(f"{C}/records", {"id": "r", "title": 13})).status == 200


async def test_the_schemas_of_a_bucket_judge_what_is_in_it(client: Client) -> None:
    await client.put(B, {"record:schema": TITLE, "collection:schema": TITLE, "group:schema": TITLE})

    for uri in (f"{B}/groups/g", f"{B}/collections/new", R):
        assert problem(await client.put(uri, {"title": 1}))["name"] == "title"
        assert (await client.put(uri, {"title": "a"})).status == 201
        assert problem(await client.patch(uri, {"title": 1}))["name"] == "title"
    assert "schema" not in (await client.get(R)).data


async def test_the_schema_of_the_collection_comes_before_that_of_the_bucket(client: Client) -> None:
    await client.put(B, {"record:schema": {"required": ["by-bucket"]}})
    await client.put(C, {"schema": {"required": ["by-collection"]}})

    assert problem(await client.put(R, {}))["name"] == "by-collection"
    assert problem(await client.put(R, {"by-collection": 1}))["name"] == "by-bucket"
    assert (await client.put(R, {"by-collection": 1, "by-bucket": 1})).status == 201


# The verdict (9.3)

VERDICTS = [
    pytest.param(
        {"properties": {"deep": TITLE}}, {"deep": {"title": 1}}, "title", "1 is not of type 'string'", id="deep"
    ),
    pytest.param(
        {"properties": {"a": {"items": {"type": ["string", "null"]}}}},
        {"a": ["b", 1]},
        1,
        "1 is not of type 'null', 'string'",
        id="array",
    ),
    pytest.param({"required": ["n", "m"]}, {"m": 1}, "m", "'n' is a required property", id="missing"),
    pytest.param(
        {"properties": {"o": {"required": ["n"]}}}, {"o": {}}, "o", "'n' is a required property", id="missing below"
    ),
    pytest.param(
        {"additionalProperties": False, "properties": {"a": {}}},
        {"z": 1},
        "additionalProperties",
        "Additional properties are not allowed ('z' was unexpected)",
        id="additional",
    ),
    pytest.param(
        {"additionalProperties": False},
        {"y": 1, "z": 1},
        "additionalProperties",
        "Additional properties are not allowed ('y', 'z' were unexpected)",
        id="none allowed",
    ),
    pytest.param({"minProperties": 2}, {"z": 1}, "minProperties", '{"z":1} has less than 2 properties', id="scalar"),
]


@pytest.mark.parametrize(("schema", "data", "name", "description"), VERDICTS)
async def test_a_refusal_names_the_field_and_the_rule(
    client: Client, schema: Any, data: Any, name: str | int, description: str
) -> None:
    found = problem(await under(client, schema, **data))

    assert (found["name"], found["description"]) == (name, description)


@pytest.mark.parametrize(
    ("schema", "accepted"),
    [
        pytest.param({"additionalProperties": False}, True, id="fields of the server need no declaration"),
        pytest.param({"required": ["id", "schema", "last_modified"]}, True, id="nor are they missing"),
        pytest.param({"properties": {"schema": {"type": "string"}}}, True, id="nor judged"),
        pytest.param({"properties": {"id": {"minLength": 5}}}, False, id="but the id, if it is declared"),
        pytest.param({"properties": {"id": {"const": "r"}}, "required": ["id"]}, True, id="the id of the URL"),
        pytest.param({"properties": {"last_modified": False}}, True, id="not the timestamp"),
        pytest.param({"format": "date"}, True, id="formats are not asserted"),
    ],
)
async def test_the_fields_of_the_server_play_no_part(client: Client, schema: Any, accepted: bool) -> None:
    first = await under(client, schema)
    again = await client.patch(R, {}) if accepted else first

    assert (first.status, again.status) == ((201, 200) if accepted else (400, 400))


@pytest.mark.parametrize(
    ("schema", "data", "accepted"),
    [
        pytest.param({"dependentRequired": {"a": ["b"]}}, {"a": 1}, False, id="newest by default"),
        pytest.param(
            {"$schema": "http://json-schema.org/draft-07/schema#", "dependentRequired": {"a": ["b"]}},
            {"a": 1},
            True,
            id="draft 7",
        ),
        pytest.param(
            {"$schema": "http://x.example/", "dependentRequired": {"a": ["b"]}}, {"a": 1}, False, id="unknown"
        ),
        pytest.param({"properties": {"a": {"items": [{"type": "string"}]}}}, {"a": [1]}, False, id="array of items"),
        pytest.param(
            {"$schema": "http://json-schema.org/draft-03/schema#", **TITLE}, {"title": 1}, False, id="draft 3"
        ),
    ],
)
async def test_the_dialect_is_the_one_a_schema_names(client: Client, schema: Any, data: Any, accepted: bool) -> None:
    assert (await under(client, schema, **data)).status == (201 if accepted else 400)


# References (9.3; I17)

ID = "http://example.com/root.json"


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"definitions": {"x": {"type": "string"}}, "$ref": "#/definitions/x"}, id="definitions"),
        pytest.param({"$defs": {"a/b~c d": {"type": "string"}}, "$ref": "#/$defs/a~1b~0c%20d"}, id="escaped"),
        pytest.param({"$defs": {"x": {"$anchor": "y", "type": "string"}}, "$ref": "#y"}, id="anchor"),
        pytest.param({"$id": ID, "$defs": {"x": {"type": "string"}}, "$ref": "root.json#/$defs/x"}, id="own id"),
        pytest.param({"$defs": {"x": {"$id": f"{ID}x", "type": "string"}}, "$ref": f"{ID}x"}, id="id of a part"),
        pytest.param({"some": {"where": {"type": "string"}}, "$ref": "#/some/where"}, id="anywhere"),
    ],
)
async def test_references_inside_of_a_schema_are_followed(client: Client, schema: Any) -> None:
    rest = {name: value for name, value in schema.items() if name != "$ref"}
    schema = {**rest, "properties": {"a": {"$ref": schema["$ref"]}}}

    assert problem(await under(client, schema, a=1))["name"] == "a"
    assert (await client.put(R, {"a": "text"})).status == 201


async def test_a_schema_may_refer_to_itself(client: Client) -> None:
    schema = {"properties": {"child": {"$ref": "#"}}, "required": ["n"]}

    assert (await under(client, schema, n=1, child={"n": 2, "child": {"n": 3}})).status == 201
    assert problem(await client.put(R, {"n": 1, "child": {"n": 2, "child": {}}}))["name"] == "child"


@pytest.mark.parametrize(
    ("reference", "beginning"),
    [
        pytest.param("http://127.0.0.1:{port}/schema", "Unresolvable: ", id="http"),
        pytest.param("HTTP://127.0.0.1:{port}/schema#/a", "Unresolvable: ", id="http in capitals"),
        pytest.param("https://127.0.0.1:{port}/schema", "Unresolvable: ", id="https"),
        pytest.param("ftp://127.0.0.1:{port}/schema", "Unresolvable: ", id="ftp"),
        pytest.param("//127.0.0.1:{port}/schema", "Unresolvable: ", id="no scheme"),
        pytest.param("file:///etc/passwd", "Unresolvable: ", id="file"),
        pytest.param("other.json", "Unresolvable: ", id="relative"),
        pytest.param("http://[", "Unresolvable: ", id="no URL"),
        pytest.param("#anchor", "Unresolvable: ", id="anchor"),
        pytest.param("#/definitions/none", "PointerToNowhere: ", id="pointer"),
    ],
)
async def test_what_a_reference_leads_to_is_never_fetched(client: Client, reference: str, beginning: str) -> None:
    """I17."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        schema = {"properties": {"a": {"$ref": reference.replace("{port}", str(server.getsockname()[1]))}}}

        reached = await under(client, schema, a=1)
        not_reached = await client.put(R, {"b": 1})

        with pytest.raises(BlockingIOError):
            server.accept()
    assert problem(reached)["name"] == "schema"
    assert problem(reached)["description"].startswith(beginning)
    assert not_reached.status == 201


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"$schema": "http://127.0.0.1:{port}/schema"}, id="the dialect"),
        pytest.param({"$id": "http://127.0.0.1:{port}/", "$ref": "schema"}, id="below its own id"),
        pytest.param({"$schema": "http://127.0.0.1:{port}/", "$ref": "http://127.0.0.1:{port}/"}, id="both"),
        pytest.param({"$dynamicRef": "http://127.0.0.1:{port}/schema"}, id="dynamic"),
        pytest.param({"$vocabulary": {"http://127.0.0.1:{port}/schema": True}}, id="a vocabulary"),
        pytest.param({"allOf": [{"if": {"$ref": "http://127.0.0.1:{port}/schema"}}]}, id="a condition"),
    ],
)
async def test_no_word_of_a_schema_is_fetched(client: Client, schema: Any) -> None:
    """I17."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        given = json.loads(json.dumps(schema).replace("{port}", str(server.getsockname()[1])))

        answer = await under(client, given, a=1)

        with pytest.raises(BlockingIOError):
            server.accept()
    assert answer.status in (201, 400)


async def test_a_reference_to_nowhere_is_told_wherever_it_is_reached(client: Client) -> None:
    schema = {"anyOf": [{"$ref": "http://127.0.0.1:9/x"}, {"type": "object"}]}

    assert problem(await under(client, schema))["description"].startswith("Unresolvable: ")


# What it may cost (I18 to I20)


def laughs(levels: int) -> Any:
    """Return a schema of a few lines that applies ten parts at each of its levels."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 10} for n in range(levels)}
    return {"$defs": {**definitions, f"d{levels}": {"type": "object"}}, "$ref": "#/$defs/d0"}


def chain(length: int) -> Any:
    definitions = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)}
    return {"$defs": {**definitions, f"d{length}": {}}, "$ref": "#/$defs/d0"}


BRANCHING = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        pytest.param(laughs(30), {}, id="a billion laughs"),
        pytest.param({"$ref": "#"}, {}, id="itself at once"),
        pytest.param({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, {}, id="itself at once, twice"),
        pytest.param(chain(5000), {}, id="a long chain"),
        pytest.param(BRANCHING, nested(60), id="a recursion that branches"),
        pytest.param({"items": {}, **{"properties": {str(n): {} for n in range(20_000)}}}, {}, id="too many parts"),
    ],
)
async def test_i18_what_would_take_too_long_is_refused_at_once(client: Client, schema: Any, data: Any) -> None:
    await client.put(C, {"schema": schema})
    start = time.perf_counter()

    answer = await client.put(R, data)

    assert time.perf_counter() - start < 2
    assert problem(answer)["name"] == "schema"


@pytest.mark.parametrize("levels", [8, 12, 17, 20])
async def test_i18_a_refusal_takes_no_longer_than_the_verdict(client: Client, levels: int) -> None:
    await client.put(C, {"schema": BRANCHING})
    start = time.perf_counter()

    answer = await client.put(R, nested(levels))

    assert time.perf_counter() - start < 2
    assert answer.status == 400


async def test_i18_a_recursion_that_branches_is_followed_as_far_as_it_goes_quickly(client: Client) -> None:
    assert (await under(client, BRANCHING, a={"a": {"a": {}}})).status == 201
    assert problem(await client.put(R, nested(4)))["name"] == "a"


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("(a+)+$", id="linear"),
        pytest.param("(?=(a+)+b)(a|aa)+$", id="with a lookahead"),
        pytest.param(r"(a*)*\1$", id="with a back reference"),
    ],
)
async def test_i19_a_pattern_takes_no_time(client: Client, pattern: str) -> None:
    await client.put(C, {"schema": {"properties": {"a": {"pattern": pattern}}}})
    await client.put(R, {"a": "a"})
    start = time.perf_counter()

    answer = await client.put(R, {"a": "a" * 50_000 + "!"})

    assert time.perf_counter() - start < 0.5
    assert answer.status == 400


def test_i20_many_schemas_do_not_fill_the_memory() -> None:
    cache = RulesCache(max_entries=50, max_size=10**9)

    for n in range(1000):
        cache.rules({"properties": {"n": {"const": n}}}, ()).check("r", {"n": n})

    assert len(cache) == 50


def test_i20_large_schemas_do_not_fill_the_memory() -> None:
    cache = RulesCache(max_entries=10**6, max_size=10**6)

    for n in range(200):
        cache.rules({"description": f"{n}" * 1000}, ())

    assert len(cache) < 100


def test_a_schema_that_is_used_again_is_not_compiled_again() -> None:
    cache = RulesCache()

    assert cache.rules({"type": "object"}, ()) is cache.rules({"type": "object"}, ())
    assert cache.rules({"type": "object"}, ()) is not cache.rules({"type": "object"}, ("schema",))


async def test_i21_a_schema_that_never_rejects_accepts_anything(client: Client) -> None:
    schema = {"required": ["schema"], "properties": {"unknown": {}}, "x-else": 1}

    assert (await under(client, schema, n=10**40, deep=nested(150))).status == 201


# The field `schema` of records (9.5)


async def test_a_record_says_which_version_of_the_schema_it_passed(client: Client) -> None:
    answer = await under(client, {}, schema="mine")
    version = (await client.get(C)).data["last_modified"]

    assert answer.data["schema"] == version
    await client.patch(C, {"other": 1})
    later = (await client.patch(R, {"n": 1})).data["schema"]
    assert later > version
    assert later == (await client.get(C)).data["last_modified"]
    found = await client.get(f"{C}/records?min_schema={later}")
    assert [each["id"] for each in found.data] == ["r"]


async def test_a_collection_without_a_schema_leaves_the_field_to_clients(client: Client) -> None:
    assert (await client.put(R, {"schema": "mine"})).data["schema"] == "mine"


async def test_writers_in_parallel_are_judged_each_by_its_own_data(client: Client) -> None:
    await client.put(C, {"schema": TITLE})

    answers = await asyncio.gather(*(client.put(f"{C}/records/{n}", {"title": n if n % 2 else "a"}) for n in range(20)))

    assert [each.status for each in answers] == [201, 400] * 10
