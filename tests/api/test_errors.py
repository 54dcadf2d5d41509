"""Errors: their exact bodies, which of them wins, what is said of several at once (HTTP API, section 2)."""

from dataclasses import replace
from typing import Any

import pytest

from kobako.app import App
from kobako.databases.base import BackendUnavailable
from kobako.resources import RESOURCES
from kobako.storage.base import DuplicateTimestamp
from kobako.testing.client import Answer, Client

BUCKET = "/buckets/b"
RECORDS = "/buckets/b/collections/c/records"
JSON = {"Content-Type": "application/json"}

UNAUTHORIZED = {
    "code": 401,
    "errno": 104,
    "error": "Unauthorized",
    "message": "Please authenticate yourself to use this endpoint.",
}
FORBIDDEN = {
    "code": 403,
    "errno": 121,
    "error": "Forbidden",
    "message": "This user cannot access this resource.",
}
NOT_ALLOWED = {
    "code": 405,
    "errno": 115,
    "error": "Method Not Allowed",
    "message": "Method not allowed on this endpoint.",
}
UNAVAILABLE = {
    "code": 503,
    "errno": 201,
    "error": "Service Unavailable",
    "message": "Service temporary unavailable due to overloading or maintenance, please retry later.",
}
CONFLICT = {
    "code": 409,
    "errno": 122,
    "error": "Conflict",
    "message": "Integrity constraint violated, please retry.",
}
DEFECT = {
    "code": 500,
    "errno": 999,
    "error": "Internal Server Error",
    "message": "A programmatic error occurred, developers have been informed.",
}


@pytest.fixture
async def client(client: Client) -> Client:
    """The client, with a bucket and a collection to work in."""
    await client.put(BUCKET)
    await client.put("/buckets/b/collections/c")
    return client


def details(response: Answer) -> list[tuple[str, str | None, str]]:
    """Return the details of an invalid request as (location, name, description)."""
    return [(each["location"], each["name"], each["description"]) for each in response.json["details"]]


# The catalogue


async def test_nobody_is_asked_to_authenticate(client: Client) -> None:
    response = await client.anonymous().get(BUCKET)

    assert (response.status, response.json) == (401, UNAUTHORIZED)
    assert response.headers["WWW-Authenticate"] == 'Basic realm="Realm"'


async def test_who_may_not_is_told_so(client: Client) -> None:
    response = await client.as_user("bob").get(BUCKET)

    assert (response.status, response.json) == (403, FORBIDDEN)
    assert "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize(
    ("url", "errno", "kind", "id"),
    [
        (f"{RECORDS}/r", 110, "record", "r"),
        ("/buckets/b/collections/x", 110, "collection", "x"),
        ("/buckets/b/groups/g", 110, "group", "g"),
        ("/buckets/b/collections/x/records", 111, "collection", "x"),
        ("/buckets/b/collections/x/records/r", 111, "collection", "x"),
    ],
)
async def test_what_is_not_there_is_named(client: Client, url: str, errno: int, kind: str, id: str) -> None:
    response = await client.get(url)

    assert response.status == 404
    assert response.json == {
        "code": 404,
        "errno": errno,
        "error": "Not Found",
        "details": {"id": id, "resource_name": kind},
    }
    assert not {"ETag", "Last-Modified"} & set(response.headers)


@pytest.mark.parametrize("languages", ["fr-FR", "de, fr;q=0.5", "*", "\xff"])
async def test_texts_are_english_whatever_language_is_asked_for(client: Client, languages: str) -> None:
    english = await client.get("/buckets?_limit=x")
    asked = await client.get("/buckets?_limit=x", headers={"Accept-Language": languages})

    assert asked.json["details"] == english.json["details"] != []
    assert asked.json == english.json


async def test_a_method_that_is_not_there_is_not_allowed(client: Client) -> None:
    response = await client.put("/buckets")

    assert (response.status, response.json) == (405, NOT_ALLOWED)


async def test_a_412_shows_what_is_there(client: Client) -> None:
    created = await client.put(f"{RECORDS}/r", {"n": 1})

    response = await client.put(f"{RECORDS}/r", {"n": 2}, headers={"If-Match": '"1"'})

    assert (response.status, response.json) == (
        412,
        {
            "code": 412,
            "errno": 114,
            "error": "Precondition Failed",
            "message": "Resource was modified meanwhile",
            "details": {"existing": created.data},
        },
    )


@pytest.mark.parametrize(
    ("failure", "expected", "retried"),
    [
        pytest.param(BackendUnavailable("no route to host"), UNAVAILABLE, True, id="backend away"),
        pytest.param(DuplicateTimestamp("1 is taken"), CONFLICT, True, id="conflict"),
        pytest.param(ZeroDivisionError("secret"), {**DEFECT, "info": "https://help.example.org"}, False, id="defect"),
    ],
)
async def test_what_fails_inside_is_told_without_saying_why(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    expected: dict[str, Any],
    retried: bool,
) -> None:
    async def get(*args: Any) -> None:
        raise failure

    settings = replace(client.app.settings, error_info_link="https://help.example.org")
    async with Client(App(settings, RESOURCES)) as other:
        await other.put(BUCKET)
        async with other.app.site.backends.begin() as tx:
            monkeypatch.setattr(type(tx.storage), "get", get)
        response = await other.get(BUCKET)

    assert (response.status, response.json) == (expected["code"], expected)
    assert response.headers.get("Retry-After") == ("3" if retried else None)


# Validation errors

RESERVED = "is not a mapping type: Does not implement dict-like functionality."
PUT, POST, PATCH = ("PUT", f"{RECORDS}/r"), ("POST", RECORDS), ("PATCH", f"{RECORDS}/r")


@pytest.mark.parametrize("endpoint", [PUT, POST, PATCH], ids=["PUT", "POST", "PATCH"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("1", [("body", "", "Should be a JSON object or an array"), ("body", "", "Required")], id="I4 1"),
        pytest.param(
            '"a"', [("body", "", "Should be a JSON object or an array"), ("body", "", "Required")], id="I4 text"
        ),
        pytest.param(
            "null", [("body", "", "Should be a JSON object or an array"), ("body", "", "Required")], id="I4 null"
        ),
        pytest.param("[]", [("body", "", f'"[]" {RESERVED}')], id="I4 array"),
        pytest.param('{"data": ""}', [("body", "data", f"\"''\" {RESERVED}")], id="I4 data text"),
        pytest.param('{"data": []}', [("body", "data", f'"[]" {RESERVED}')], id="I4 data array"),
        pytest.param('{"data": 1}', [("body", "data", f'"1" {RESERVED}')], id="I4 data number"),
        pytest.param('{"data": null}', [("body", "data", f'"None" {RESERVED}')], id="I4 data null"),
        pytest.param('{"permissions": null}', [("body", "permissions", f'"None" {RESERVED}')], id="no permissions"),
        pytest.param('{"permissions": []}', [("body", "permissions", f'"[]" {RESERVED}')], id="permissions array"),
        pytest.param(
            '{"datta": {}}', [("body", "", "Unrecognized keys in mapping: \"{'datta': {}}\"")], id="unknown key"
        ),
        pytest.param(
            '{"permissions": {"read": "x"}}', [("body", "permissions.read", '"x" is not iterable')], id="no list"
        ),
        pytest.param(
            '{"permissions": {"read": [1]}}',
            [("body", "permissions.read.0", "1 is not a string: {'': ''}")],
            id="no principal",
        ),
        pytest.param(
            '{"permissions": {"read": ["a", ""], "write": [null]}}',
            [("body", "permissions.read.1", "Required"), ("body", "permissions.write.0", "Required")],
            id="empty principals",
        ),
        pytest.param(
            '{"permissions": {"foo": []}}',
            [("body", "permissions", '"foo" is not one of read, write')],
            id="unknown permission",
        ),
    ],
)
async def test_what_is_wrong_with_a_body_is_said_in_known_words(
    client: Client, endpoint: tuple[str, str], body: str, expected: list[Any]
) -> None:
    response = await client.request(*endpoint, body=body.encode(), headers=JSON)

    assert (response.status, response.json["errno"], response.json["error"]) == (400, 107, "Invalid parameters")
    assert details(response) == expected


@pytest.mark.parametrize(
    "method_and_url", [PUT, POST, PATCH, ("POST", "/batch")], ids=["PUT", "POST", "PATCH", "batch"]
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"data": {"a": 1}', id="cut"),
        pytest.param(b'{"data": {"a": 1},}', id="trailing comma"),
        pytest.param(b"  ", id="blank"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order mark"),
        pytest.param(b'{"data": {"a": NaN}}', id="I15 NaN"),
        pytest.param(b'{"data": {"a": -Infinity}}', id="I15 Infinity"),
        pytest.param(b'{"data": {"a": 1e999}}', id="I15 1e999"),
        pytest.param(b'{"data": {"a": "\\ud800"}}', id="I15 lone surrogate"),
        pytest.param(b'{"data": {"a": "\\udc00\\ud800 and more text"}}', id="I15 surrogates reversed"),
        pytest.param(b'{"data": {"\\ud800": 1}}', id="I15 lone surrogate in a key"),
        pytest.param(b'{"data": {"a": "\xff"}}', id="I5 invalid UTF-8"),
        pytest.param(b'{"data": {"a": "\xed\xa0\x80"}}', id="I5 surrogate in UTF-8"),
        pytest.param(b'{"data": {"a": "\\u0000"}}', id="I1 NUL in a value"),
        pytest.param(b'{"data": {"a\\u0000": 1}}', id="I1 NUL in a key"),
        pytest.param(b'{"data": {"a": "\x00"}}', id="I1 raw NUL"),
        pytest.param(b'{"data": {"a": ' + b"1" * 10**6 + b"}}", id="I14 10^6 digits"),
        pytest.param(b'{"data": {"a": -' + b"1" * 4301 + b"}}", id="I14 4,301 digits"),
        pytest.param(b'{"data": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", id="I13 100,000 levels"),
        pytest.param(b'{"data": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", id="I13 100,000 objects"),
        pytest.param(b"[" * 100_000, id="I13 100,000 brackets"),
    ],
)
async def test_what_is_no_json_for_every_backend_is_refused(
    client: Client, method_and_url: tuple[str, str], body: bytes
) -> None:
    response = await client.request(*method_and_url, body=body, headers=JSON)

    assert response.status == 400
    first, second = details(response)
    assert first[:2] == ("body", "")
    assert first[2].startswith("Invalid JSON: ")
    assert second == ("body", "", "Required")
    assert response.json["message"] == first[2]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616),
        ("-99999999999999999999999999", -99999999999999999999999999),
        ("1.0", 1.0),
        ("1e3", 1000.0),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('{"": 1, "a.b": 2, "-": 3, "__proto__": {}, "$x": 4}', {"": 1, "a.b": 2, "-": 3, "__proto__": {}, "$x": 4}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('"a\'b\\"c\\\\"', "a'b\"c\\"),
    ],
)
async def test_json_is_kept_exactly(client: Client, text: str, kept: Any) -> None:
    """I15, I16: of duplicate keys the last one wins."""
    created = await client.request(*PUT, body=b'{"data": {"a": ' + text.encode() + b"}}", headers=JSON)
    read = (await client.get(PUT[1])).data["a"]

    assert created.status == 201
    assert read == kept
    assert type(read) is type(kept)


async def test_of_duplicate_members_the_last_one_counts_for_every_check(client: Client) -> None:
    """I15: no second parser sees the first one."""
    body = b'{"data": {"id": "x"}, "data": {"id": "r", "a": 1}, "permissions": {"read": ["a"]}, "permissions": {}}'

    response = await client.request(*PUT, body=body, headers=JSON)

    assert (response.status, response.data["a"]) == (201, 1)
    assert set(response.json["permissions"]) == {"write"}


@pytest.mark.parametrize("value", [1, "a", [], {}, None, True])
async def test_a_field_named_permissions_is_plain_data(client: Client, value: Any) -> None:
    hidden = {"__permissions__": {"read": ["system.Everyone"]}, "permissions": value}

    created = await client.put(f"{RECORDS}/r", hidden)

    assert created.data["__permissions__"] == hidden["__permissions__"]
    assert created.json["permissions"].keys() == {"write"}
    assert (await client.anonymous().get(f"{RECORDS}/r")).status == 401


@pytest.mark.parametrize(
    ("url", "name", "description", "message"),
    [
        pytest.param("_limit=abc", "_limit", '"abc" is not a number', "_limit in querystring: ", id="limit"),
        pytest.param("_limit=-1", "_limit", "-1 is less than minimum value 0", "_limit in querystring: ", id="minimum"),
        pytest.param("_since=abc", "_since", '"abc" is not a number', "_since in querystring: ", id="since"),
        pytest.param("id=1", "id", "1 is not a string: {'id': ''}", "", id="id"),
        pytest.param("_token=1", "_token", "1 is not a string: {'_token': ''}", "", id="token"),
        pytest.param("_token=abc", None, "_token has invalid content", "querystring: ", id="no token"),
        pytest.param("like_x=1", "like_x", "Invalid value for like_x", "", id="like"),
    ],
)
async def test_the_message_is_made_of_the_first_problem(
    client: Client, url: str, name: str | None, description: str, message: str
) -> None:
    response = await client.get(f"{RECORDS}?{url}")

    assert response.status == 400
    assert details(response) == [("querystring", name, description)]
    assert response.json["message"] == message + description


async def test_several_problems_are_told_together_sorted_by_name(client: Client) -> None:
    response = await client.request(
        "PUT",
        f"{RECORDS}/r?_limit=x&_since=-1",
        json={"data": 1, "permissions": {"read": [2]}},
        headers={"If-Match": "abc", "If-None-Match": 'W/"1"'},
    )

    assert [(where, name) for where, name, _ in details(response)] == [
        ("header", "If-Match"),
        ("header", "If-None-Match"),
        ("querystring", "_limit"),
        ("querystring", "_since"),
        ("body", "data"),
        ("body", "permissions.read.0"),
    ]
    assert response.json["message"] == "If-Match in header: The value should be integer between double quotes."


async def test_malformed_json_hides_only_other_problems_of_the_body(client: Client) -> None:
    headers = {**JSON, "If-Match": "abc"}
    response = await client.request("PUT", f"{RECORDS}/r?_limit=x", body=b"{", headers=headers)

    assert [(where, name) for where, name, _ in details(response)] == [
        ("body", ""),
        ("body", ""),
        ("header", "If-Match"),
        ("querystring", "_limit"),
    ]


# Which error wins


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "user", "status"),
    [
        pytest.param("GET", "/buckets?a=%ff", {"Accept": "text/html"}, b"", "none", 400, id="query before Accept"),
        pytest.param("GET", "/unknown?a=%ff", {}, b"", "none", 400, id="query before the URL"),
        pytest.param(
            "POST", "/buckets/b/collections/x/records", {}, b"{", "none", 404, id="parent of a POST before everything"
        ),
        pytest.param("PUT", "/buckets/b/collections/x/records/r", {}, b"{", "none", 404, id="parent of a PUT"),
        pytest.param("PATCH", "/buckets/b/collections/x/records/r", {}, b"{", "none", 404, id="parent of a PATCH"),
        pytest.param("DELETE", "/buckets/b/collections/x/records/r", {}, b"", "none", 404, id="parent of a DELETE"),
        pytest.param("GET", "/buckets/b/collections/x/records/r", {}, b"", "none", 401, id="not of a GET"),
        pytest.param("GET", "/buckets/b/collections/x/records", {}, b"", "none", 401, id="not of a list"),
        pytest.param("DELETE", "/buckets/b/collections/x/records", {}, b"", "bob", 403, id="not of a plural DELETE"),
        pytest.param(
            "POST", RECORDS, {}, b'{"data": {"id": "a!"}}', "none", 400, id="id of a POST before authentication"
        ),
        pytest.param("PUT", f"{RECORDS}/r", {"Accept": "text/html"}, b"{", "none", 406, id="Accept before permission"),
        pytest.param(
            "PUT",
            f"{RECORDS}/r",
            {"Accept": "text/html", "Content-Type": "text/html"},
            b"{",
            "none",
            406,
            id="Accept before Content-Type",
        ),
        pytest.param(
            "PUT", f"{RECORDS}/r", {"Content-Type": "text/html"}, b"{", "none", 415, id="Content-Type before permission"
        ),
        pytest.param("PUT", f"{RECORDS}/r", {"If-Match": "x"}, b"{", "none", 401, id="permission before the body"),
        pytest.param("PUT", f"{RECORDS}/a!", {}, b"{}", "bob", 403, id="permission before the id"),
        pytest.param("PUT", f"{RECORDS}/a!", {}, b"{", "mat", 400, id="body and id"),
        pytest.param("PATCH", f"{RECORDS}/r", {}, b"{", "mat", 400, id="body before the object"),
        pytest.param("DELETE", f"{RECORDS}/r", {"If-Match": "x"}, b"", "mat", 400, id="header before the object"),
        pytest.param("GET", f"{RECORDS}/r", {"If-Match": "x"}, b"", "mat", 400, id="header before the object, GET"),
        pytest.param("GET", f"{RECORDS}/a!", {}, b"", "mat", 400, id="id before the object"),
        pytest.param("DELETE", f"{RECORDS}/r", {"If-Match": '"1"'}, b"", "mat", 404, id="object before its version"),
        pytest.param("PATCH", f"{RECORDS}/r", {"If-Match": '"1"'}, b"{}", "mat", 404, id="object before its version 2"),
        pytest.param(
            "PUT", f"{RECORDS}/r", {"If-Match": '"1"'}, b'{"data": {"id": "x"}}', "mat", 412, id="version before the id"
        ),
        pytest.param("GET", f"{RECORDS}?like_a=1", {"If-Match": '"1"'}, b"", "mat", 412, id="version before filters"),
        pytest.param("GET", f"{RECORDS}?_limit=x", {"If-Match": '"1"'}, b"", "mat", 400, id="types before the version"),
    ],
)
async def test_of_several_errors_one_wins(
    client: Client, method: str, url: str, headers: dict[str, str], body: bytes, user: str, status: int
) -> None:
    """The order of 2.5; each row has what the following checks would refuse as well."""
    users = {"none": client.anonymous(), "bob": client.as_user("bob"), "mat": client}

    response = await users[user].request(method, url, body=body, headers={**(JSON if body else {}), **headers})

    assert response.status == status, response.json


async def test_a_304_wins_over_an_invalid_filter(client: Client) -> None:
    known = (await client.get(RECORDS)).headers["ETag"]

    response = await client.get(f"{RECORDS}?like_a=1&_token=x", headers={"If-None-Match": known})

    assert response.status == 304


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("_token=x&_sort=a&like_a=1", "like_a"),
        ("like_b=1&like_a=1", "like_b"),
        ("_token=x&in_id=1", "in_id"),
        ("_token=x", None),
    ],
)
async def test_filters_come_before_the_token_in_the_order_of_the_query(
    client: Client, query: str, first: str | None
) -> None:
    response = await client.get(f"{RECORDS}?{query}")

    assert [each["name"] for each in response.json["details"]] == [first]


# Media types


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("", 200),
        ("text/html, application/json;q=0.9", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/xml, text/*", 406),
    ],
)
async def test_a_client_has_to_take_json(client: Client, accept: str, status: int) -> None:
    response = await client.get(BUCKET, headers={"Accept": accept})

    assert response.status == status
    if status == 406:
        assert response.json["errno"] == 107
        assert details(response) == [("header", "Accept", "Accept header should be one of ['application/json']")]
    assert (await client.get("/", headers={"Accept": accept})).status == 200


@pytest.mark.parametrize(
    ("content_type", "put", "patch", "batch"),
    [
        (None, 200, 200, 400),
        ("application/json", 200, 200, 400),
        ("application/json; charset=utf-8", 200, 200, 400),
        ("Application/JSON", 200, 200, 400),
        ("APPLICATION/MERGE-PATCH+JSON; charset=utf-8", 415, 200, 415),
        ("application/json-patch+json;charset=utf-8", 415, 400, 415),
        ("application/x-www-form-urlencoded", 415, 415, 415),
        ("text/plain", 415, 415, 415),
        ("multipart/form-data; boundary=x", 415, 415, 415),
        ("application/jsonp", 415, 415, 415),
        (";", 200, 200, 400),
    ],
)
async def test_a_body_has_to_be_json(
    client: Client, content_type: str | None, put: int, patch: int, batch: int
) -> None:
    """I23: without regard to parameters and case; a body without a type is JSON."""
    headers = {"Content-Type": content_type} if content_type else {}
    body = b'{"data": {}}'
    asked = [("PUT", BUCKET), ("PATCH", BUCKET), ("POST", "/batch")]

    responses = [await client.request(*each, body=body, headers=headers) for each in asked]

    assert [each.status for each in responses] == [put, patch, batch]
    if put == 415:
        expected = ("header", "Content-Type", "Content-Type header should be one of ['application/json']")
        assert details(responses[0]) == [expected]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("body", [b"{}", b"a=b", b"{"])
async def test_the_body_of_a_request_without_one_is_ignored(client: Client, method: str, body: bytes) -> None:
    """19.3: kinto-http.py sends `{}` with each DELETE."""
    for url in (RECORDS, BUCKET):
        headers = JSON if body == b"{}" else {"Content-Type": "text/plain"}
        assert (await client.request(method, url, body=body, headers=headers)).status == 200
