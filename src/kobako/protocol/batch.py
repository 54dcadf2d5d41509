"""Batches: one payload -> several Requests; their Responses -> one answer. Pure.

Source: HTTP API, section 12.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from kobako.protocol import jsontext, payload
from kobako.protocol.errors import MAX_PROBLEMS, ApiError, InvalidParameters, Problem, RequestTooLarge, invalid
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import MAX_HEADER_SIZE, MAX_HEADERS, MAX_QUERY, Request, Response

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
MAX_PATH: Final = MAX_QUERY
"""Characters of a part's path, with its query."""

_MEMBERS: Final = frozenset({"method", "path", "headers", "body"})


class Batch(msgspec.Struct, frozen=True):
    """The requests of a batch; `is_atomic` if none is to be kept when one fails: no word of Kinto's."""

    requests: list[Request]
    is_atomic: bool


def read(request: Request, prefix: str, limit: int | None, max_size: int) -> Batch:
    """Return the requests in the body of a batch, completed with its defaults and headers.

    `prefix` is that of the API's version; `limit` is the largest number of requests, None for any; `max_size` is that
    of their bodies together, in bytes. Raises InvalidParameters or RequestTooLarge: then nothing of the batch is done.
    """
    problems: list[Problem] = []
    body = payload.parse(request.body, problems)
    if not problems:
        problems.extend(islice(_faults(body), MAX_PROBLEMS))
    if problems:
        raise InvalidParameters(problems)
    if limit and len(body["requests"]) > limit:
        raise invalid("body", "requests", f"Number of requests is limited to {limit}")
    defaults = _without_nulls(body.get("defaults") or {})
    missing = [
        Problem("body", f"requests.{position}.path", "Required")
        for position, each in enumerate(body["requests"])
        if "path" not in each and "path" not in defaults
    ]
    if missing:
        raise InvalidParameters(missing[:MAX_PROBLEMS])
    requests = list(_requests(request, body["requests"], defaults, prefix, max_size))
    if any("batch" in each.path and _is_batch(each.path, prefix) for each in requests):
        raise invalid("body", "requests", "Recursive call on /batch endpoint is forbidden.")
    return Batch(requests, body.get("atomic", False))


def located(error: ApiError, position: int) -> ApiError:
    """Return the error of a part as that of the whole batch: its `details` have the part's position in `request`."""
    if isinstance(error.details, list):
        error.details = [{**each, "request": position} for each in error.details]
    else:
        error.details = {**(error.details or {}), "request": position}
    return error


def answer(parts: Sequence[tuple[Request, Response]]) -> str:
    """Return the JSON text of a batch's answer; bodies are spliced in as they are."""
    return '{"responses":[' + ",".join(_entry(request, response) for request, response in parts) + "]}"


def _entry(request: Request, response: Response) -> str:
    # Some clients look a member up in every body, that of a 304 too.
    body = '""' if request.method == "HEAD" else response.body.decode() or "{}"
    # A path that could not be read is shown as far as JSON text may hold it.
    path = request.path
    if not path.isprintable():
        path = path.encode(errors="replace").decode().replace("\x00", "?")
    return (
        f'{{"status":{response.status},"path":{jsontext.encode(path)},'
        f'"headers":{jsontext.encode(response.headers)},"body":{body}}}'
    )


def _requests(
    whole: Request, parts: Sequence[JsonObject], defaults: JsonObject, prefix: str, max_size: int
) -> Iterator[Request]:
    """Yield each part as a request. Raises RequestTooLarge at once where defaults multiply what was sent."""
    size = 0
    headers = {name: value for name, value in whole.headers.items() if name != "content-length"}
    for each in parts:
        made = _request(whole, headers, _completed(_without_nulls(each), defaults), prefix)
        size += len(made.body)
        if size > max_size:
            raise RequestTooLarge(f"The bodies of all requests are larger than the limit of {max_size} bytes.")
        yield made


def _completed(given: Any, defaults: Any) -> Any:
    """Return a request with what it does not say itself; objects are completed, all the way down."""
    if not isinstance(given, dict) or not isinstance(defaults, dict):
        return given
    merged = {**defaults, **given}
    for name in defaults.keys() & given.keys():
        merged[name] = _completed(given[name], defaults[name])
    return merged


def _without_nulls(part: JsonObject) -> JsonObject:
    return {name: value for name, value in part.items() if not (name == "method" and value is None)}


def _request(whole: Request, inherited: Mapping[str, str], part: JsonObject, prefix: str) -> Request:
    path, _, query = part["path"].partition("?")
    if not (path == prefix or path.startswith(prefix + "/")):
        path = prefix + path
    headers = {**inherited, **{name.lower(): value for name, value in part.get("headers", {}).items()}}
    body = part.get("body")
    if body:
        headers["content-type"] = "application/json; charset=utf-8"
    return Request(
        method=part.get("method", "GET"),
        path=unquote(path, errors="surrogateescape"),
        query=query,
        headers=headers,
        body=jsontext.encode(body).encode() if body else b"",
        origin=whole.origin,
        client=whole.client,
    )


def _is_batch(path: str, prefix: str) -> bool:
    """Tell whether a path is the batch endpoint, however it is spelled."""
    return posixpath.normpath("/" + path.strip("/")) in (f"{prefix}/batch", f"{prefix}{prefix}/batch")


def _faults(body: Any) -> Iterator[Problem]:
    if not isinstance(body, dict):
        yield payload.not_a_mapping("", body)
        return
    unknown = {name: value for name, value in body.items() if name not in ("atomic", "defaults", "requests")}
    if unknown:
        yield Problem("body", "", f'Unrecognized keys in mapping: "{payload.shown(unknown)}"')
    if not isinstance(body.get("atomic", False), bool):
        yield Problem("body", "atomic", f"{payload.shown(body['atomic'])} is not a boolean")
    if "requests" not in body:
        yield Problem("body", "requests", "Required")
    elif not isinstance(body["requests"], list):
        yield Problem("body", "requests", f'"{payload.shown(body["requests"])}" is not iterable')
    else:
        for position, each in enumerate(body["requests"]):
            yield from _part_faults(f"requests.{position}", each)
    if body.get("defaults") is not None:
        yield from _part_faults("defaults", body["defaults"])


def _part_faults(name: str, part: Any) -> Iterator[Problem]:
    if not isinstance(part, dict):
        yield payload.not_a_mapping(name, part)
        return
    if not part.keys() <= _MEMBERS:
        unknown = {key: value for key, value in part.items() if key not in _MEMBERS}
        yield Problem("body", name, f'Unrecognized keys in mapping: "{payload.shown(unknown)}"')
    method, path, headers = part.get("method"), part.get("path"), part.get("headers", {})
    if method is not None and method not in METHODS:
        yield Problem("body", f"{name}.method", f'"{payload.shown(method)}" is not one of {", ".join(METHODS)}')
    if "path" in part and not isinstance(path, str):
        yield Problem("body", f"{name}.path", f"{payload.shown(path)} is not a string: {{'': ''}}")
    elif isinstance(path, str) and not path.startswith("/"):
        yield Problem("body", f"{name}.path", "String does not match expected pattern")
    elif isinstance(path, str) and len(path) > MAX_PATH:
        yield Problem("body", f"{name}.path", f"String is longer than the limit of {MAX_PATH}")
    if not isinstance(headers, dict):
        yield payload.not_a_mapping(f"{name}.headers", headers)
    elif not all(isinstance(value, str) for value in headers.values()):
        yield Problem("body", f"{name}.headers", f"{payload.shown(headers)} contains non string value")
    elif len(headers) > MAX_HEADERS or sum(len(key) + len(value) for key, value in headers.items()) > MAX_HEADER_SIZE:
        rule = f"more than {MAX_HEADERS} headers, or larger than {MAX_HEADER_SIZE} characters"
        yield Problem("body", f"{name}.headers", rule)
    if "body" in part and not isinstance(part["body"], dict):
        yield payload.not_a_mapping(f"{name}.body", part["body"])
