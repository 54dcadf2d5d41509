"""The end of the service: announced before its date, enforced from then on. Source: HTTP API, 13.3, 2.5 and 1.4."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.api.sharing import parts, serving
from tests.api.test_walk import ask
from tests.conftest import SETTINGS

from kobako.http.end_of_service import planned
from kobako.testing.client import Client

PAST, FUTURE = datetime(2015, 1, 22, tzinfo=UTC), datetime.now(UTC) + timedelta(days=30)
TOLD = {"eos_message": "It ends.", "eos_url": "https://example.org/end"}


def alert(answer: Any) -> Any:
    return json.loads(answer.headers["Alert"])


async def test_without_a_date_there_is_no_alert(client: Client) -> None:
    answer = await client.get("/")

    assert "Alert" not in answer.headers
    assert "eos" not in answer.json


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("HEAD", "/buckets", 200),
        ("PUT", "/buckets/b", 201),
        ("GET", "/unknown", 404),
        ("PATCH", "/buckets", 405),
        ("GET", "http://localhost/buckets", 307),
        ("GET", "/buckets/", 307),
        ("GET", "/__lbheartbeat__", 200),
    ],
)
async def test_before_its_date_every_answer_announces_the_end(method: str, path: str, status: int) -> None:
    async with serving(eos=FUTURE, **TOLD) as client:
        answer = await client.request(method, path)

    assert answer.status == status
    assert alert(answer) == {"code": "soft-eol", "message": "It ends.", "url": "https://example.org/end"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_304_and_a_preflight_announce_the_end() -> None:
    async with serving(eos=FUTURE) as client:
        etag = (await client.get("/buckets")).headers["ETag"]
        headers = {"Origin": "https://a.org", "Access-Control-Request-Method": "GET"}
        same = await client.get("/buckets", headers={"If-None-Match": etag})
        preflight = await client.request("OPTIONS", "/buckets", headers=headers)

    assert (same.status, preflight.status) == (304, 200)
    assert alert(same) == alert(preflight) == {"code": "soft-eol", "message": None, "url": SETTINGS.project_docs}


async def test_the_entries_of_a_batch_do_not_announce_the_end() -> None:
    async with serving(eos=FUTURE) as client:
        answer = await client.batch({"path": "/buckets"}, {"path": "/unknown"})

    assert alert(answer)["code"] == "soft-eol"
    assert not [each for each in parts(answer) if "Alert" in each["headers"]]


async def test_the_end_of_the_service_is_told_before_that_of_a_parameter() -> None:
    """A client reads one alert."""
    async with serving(eos=FUTURE, **TOLD) as client:
        assert alert(await client.get("/buckets?_to=5"))["message"] == "It ends."


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("HEAD", "/"),
        ("PUT", "/buckets/b"),
        ("POST", "/batch"),
        ("OPTIONS", "/buckets"),
        ("GET", "/__heartbeat__"),
        ("GET", "/unknown"),
        ("GET", "http://localhost/buckets"),
        ("GET", "/%FF"),
        ("X", "/v9/"),
    ],
)
async def test_from_its_date_on_every_request_is_gone(method: str, path: str) -> None:
    async with serving(eos=PAST, readonly=True, **TOLD) as client:
        answer = await client.request(method, path, body=b"{")

    assert answer.status == 410
    assert alert(answer) == {"code": "hard-eol", "message": "It ends.", "url": "https://example.org/end"}
    assert "X-Content-Type-Options" not in answer.headers
    assert "Retry-After" not in answer.headers
    assert answer.json == {
        "code": 410,
        "errno": 202,
        "error": "Gone",
        "message": "The service you are trying to connect no longer exists at this location.",
    }


async def test_what_is_gone_is_gone_before_its_size_is_looked_at() -> None:
    async with serving(eos=PAST, max_body_size_bytes=10) as client:
        assert await ask(client.app, {}, "PUT", "/v1/buckets/b", b"x" * 100) == 410


@pytest.mark.parametrize(
    ("origins", "expected"), [(("*",), "*"), (("https://*.org",), "https://a.org"), (("https://b.net",), None)]
)
async def test_a_browser_may_read_that_it_is_gone(origins: tuple[str, ...], expected: str | None) -> None:
    async with serving(eos=PAST, cors_origins=origins) as client:
        answer = await client.get("/buckets", headers={"Origin": "https://a.org"})

    assert answer.status == 410
    assert answer.headers.get("Access-Control-Allow-Origin") == expected
    assert "Alert" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("hours", [None, 0, 5, -8])
async def test_the_date_may_have_any_time_zone_or_that_of_the_server(hours: int | None) -> None:
    now = datetime.now()
    for offset, status in ((timedelta(minutes=-5), 410), (timedelta(minutes=5), 200)):
        moment = (now + offset).astimezone()
        eos = moment if hours is None else moment.astimezone(timezone(timedelta(hours=hours)))
        async with serving(eos=eos) as client:
            assert (await client.get("/")).status == status


async def test_hello_tells_the_date() -> None:
    async with serving(eos=FUTURE, eos_text="2040-01-22") as client:
        assert (await client.get("/")).json["eos"] == "2040-01-22"
    async with serving(eos=FUTURE) as client:
        assert (await client.get("/")).json["eos"] == FUTURE.isoformat()


def test_an_alert_is_ascii_on_one_line() -> None:
    end = planned(SETTINGS.__class__(eos=FUTURE, eos_message="Schluß\r\n\u2028\U0001f600"))

    assert end is not None
    assert end.before.isascii()
    assert end.before.isprintable()
    assert json.loads(end.before)["message"] == "Schluß\r\n\u2028\U0001f600"
