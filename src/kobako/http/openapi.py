"""The description of a running server as an OpenAPI 3.1 document: its routes, resources and settings, put into words.

Lists and objects of any resource are described from the resource alone, so that those of third parties are as well;
every other route brings its own operations (`Route.describes`). A summary is the first sentence of the function that
answers. What every operation may end in is in one table; what is particular to it stands where it is described.

Source: HTTP API, sections 6.6 and 17.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kobako.http import openapi_parts as parts
from kobako.http import openapi_schemas as schemas
from kobako.http.openapi_parts import JsonValue, answers
from kobako.http.openapi_schemas import TEXT, ref, title
from kobako.http.responses import json_response
from kobako.http.site import Authenticator, Offline, Route, Site
from kobako.model.resource import Resource
from kobako.protocol import jsontext
from kobako.protocol.messages import Request, Response

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Those that are described: HEAD and OPTIONS follow from them."""

NAMES: Final = {
    ("list", "GET"): "get_{}s",
    ("list", "POST"): "create_{}",
    ("list", "DELETE"): "delete_{}s",
    ("object", "GET"): "get_{}",
    ("object", "PUT"): "update_{}",
    ("object", "PATCH"): "patch_{}",
    ("object", "DELETE"): "delete_{}",
}

_PARAMETER = re.compile(r"\{(\w+)\}")
_WRITES = ("POST", "PUT", "PATCH")


def endpoint() -> Offline:
    """Return the endpoint that answers the description of the site it is part of, made on first use."""
    text = ""

    async def describe(site: Site, request: Request) -> Response:
        """Return this description."""
        nonlocal text
        text = text or jsontext.encode(document(site))
        return json_response(text)

    return describe


def document(site: Site) -> dict[str, Any]:
    """Return the OpenAPI document of a site."""
    settings, routes = site.settings, list(site.routes.all)
    resources = {each.resource.name: each.resource for each in routes if each.resource and not each.describes}.values()
    paths = {each.template: path_item(site, each) for each in routes}
    described = {template: item for template, item in paths.items() if set(item) - {"parameters"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": settings.project_name, "version": settings.http_api_version},
        "servers": [{"url": _base(site)}],
        "externalDocs": {"url": settings.project_docs},
        "tags": [{"name": name} for name in dict.fromkeys(_tags(described.values()))],
        "paths": described,
        "components": {
            "schemas": schemas.SHARED | schemas.of_resources(resources),
            "parameters": parts.PARAMETERS,
            "headers": parts.HEADERS,
            "responses": parts.RESPONSES,
            "securitySchemes": {each.name: _scheme(each.challenge) for each in _offered(site)},
        },
    }


def path_item(site: Site, route: Route) -> dict[str, Any]:
    """Return the operations of a route, by method, and the parameters of its path."""
    item: dict[str, Any] = {"parameters": path_parameters(route)} if "{" in route.template else {}
    for method in METHODS:
        if method in route.methods and (method == "GET" or not site.settings.readonly):
            item[method.lower()] = operation(site, route, method)
    return item


def path_parameters(route: Route) -> list[dict[str, Any]]:
    """Return the ids in the path of a route: each is one of the resource that the list belongs to, and so on up."""
    resource, found = route.resource, list[dict[str, Any]]()
    if resource and route.kind == "list":
        resource = resource.parent
    for name in reversed(_PARAMETER.findall(route.template)):
        schema = schemas.id_of(resource.ids) if resource else TEXT
        found.insert(0, {"name": name, "in": "path", "required": True, "schema": schema})
        resource = resource and resource.parent
    return found


def operation(site: Site, route: Route, method: str) -> dict[str, Any]:
    """Return the operation of one method of a route."""
    policies: list[JsonValue] = [{each.name: []} for each in _offered(site)]
    if route.resource:
        described = of_resource(route, route.resource, method) | {"security": policies}
    else:
        described = {
            "operationId": f"{method.lower()}_{route.name}" if route.kind == "view" else route.name,
            "tags": ["Utilities"],
            "summary": _summary(route, method),
            "security": parts.OPTIONAL if route.kind == "view" else [],
            "responses": {"200": {"description": "The answer."}},
        }
    described |= route.describes.get(method.lower(), {})
    if described["security"] == parts.OPTIONAL:
        described["security"] = [{}, *policies]
    found = parts.of_every_request(site.settings) | described["responses"]
    return {**described, "responses": dict(sorted(found.items()))}


def of_resource(route: Route, resource: Resource, method: str) -> dict[str, Any]:
    """Return the operation of one method on the lists, or on the objects, of a resource."""
    described = {
        "operationId": NAMES[route.kind, method].format(resource.name),
        "tags": [f"{title(resource)}s"],
        "summary": _summary(route, method),
        "parameters": parts.parameters(route.kind, method),
        "responses": responses(route, resource, method),
    }
    if method in _WRITES:
        described["requestBody"] = request_body(resource, method)
    return described


def request_body(resource: Resource, method: str) -> dict[str, Any]:
    """Return what a request that writes brings."""
    if method == "PATCH":
        content = {media_type: {"schema": schema} for media_type, schema in schemas.patches(resource).items()}
        return {"required": True, "content": content}
    return {"content": parts.as_json(ref(f"{title(resource)}Given"))}


def responses(route: Route, resource: Resource, method: str) -> dict[str, JsonValue]:
    """Return what a request on a list or an object may end in (section 17)."""
    name, is_list = title(resource), route.kind == "list"
    refusals = ["401", "403", "406", "412"]
    # What has no parent is never missing, as a list, nor as the place of a new object.
    if resource.parent or (not is_list and method != "PUT"):
        refusals.append("404")
    if method in _WRITES:
        refusals += ["409", "413", "415"]
    if method != "GET":
        refusals.append("422")
    found = {status: parts.refusal(status) for status in refusals}
    match route.kind, method:
        case "list", "GET":
            found |= answers("200", "A page of the list.", f"{name}Page", *parts.READ, "Next-Page")
        case "list", "POST":
            found |= answers("201", "The new object.", name, *parts.VERSION)
            found |= answers("200", "The object that has the id already.", name, *parts.VERSION)
        case "list", "DELETE":
            found |= answers("200", "What remains of the objects.", "Deletions", *parts.VERSION, "Next-Page")
        case _, "GET":
            found |= answers("200", "The object.", f"{name}View", *parts.READ)
        case _, "PUT":
            found |= answers("201", "The new object.", name, *parts.VERSION)
            found |= answers("200", "The object as it is now.", name, *parts.VERSION)
        case _, "PATCH":
            found |= answers("200", "The object as it is now, or some of it.", f"{name}Patched", *parts.VERSION)
        case _:
            found |= answers("200", "What remains of the object.", "Deletion", *parts.VERSION)
    if method == "GET":
        found["304"] = parts.refusal("304")
    return found


def _base(site: Site) -> str:
    """Return the URL before all paths: that of the settings, or relative to where the document was found."""
    scheme, host = site.settings.http_scheme, site.settings.http_host
    return (f"{scheme}://{host}" if scheme and host else "") + str(site.routes.prefix)


def _offered(site: Site) -> list[Authenticator]:
    """Return the authenticators that a client can do something for; an address it cannot choose."""
    return [each for each in site.authenticators if each.challenge]


def _scheme(challenge: str) -> dict[str, str]:
    return {"type": "http", "scheme": challenge.partition(" ")[0].lower()}


def _tags(items: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for item in items:
        for name, described in item.items():
            if name != "parameters":
                yield from described["tags"]


def _summary(route: Route, method: str) -> str:
    """Return the first sentence about the function that answers."""
    text = (route.offline or route.streams.get(method) or route.methods[method]).__doc__ or ""
    return re.split(r"[.:;]\s|\.$|\n", text.strip(), maxsplit=1)[0]
