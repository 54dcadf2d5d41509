"""The paths of the parts of a batch; a batch in a batch. Source: HTTP API, 12.1 and 12.3; I12."""

import pytest
from tests.api.sharing import B, C, R, create, ids, parts, put, serving, statuses

from kobako.testing.client import Client

PATHS = [
    pytest.param("/buckets/b", "/v1/buckets/b", 200, id="without prefix"),
    pytest.param("/v1/buckets/b", "/v1/buckets/b", 200, id="with prefix"),
    pytest.param("/buckets/b?_fields=id", "/v1/buckets/b", 200, id="with a query"),
    pytest.param("/buckets/b/", "/v1/buckets/b", 200, id="trailing slash"),
    pytest.param("/v1/buckets/b//", "/v1/buckets/b", 200, id="trailing slashes"),
    pytest.param("/", "/v1/", 200, id="hello"),
    pytest.param("/v1", "/v1/", 200, id="hello without slash"),
    pytest.param("/v1/", "/v1/", 200, id="hello with prefix"),
    pytest.param("/%62uckets/b", "/v1/buckets/b", 200, id="encoded letter"),
    pytest.param("/buckets%2Fb", "/v1/buckets/b", 200, id="encoded slash"),
    pytest.param("/v2/buckets", "/v1/v2/buckets", 404, id="another version"),
    pytest.param("//buckets/b", "/v1//buckets/b", 404, id="two slashes"),
    pytest.param("/nowhere", "/v1/nowhere", 404, id="unknown"),
    pytest.param("/nowhere/", "/v1/nowhere", 404, id="unknown with slash"),
    pytest.param("/buckets/not valid!", "/v1/buckets/not valid!", 403, id="raw space"),
    pytest.param("/buckets/not%20valid!", "/v1/buckets/not valid!", 403, id="encoded space"),
    pytest.param("/buckets/b/collections/café", "/v1/buckets/b/collections/café", 400, id="non-ASCII"),
    pytest.param("/buckets/b/collections/caf%C3%A9", "/v1/buckets/b/collections/café", 400, id="encoded non-ASCII"),
    pytest.param("/buckets/b/collections/\U0001f4e6", "/v1/buckets/b/collections/\U0001f4e6", 400, id="beyond the BMP"),
    pytest.param("/buckets/b/collections/a%0Ab", "/v1/buckets/b/collections/a\nb", 400, id="line break"),
    pytest.param("/buckets/%82%AC", "/v1/buckets/??", 400, id="no UTF-8"),
    pytest.param("/buckets/%00", "/v1/buckets/?", 400, id="NUL"),
]


@pytest.mark.parametrize(("path", "final", "status"), PATHS)
async def test_the_path_of_a_part(client: Client, path: str, final: str, status: int) -> None:
    await create(client, B)

    [part] = parts(await client.batch({"path": path}))

    assert (part["path"], part["status"]) == (final, status)


async def test_a_raw_id_that_cannot_be_one_is_a_400_of_its_part(client: Client) -> None:
    await create(client, B, C)

    answer = await client.batch(put(f"{C}/records/not valid!"), put(R))

    assert statuses(answer) == [400, 201]
    assert parts(answer)[0]["body"]["message"] == "path: Invalid object id"


@pytest.mark.parametrize("query", ["title=caf%C3%A9 au lait", "title=café au lait", "title=caf%C3%A9%20au%20lait"])
async def test_the_query_of_a_part_may_be_raw(client: Client, query: str) -> None:
    await client.put(B, data={"title": "café au lait"})
    await create(client, "/buckets/other")

    [part] = parts(await client.batch({"path": f"/buckets?{query}"}))

    assert [each["id"] for each in part["body"]["data"]] == ["b"]


async def test_a_redirect_is_followed_with_method_and_body(client: Client) -> None:
    [part] = parts(await client.batch(put(f"{B}/", a=1)))

    assert (part["status"], part["path"], part["body"]["data"]["a"]) == (201, f"/v1{B}", 1)


async def test_redirects_that_are_off_are_not_followed() -> None:
    async with serving(trailing_slash_redirect_enabled=False) as client:
        assert statuses(await client.batch(put(f"{B}/"))) == [404]


RECURSIVE = [
    "/batch",
    "/v1/batch",
    "/batch/",
    "//batch",
    "/batch//",
    "/v1//batch",
    "/v1/../v1/batch",
    "/./batch",
    "/buckets/../batch",
    "/%62atch",
    "/v1/%62atch",
    "/v1%2Fbatch",
    "/%2Fbatch",
    "/batch?x=1",
    "/v1/batch?_fields=id",
    "/b%61tch/",
    "/batch%2F",
    "/batch/.",
    "/buckets/b/%2e%2e/%2e%2e/batch",
    "/v1/v1/batch",
    "/v1//v1/batch",
]


@pytest.mark.parametrize("path", RECURSIVE)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_batch_in_a_batch_is_refused_however_it_is_spelled(client: Client, path: str, method: str) -> None:
    """I12."""
    answer = await client.batch(put(B), {"method": method, "path": path, "body": {"requests": [put("/buckets/c")]}})

    assert answer.status == 400
    assert answer.json["details"] == [
        {
            "location": "body",
            "name": "requests",
            "description": "Recursive call on /batch endpoint is forbidden.",
        }
    ]
    assert ids(await client.get("/buckets")) == set()


@pytest.mark.parametrize(
    "path", ["/%2562atch", "/Batch", "/v1/V1/batch", "/batch;x", "/batch/x", "/batch#", "/\\batch", "/batch%00"]
)
async def test_what_is_nearly_a_batch_is_none(client: Client, path: str) -> None:
    """I12."""
    body = {"requests": [put("/buckets/c")]}

    answer = await client.batch({"method": "POST", "path": path, "body": body})

    assert answer.status == 400 or statuses(answer)[0] in (400, 404)
    assert ids(await client.get("/buckets")) == set()


@pytest.mark.parametrize("path", ["/buckets/batch", "/buckets/batch/collections/batch-1", "/buckets?title=/batch"])
async def test_objects_may_be_named_like_the_endpoint(client: Client, path: str) -> None:
    await create(client, "/buckets/batch")

    assert statuses(await client.batch({"path": path}))[0] in (200, 404)
