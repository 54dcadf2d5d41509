"""URLs -> routes and targets: one table, for requests from the network and for parts of a batch.

Source: HTTP API, sections 1.1 to 1.3 and 1.7.
"""

import re
import string
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import msgspec

from kobako.http import cors
from kobako.http.responses import expiring
from kobako.http.site import NOBODY, Kind, Offline, Recognized, Route, Run, RunStreamed, Site, Writes
from kobako.model.resource import Resource, Target
from kobako.protocol import params
from kobako.protocol.errors import BadRequest, MethodNotAllowed, UnknownUrl, UnknownVersion
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature

SAFE = ("GET", "HEAD", "OPTIONS")

_VERSIONED = re.compile(r"/v[0-9]")


MOST_PATHS: Final = 1_000
"""Paths whose routes are known, those that were asked for last."""

SHORT: Final = 300
"""Characters of a path that is kept so."""

NOWHERE: Final = Resource(name="", path="/").target("")
"""The target of what is no object."""


class Redirect(msgspec.Struct, frozen=True):
    """Where to ask instead, and for how many seconds that may be remembered (-1: not said)."""

    path: str
    ttl_s: int


class Step(msgspec.Struct, frozen=True):
    """A request whose route is known; `also` is what its view writes, `sender` who was recognized.

    `implies` are objects, each in the one before it, that are created in the sender's name where they are not there:
    before the request is handled, unless it is the PUT that creates one.
    """

    request: Request
    route: Route
    target: Target
    also: tuple[Target, ...] = ()
    sender: Recognized = NOBODY
    implies: tuple[Target, ...] = ()

    @property
    def uri(self) -> str:
        """What the request points at: its path, without the version prefix."""
        return self.target.uri if self.target.id else self.target.list_uri

    @property
    def writes(self) -> tuple[Target, ...]:
        """What the request may change: in the lists of these targets."""
        if self.request.method in SAFE:
            return ()
        return self.also if self.route.resource is None else (self.target,)


def route(
    name: str,
    template: str,
    methods: Mapping[str, Run],
    *,
    kind: Kind = "utility",
    resource: Resource | None = None,
    offline: Offline | None = None,
    describes: Mapping[str, Mapping[str, Any]] = {},
    writes: Writes | None = None,
    streams: Mapping[str, RunStreamed] = {},
    is_of_sender: bool = False,
) -> Route:
    """Return a route with the headers its methods expose."""
    exposes = {method: cors.exposed(kind, method) for method in methods}
    return Route(
        name=name,
        template=template,
        kind=kind,
        methods=methods,
        exposes=exposes,
        resource=resource,
        offline=offline,
        describes=describes,
        writes=writes,
        streams=streams,
        is_of_sender=is_of_sender,
    )


class _Node:
    """A place in the tree of path segments: what follows literally, what follows as any one segment, the route here."""

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.route: Route | None = None

    def below(self, segment: str) -> "_Node":
        if segment.startswith("{"):
            self.any = self.any or _Node()
            return self.any
        return self.literal.setdefault(segment, _Node())


class Routes:
    """The table. A `{name}` in a template stands for any one segment that is not empty; literal ones go first."""

    def __init__(self, prefix: str, routes: Iterable[Route]):
        self.prefix = prefix
        self.all = list(routes)
        self.have_streams = any(each.streams for each in self.all)
        self._target_lately = lru_cache(MOST_PATHS)(self._target)
        self._root = _Node()
        for each in self.all:
            node = self._root
            for segment in each.template.split("/")[1:]:
                node = node.below(segment)
            node.route = each

    def target(self, path: str) -> tuple[Route, Target] | None:
        """Return the route of a path without its prefix, and what that points at; None if there is no route."""
        return self._target_lately(path) if len(path) <= SHORT else self._target(path)

    def _target(self, path: str) -> tuple[Route, Target] | None:
        matched = self.match(path)
        if matched is None:
            return None
        if matched.kind == "view":
            return matched, Resource(name=matched.name, path=matched.template).target(path)
        if matched.resource is None:
            return matched, NOWHERE
        if matched.kind == "list":
            return matched, matched.resource.target(path)
        list_uri, _, id = path.rpartition("/")
        return matched, matched.resource.target(list_uri, id)

    def match(self, path: str) -> Route | None:
        """Return the route of a path without its prefix, None if there is none."""
        node = self._root
        for segment in path.split("/")[1:]:
            found = node.literal.get(segment) or (node.any if segment else None)
            if found is None:
                return None
            node = found
        return node.route


def streams(site: Site, method: str, path: str) -> bool:
    """Tell whether a request brings a body for a view that reads it piece by piece."""
    if method in SAFE:
        return False
    routes: Routes = site.routes
    found = routes.match(path[len(routes.prefix) :]) if path.startswith(routes.prefix + "/") else None
    return found is not None and method in found.streams


def find(site: Site, request: Request) -> Step | Redirect:
    """Return the route and target of a request, or where it should have been sent.

    Raises UnknownUrl or UnknownVersion; BadRequest for a path or query that is no text; MethodNotAllowed for one that
    writes on a server that only reads (where the step of that is left out, the endpoints of objects still only read).
    Whether the route has the method, `require_method` tells.
    """
    settings, path = site.settings, request.path
    routes: Routes = site.routes
    if settings.readonly and request.method not in SAFE and Feature.READONLY in settings.features:
        raise MethodNotAllowed(headers={"Allow": ", ".join(SAFE)})
    if "\x00" in path or not _is_text(path):
        raise BadRequest("Invalid URL path.")
    if request.query:
        params.require_text(request.query)
    if path.startswith(routes.prefix + "/") and (found := routes.target(path[len(routes.prefix) :])):
        return Step(request, *found)
    return _elsewhere(site, request)


def _is_text(path: str) -> bool:
    """Tell whether a path was UTF-8: bytes that are not were kept as lone surrogates."""
    try:
        return path.isascii() or bool(path.encode())
    except UnicodeEncodeError:
        return False


def require_method(step: Step) -> None:
    """Raise MethodNotAllowed if the route does not have the method of the request."""
    if step.request.method not in step.route.methods and step.request.method != "OPTIONS":
        raise MethodNotAllowed(headers={"Allow": step.route.allowed})


def rerouted(site: Site, step: Step, uri: str, body: bytes) -> Step:
    """Return the step of the same request, from the same sender, to another URI that has a route.

    Raises what `find` and `require_method` do.
    """
    request = msgspec.structs.replace(step.request, path=site.routes.prefix + uri, body=body)
    found = find(site, request)
    if isinstance(found, Redirect):
        raise UnknownUrl()
    require_method(found)
    return msgspec.structs.replace(found, sender=step.sender)


def _elsewhere(site: Site, request: Request) -> Redirect:
    """Return where a request without a route is sent on to (sections 1.2 and 1.3)."""
    settings, prefix, path = site.settings, site.routes.prefix, request.path
    if path == prefix or path.startswith(prefix + "/"):
        if not settings.trailing_slash_redirect_enabled or not (path == prefix or path.endswith("/")):
            raise UnknownUrl()
        to = prefix + "/" if path == prefix else path.rstrip("/")
        return Redirect(to, settings.trailing_slash_redirect_ttl_seconds)
    if _VERSIONED.match(path) or not settings.version_prefix_redirect_enabled:
        raise UnknownVersion()
    if "\r" in path or "\n" in path:
        raise UnknownUrl()
    return Redirect(prefix + path, settings.version_prefix_redirect_ttl_seconds)


def redirection(site: Site, request: Request, to: Redirect) -> Response:
    """Return the 307 for a redirect; OPTIONS on a URL without its version is answered at once."""
    if request.method == "OPTIONS" and to.path.startswith(site.routes.prefix + request.path):
        return Response()
    location = msgspec.structs.replace(request, path=to.path).url
    # As it was sent, but for what no header can hold.
    query = quote(request.query, safe=string.punctuation)
    headers = {"Location": f"{location}?{query}" if query else location}
    if to.ttl_s >= 0:
        headers.update(expiring(to.ttl_s, time.time()))
    if to.ttl_s == 0:
        headers["Last-Modified"] = headers["Expires"]
    return Response(status=307, headers=headers)
