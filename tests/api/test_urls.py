"""URLs: the version in front, slashes behind, paths that are no text, unknown methods (HTTP API, 1.1 to 1.7)."""

from dataclasses import replace
from typing import Any

import pytest

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Client

HOST = "http://localhost"
UNKNOWN_URL = {
    "code": 404,
    "errno": 111,
    "error": "Not Found",
    "message": "The resource you are looking for could not be found.",
}
UNKNOWN_VERSION = {
    "code": 404,
    "errno": 116,
    "error": "Not Found",
    "message": "The requested API version is not available on this server.",
}


def served(settings: Settings, **changes: Any) -> Client:
    """Return a client of a server with other settings."""
    return Client(App(replace(settings, **changes), RESOURCES))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/", "/v1/"),
        ("/buckets?_sort=a&b=%20c", "/v1/buckets?_sort=a&b=%20c"),
        ("/vendor", "/v1/vendor"),
        ("//buckets", "/v1//buckets"),
        ("/V1/", "/v1/V1/"),
        ("/b%C3%BCcher", "/v1/b%C3%BCcher"),
        ("/x%20y", "/v1/x%20y"),
        ("/vx", "/v1/vx"),
    ],
)
async def test_a_path_without_version_is_redirected_whatever_the_method(
    client: Client, method: str, asked: str, location: str
) -> None:
    response = await client.request(method, HOST + asked)

    assert response.status == 307
    assert response.headers["Location"] == HOST + location
    assert "Cache-Control" not in response.headers
    assert "Expires" not in response.headers


async def test_options_is_never_redirected_to_the_version(client: Client) -> None:
    response = await client.request("OPTIONS", HOST + "/buckets", headers={"Origin": "https://a.b"})

    assert (response.status, response.json) == (200, None)
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("seconds", "cache_control"),
    [(60, "max-age=60"), (0, "max-age=0, must-revalidate, no-cache, no-store"), (-1, None)],
)
async def test_redirections_may_be_kept_as_long_as_the_settings_say(
    settings: Settings, seconds: int, cache_control: str | None
) -> None:
    changes = {
        "version_prefix_redirect_ttl_seconds": seconds,
        "trailing_slash_redirect_ttl_seconds": seconds,
    }
    async with served(settings, **changes) as client:
        for url in ("/buckets", "/v1/buckets/"):
            response = await client.get(HOST + url)

            assert response.headers.get("Cache-Control") == cache_control
            assert ("Expires" in response.headers) == (cache_control is not None)
            assert ("Pragma" in response.headers) == (seconds == 0)


@pytest.mark.parametrize("path", ["/x%0Dy", "/x%0Ay", "/x%0D%0ASet-Cookie:a=b"])
async def test_a_line_break_in_the_path_is_not_redirected(client: Client, path: str) -> None:
    """I9."""
    response = await client.get(HOST + path)

    assert (response.status, response.json) == (404, UNKNOWN_URL)
    assert "Location" not in response.headers


@pytest.mark.parametrize(
    "path", ["/v1/x%0D%0ASet-Cookie:a=b/", "/v1/buckets/a%0D%0Ab/", "/b?x=%0D%0Ay", "/v1/%E2%80%A8/"]
)
async def test_no_redirection_splits_the_header(client: Client, path: str) -> None:
    """I9: what a path or query had encoded stays encoded."""
    response = await client.get(HOST + path)

    assert response.status == 307
    location = response.headers["Location"]
    assert location.isascii()
    assert not {"\r", "\n"} & set(location)


@pytest.mark.parametrize("path", ["/v2/buckets", "/v2", "/v11/", "/v11", "/v0/", "/v1x/", "/v1.0/"])
async def test_another_version_is_unknown(client: Client, path: str) -> None:
    response = await client.get(HOST + path)

    assert (response.status, response.json) == (404, UNKNOWN_VERSION)


async def test_a_path_without_version_is_unknown_where_redirection_is_off(settings: Settings) -> None:
    async with served(settings, version_prefix_redirect_enabled=False) as client:
        for path in ("/", "/buckets"):
            response = await client.get(HOST + path)

            assert (response.status, response.json) == (404, UNKNOWN_VERSION)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/v1", "/v1/"),
        ("/v1/buckets/", "/v1/buckets"),
        ("/v1/buckets//?a=%20b", "/v1/buckets?a=%20b"),
        ("/v1/unknown/", "/v1/unknown"),
        ("/v1/buckets/b/collections/", "/v1/buckets/b/collections"),
    ],
)
async def test_slashes_at_the_end_are_redirected_away(client: Client, method: str, asked: str, location: str) -> None:
    response = await client.request(method, HOST + asked)

    assert (response.status, response.headers["Location"]) == (307, HOST + location)
    assert response.headers["Cache-Control"] == "max-age=3600"


@pytest.mark.parametrize("path", ["/v1", "/v1/buckets/"])
async def test_slashes_at_the_end_are_unknown_where_redirection_is_off(settings: Settings, path: str) -> None:
    async with served(settings, trailing_slash_redirect_enabled=False) as client:
        response = await client.get(HOST + path)

        assert (response.status, response.json) == (404, UNKNOWN_URL)
        assert (await client.get("/")).status == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/unknown", "/v1//buckets", "/v1/Buckets", "/v1/buckets/b/other"])
async def test_an_unknown_url_is_not_found(client: Client, method: str, path: str) -> None:
    """P20: doubled slashes and upper case are other URLs."""
    response = await client.request(method, HOST + path)

    assert (response.status, response.json) == (404, UNKNOWN_URL)


@pytest.mark.parametrize("path", ["/v1/%82%AC", "/v1/buckets/a%00b", "/v1/buckets/%FF/collections", "/%82%AC"])
async def test_a_path_that_is_no_text_is_refused(client: Client, path: str) -> None:
    """I1, I5."""
    response = await client.get(HOST + path)

    assert response.status == 400
    assert response.json == {"code": 400, "errno": 107, "error": "Bad Request", "message": "Invalid URL path."}


@pytest.mark.parametrize("query", ["a=%82%AC", "%FF=1", "a=\udcff", "a=\udc82\udcac&b=1"])
async def test_a_query_string_that_is_no_text_is_refused(client: Client, query: str) -> None:
    """I5."""
    response = await client.get(f"/buckets?{query}")

    assert response.status == 400
    assert (response.json["errno"], response.json["error"]) == (107, "Bad Request")
    assert response.json["message"].startswith("A request with an incorrect encoding in the querystring was")
    assert "details" not in response.json


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/buckets", "HEAD, GET, POST, DELETE, OPTIONS"),
        ("/buckets/b", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/__heartbeat__", "GET, HEAD, OPTIONS"),
        ("/batch", "POST, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_there_is_refused_first(client: Client, path: str, methods: str) -> None:
    wrong = {"Accept": "text/html", "Content-Type": "text/html", "Origin": "https://a.b"}

    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - set(methods.split(", ")):
        response = await client.anonymous().request(method, path, body=b"{", headers=wrong)

        assert (response.status, response.json["errno"]) == (405, 115)
        assert sorted(response.headers["Allow"].split(", ")) == sorted(methods.split(", "))
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_method_that_settings_take_away_is_gone_everywhere(settings: Settings) -> None:
    async with served(settings, disabled_methods={"plural_bucket_delete": True}) as client:
        response = await client.delete("/buckets")
        preflight = {"Origin": "https://a.b", "Access-Control-Request-Method": "GET"}

        assert (response.status, response.headers["Allow"]) == (405, "HEAD, GET, POST, OPTIONS")
        assert (
            "DELETE"
            not in (await client.request("OPTIONS", "/buckets", headers=preflight)).headers[
                "Access-Control-Allow-Methods"
            ]
        )


@pytest.mark.parametrize("path", ["/v1/buckets", "/v1/batch", "/v1/unknown", "/buckets", "/v1/%82%AC"])
async def test_a_readonly_server_refuses_to_write_on_any_url(settings: Settings, path: str) -> None:
    async with served(settings, readonly=True) as client:
        response = await client.request("POST", HOST + path)

        assert (response.status, response.json["errno"]) == (405, 115)
        assert not {"POST", "PUT", "PATCH", "DELETE"} & set(response.headers["Allow"].split(", "))


async def test_a_readonly_server_does_not_offer_browsers_to_write(settings: Settings) -> None:
    async with served(settings, readonly=True) as client:
        preflight = {"Origin": "https://a.b", "Access-Control-Request-Method": "GET"}
        response = await client.request("OPTIONS", "/buckets", headers=preflight)

        assert response.headers["Access-Control-Allow-Methods"] == "HEAD, GET, OPTIONS"


async def test_a_readonly_server_lists_what_was_never_written(settings: Settings) -> None:
    """S22."""
    async with served(settings, readonly=True, principals_by_permission={"bucket_read": {"system.Everyone"}}) as client:
        first, second = await client.get("/buckets"), await client.get("/buckets")

        assert (first.status, first.data) == (200, [])
        assert first.etag == second.etag


@pytest.mark.parametrize("path", ["/v1/", "/v1/buckets/b", "/v1/unknown", "/v2/", "/buckets", "/v1/buckets"])
async def test_every_response_has_the_headers_that_protect(client: Client, path: str) -> None:
    headers = (await client.get(HOST + path)).headers

    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not {"Vary", "Set-Cookie", "Access-Control-Allow-Credentials"} & set(headers)


@pytest.mark.parametrize("path", ["/v1/", "/v1/buckets/b", "/v1/unknown", "/buckets", "/v1/buckets?_limit=x"])
async def test_every_response_asks_to_back_off_where_settings_do(settings: Settings, path: str) -> None:
    async with served(settings, backoff=10) as client:
        assert (await client.get(HOST + path)).headers["Backoff"] == "10"


@pytest.mark.parametrize(("percentage", "asked"), [(0.0, False), (100.0, True)])
async def test_only_a_share_of_the_responses_asks_to_back_off(
    settings: Settings, percentage: float, asked: bool
) -> None:
    async with served(settings, backoff=10, backoff_percentage=percentage) as client:
        responses = [await client.get("/") for _ in range(20)]

        assert {"Backoff" in each.headers for each in responses} == {asked}
