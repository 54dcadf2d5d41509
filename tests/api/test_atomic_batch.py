"""Batches that are kept whole or not at all: `"atomic": true`, beyond Kinto. Source: docs/beyond-kinto.md."""

from typing import Any

import pytest
from tests.api.sharing import CHALLENGE, create, ids, put, serving, statuses

from kobako.databases.base import BackendUnavailable
from kobako.protocol.messages import Response
from kobako.testing.client import Answer, Client


async def atomic(client: Client, *requests: dict[str, Any]) -> Answer:
    return await client.batch(*requests, atomic=True)


async def test_an_atomic_batch_without_failures_is_a_batch(client: Client) -> None:
    answer = await atomic(client, put("/buckets/a"), put("/buckets/a/collections/c"), {"path": "/buckets/a"})

    assert statuses(answer) == [201, 201, 200]
    assert ids(await client.get("/buckets")) == {"a"}


@pytest.mark.parametrize(
    ("part", "status", "errno"),
    [
        pytest.param(put("/buckets/not valid!"), 400, 107, id="invalid id"),
        pytest.param({"method": "PUT", "path": "/buckets/x", "body": {"dat": {}}}, 400, 107, id="invalid body"),
        pytest.param({**put("/buckets/x"), "headers": {"Authorization": ""}}, 201, 0, id="everyone may create"),
        pytest.param({"path": "/buckets/known", "headers": {"Authorization": ""}}, 401, 104, id="unauthorized"),
        pytest.param({"path": "/buckets/a/collections/x"}, 404, 110, id="unknown object"),
        pytest.param({"path": "/nowhere"}, 404, 111, id="unknown URL"),
        pytest.param({"method": "TRACE", "path": "/buckets/a"}, 405, 115, id="method"),
        pytest.param({"path": "/buckets/a", "headers": {"Accept": "text/html"}}, 406, 107, id="not acceptable"),
        pytest.param({**put("/buckets/known"), "headers": {"If-None-Match": "*"}}, 412, 114, id="precondition"),
        pytest.param(put("/buckets/y", last_modified=1000), 409, 122, id="conflict"),
    ],
)
async def test_a_failing_part_undoes_all_and_answers_for_the_whole(
    part: dict[str, Any], status: int, errno: int
) -> None:
    async with serving(principals_by_permission={"bucket_create": frozenset({"system.Everyone"})}) as client:
        await create(client, "/buckets/known")
        before = (await client.get("/buckets")).etag

        answer = await atomic(
            client, put("/buckets/a"), put("/buckets/old", last_modified=1000), part, put("/buckets/z")
        )

        if status == 201:
            assert statuses(answer) == [201] * 4
            return
        assert (answer.status, answer.json["code"], answer.json["errno"]) == (status, status, errno)
        assert "responses" not in answer.json
        details = answer.json["details"]
        assert [each["request"] for each in (details if isinstance(details, list) else [details])] == [2]
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        assert answer.headers.get("WWW-Authenticate", CHALLENGE) == CHALLENGE
        left = await client.get("/buckets?_since=0")
        assert (ids(left), left.etag) == ({"known"}, before)


async def test_the_error_is_that_of_the_part_with_its_details(client: Client) -> None:
    await create(client, "/buckets/known")
    stored = (await client.get("/buckets/known")).data

    answer = await atomic(client, {**put("/buckets/known"), "headers": {"If-None-Match": "*"}})

    assert answer.json == {
        "code": 412,
        "errno": 114,
        "error": "Precondition Failed",
        "message": "Resource was modified meanwhile",
        "details": {"existing": stored, "request": 0},
    }


async def test_permissions_memberships_and_deletions_are_undone_too(client: Client) -> None:
    await create(client, "/buckets/b", "/buckets/b/collections/c")
    before = (await client.get("/buckets/b")).json

    answer = await atomic(
        client,
        {"method": "PATCH", "path": "/buckets/b", "body": {"permissions": {"read": ["system.Everyone"]}}},
        put("/buckets/b/groups/g", members=["system.Authenticated"]),
        {"method": "DELETE", "path": "/buckets/b/collections/c"},
        {"path": "/buckets/b/collections/c"},
    )

    assert answer.status == 404
    assert (await client.get("/buckets/b")).json == before
    assert (await client.get("/buckets/b/collections/c")).status == 200
    principals = (await client.get("/")).json["user"]["principals"]
    assert not [each for each in principals if each.startswith("/")]


async def test_nothing_is_told_of_what_was_undone() -> None:
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.append(event)

    async with serving(before_commit=[listener], after_commit=[listener]) as client:
        await atomic(client, put("/buckets/a"), {"path": "/nowhere"})

    assert told == []


async def test_a_304_is_no_failure(client: Client) -> None:
    await create(client, "/buckets/b")
    etag = (await client.get("/buckets")).headers["ETag"]

    answer = await atomic(client, {"path": "/buckets", "headers": {"If-None-Match": etag}}, put("/buckets/c"))

    assert statuses(answer) == [304, 201]


async def test_a_failure_that_is_returned_undoes_all_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the code of others may answer."""

    async def teapot(*_: Any) -> Response:
        return Response(status=418, body=b'{"code":418}')

    monkeypatch.setattr("kobako.http.utilities.lbheartbeat", teapot)
    async with serving() as client:
        answer = await atomic(client, put("/buckets/a"), {"path": "/__lbheartbeat__"})

        assert (answer.status, answer.json) == (418, {"code": 418})
        assert ids(await client.get("/buckets")) == set()


@pytest.mark.parametrize("given", [{}, {"atomic": False}])
async def test_other_batches_keep_what_does_not_fail(client: Client, given: dict[str, bool]) -> None:
    answer = await client.batch(put("/buckets/a"), {"path": "/nowhere"}, put("/buckets/c"), **given)

    assert statuses(answer) == [201, 404, 201]
    assert ids(await client.get("/buckets")) == {"a", "c"}


@pytest.mark.parametrize("value", ["true", 1, None, {}])
async def test_atomic_is_true_or_false(client: Client, value: Any) -> None:
    answer = await client.batch(put("/buckets/a"), atomic=value)

    assert (answer.status, answer.json["details"][0]["name"]) == (400, "atomic")
    assert ids(await client.get("/buckets")) == set()


async def test_a_database_that_is_away_is_told_as_ever(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise BackendUnavailable()

    monkeypatch.setattr("kobako.model.objects.write", away)

    answer = await atomic(client, put("/buckets/a"))

    assert (answer.status, answer.json["errno"], answer.headers["Retry-After"]) == (503, 201, "3")
