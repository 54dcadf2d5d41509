"""What reading the code has found, each as a test of its own."""

from typing import Any

import pytest
from tests.api.sharing import create

from kobako.testing.client import Client

EVERYONE = {"read": ["system.Everyone"]}
RECORDS = "/buckets/b/collections/c/records"


@pytest.mark.parametrize("seconds", [2**31, 10**12, 10**30])
async def test_a_collection_may_be_kept_for_any_time(client: Client, seconds: int) -> None:
    """A date beyond the year 9999 was a 500 for everybody who read the records without a name."""
    await client.put("/buckets/b", permissions=EVERYONE)
    await client.put("/buckets/b/collections/c", data={"cache_expires": seconds})

    answer = await client.anonymous().get("/buckets/b/collections/c/records")

    assert (answer.status, answer.headers["Cache-Control"]) == (200, f"max-age={2**31 - 1}")


@pytest.mark.parametrize("seconds", [1e300, "1e300", 1.7976931348623157e308])
async def test_a_collection_is_not_kept_for_more_seconds_than_json_may_say(client: Client, seconds: Any) -> None:
    """It was stored, and a 500 for whoever patched it, or read its records without a name, from then on."""
    await client.put("/buckets/b", permissions=EVERYONE)
    await client.put("/buckets/b/collections/c")

    refused = await client.put("/buckets/b/collections/c", data={"cache_expires": seconds})

    assert (refused.status, refused.json["details"][0]["name"]) == (400, "data.cache_expires")
    assert (await client.anonymous().get(RECORDS)).status == 200
    assert (await client.patch("/buckets/b/collections/c", data={"a": 1})).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "/batch", {"requests": [1] * 1000}, id="parts of a batch"),
        pytest.param("PUT", "/buckets/x", {"permissions": {"read": [1] * 1000}}, id="principals"),
        pytest.param("PUT", "/buckets/b/groups/g", {"data": {"members": [1] * 1000}}, id="members"),
    ],
)
async def test_a_body_of_many_faults_is_told_of_some(client: Client, method: str, path: str, body: Any) -> None:
    """Three megabytes from anybody were answered with 134, made while everybody else waited."""
    await create(client, "/buckets/b")

    answer = await client.request(method, path, json=body)

    assert (answer.status, len(answer.json["details"])) == (400, 100)


async def test_the_token_of_a_deletion_that_was_undone_serves_again(client: Client) -> None:
    """It was used up, and the client could not go on."""
    await create(client, "/buckets/b", "/buckets/b/collections/c", *[f"{RECORDS}/{id}" for id in "xyz"])
    first = await client.delete(f"{RECORDS}?_limit=1")
    url = first.headers["Next-Page"].removeprefix("http://localhost")

    undone = await client.batch({"method": "DELETE", "path": url}, {"path": "/nowhere"}, atomic=True)
    again = await client.delete(url)
    once_more = await client.delete(url)

    assert [each.status for each in (undone, again, once_more)] == [404, 200, 400]
    assert len((await client.get(RECORDS)).data) == 1


async def test_an_order_by_values_too_large_for_a_url_is_refused_where_there_are_more_pages(client: Client) -> None:
    """The URL of the next page was refused by the server that had given it."""
    await create(client, "/buckets/b", "/buckets/b/collections/c")
    for id in "xyz":
        await client.put(f"{RECORDS}/{id}", {"text": id * 70_000})

    pages = await client.get(f"{RECORDS}?_sort=text&_limit=1")
    whole = await client.get(f"{RECORDS}?_sort=text")

    assert pages.status == 400
    assert pages.json["message"] == "_sort in querystring: The values of 'text' are too large to read page by page"
    assert [each["id"] for each in whole.data] == ["x", "y", "z"]
