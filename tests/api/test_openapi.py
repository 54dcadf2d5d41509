"""The server describes itself at `/__api__`, as OpenAPI 3.1: all its routes, and what each may answer (section 6.6)."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from tests.api.sharing import serving
from tests.conftest import SETTINGS

from kobako import Resource
from kobako.app import App
from kobako.http.openapi import METHODS
from kobako.http.site import Route
from kobako.resources import RESOURCES
from kobako.testing.client import Client

EVERYTHING = {"experimental_permissions_endpoint": True}
ROUTES: list[Route] = App(dataclasses.replace(SETTINGS, **EVERYTHING), RESOURCES).site.routes.all

FIELDS = {"properties": {"edible": {"type": "boolean"}}}
MUSHROOM = Resource(name="mushroom", path="/mushrooms", permissions=("read", "write", "eat"), data_schema=FIELDS)


async def described(client: Client) -> dict[str, Any]:
    answer = await client.get("/__api__")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    document: dict[str, Any] = answer.json
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each operation with its path and method."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def references(value: Any) -> Iterator[str]:
    """Yield all references in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


async def test_the_description_is_valid_openapi_3_1() -> None:
    async with serving(**EVERYTHING) as client:
        document = await described(client)

    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"].startswith("3.1.")
    for reference in references(document):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


async def test_what_is_no_openapi_is_noticed_by_these_tests(client: Client) -> None:
    document = await described(client)
    del document["paths"]["/buckets"]["get"]["responses"]["200"]["description"]

    with pytest.raises(Exception, match="description"):
        schemathesis.openapi.from_dict(document).validate()


async def test_it_is_the_description_of_this_server() -> None:
    async with serving(project_name="shop", http_scheme="https", http_host="api.example.org") as client:
        document = await described(client.anonymous())

    assert document["info"] == {"title": "shop", "version": "1.23"}
    assert document["servers"] == [{"url": "https://api.example.org/v1"}]
    assert document["components"]["securitySchemes"] == {"basicauth": {"type": "http", "scheme": "basic"}}


async def test_every_route_and_method_is_described() -> None:
    async with serving(**EVERYTHING) as client:
        document = await described(client)

    expected = {(each.template, method.lower()) for each in ROUTES for method in METHODS if method in each.methods}
    assert {(path, method) for path, method, _ in operations(document)} == expected


@pytest.mark.parametrize("route", [each for each in ROUTES if each.kind in ("utility", "batch")], ids=lambda r: r.name)
def test_a_route_that_is_no_list_or_object_brings_its_description(route: Route) -> None:
    for method in set(route.methods) & set(METHODS):
        operation = route.describes[method.lower()]

        assert {"operationId", "tags", "responses"} <= set(operation)
        assert all("content" in response or "$ref" in response for response in operation["responses"].values())


async def test_every_operation_has_a_name_a_summary_and_a_tag_of_the_document(client: Client) -> None:
    document = await described(client)

    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    known = {tag["name"] for tag in document["tags"]}
    assert all(set(operation["tags"]) <= known for _, _, operation in operations(document))
    assert all(operation["summary"] for _, _, operation in operations(document))


@pytest.mark.parametrize(
    ("path", "method", "name", "tag"),
    [
        ("/", "get", "server_info", "Utilities"),
        ("/batch", "post", "batch", "Batch"),
        ("/__heartbeat__", "get", "__heartbeat__", "Utilities"),
        ("/__lbheartbeat__", "get", "__lbheartbeat__", "Utilities"),
        ("/__version__", "get", "__version__", "Utilities"),
        ("/__api__", "get", "get_openapi_spec", "Utilities"),
        ("/contribute.json", "get", "contribute", "Utilities"),
        ("/buckets", "get", "get_buckets", "Buckets"),
        ("/buckets", "post", "create_bucket", "Buckets"),
        ("/buckets", "delete", "delete_buckets", "Buckets"),
        ("/buckets/{id}", "get", "get_bucket", "Buckets"),
        ("/buckets/{id}", "put", "update_bucket", "Buckets"),
        ("/buckets/{id}", "patch", "patch_bucket", "Buckets"),
        ("/buckets/{id}", "delete", "delete_bucket", "Buckets"),
        ("/buckets/{bucket_id}/collections/{collection_id}/records", "post", "create_record", "Records"),
    ],
)
async def test_operations_have_the_names_that_clients_know(
    client: Client, path: str, method: str, name: str, tag: str
) -> None:
    operation = (await described(client))["paths"][path][method]

    assert (operation["operationId"], operation["tags"]) == (name, [tag])


LISTS = "/buckets/{bucket_id}/collections"
ANY = {"400", "414", "431", "500", "503"}


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("", "get", {"200", "304", "401", "403", "404", "406", "410", "412"}),
        ("", "post", {"200", "201", "401", "403", "404", "406", "409", "412", "413", "415", "422"}),
        ("", "delete", {"200", "401", "403", "404", "406", "412", "422"}),
        ("/{id}", "get", {"200", "304", "401", "403", "404", "406", "412"}),
        ("/{id}", "put", {"200", "201", "401", "403", "404", "406", "409", "412", "413", "415", "422"}),
        ("/{id}", "patch", {"200", "401", "403", "404", "406", "409", "412", "413", "415", "422"}),
        ("/{id}", "delete", {"200", "401", "403", "404", "406", "412", "422"}),
    ],
)
async def test_each_status_of_an_operation_is_documented_and_no_other(
    client: Client, path: str, method: str, statuses: set[str]
) -> None:
    """Section 17."""
    operation = (await described(client))["paths"][LISTS + path][method]

    assert set(operation["responses"]) == statuses | ANY


async def test_what_has_no_parent_is_never_missing(client: Client) -> None:
    paths = (await described(client))["paths"]

    assert "404" not in paths["/buckets"]["get"]["responses"]
    assert "404" not in paths["/buckets/{id}"]["put"]["responses"]
    assert "404" in paths["/buckets/{id}"]["get"]["responses"]


async def test_a_batch_may_end_as_any_of_its_requests_does(client: Client) -> None:
    """One that is atomic; without that it is a 409 at most."""
    operation = (await described(client))["paths"]["/batch"]["post"]

    statuses = {"200", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422"}
    assert set(operation["responses"]) == statuses | ANY
    assert "atomic" in operation["requestBody"]["content"]["application/json"]["schema"]["properties"]


async def test_each_dialect_of_a_patch_is_described(client: Client) -> None:
    content = (await described(client))["paths"]["/buckets/{id}"]["patch"]["requestBody"]["content"]

    assert set(content) == {"application/json", "application/merge-patch+json", "application/json-patch+json"}


async def test_public_operations_ask_for_nobody_and_the_others_for_somebody(client: Client) -> None:
    paths = (await described(client))["paths"]

    assert paths["/__heartbeat__"]["get"]["security"] == []
    assert paths["/buckets"]["get"]["security"] == [{"basicauth": []}]
    assert paths["/batch"]["post"]["security"] == [{}, {"basicauth": []}]


async def test_the_resources_of_third_parties_are_described_as_well() -> None:
    async with serving(resources=[MUSHROOM]) as client:
        document = await described(client)

    schemathesis.openapi.from_dict(document).validate()
    assert document["paths"]["/mushrooms"]["get"]["operationId"] == "get_mushrooms"
    assert document["components"]["schemas"]["MushroomData"]["properties"]["edible"] == {"type": "boolean"}
    assert set(document["components"]["schemas"]["MushroomAcl"]["properties"]) == {"read", "write", "eat"}


async def test_ids_are_described_as_the_settings_have_them() -> None:
    async with serving(id_generators={"bucket": "uuid4"}) as client:
        [parameter] = (await described(client))["paths"]["/buckets/{id}"]["parameters"]

    assert parameter["schema"]["pattern"].startswith("^[0-9a-f]{8}-")


async def test_what_the_settings_switch_off_is_not_described() -> None:
    async with serving(disabled_methods={"plural_bucket_delete": True}) as client:
        assert "delete" not in (await described(client))["paths"]["/buckets"]


async def test_a_server_that_only_reads_describes_reading_only() -> None:
    async with serving(readonly=True) as client:
        document = await described(client)

    assert {method for _, method, _ in operations(document)} == {"get"}
    assert "/batch" not in document["paths"]


async def test_the_description_is_made_once(client: Client) -> None:
    first, second = await client.get("/__api__"), await client.get("/__api__")

    assert json.dumps(first.json) == json.dumps(second.json)
    assert (await client.request("PUT", "/__api__")).status == 405
