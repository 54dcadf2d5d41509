"""The parts that the description of the API is put together from: parameters, headers and responses.

Each is told once, under `components`, and referred to by its name; a table per kind of request says which it takes.

Source: HTTP API, sections 2, 8, 9.4, 10.6 and 13.
"""

from typing import Any, Final

from kobako.http.inputs import BEHAVIORS, JSON
from kobako.http.openapi_schemas import PRECONDITION, TEXT, Schema, ref
from kobako.settings import Settings

JsonValue = Any

OPTIONAL: Final[list[JsonValue]] = [{}]
"""Security of what anybody may ask for, and where users are told more: it is completed with the policies."""

_FILTER: Final = r"^((contains_any|contains|exclude|has|in|like|gt|lt|min|max|not|eq)_)?[a-zA-Z][a-zA-Z0-9.]*$"


def _query(name: str, schema: Schema, description: str, **more: Any) -> JsonValue:
    return {"name": name, "in": "query", "description": description, "schema": schema, **more}


def _header(name: str, schema: Schema, description: str) -> JsonValue:
    return {"name": name, "in": "header", "description": description, "schema": schema}


_TIMESTAMP: Final = ref("TimestampParameter")

PARAMETERS: Final[dict[str, JsonValue]] = {
    "If-Match": _header("If-Match", {"type": "string", "pattern": PRECONDITION}, "The version that has to be stored."),
    "If-None-Match": _header(
        "If-None-Match",
        {"type": "string", "pattern": PRECONDITION},
        "The version that is known already; `*`: nothing is.",
    ),
    "Idempotency-Key": _header(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "The request is done once, however often it is sent with this key: the first answer is given again.",
    ),
    "Response-Behavior": _header("Response-Behavior", {"enum": list(BEHAVIORS)}, "How much of the object is answered."),
    "_limit": _query("_limit", {"type": "integer", "minimum": 0}, "Objects in a page; 0: as many as allowed."),
    "_sort": _query("_sort", TEXT, "Fields to sort by, between commas; `-` before one: descending."),
    "_token": _query("_token", TEXT, "Where the next page begins: out of a `Next-Page` URL."),
    "_since": _query("_since", _TIMESTAMP, "Changed after this version, deleted ones included."),
    "_to": _query("_to", _TIMESTAMP, "The former name of `_before`.", deprecated=True),
    "_before": _query("_before", _TIMESTAMP, "Changed before this version, deleted ones included."),
    "id": _query("id", TEXT, "The object with this id. One that reads as JSON stands between double quotes."),
    "last_modified": _query("last_modified", _TIMESTAMP, "The objects with this version."),
    "_fields": _query("_fields", TEXT, "Fields to show, between commas; `a.b` is one of a sub-object."),
    "filters": _query(
        "filters",
        {"type": "object", "propertyNames": {"pattern": _FILTER}, "additionalProperties": TEXT},
        'Any field, or an operator and a field: `n=2`, `min_n=2`, `like_name=oto*`, `contains_tags=["a"]`.',
        style="form",
        explode=True,
    ),
    "new_last_modified": _query("last_modified", _TIMESTAMP, "The version that the deletion gets."),
}

_PRECONDITIONS: Final = ("If-Match", "If-None-Match")
_WRITING: Final = ("Idempotency-Key",)
_FILTERS: Final = ("_limit", "_sort", "_token", "_since", "_to", "_before", "id", "last_modified", "filters")
_TAKEN: Final = {
    ("list", "GET"): (*_FILTERS, "_fields"),
    ("list", "DELETE"): _FILTERS,
    ("object", "GET"): ("_fields",),
    ("object", "PATCH"): ("Response-Behavior",),
    ("object", "DELETE"): ("new_last_modified",),
}


def parameters(kind: str, method: str) -> list[JsonValue]:
    """Return the headers and query parameters that a request on a list or an object takes."""
    writing = () if method == "GET" else _WRITING
    return [parameter(name) for name in (*_PRECONDITIONS, *writing, *_TAKEN.get((kind, method), ()))]


def parameter(name: str) -> JsonValue:
    """Return a reference to a parameter."""
    return {"$ref": f"#/components/parameters/{name}"}


HEADERS: Final[dict[str, JsonValue]] = {
    "ETag": {"required": True, "schema": {"type": "string", "pattern": '^"[0-9]+"$'}},
    "Last-Modified": {"required": True, "schema": TEXT},
    "Cache-Control": {"required": True, "schema": TEXT},
    "Expires": {"schema": TEXT},
    "Next-Page": {"description": "The URL of the next page; absent on the last.", "schema": TEXT},
    "Alert": {"description": "What is deprecated, as JSON.", "schema": TEXT},
    "Backoff": {"description": "Seconds to wait between requests.", "schema": TEXT},
    "Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "WWW-Authenticate": {"schema": TEXT},
}

VERSION: Final = ("ETag", "Last-Modified")
READ: Final = (*VERSION, "Cache-Control", "Expires")

_REFUSALS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "400": ("Something in the request is wrong: `details` say what.", ()),
    "401": ("Nobody was recognized.", ("WWW-Authenticate",)),
    "403": ("The caller may not do that.", ()),
    "404": ("There is no such object, or nothing that it could be in.", ()),
    "405": ("A request of an atomic batch has a method that its URL has not.", ()),
    "406": ("The client takes no JSON.", ()),
    "409": ("Another object has the version given, or a value that has to differ.", ("Retry-After",)),
    "410": ("The service has ended; or deletions since `_since` were purged: read the whole list.", ("Alert",)),
    "412": ("Another version is stored.", VERSION),
    "413": ("The body is too large.", ()),
    "414": ("The query string is too long.", ()),
    "415": ("The body is of a type that is not read.", ()),
    "422": ("The Idempotency-Key came with another request before.", ()),
    "431": ("The headers are too many, or too large.", ()),
    "500": ("A defect of the server.", ()),
    "503": ("A backend does not answer, or is too busy.", ("Retry-After",)),
}


def as_json(schema: Schema) -> JsonValue:
    """Return content that is JSON."""
    return {JSON: {"schema": schema}}


def with_headers(names: tuple[str, ...]) -> JsonValue:
    """Return the headers of a response; Backoff and Alert may be on any."""
    names = (*names, *(each for each in ("Alert", "Backoff") if each not in names))
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def answers(status: str, description: str, schema: str | Schema, *headers: str) -> dict[str, JsonValue]:
    """Return one response, by its status; `schema` may be the name of a shared one."""
    content = as_json(ref(schema) if isinstance(schema, str) else schema)
    return {status: {"description": description, "headers": with_headers(headers), "content": content}}


def refusal(status: str) -> JsonValue:
    """Return the response of a refusal, or of a 304."""
    return {"$ref": f"#/components/responses/{status}"}


def of_every_request(settings: Settings) -> dict[str, JsonValue]:
    """Return what any request may end in, whatever it asks for."""
    statuses = ["400", "414", "431", "500", "503"]
    if settings.eos:
        statuses.append("410")
    return {status: refusal(status) for status in statuses}


RESPONSES: Final[dict[str, JsonValue]] = {
    "304": {"description": "The client has this version already.", "headers": with_headers(VERSION)},
    **{
        status: answers(status, description, "Error", *headers)[status]
        for status, (description, headers) in _REFUSALS.items()
    },
}
