"""Several requests in one: what is sent, what is refused, what is answered.

Source: HTTP API, 12.1 to 12.3; I12, P18.
"""

from typing import Any

import pytest
from tests.api.sharing import B, C, R, create, ids, parts, principal_of, put, serving, statuses

from kobako import Authenticator, Identity, Request
from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client


async def test_a_batch_answers_each_part_in_order(client: Client) -> None:
    answer = await client.batch(
        put(B), {"path": B}, {"path": "/buckets/b/collections/x"}, {"method": "DELETE", "path": B}
    )

    assert statuses(answer) == [201, 200, 404, 200]
    assert [each["path"] for each in parts(answer)] == [f"/v1{B}", f"/v1{B}", f"/v1{B}/collections/x", f"/v1{B}"]
    assert all(each.keys() == {"status", "path", "headers", "body"} for each in parts(answer))
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_part_is_answered_as_it_would_be_alone(client: Client) -> None:
    await create(client, B, C, R)
    for path in (B, f"{C}/records?_limit=1", "/", f"{C}/records/x", "/nowhere", f"{B}?_fields=id"):
        [part] = parts(await client.batch({"path": path}))
        alone = await client.get(path)

        assert (part["status"], part["body"]) == (alone.status, alone.json)
        for name in ("ETag", "Last-Modified", "Content-Type", "Cache-Control", "Next-Page"):
            assert part["headers"].get(name) == alone.headers.get(name)


async def test_the_names_of_headers_are_spelled_as_clients_look_them_up(client: Client) -> None:
    await create(client, B, C, R, f"{C}/records/s")

    page, count = parts(
        await client.batch({"path": f"{C}/records?_limit=1"}, {"method": "HEAD", "path": f"{C}/records"})
    )

    assert page["headers"].keys() >= {"ETag", "Last-Modified", "Content-Type", "Next-Page"}
    assert page["headers"]["Next-Page"].startswith(f"http://localhost/v1{C}/records?")
    assert count["headers"]["Total-Objects"] == count["headers"]["Total-Records"] == "2"


async def test_an_empty_batch_is_answered(client: Client) -> None:
    assert parts(await client.batch()) == []
    assert parts(await client.anonymous().batch()) == []


async def test_head_has_an_empty_text_for_a_body(client: Client) -> None:
    await create(client, B)

    found, missing = parts(await client.batch({"method": "HEAD", "path": B}, {"method": "HEAD", "path": "/nowhere"}))

    assert (found["status"], found["body"]) == (200, "")
    assert (missing["status"], missing["body"]) == (404, "")


async def test_a_304_is_embedded(client: Client) -> None:
    created = await client.put(B, data={})
    known = {"If-None-Match": f'"{created.etag}"'}

    one, whole = parts(await client.batch({"path": B, "headers": known}, {"path": "/buckets", "headers": known}))

    assert [one["status"], whole["status"]] == [304, 304]
    assert [one["body"], whole["body"]] == [{}, {}]
    assert one["headers"]["ETag"] == f'"{created.etag}"'


async def test_a_412_has_the_existing_object(client: Client) -> None:
    await client.put(B, data={"a": 1})

    [part] = parts(await client.batch({**put(B), "headers": {"If-None-Match": "*"}}))

    assert part["status"] == 412
    assert part["body"]["details"]["existing"]["a"] == 1


async def test_a_method_that_an_endpoint_lacks_is_a_405_of_its_part(client: Client) -> None:
    assert statuses(await client.batch({"method": "TRACE", "path": B}, {"method": "PATCH", "path": "/buckets"})) == [
        405,
        405,
    ]


# Limits


@pytest.mark.parametrize(
    ("limit", "given", "status"),
    [(25, 25, 200), (25, 26, 400), (2, 2, 200), (2, 3, 400), (None, 60, 200), (0, 60, 200)],
)
async def test_the_number_of_requests_is_limited(limit: int | None, given: int, status: int) -> None:
    async with serving(batch_max_requests=limit) as client:
        answer = await client.batch(*[put(f"/buckets/b{n}") for n in range(given)])

        assert answer.status == status
        if status == 400:
            assert answer.json["details"] == [
                {"location": "body", "name": "requests", "description": f"Number of requests is limited to {limit}"}
            ]
            assert ids(await client.get("/buckets")) == set()


async def test_a_url_is_no_longer_in_a_batch_than_out_of_it(client: Client) -> None:
    """P18, I25: a filter of megabytes, 25 times, kept everybody waiting for 20 seconds."""
    long = "/buckets?in_a=" + "1," * 40_000

    answer = await client.batch({}, {"path": "/buckets"}, defaults={"path": long})

    assert (answer.status, answer.json["errno"]) == (400, 107)
    assert answer.json["details"] == [
        {"location": "body", "name": "defaults.path", "description": "String is longer than the limit of 65536"}
    ]


async def test_a_batch_is_no_larger_with_its_defaults_than_a_body_may_be() -> None:
    """P18, I26: 8 MB of defaults, 25 times, took more than a gigabyte of memory."""
    async with serving(max_body_size_bytes=10_000) as client:
        defaults = {"method": "PUT", "body": {"data": {"a": "x" * 1000}}}
        few, many = [[{"path": f"/buckets/b{n}"} for n in range(number)] for number in (5, 20)]

        assert statuses(await client.batch(*few, defaults=defaults)) == [201] * 5
        answer = await client.batch(*many, defaults=defaults)

        assert (answer.status, answer.json["errno"]) == (413, 113)
        assert len(ids(await client.get("/buckets"))) == 5


# Bodies that are refused as a whole

GOOD = {"path": "/buckets/a", "method": "PUT"}

REFUSED = [
    pytest.param([GOOD], "", "is not a mapping type", id="an array"),
    pytest.param({}, "requests", "Required", id="no requests"),
    pytest.param({"requests": {}}, "requests", "is not iterable", id="requests that are no array"),
    pytest.param({"requests": None}, "requests", "is not iterable", id="requests that are null"),
    pytest.param({"requests": [], "other": 1}, "", "Unrecognized keys in mapping", id="an unknown member"),
    pytest.param({"requests": [GOOD, 1]}, "requests.1", "is not a mapping type", id="a request that is no object"),
    pytest.param(
        {"requests": [GOOD, {**GOOD, "x": 1}]}, "requests.1", "Unrecognized keys", id="an unknown member of one"
    ),
    pytest.param({"requests": [GOOD, {}]}, "requests.1.path", "Required", id="no path"),
    pytest.param({"requests": [GOOD, {"path": 1}]}, "requests.1.path", "is not a string", id="a path that is no text"),
    pytest.param({"requests": [GOOD, {"path": None}]}, "requests.1.path", "is not a string", id="a path that is null"),
    pytest.param({"requests": [{"path": "a"}]}, "requests.0.path", "does not match", id="a path without a slash"),
    pytest.param({"requests": [{"path": ""}]}, "requests.0.path", "does not match", id="an empty path"),
    pytest.param(
        {"requests": [{**GOOD, "method": "put"}]}, "requests.0.method", "is not one of GET", id="a method in small"
    ),
    pytest.param(
        {"requests": [{**GOOD, "method": 1}]}, "requests.0.method", "is not one of GET", id="a number as method"
    ),
    pytest.param({"requests": [{**GOOD, "method": "OPTIONS"}]}, "requests.0.method", "is not one of", id="OPTIONS"),
    pytest.param(
        {"requests": [{**GOOD, "headers": []}]}, "requests.0.headers", "not a mapping", id="headers that are none"
    ),
    pytest.param(
        {"requests": [{**GOOD, "headers": {"a": 1}}]}, "requests.0.headers", "non string value", id="a header"
    ),
    pytest.param({"requests": [{**GOOD, "body": None}]}, "requests.0.body", "not a mapping", id="a body that is null"),
    pytest.param(
        {"requests": [{**GOOD, "body": []}]}, "requests.0.body", "not a mapping", id="a body that is an array"
    ),
    pytest.param({"requests": [{**GOOD, "body": "x"}]}, "requests.0.body", "not a mapping", id="a body that is a text"),
    pytest.param({"requests": [GOOD], "defaults": []}, "defaults", "not a mapping", id="defaults that are none"),
    pytest.param({"requests": [GOOD], "defaults": {"x": 1}}, "defaults", "Unrecognized", id="unknown defaults"),
    pytest.param(
        {"requests": [GOOD], "defaults": {"method": "X"}}, "defaults.method", "not one of", id="a default method"
    ),
    pytest.param(
        {"requests": [GOOD], "defaults": {"path": "a"}}, "defaults.path", "does not match", id="a default path"
    ),
    pytest.param({"requests": [GOOD], "defaults": {"body": 1}}, "defaults.body", "not a mapping", id="a default body"),
]


@pytest.mark.parametrize(("body", "name", "description"), REFUSED)
async def test_a_body_that_is_no_batch_is_refused_and_nothing_is_done(
    client: Client, body: Any, name: str, description: str
) -> None:
    """I12."""
    answer = await client.request("POST", "/batch", json=body)

    assert (answer.status, answer.json["errno"], answer.json["error"]) == (400, 107, "Invalid parameters")
    assert answer.json["details"][0]["location"] == "body"
    assert answer.json["details"][0]["name"] == name
    assert description in answer.json["details"][0]["description"]
    assert ids(await client.get("/buckets")) == set()


@pytest.mark.parametrize(
    "body", [b"", b'{"requests": [],}', b"{", b"null", b"1", b'"x"', b'{"requests": [{"path": "/\\ud800"}]}', b"\xff"]
)
async def test_what_is_no_json_is_a_400(client: Client, body: bytes) -> None:
    """I12."""
    answer = await client.request("POST", "/batch", body=body, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.json["errno"]) == (400, 107)


@pytest.mark.parametrize(
    ("type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        (None, 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/merge-patch+json", 415),
    ],
)
async def test_a_batch_is_json(client: Client, type: str | None, status: int) -> None:
    """I23."""
    headers = {} if type is None else {"Content-Type": type}

    answer = await client.request("POST", "/batch", body=b'{"requests":[]}', headers=headers)

    assert answer.status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_only_post_sends_a_batch(client: Client, method: str) -> None:
    answer = await client.request(method, "/batch")

    assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")


async def test_a_batch_writes_nothing_in_readonly_mode() -> None:
    """P18."""
    async with serving(readonly=True) as client:
        answer = await client.batch(put(B))

        assert (answer.status, answer.json["errno"]) == (405, 115)


# Defaults


async def test_defaults_complete_each_request(client: Client) -> None:
    answer = await client.batch(
        {"path": "/buckets/a"},
        {"path": "/buckets/b", "body": {"data": {"n": 2}}},
        {"method": "GET", "path": "/buckets/a"},
        defaults={"method": "PUT", "body": {"data": {"n": 1}}},
    )

    assert statuses(answer) == [201, 201, 200]
    assert [each["body"]["data"]["n"] for each in parts(answer)] == [1, 2, 1]


async def test_a_default_path_serves_a_request_without_one(client: Client) -> None:
    answer = await client.batch({"body": {"data": {"n": 1}}}, {}, defaults={"method": "PUT", "path": B})

    assert statuses(answer) == [201, 200]


async def test_defaults_are_merged_all_the_way_down_and_override_nothing(client: Client) -> None:
    answer = await client.batch(
        put(B, a={"x": 1, "list": [1]}, b=None, c="text"),
        defaults={
            "body": {
                "data": {"a": {"x": 9, "y": {"z": 2}, "list": [9, 9]}, "b": {"q": 1}, "c": {"q": 1}, "d": 4},
                "permissions": {"read": ["u:a"]},
            }
        },
    )

    body = parts(answer)[0]["body"]
    stored = {name: value for name, value in body["data"].items() if name not in ("id", "last_modified")}
    assert stored == {"a": {"x": 1, "y": {"z": 2}, "list": [1]}, "b": None, "c": "text", "d": 4}
    assert body["permissions"]["read"] == ["u:a"]


async def test_default_headers_are_completed_in_any_case_of_letters(client: Client) -> None:
    first = await client.put("/buckets/a", data={})

    answer = await client.batch(
        put("/buckets/a"),
        {**put("/buckets/a"), "headers": {"if-none-match": f'"{first.etag}"'}},
        put("/buckets/c"),
        defaults={"headers": {"If-None-Match": "*"}},
    )

    assert statuses(answer) == [412, 200, 201]


@pytest.mark.parametrize("method", [None, "GET"])
async def test_get_is_the_method_where_none_is_said(client: Client, method: Any) -> None:
    await create(client, B)
    said = {} if method is None else {"method": method}

    assert statuses(await client.batch({"path": B}, {"path": B, "method": None}, {"path": B, **said})) == [200] * 3
    assert statuses(await client.batch({"path": B, "method": None}, defaults={"method": "DELETE"})) == [200]
    assert ids(await client.get("/buckets")) == set()


# Headers and bodies of the parts


async def test_parts_inherit_the_headers_of_the_batch(client: Client) -> None:
    await create(client, B)
    other = client.as_user("ann")
    body = {
        "requests": [
            {"path": B},
            {"path": B, "headers": {"AUTHORIZATION": other.headers["authorization"]}},
            {"path": "/"},
        ]
    }

    answer = await client.request("POST", "/batch", json=body, headers={"If-None-Match": '"1"'})

    assert statuses(answer) == [200, 403, 200]
    assert parts(answer)[2]["body"]["user"]["id"] == await principal_of(client)


async def test_a_precondition_of_the_batch_is_one_of_each_part(client: Client) -> None:
    await create(client, B)
    body = {"requests": [put(B), put("/buckets/c")]}

    answer = await client.request("POST", "/batch", json=body, headers={"If-None-Match": "*"})

    assert statuses(answer) == [412, 201]


async def test_the_length_of_the_batch_is_not_that_of_its_parts(client: Client) -> None:
    body = {"requests": [put(B)]}

    answer = await client.request("POST", "/batch", json=body, headers={"Content-Length": "99999"})

    assert statuses(answer) == [201]


async def test_a_part_that_takes_no_json_is_a_406(client: Client) -> None:
    await create(client, B)

    answer = await client.batch({"path": B, "headers": {"Accept": "text/html"}}, {"path": B})

    assert statuses(answer) == [406, 200]


@pytest.mark.parametrize("type", ["application/merge-patch+json", "application/json-patch+json", "text/plain"])
async def test_a_body_in_a_batch_is_plain_json_whatever_its_type_says(client: Client, type: str) -> None:
    await client.put(B, data={"a": {"b": 1}})

    answer = await client.batch(
        {"method": "PATCH", "path": B, "headers": {"Content-Type": type}, "body": {"data": {"a": {"c": None}}}}
    )

    assert parts(answer)[0]["body"]["data"]["a"] == {"c": None}


async def test_an_empty_body_is_none(client: Client) -> None:
    await client.put(B, data={"a": 1})

    answer = await client.batch(
        {"method": "GET", "path": B, "body": {}},
        {"method": "PUT", "path": B, "body": {}},
        {"method": "PATCH", "path": B, "body": {}},
        {"method": "DELETE", "path": B, "body": {}},
    )

    assert statuses(answer) == [200, 200, 400, 200]
    assert parts(answer)[1]["body"]["data"]["a"] == 1


async def test_the_parts_are_asked_once_whose_they_are(settings: Settings) -> None:
    """Where the Authorization header tells; whether the database tells its version plays no part."""
    asked = list[str]()

    async def authenticate(request: Request) -> Identity:
        asked.append(request.path)
        return Identity("somebody")

    door = Authenticator("door", authenticate, lasts_s=60)
    async with Client(App(settings, RESOURCES, authenticators=[door])) as client:
        answer = await client.batch(*({"method": "PUT", "path": f"/buckets/b{n}"} for n in range(5)))

    assert [each["status"] for each in answer.json["responses"]] == [201] * 5
    # For the batch itself, and for its parts.
    assert len(asked) <= 2
