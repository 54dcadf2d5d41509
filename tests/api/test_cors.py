"""CORS: which origins are let in, what browsers may read, and what they ask first (HTTP API, section 3)."""

from dataclasses import replace
from typing import Any

import pytest

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

ORIGIN = "Access-Control-Allow-Origin"
EXPOSED = "Access-Control-Expose-Headers"
ALWAYS = {"Backoff", "Retry-After", "Alert", "Content-Length", "Content-Type"}
OBJECT = ALWAYS | {"Cache-Control", "ETag", "Expires", "Last-Modified", "Pragma"}
LIST = OBJECT | {"Next-Page"}
TOTALS = {"Total-Objects", "Total-Records"}


def served(settings: Settings, **changes: Any) -> Client:
    """Return a client of a server with other settings."""
    return Client(App(replace(settings, **changes), RESOURCES))


async def test_without_an_origin_nothing_is_said_of_it(client: Client) -> None:
    assert ORIGIN not in (await client.get("/")).headers


async def test_with_always_cors_it_is_said_all_the_same(settings: Settings) -> None:
    async with served(settings, always_cors=True) as client:
        assert (await client.get("/")).headers[ORIGIN] == "*"


ERRORS = [
    pytest.param("GET", "/buckets/b", {"If-None-Match": "{etag}"}, 304, id="304"),
    pytest.param("GET", "/v1/buckets/", {}, 307, id="307"),
    pytest.param("GET", "http://localhost/buckets", {}, 307, id="307 version"),
    pytest.param("GET", "/buckets?_limit=x", {}, 400, id="400"),
    pytest.param("GET", "/buckets/%ff", {}, 400, id="400 path"),
    pytest.param("GET", "/buckets/b", {"Authorization": "Basic !"}, 401, id="401"),
    pytest.param("GET", "/buckets/b", {"Authorization": "Basic Ym9iOnM="}, 403, id="403"),
    pytest.param("GET", "/buckets/b/groups/g", {}, 404, id="404"),
    pytest.param("GET", "/unknown", {}, 404, id="404 URL"),
    pytest.param("POST", "/buckets/b", {}, 405, id="405"),
    pytest.param("GET", "/buckets", {"Accept": "text/html"}, 406, id="406"),
    pytest.param("PUT", "/buckets/b", {"If-Match": '"1"'}, 412, id="412"),
    pytest.param("PUT", "/buckets/b", {"Content-Type": "text/html"}, 415, id="415"),
]


@pytest.mark.parametrize(("method", "url", "headers", "status"), ERRORS)
async def test_browsers_may_read_every_error(
    client: Client, method: str, url: str, headers: dict[str, str], status: int
) -> None:
    etag = (await client.put("/buckets/b")).headers["ETag"]
    given = {name: value.replace("{etag}", etag) for name, value in headers.items()}

    response = await client.request(method, url, headers={"Origin": "https://a.b", **given})

    assert (response.status, response.headers[ORIGIN]) == (status, "*")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.daybed.io", True),
        ("https://exact.org", True),
        ("https://a1.net", True),
        ("https://a11.net", False),
        ("https://App.Daybed.Io", False),
        ("https://daybed.io.evil.org", False),
        ("null", False),
        ("", False),
    ],
)
async def test_an_origin_that_matches_a_pattern_is_echoed_and_any_other_refused(
    settings: Settings, origin: str, allowed: bool
) -> None:
    async with served(settings, cors_origins=("*.daybed.io", "https://exact.org", "https://a?.net")) as client:
        await client.put("/buckets/b")
        for url in ("/buckets/b", "/buckets", "/", "/__lbheartbeat__"):
            response = await client.get(url, headers={"Origin": origin})

            assert (response.status, response.headers.get(ORIGIN)) == ((200, origin) if allowed else (400, None))
            if not allowed:
                assert response.json["message"] == f"Origin in header: {origin} not allowed"
                detail = {"location": "header", "name": "Origin", "description": f"{origin} not allowed"}
                assert response.json["details"] == [detail]


async def test_a_refused_origin_writes_nothing(settings: Settings) -> None:
    async with served(settings, cors_origins=("https://exact.org",)) as client:
        headers = {"Origin": "https://evil.org"}
        batch = {"requests": [{"method": "PUT", "path": "/buckets/b"}]}

        written = await client.put("/buckets/b", headers=headers)
        batched = await client.request("POST", "/batch", json=batch, headers=headers)

        assert (written.status, batched.status) == (400, 400)
        assert (await client.get("/buckets")).data == []


async def test_errors_that_win_before_a_refused_origin_are_sent_without_the_header(settings: Settings) -> None:
    async with served(settings, cors_origins=("https://exact.org",)) as client:
        response = await client.anonymous().get("/buckets/b", headers={"Origin": "https://evil.org"})

        assert response.status == 401
        assert ORIGIN not in response.headers


@pytest.mark.parametrize(
    ("origin", "echoed"), [("https://exact.org", True), ("https://a.daybed.io", False), ("https://evil.org", False)]
)
@pytest.mark.parametrize(("url", "status"), [("/unknown", 404), ("/v1/buckets/", 307)])
async def test_unknown_urls_compare_the_origin_exactly_and_refuse_none(
    settings: Settings, origin: str, echoed: bool, url: str, status: int
) -> None:
    async with served(settings, cors_origins=("*.daybed.io", "https://exact.org")) as client:
        response = await client.get(url, headers={"Origin": origin})

        assert response.status == status
        assert response.headers.get(ORIGIN) == (origin if echoed else None)


async def test_a_405_is_readable_for_an_origin_that_matches_a_pattern(settings: Settings) -> None:
    async with served(settings, cors_origins=("*.daybed.io",)) as client:
        response = await client.post("/buckets/b", headers={"Origin": "https://a.daybed.io"})

        assert (response.status, response.headers[ORIGIN]) == (405, "https://a.daybed.io")


@pytest.mark.parametrize(
    ("method", "url", "exposed"),
    [
        ("GET", "/buckets", LIST),
        ("HEAD", "/buckets", LIST | TOTALS),
        ("GET", "/buckets/b", OBJECT),
        ("HEAD", "/buckets/b", OBJECT),
        ("PUT", "/buckets/b", ALWAYS),
        ("PATCH", "/buckets/b", ALWAYS),
        ("DELETE", "/buckets/b", ALWAYS),
        ("POST", "/buckets", ALWAYS),
        ("DELETE", "/buckets", ALWAYS),
        ("POST", "/batch", ALWAYS),
        ("GET", "/", ALWAYS),
        ("GET", "/unknown", ALWAYS),
        ("GET", "/v1/buckets/", ALWAYS),
    ],
)
async def test_browsers_may_read_the_headers_of_the_protocol(
    client: Client, method: str, url: str, exposed: set[str]
) -> None:
    """19.4: also where the request has no origin."""
    await client.put("/buckets/b")

    response = await client.request(method, url, json={} if method in ("PUT", "PATCH", "POST") else None)

    assert set(response.headers[EXPOSED].split(", ")) >= exposed


async def test_a_405_of_an_endpoint_exposes_nothing(client: Client) -> None:
    known, unknown = await client.post("/buckets/b"), await client.post("/unknown")

    assert (known.status, EXPOSED in known.headers) == (405, False)
    assert (unknown.status, EXPOSED in unknown.headers) == (404, True)


PREFLIGHT = {"Origin": "https://a.b", "Access-Control-Request-Method": "GET"}


@pytest.mark.parametrize(
    ("url", "methods"),
    [
        ("/buckets", {"HEAD", "GET", "POST", "DELETE", "OPTIONS"}),
        ("/buckets/b/collections/c/records/r", {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}),
        ("/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_preflight_lists_the_methods_and_permits_all_headers(
    client: Client, url: str, methods: set[str]
) -> None:
    headers = {**PREFLIGHT, "Access-Control-Request-Headers": "X-Custom, authorization"}

    response = await client.anonymous().request("OPTIONS", url, headers=headers)

    assert (response.status, response.json, response.headers["Content-Type"]) == (200, None, "application/json")
    assert response.headers[ORIGIN] == "*"
    assert set(response.headers["Access-Control-Allow-Methods"].split(", ")) == methods
    assert {"X-Custom", "authorization", "ETag"} <= set(response.headers["Access-Control-Allow-Headers"].split(", "))
    assert response.headers["Access-Control-Max-Age"] == "3600"
    assert EXPOSED not in response.headers


@pytest.mark.parametrize("seconds", [None, 0])
async def test_a_preflight_is_kept_as_long_as_the_settings_say(settings: Settings, seconds: int | None) -> None:
    async with served(settings, cors_max_age_seconds=seconds) as client:
        response = await client.request("OPTIONS", "/buckets", headers=PREFLIGHT)

        assert (response.status, response.headers.get("Access-Control-Max-Age")) == (200, None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {},
            [
                ("Access-Control-Request-Method", "this header is mandatory"),
                ("Origin", "this header is mandatory"),
            ],
            id="both missing",
        ),
        pytest.param({"Access-Control-Request-Method": "GET"}, [("Origin", "this header is mandatory")], id="origin"),
        pytest.param(
            {"Origin": "https://exact.org"},
            [("Access-Control-Request-Method", "this header is mandatory")],
            id="method",
        ),
        pytest.param(
            {"Origin": "https://exact.org", "Access-Control-Request-Method": "PUT"},
            [("Access-Control-Request-Method", "Method not allowed")],
            id="unknown method",
        ),
        pytest.param(
            {"Origin": "https://evil.org", "Access-Control-Request-Method": "GET"},
            [("Origin", "https://evil.org not allowed")],
            id="refused origin",
        ),
    ],
)
async def test_an_improper_preflight_is_refused(
    settings: Settings, headers: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    async with served(settings, cors_origins=("https://exact.org",)) as client:
        response = await client.request("OPTIONS", "/buckets", headers=headers)

        assert response.status == 400
        assert [(each["location"], each["name"], each["description"]) for each in response.json["details"]] == [
            ("header", *each) for each in expected
        ]


async def test_a_preflight_of_an_unknown_url_is_not_found(client: Client) -> None:
    assert (await client.request("OPTIONS", "/unknown", headers=PREFLIGHT)).status == 404
