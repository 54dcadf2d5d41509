"""The edge between an ASGI server and Kobako: what no in-process client can show (HTTP API, 1.5 and 1.7)."""

import json
from collections.abc import Iterable, MutableMapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Policy, Settings
from kobako.testing.client import Client

Headers = list[tuple[bytes, bytes]]


class Sent(NamedTuple):
    """What a server would have put on the wire, and how many messages of the body were asked for: before, in all."""

    status: int
    headers: dict[str, str]
    body: bytes
    received: int
    lines: list[tuple[str, str]]
    received_in_all: int


async def send(
    app: App,
    method: str = "GET",
    path: bytes = b"/v1/",
    query: bytes = b"",
    headers: Headers = [],  # noqa: B006
    chunks: Iterable[bytes] = (b"",),
    version: str = "2",
) -> Sent:
    """Send a request as an ASGI server does."""
    parts, sent, received, before = iter(chunks), list[MutableMapping[str, Any]](), 0, 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal received
        received += 1
        chunk = next(parts, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def answer(message: MutableMapping[str, Any]) -> None:
        nonlocal before
        if not sent:
            before = received
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.decode(errors="replace"),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "scheme": "http",
        "client": ("127.0.0.1", 1234),
        "http_version": version,
    }
    await app(scope, receive, answer)
    start, *pieces = sent
    assert all(name == name.lower() for name, _ in start["headers"])
    lines = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Sent(start["status"], dict(lines), b"".join(each["body"] for each in pieces), before, lines, received)


JSON: Headers = [(b"content-type", b"application/json"), (b"authorization", b"Basic bWF0OnNlY3JldA==")]


@pytest.mark.parametrize("path", [b"/v1/", b"/v1/unknown", b"/v1/buckets"])
async def test_head_answers_what_get_does_but_for_the_body(client: Client, path: bytes) -> None:
    got = await send(client.app, "GET", path)
    head = await send(client.app, "HEAD", path)

    assert head.status == got.status
    assert got.body
    assert head.body == b""
    assert head.headers["content-type"] == got.headers["content-type"] == "application/json"


async def test_a_304_has_no_body(client: Client) -> None:
    created = await client.put("/buckets/b")

    known = [*JSON, (b"if-none-match", created.headers["ETag"].encode())]
    response = await send(client.app, "GET", b"/v1/buckets/b", headers=known)

    assert (response.status, response.body) == (304, b"")
    assert "cache-control" not in response.headers


async def test_a_body_in_pieces_is_put_together(client: Client) -> None:
    response = await send(client.app, "PUT", b"/v1/buckets/b", headers=JSON, chunks=[b'{"data":', b'{"a":1}', b"}"])

    assert (response.status, json.loads(response.body)["data"]["a"]) == (201, 1)


async def test_a_body_announced_too_large_is_refused_without_reading_it(settings: Settings) -> None:
    """I26, with Content-Length."""
    async with Client(App(replace(settings, max_body_size_bytes=1000), RESOURCES)) as client:
        headers = [*JSON, (b"content-length", b"1001"), (b"origin", b"https://a.b")]
        response = await send(client.app, "PUT", b"/v1/buckets/b", headers=headers, chunks=[b" " * 1001])

        assert response.received == 0
        assert response.status == 413
        assert json.loads(response.body)["errno"] == 113
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("length", [None, b"12", b"+5", b"-1", b"5, 5", b"\xb2"])
async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(settings: Settings, length: bytes | None) -> None:
    """I26, chunked, or with a Content-Length that lies; I24: one that is no number changes nothing."""
    async with Client(App(replace(settings, max_body_size_bytes=1000), RESOURCES)) as client:
        headers = [*JSON, (b"content-length", length)] if length else JSON
        response = await send(client.app, "PUT", b"/v1/buckets/b", headers=headers, chunks=[b" " * 300] * 10_000)

        assert response.status == 413
        assert response.received == 4
        # Many clients look for an answer only when they have sent all they have.
        assert response.received_in_all == 10_001


async def test_bodies_of_several_megabytes_pass(client: Client) -> None:
    body = b'{"data":{"text":"' + b"x" * 5_000_000 + b'"}}'

    assert (await send(client.app, "PUT", b"/v1/buckets/b", headers=JSON, chunks=[body])).status == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", b"/v1/buckets/b"), ("PATCH", b"/v1/buckets/b"), ("POST", b"/v1/buckets"), ("POST", b"/v1/batch")],
)
@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"deflate", b"br", b"identity, gzip"])
async def test_a_compressed_body_is_not_unpacked(client: Client, method: str, path: bytes, encoding: bytes) -> None:
    """I26."""
    await client.put("/buckets/b")
    headers = [*JSON, (b"content-encoding", encoding)]

    response = await send(client.app, method, path, headers=headers, chunks=[b"\x1f\x8b\x08"])

    assert response.status == 415


async def test_a_query_string_of_100_kb_is_refused(client: Client) -> None:
    """I25."""
    response = await send(client.app, "GET", b"/v1/buckets", b"a=" + b"x" * 100_000, JSON)

    assert (response.status, json.loads(response.body)["code"]) == (414, 414)


@pytest.mark.parametrize(
    "headers", [[(b"x-a", b"a" * 1_000_000)], [(b"x-%d" % n, b"a") for n in range(5000)]], ids=["1 MB", "5,000"]
)
async def test_headers_without_measure_are_refused(client: Client, headers: Headers) -> None:
    """I25."""
    response = await send(client.app, "GET", b"/v1/buckets", headers=headers)

    assert (response.status, json.loads(response.body)["code"]) == (431, 431)


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b'a"><b',
        b"user@a",
        b"a/b",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"a,b",
        b"a:b",
        b"a:80:80",
        b"[::1",
        b"a\x00",
        b"\xff",
        b"a\xc2\xa0",
    ],
)
async def test_a_host_that_is_none_goes_into_no_url(client: Client, host: bytes) -> None:
    """I9: Location, Next-Page and the hello view would have it."""
    response = await send(client.app, "GET", b"/buckets", headers=[(b"host", host)])

    assert (response.status, json.loads(response.body)["errno"]) == (400, 107)
    assert "location" not in response.headers


async def test_two_hosts_are_none(client: Client) -> None:
    """I24: a proxy in front may mean the other one."""
    response = await send(client.app, "GET", b"/buckets", headers=[(b"host", b"a"), (b"host", b"b")])

    assert response.status == 400


@pytest.mark.parametrize(
    "host", [b"", b"a_b.c-d", b"10.0.0.1:8888", b"[::1]", b"[2001:db8::1]:8888", b"xn--caf-dma.fr"]
)
async def test_any_host_that_is_one_is_taken(client: Client, host: bytes) -> None:
    response = await send(client.app, "GET", b"/buckets", headers=[(b"host", host)])

    assert response.headers["location"] == f"http://{host.decode() or 'localhost'}/v1/buckets"


async def test_what_a_proxy_would_forward_counts_for_nothing_where_none_is_known(client: Client) -> None:
    """P21."""
    forwarded = [
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"10.9.8.7"),
        (b"forwarded", b"for=10.9.8.7;host=evil.example;proto=https"),
    ]

    response = await send(client.app, "GET", b"/buckets", headers=[(b"host", b"a"), *forwarded])

    assert response.headers["location"] == "http://a/v1/buckets"


@pytest.mark.parametrize("path", [b"/v1/buckets/\xff", b"/v1/buckets/%ff", b"/v1/a\x00", b"/\xff"])
async def test_raw_bytes_in_the_path_that_are_no_text_are_refused(client: Client, path: bytes) -> None:
    """I5."""
    response = await send(client.app, "GET", path)

    assert (response.status, json.loads(response.body)["message"]) == (400, "Invalid URL path.")


@pytest.mark.parametrize("query", [b"a=\xff", b"\xff", b"a=%ff", b"_since=\xff&_token=\xff"])
async def test_raw_bytes_in_the_query_that_are_no_text_are_refused(client: Client, query: bytes) -> None:
    """I5."""
    response = await send(client.app, "GET", b"/v1/buckets", query, JSON)

    assert response.status == 400
    assert "incorrect encoding" in json.loads(response.body)["message"]


@pytest.mark.parametrize(
    "name", [b"if-match", b"if-none-match", b"origin", b"authorization", b"accept", b"content-type", b"x-a"]
)
async def test_header_values_of_any_bytes_are_no_defect(client: Client, name: bytes) -> None:
    """I1, I5: values are bytes, and may be anything."""
    for value in (b"\xff\xfe", b"a\x00b", b"\xd9\xa1", b"x" * 10_000, b""):
        response = await send(client.app, "PUT", b"/v1/buckets/b", headers=[*JSON, (name, value)], chunks=[b"{}"])

        assert response.status < 500


async def test_a_redirection_keeps_what_a_query_has_of_other_alphabets(client: Client) -> None:
    """I9."""
    response = await send(client.app, "GET", b"/buckets", "a=é&b=%C3%A9+'\"".encode())

    assert response.headers["location"] == "http://localhost/v1/buckets?a=%C3%A9&b=%C3%A9+'\""


async def test_a_401_offers_each_policy_in_a_line_of_its_own(settings: Settings) -> None:
    policies = (Policy("first", "basicauth"), Policy("second", "basicauth", {"realm": "Other"}))

    async with Client(App(replace(settings, policies=policies), RESOURCES)) as client:
        response = await send(client.app, path=b"/v1/buckets/b")

    challenges = [value for name, value in response.lines if name == "www-authenticate"]
    assert challenges == ['Basic realm="Realm"', 'Basic realm="Other"']


async def test_urls_in_answers_begin_as_the_client_sees_the_server(client: Client) -> None:
    response = await send(client.app, "GET", b"/v1/", headers=[(b"host", b"kobako.example.org:80")])

    assert json.loads(response.body)["url"] == "http://kobako.example.org/v1/"


async def test_urls_in_answers_begin_as_the_settings_say(settings: Settings) -> None:
    behind_proxy = replace(settings, http_scheme="https", http_host="api.example.org")
    async with Client(App(behind_proxy, RESOURCES)) as client:
        response = await send(client.app, "GET", b"/buckets", headers=[(b"host", b"10.0.0.1:8888")])

        assert response.headers["location"] == "https://api.example.org/v1/buckets"


@pytest.mark.parametrize(
    ("version", "headers", "asks"),
    [
        ("1.1", [], False),
        ("1.0", [], False),
        ("1.1", [(b"content-length", b"0")], True),
        ("1.1", [(b"transfer-encoding", b"chunked")], True),
        ("2", [], True),
    ],
)
async def test_a_body_is_asked_for_where_there_may_be_one(
    client: Client, version: str, headers: Headers, asks: bool
) -> None:
    sent = await send(client.app, headers=headers, version=version)

    assert (sent.status, sent.received > 0) == (200, asks)
