"""The request log: what an entry tells, and what none may tell. Source: HTTP API, 15.1 to 15.4; reliability, O14."""

import io
import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.sharing import create, put, serving
from tests.api.test_walk import ask
from tests.conftest import SETTINGS

from kobako.app import App
from kobako.databases.base import BackendUnavailable
from kobako.logs import JsonFormatter, TextFormatter, printable
from kobako.protocol.messages import Request
from kobako.resources import RESOURCES
from kobako.testing.client import Client

MAT = "b992239a97c257bb42eb1286deb33bf6daf8eb65e91e2d99aa00d73d0e870b1c"


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Entries are logged from INFO on."""
    with caplog.at_level(logging.INFO):
        yield


def entries(caplog: pytest.LogCaptureFixture, logger: str = "request.summary") -> list[dict[str, Any]]:
    """Return the fields of what a logger was told, and forget it."""
    found = [record.__dict__["fields"] for record in caplog.records if record.name == logger]
    caplog.clear()
    return found


async def test_a_request_is_one_entry_that_tells_these_fields(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"User-Agent": "Mozilla/5.0 (X)", "Accept-Language": "fr-CH", "X-Request-Id": "abc"}
    await client.get("/buckets?_limit=2&like_name=a%20b", headers=headers)

    [record] = [each for each in caplog.records if each.name == "request.summary"]
    [fields] = entries(caplog)
    assert (record.levelno, record.getMessage()) == (logging.INFO, "")
    assert fields.pop("t") >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", fields.pop("time"))
    assert fields == {
        "agent": "Mozilla/5.0 (X)",
        "path": "/v1/buckets",
        "method": "GET",
        "lang": "fr-CH",
        "querystring": {"_limit": "2", "like_name": "a b"},
        "rid": "abc",
        "uid": MAT,
        "authn_type": "basicauth",
        "errno": 0,
        "code": 200,
    }


async def test_what_is_absent_is_left_out(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    await client.anonymous().get("/buckets")

    [fields] = entries(caplog)
    assert set(fields) == {"path", "method", "rid", "errno", "code", "t", "time"}
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", fields["rid"])
    assert (fields["code"], fields["errno"]) == (401, 104)


@pytest.mark.parametrize(
    ("method", "path", "code", "errno"),
    [
        ("GET", "/unknown", 404, 111),
        ("GET", "/buckets/", 307, 0),
        ("PATCH", "/buckets", 405, 115),
        ("GET", "/buckets?_since=x", 400, 107),
        ("GET", "/%FF", 400, 107),
        ("OPTIONS", "/buckets", 400, 107),
        ("GET", "/__lbheartbeat__", 200, 0),
    ],
)
async def test_every_request_has_its_entry(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, code: int, errno: int
) -> None:
    await client.request(method, path)

    assert [(each["code"], each["errno"]) for each in entries(caplog)] == [(code, errno)]


async def test_what_the_edge_refuses_has_its_entry(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(max_body_size_bytes=5) as client:
        await ask(client.app, {}, "PUT", "/v1/buckets/b", b"x" * 6)

    assert [(each["code"], each["errno"]) for each in entries(caplog)] == [(413, 113)]


async def test_each_part_of_a_batch_has_an_entry_before_that_of_the_batch(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await client.batch(put("/buckets/b"), {"path": "/nowhere?a=1"}, {"path": "/buckets/b/"})

    assert [each.name for each in caplog.records if "summary" in each.name] == [
        *["subrequest.summary"] * 3,
        "request.summary",
    ]
    assert {each.getMessage() for each in caplog.records if each.name == "subrequest.summary"} == {"subrequest.summary"}
    parts = [each.__dict__["fields"] for each in caplog.records if each.name == "subrequest.summary"]
    [batch] = entries(caplog)
    assert [(each["method"], each["path"]) for each in parts] == [
        ("PUT", "/v1/buckets/b"),
        ("GET", "/v1/nowhere"),
        ("GET", "/v1/buckets/b"),
    ]
    assert not [each for each in parts if "code" in each or "t" in each]
    assert {(each["batch_size"], each["rid"], each["uid"]) for each in parts} == {(3, batch["rid"], MAT)}
    assert (batch["path"], batch["batch_size"], batch["code"]) == ("/v1/batch", 3, 200)


async def test_a_request_is_known_by_its_user_also_when_it_is_answered_again(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await client.put("/buckets/b", {}, headers={"Idempotency-Key": "k"})

    assert [(each["uid"], each["code"]) for each in entries(caplog)] == [(MAT, 201)] * 2


async def test_a_refusal_tells_who_wanted_what(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    await create(client, "/buckets/b")
    ann = client.as_user("ann")
    user = (await ann.get("/")).json["user"]["id"]
    caplog.clear()
    await ann.put("/buckets/b", {})

    [record] = [each for each in caplog.records if each.name == "kobako.authorization"]
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"Permission 'write' on '/buckets/b' not granted to '{user}'."
    assert record.__dict__["fields"] == {"userid": user, "uri": "/buckets/b", "perm": "write"}


@pytest.mark.parametrize(
    ("method", "path", "perm", "uri"),
    [
        ("GET", "/buckets/b/collections", "read", "/buckets/b/collections"),
        ("DELETE", "/buckets/b/collections", "write", "/buckets/b/collections"),
        ("POST", "/buckets/b/collections", "collection:create", "/buckets/b/collections"),
        ("GET", "/buckets/b", "read", "/buckets/b"),
    ],
)
async def test_every_refusal_is_told(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, perm: str, uri: str
) -> None:
    await create(client, "/buckets/b")
    await client.anonymous().request(method, path)

    [fields] = entries(caplog, "kobako.authorization")
    assert fields == {"userid": "system.Everyone", "uri": uri, "perm": perm}


@pytest.mark.parametrize(
    ("error", "level", "errno"),
    [(RuntimeError("boom"), logging.ERROR, 999), (BackendUnavailable("away"), logging.CRITICAL, 201)],
)
async def test_a_failure_of_the_server_is_told_with_its_traceback(
    client: Client,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    level: int,
    errno: int,
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    await create(client, "/buckets/b")
    monkeypatch.setattr("kobako.model.objects.find", fail)
    caplog.clear()
    await client.get("/buckets/b?_fields=id")

    [record] = [each for each in caplog.records if each.name == "kobako.errors"]
    assert record.levelno == level
    assert record.exc_info
    assert record.exc_info[1] is error
    assert record.__dict__["fields"] == {
        "path": "/v1/buckets/b",
        "method": "GET",
        "querystring": {"_fields": "id"},
        "errno": errno,
    }
    assert entries(caplog)[0]["errno"] == errno


# What is never told


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter("kobako")], ids=["text", "JSON"])
async def test_no_password_token_or_body_is_told(
    client: Client,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    formatter: logging.Formatter,
    level: int,
) -> None:
    caplog.set_level(level)
    user = client.as_user("ann", "s3cret-word")
    data = {"password": "s3cret-word"}
    bearer = {"Authorization": "Bearer s3cret-word", "Cookie": "s3cret-word"}
    await user.put("/buckets/b", data)
    await user.put("/buckets/b?access_token=s3cret-word&Password=s3cret-word", data)
    await user.put("/buckets/b", data, headers=bearer)
    await user.put("/buckets/b", data, headers={"If-Match": '"1"'})
    await user.batch(put("/buckets/c", **data), {"path": "/buckets", "headers": bearer})
    await user.put("/buckets/d", data, headers={"Idempotency-Key": "s3cret-word"})

    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("kobako.model.objects.write", fail)
    await user.put("/buckets/b", data)

    told = "\n".join(formatter.format(record) for record in caplog.records)
    assert len(told) > 1000
    assert "s3cret-word" not in told
    assert user.headers["authorization"].split()[1] not in told


FORGED = 'x\r\nINFO   "GET   /v1/" 200\x1b[2J\u2028\x85'


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter("kobako")], ids=["text", "JSON"])
async def test_an_entry_is_one_line_whatever_clients_send(
    client: Client, caplog: pytest.LogCaptureFixture, formatter: logging.Formatter
) -> None:
    headers = {"user-agent": FORGED, "accept-language": FORGED, "x-request-id": FORGED}
    request = Request(method=FORGED, path=f"/v1/{FORGED}", query="a%0D%0AINFO=%0A%1B&b=\udcff", headers=headers)
    await client.app.answer(request)
    await client.app.answer(Request(method="GET", path="/v1/buckets/" + FORGED.replace("/", ":"), headers=headers))

    assert len(caplog.records) > 2
    for record in caplog.records:
        line = formatter.format(record)
        assert line.isprintable()
        assert len(line.splitlines()) == 1
        line.encode()


def test_a_traceback_stands_further_in_than_any_entry() -> None:
    try:
        raise ValueError("a\nINFO   forged\rb\x1b")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "bad\nluck", (), sys.exc_info())

    first, *rest = TextFormatter().format(record).split("\n")
    assert first == "ERROR  bad\\nluck"
    assert rest
    assert not [line for line in rest if not line.startswith("    ") or not line.isprintable()]


async def test_headers_of_any_length_are_told_in_part(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    await client.get("/", headers={"User-Agent": "x" * 60000, "X-Request-Id": "y" * 60000})

    [fields] = entries(caplog)
    assert (len(fields["agent"]), len(fields["rid"])) == (1000, 1000)


# Renderers


def rendered(formatter: logging.Formatter, message: str = "", **fields: Any) -> str:
    record = logging.LogRecord("request.summary", logging.INFO, "", 0, message, (), None)
    record.fields = fields
    return formatter.format(record)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {
                "method": "GET",
                "path": "/v1/a",
                "querystring": {"b": "1", "c": ""},
                "code": 200,
                "t": 3,
                "z": 1,
                "k": "v",
            },
            '"GET   /v1/a?b=1&c=" 200 (3 ms) k=v z=1',
        ),
        ({"method": "DELETE", "path": "/v1/a", "code": 404, "t": 0}, '"DELETE /v1/a" 404 (0 ms)'),
        ({"method": "GET", "path": '/v1/"', "agent": 'a "b" u=1'}, '"GET   /v1/\\"" ? (? ms) agent="a \\"b\\" u=1"'),
        ({"userid": "a", "perm": "write"}, "perm=write userid=a"),
        ({"empty": "", "nothing": None}, 'empty="" nothing=None'),
    ],
)
def test_text_tells_the_request_and_then_the_rest_by_name(fields: dict[str, Any], expected: str) -> None:
    assert rendered(TextFormatter(), **fields) == f"INFO   {expected}"


def test_json_is_an_envelope_with_the_fields() -> None:
    entry = json.loads(rendered(JsonFormatter("shop"), "hello", path="/v1/", querystring={"a": "b"}))

    assert abs(entry.pop("Timestamp") - time.time_ns()) < 60e9
    assert isinstance(entry.pop("Pid"), int)
    assert entry.pop("Hostname")
    assert entry == {
        "Type": "request.summary",
        "Logger": "shop",
        "EnvVersion": "2.0",
        "Severity": 6,
        "Fields": {"path": "/v1/", "querystring": {"a": "b"}, "msg": "hello"},
    }


def test_json_tells_an_exception() -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        record = logging.LogRecord("x", logging.CRITICAL, "", 0, "failed", (), sys.exc_info())

    entry = json.loads(JsonFormatter("shop").format(record))
    assert entry["Severity"] == 2
    assert entry["Fields"]["error"] == "ValueError('bad')"
    assert entry["Fields"]["traceback"].startswith("Traceback")


def test_what_can_be_seen_is_left_as_it_is() -> None:
    assert printable("é ü 日本 \u00a0\t") == "é ü 日本 \\xa0\\t"


# Cost


async def test_an_entry_costs_little_and_nothing_where_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with `-s` to see the figures. The limit is wide: machines that run tests are slow at times."""
    logger = logging.getLogger("request.summary")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(TextFormatter())
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    headers = {"user-agent": "python-requests/2.3"}
    app, request = App(SETTINGS, RESOURCES), Request(method="GET", path="/v1/__lbheartbeat__", headers=headers)

    async def cost_us(level: int) -> float:
        logger.setLevel(level)
        took = []
        for _ in range(10):
            began = time.process_time()
            for _ in range(200):
                await app.answer(request)
            took.append(time.process_time() - began)
        return min(took) / 200 * 1e6

    silent, told = await cost_us(logging.WARNING), await cost_us(logging.INFO)
    logger.setLevel(logging.NOTSET)

    print(f"a request: {silent:.1f} us, with its entry {told:.1f} us")
    assert told - silent < 50
