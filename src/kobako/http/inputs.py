"""What a request brings: preconditions, parameters and body, read at once, with all that is wrong with them.

Reading needs nothing but the request, so it comes first; what is wrong is told where its turn comes, after
access has been decided (`Inputs.check`).

Source: HTTP API, sections 1.6, 2.3 and 2.5.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec

from kobako.http import cors
from kobako.http.site import Call, Site
from kobako.model.resource import Resource
from kobako.protocol import etags, params, patching, payload, query
from kobako.protocol.errors import InvalidParameters, NotAcceptable, Problem, UnsupportedMediaType, invalid
from kobako.protocol.etags import Preconditions
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Request
from kobako.protocol.params import Params
from kobako.protocol.payload import Body
from kobako.protocol.query import ListQuery

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
PATCHES: Final = (JSON, MERGE_PATCH, JSON_PATCH)
OF_THE_SERVER: Final = ("id", "last_modified", "deleted")
BEHAVIORS: Final = ("full", "light", "diff")


class Inputs(msgspec.Struct, frozen=True):
    """What a request says; `operations` is the body of a JSON Patch."""

    preconditions: Preconditions
    params: Params
    body: Body
    operations: list[JsonObject]
    problems: list[Problem]

    def check(self) -> None:
        """Raise InvalidParameters if anything is wrong."""
        if self.problems:
            raise InvalidParameters(self.problems)


def read(call: Call, *, body: bool = False) -> Inputs:
    """Return what a request says; its body is read only on request, and ignored otherwise."""
    request, problems = call.request, list[Problem]()
    if (refused := cors.problem(call.site, request)) is not None:
        problems.append(refused)
    preconditions = etags.read(request.headers, problems)
    parameters = params.parse(request.query)
    params.check(parameters, problems)
    operations: list[JsonObject] = []
    content = payload.EMPTY
    if request.method == "PATCH":
        check_behavior(request, problems)
        if media_type(request) == JSON_PATCH:
            operations = _read_operations(request, problems)
        elif request.body:
            content = payload.read(request.body, call.target.resource.permissions, problems)
    elif body:
        content = _read_body(call, problems)
    return Inputs(preconditions, parameters, content, operations, problems)


def known_fields(resource: Resource) -> frozenset[str] | None:
    """Return the fields that a query may name, None for any."""
    return None if resource.known_fields is None else frozenset((*resource.known_fields, *OF_THE_SERVER))


def list_query(site: Site, resource: Resource, text: str, now: int) -> ListQuery:
    """Return what a query string asks of a list. Raises InvalidParameters for the first thing that is wrong."""
    return query.of_text(
        text,
        now=now,
        paginate_by=site.settings.paginate_by,
        max_fetch=site.settings.storage_max_fetch_size,
        known=known_fields(resource),
        texts=frozenset(resource.text_fields),
    )


def media_type(request: Request) -> str:
    """Return the type of a body, without its parameters; JSON where none is said."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower() or JSON


def negotiate(request: Request, types: tuple[str, ...] = ()) -> None:
    """Raise NotAcceptable if the client takes no JSON, UnsupportedMediaType if the body is of none of the types."""
    accept = request.headers.get("accept")
    if accept and not _takes_json(accept):
        raise NotAcceptable([Problem("header", "Accept", f"Accept header should be one of {[JSON]}")])
    if types:
        negotiate_body(request, types)


def negotiate_body(request: Request, types: tuple[str, ...]) -> None:
    """Raise UnsupportedMediaType if the body is of none of the types, or compressed: nothing is unpacked here."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType([Problem("header", "Content-Encoding", "Content-Encoding is not supported")])
    if media_type(request) not in types:
        wrong = f"Content-Type header should be one of {list(types)}"
        raise UnsupportedMediaType([Problem("header", "Content-Type", wrong)])


def check_behavior(request: Request, problems: list[Problem]) -> None:
    """Add to `problems` what is wrong with Response-Behavior (section 10.6)."""
    value = request.headers.get("response-behavior", "")
    if value and value not in BEHAVIORS:
        problems.append(Problem("header", "Response-Behavior", f'"{value}" is not one of {", ".join(BEHAVIORS)}'))


@lru_cache(64)
def _takes_json(accept: str) -> bool:
    for item in accept.split(","):
        range_, *parameters = (part.strip().lower() for part in item.split(";"))
        if range_ in (JSON, "application/*", "*/*") and not any(
            parameter.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000") for parameter in parameters
        ):
            return True
    return False


def _read_body(call: Call, problems: list[Problem]) -> Body:
    resource = call.target.resource
    wrong = len(problems)
    body = payload.read(call.request.body, resource.permissions, problems)
    if len(problems) > wrong or (body.data is None and not resource.needs_data):
        return body
    try:
        return Body(resource.validate(body.data or {}, "data."), body.permissions)
    except InvalidParameters as error:
        problems.extend(error.problems)
        return body


def _read_operations(request: Request, problems: list[Problem]) -> list[JsonObject]:
    found: list[Problem] = []
    value: Any = payload.parse(request.body, found) if request.body else None
    if not found:
        try:
            if value is None:
                raise invalid("body", "", "Required")
            return patching.check_operations(value)
        except InvalidParameters as error:
            found = error.problems
    problems.extend(found)
    return []
