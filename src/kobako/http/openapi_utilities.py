"""The OpenAPI operations of the routes that are no lists and no objects: a row of the route table takes one of these.

Source: HTTP API, sections 6 and 12.
"""

from typing import Any, Final

from kobako.http.openapi_parts import OPTIONAL, READ, answers, as_json, parameter, refusal
from kobako.http.openapi_schemas import TEXT, Schema, array, closed
from kobako.protocol import batch

Operations = dict[str, dict[str, Any]]

_HEADERS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
_SUBSYSTEMS: Final[Schema] = {"type": "object", "additionalProperties": {"type": ["boolean", "null"]}}
_CAPABILITY: Final[Schema] = {"type": "object", "required": ["description", "url"]}


def utility(name: str, schema: Schema, **more: Any) -> Operations:
    """Return the operation of a GET that anybody may ask for, with the schema of its answer."""
    responses = answers("200", "The answer.", schema) | more.pop("responses", {})
    return {"get": {"operationId": name, "tags": ["Utilities"], "security": [], "responses": responses, **more}}


HELLO: Final = utility(
    "server_info",
    closed(
        {
            "project_name": TEXT,
            "project_version": TEXT,
            "http_api_version": TEXT,
            "project_docs": TEXT,
            "url": TEXT,
            "config": {"type": ["object", "null"]},
            "settings": {"type": "object", "required": ["batch_max_requests", "readonly", "explicit_permissions"]},
            "capabilities": {"type": "object", "additionalProperties": _CAPABILITY},
        },
        eos=TEXT,
        user={
            "type": "object",
            "properties": {"id": TEXT, "principals": array(TEXT, minItems=1)},
            "required": ["id", "principals"],
        },
    ),
    security=OPTIONAL,
)
HEARTBEAT: Final = utility(
    "__heartbeat__", _SUBSYSTEMS, responses=answers("503", "A subsystem is down: its value is false.", _SUBSYSTEMS)
)
ALIVE: Final = utility("__lbheartbeat__", closed({}))
VERSION: Final = utility("__version__", {})
METRICS: Final = utility("__metrics__", {}, responses=answers("200", "Metrics, in the format of Prometheus.", TEXT))
API: Final = utility("get_openapi_spec", {"type": "object", "required": ["openapi", "info", "paths", "components"]})
CONTRIBUTE: Final = utility("contribute", {"type": "object", "required": ["name", "description"]})

_ENTRY: Final[Schema] = {
    "type": "object",
    "properties": {"uri": TEXT, "resource_name": TEXT, "permissions": array(TEXT)},
}
PERMISSIONS: Final[Operations] = {
    "get": {
        "operationId": "get_permissions",
        "tags": ["Permissions"],
        "responses": answers(
            "200",
            "A page of the objects with what the caller may do.",
            closed({"data": array(_ENTRY)}),
            *READ,
            "Next-Page",
        )
        | {status: refusal(status) for status in ("401", "403", "406", "412")},
    }
}

_PART: Final = {
    "method": {"enum": [*batch.METHODS, None]},
    "path": {"type": "string", "pattern": "^/"},
    "headers": _HEADERS,
    "body": {"type": "object"},
}
_ANSWERED: Final = closed({"status": {"type": "integer"}, "path": TEXT, "headers": _HEADERS, "body": {}})

_FAILURES = ("401", "403", "404", "405", "406", "409", "412", "413", "415", "422")
"""A batch that is atomic ends as the request that failed."""

BATCH: Final[Operations] = {
    "post": {
        "operationId": "batch",
        "tags": ["Batch"],
        "summary": "Serve several requests, as one transaction",
        "security": OPTIONAL,
        "parameters": [parameter("Idempotency-Key")],
        "requestBody": {
            "required": True,
            "content": as_json(
                closed(
                    {"requests": array(closed({}, **_PART))},
                    defaults=closed({}, **_PART),
                    atomic={"type": "boolean", "description": "Keep all, or none: the first failure is the answer."},
                )
            ),
        },
        "responses": {
            **answers("200", "The answers, in the order of the requests.", closed({"responses": array(_ANSWERED)})),
            **{status: refusal(status) for status in _FAILURES},
        },
    }
}
