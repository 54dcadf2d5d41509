"""Batches: one payload, several requests; several responses, one answer (HTTP API, section 12)."""

import json
from typing import Any

import pytest

from kobako.protocol import batch
from kobako.protocol.errors import InvalidParameters, RequestTooLarge
from kobako.protocol.messages import MAX_HEADER_SIZE, MAX_HEADERS, Request, Response


def read(body: Any, limit: int | None = None, max_size: int = 1_000_000, **headers: str) -> list[Request]:
    """Read a batch."""
    given = {"authorization": "Basic x", "content-length": "999", **headers}
    text = json.dumps(body).encode()
    whole = Request(method="POST", path="/v1/batch", headers=given, body=text, origin="https://a")
    return batch.read(whole, "/v1", limit, max_size).requests


def test_a_request_has_what_it_says_and_the_headers_of_the_batch() -> None:
    part = {"method": "PUT", "path": "/buckets/b?a=%20b", "headers": {"If-Match": "*"}, "body": {"data": {"a": 1}}}

    [request] = read({"requests": [part]})

    assert (request.method, request.path, request.query) == ("PUT", "/v1/buckets/b", "a=%20b")
    assert request.headers["authorization"] == "Basic x"
    assert request.headers["if-match"] == "*"
    assert "content-length" not in request.headers
    assert json.loads(request.body) == {"data": {"a": 1}}
    assert request.origin == "https://a"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/v1/"),
        ("/buckets", "/v1/buckets"),
        ("/v1/buckets", "/v1/buckets"),
        ("/v1", "/v1"),
        ("/v1x", "/v1/v1x"),
        ("/b%C3%A9", "/v1/bé"),
        ("/batches", "/v1/batches"),
        ("/buckets/batch", "/v1/buckets/batch"),
    ],
)
def test_a_path_may_leave_the_version_out(path: str, expected: str) -> None:
    assert read({"requests": [{"path": path}]})[0].path == expected


def test_defaults_complete_what_a_request_does_not_say() -> None:
    defaults = {
        "method": "POST",
        "path": "/buckets",
        "headers": {"X-A": "1", "X-B": "1"},
        "body": {"data": {"a": 1, "b": 1}},
    }
    requests = [{}, {"method": "PUT", "headers": {"X-B": "2"}, "body": {"data": {"b": 2}}}]

    first, second = read({"defaults": defaults, "requests": requests})

    assert (first.method, second.method, second.path) == ("POST", "PUT", "/v1/buckets")
    assert (second.headers["x-a"], second.headers["x-b"]) == ("1", "2")
    assert json.loads(second.body) == {"data": {"a": 1, "b": 2}}


@pytest.mark.parametrize("body", [{}, None])
def test_a_request_without_method_reads_and_an_empty_body_is_none(body: Any) -> None:
    """19.2, 19.3."""
    part = {"path": "/buckets"} if body is None else {"path": "/buckets", "body": body}

    [request] = read({"requests": [part]})

    assert (request.method, request.body) == ("GET", b"")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ([], ""),
        ({}, "requests"),
        ({"requests": {}}, "requests"),
        ({"requests": [], "other": 1}, ""),
        ({"requests": [1]}, "requests.0"),
        ({"requests": [{}]}, "requests.0.path"),
        ({"requests": [{"path": "/"}, {"path": "x"}]}, "requests.1.path"),
        ({"requests": [{"path": 1}]}, "requests.0.path"),
        ({"requests": [{"path": "/", "method": "BREW"}]}, "requests.0.method"),
        ({"requests": [{"path": "/", "method": ["GET"]}]}, "requests.0.method"),
        ({"requests": [{"path": "/", "headers": []}]}, "requests.0.headers"),
        ({"requests": [{"path": "/", "headers": {"a": 1}}]}, "requests.0.headers"),
        ({"requests": [{"path": "/", "body": "x"}]}, "requests.0.body"),
        ({"requests": [{"path": "/", "other": 1}]}, "requests.0"),
        ({"requests": [], "defaults": 1}, "defaults"),
        ({"requests": [{"path": "/"}] * 4}, "requests"),
        ({"requests": [{"path": "/batch"}]}, "requests"),
        ({"requests": [{"path": "/v1/batch"}]}, "requests"),
        ({"requests": [{"path": "//batch"}]}, "requests"),
        ({"requests": [{"path": "/batch/"}]}, "requests"),
        ({"requests": [{"path": "/%62atch"}]}, "requests"),
        ({"requests": [{"path": "/v1/../v1/batch"}]}, "requests"),
        ({"requests": [{"path": "/./batch?a=b"}]}, "requests"),
        ({"requests": [{}], "defaults": {"path": "/batch"}}, "requests"),
        ({"requests": [{"path": "/" + "x" * batch.MAX_PATH}]}, "requests.0.path"),
        ({"requests": [{"path": "/buckets?a=" + "x" * batch.MAX_PATH}]}, "requests.0.path"),
        ({"requests": [{"path": "/"}], "defaults": {"path": "/" + "x" * batch.MAX_PATH}}, "defaults.path"),
        ({"requests": [{"path": "/", "headers": {f"x{n}": "" for n in range(MAX_HEADERS + 1)}}]}, "requests.0.headers"),
        ({"requests": [{"path": "/", "headers": {"x": "a" * MAX_HEADER_SIZE}}]}, "requests.0.headers"),
        ({"requests": [{"path": "/"}], "defaults": {"headers": {"x" * MAX_HEADER_SIZE: "a"}}}, "defaults.headers"),
    ],
)
def test_a_batch_of_another_form_is_refused_as_a_whole(body: Any, name: str) -> None:
    """I12; I25, P18: what a request of its own may not bring, a part may not either."""
    with pytest.raises(InvalidParameters) as caught:
        read(body, limit=3)

    assert [each.name for each in caught.value.problems] == [name]


def test_without_a_limit_any_number_of_requests_is_read() -> None:
    assert len(read({"requests": [{"path": "/"}] * 1000})) == 1000


@pytest.mark.parametrize(("number", "accepted"), [(4, True), (5, False)])
def test_defaults_do_not_multiply_a_body_beyond_the_limit(number: int, accepted: bool) -> None:
    """I26, P18: each body is of 225 bytes, however few of them were sent."""
    body = {
        "defaults": {"path": "/buckets", "body": {"data": {"a": "x" * 208}}},
        "requests": [{"body": {"data": {}}}] * number,
    }

    if accepted:
        assert [len(each.body) for each in read(body, max_size=900)] == [225] * number
    else:
        with pytest.raises(RequestTooLarge, match="larger than the limit of 900 bytes"):
            read(body, max_size=900)


def test_responses_are_answered_in_order_their_bodies_as_they_are() -> None:
    get, head = (Request(method=method, path="/v1/b") for method in ("GET", "HEAD"))
    parts = [
        (get, Response(status=200, headers={"ETag": '"1"'}, body=b'{"data":{"n":18446744073709551616}}')),
        (get, Response(status=304, headers={})),
        (head, Response(status=200, body=b"{}")),
    ]

    answer = json.loads(batch.answer(parts))

    assert answer == {
        "responses": [
            {"status": 200, "path": "/v1/b", "headers": {"ETag": '"1"'}, "body": {"data": {"n": 2**64}}},
            {"status": 304, "path": "/v1/b", "headers": {}, "body": {}},
            {"status": 200, "path": "/v1/b", "headers": {}, "body": ""},
        ]
    }
