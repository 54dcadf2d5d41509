"""How the model's requests are sent to an app, and its answers compared with what the model expects."""

import base64
import binascii
import json
import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from tests.oracle import everything
from tests.oracle.everything import Everything
from tests.oracle.model import Answer, Expected, predict
from tests.oracle.world import World
from tests.oracle.worlds import MEDIA
from tests.plugins.attachments.sending import BOUNDARY, form

from kobako.protocol.messages import Request, Response

CANARY = re.compile(r"canary-\d+-\w+")
PREFLIGHT = {"origin": "https://a.b", "access-control-request-method": "GET"}


def _url(request: dict[str, Any]) -> str:
    path = request["path"]
    if request["door"] == "encoded":
        path = "/".join(f"%{ord(each[0]):02x}{each[1:]}" if each else "" for each in path.split("/"))
    if request["door"] == "slash":
        path += "/"
    if request["door"] == "default":
        path = re.sub("^/buckets/[^/]+", "/buckets/default", path)
    return path + ("?" + urlencode(request["query"], quote_via=quote) if request["query"] else "")


def _credentials(request: dict[str, Any]) -> str:
    # What is no credentials is nobody's; in a batch the header cannot be left out.
    pair = f"{request['user']}:{request['password']}"
    return "Basic " + (base64.b64encode(pair.encode()).decode() if request["user"] else "")


def alone(request: dict[str, Any]) -> Request:
    path, _, query = _url(request).partition("?")
    headers = {name.lower(): value for name, value in request["headers"].items()}
    if request["user"]:
        headers["authorization"] = _credentials(request)
    if request["method"] == "OPTIONS":
        headers |= PREFLIGHT
    body = b""
    if request["body"] is not None:
        body = json.dumps(request["body"]).encode()
        headers["content-type"] = MEDIA[request.get("dialect", "plain")]
    if "form" in request:
        body = form(request["form"])
        headers["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
    return Request(method=request["method"], path=unquote("/v1" + path), query=query, headers=headers, body=body)


def batched(asked: list[dict[str, Any]]) -> Request:
    parts = []
    for each in asked:
        headers = {**each["headers"], "Authorization": _credentials(each)}
        part = {"method": each["method"], "path": _url(each), "headers": headers}
        parts.append(part | ({"body": each["body"]} if each["body"] else {}))
    body = json.dumps({"requests": parts}).encode()
    return Request(method="POST", path="/v1/batch", query="", headers={"content-type": "application/json"}, body=body)


async def read(response: Response) -> Answer:
    if response.stream:
        return response.status, response.headers, b"".join([each async for each in response.stream]).decode()
    return response.status, response.headers, json.loads(response.body) if response.body else None


def expected(world: World, request: dict[str, Any], who: set[str], in_batch: bool) -> Expected:
    if request["door"] == "slash" and not in_batch:
        return Expected(307)
    if request["method"] == "OPTIONS":
        return Expected(200)
    if in_batch and request["streams"]:
        return Expected(400)
    if isinstance(world, Everything):
        return everything.predict(world, request, who)
    return predict(world, request, who)


def problem(request: dict[str, Any], expected: Expected, answer: Answer) -> str | None:
    """Return what is wrong with an answer, None if nothing is."""
    status, headers, body = answer
    if status not in (expected.status if isinstance(expected.status, tuple) else (expected.status,)):
        return f"answered {status} instead of {expected.status}"
    # The body of an answer to HEAD is dropped at the edge, behind what is looked at here.
    allowed = {*_canaries(expected.body), *_canaries(expected.readable), *_canaries(request)}
    if leaked := {*_canaries(body), *_canaries(headers), *_canaries(_read_tokens(headers))} - allowed:
        return f"shows {sorted(leaked)}"
    if expected.total is not None and request["method"] == "HEAD":
        totals = {headers.get("Total-Objects"), headers.get("Total-Records")}
        if totals != {str(expected.total)}:
            return f"counts {totals} instead of {expected.total}"
    if expected.more is not None and expected.more != ("Next-Page" in headers):
        return f"has {'no ' if expected.more else 'a '}next page"
    if request["method"] == "HEAD" or expected.body is None:
        return None
    return None if _alike(request, expected, body) else "shows something else"


def _alike(request: dict[str, Any], expected: Expected, body: Any) -> bool:
    if expected.status == 412:
        shown = body.get("details", {})
        return {name: _bare(each) for name, each in shown.items()} == {
            name: _bare(each) for name, each in expected.body.items()
        }
    if isinstance(expected.body, str):
        return bool(body == expected.body)
    if "data" not in expected.body:
        # What is said of a file; where it is stored is not predicted.
        return bool({**body, **expected.body} == body)
    if isinstance(expected.body["data"], list):
        mine, theirs = [[_bare(each) for each in listed["data"]] for listed in (expected.body, body)]
        return mine == theirs if expected.ordered else _sorted(mine) == _sorted(theirs)
    mine, theirs = _bare(expected.body["data"]), _bare(body["data"])
    if request["method"] == "POST" and "id" not in mine:
        theirs.pop("id")
    acls = [
        {name: sorted(set(who)) for name, who in each["permissions"].items()} if "permissions" in each else None
        for each in (expected.body, body)
    ]
    return mine == theirs and acls[0] == acls[1]


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what is not predicted: its timestamp, and whether no members are `[]` or nothing."""
    return {
        name: each for name, each in document.items() if name != "last_modified" and (name, each) != ("members", [])
    }


def _sorted(documents: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in documents)


def _canaries(value: Any) -> set[str]:
    return set(CANARY.findall(json.dumps(value, default=str)))


def tokens(headers: dict[str, str]) -> list[str]:
    return parse_qs(urlsplit(headers.get("Next-Page", "")).query).get("_token", [])


def _read_tokens(headers: dict[str, str]) -> list[str]:
    """Return what stands in the token of a next page, as far as it can be read."""
    read = []
    for each in tokens(headers):
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            try:
                read.append(decode(each + "===").decode("utf-8", "replace"))
            except (binascii.Error, ValueError):
                continue
    return read
