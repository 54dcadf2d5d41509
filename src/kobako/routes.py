"""The routes of an app: those of every server, of its kinds of objects, and of its plugins.

Source: HTTP API, sections 5, 6, 9 and 16.4; objects, 27.4.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import wraps
from typing import TypeVar

from kobako.configured import once
from kobako.http import endpoints, lists, measuring, openapi, permissions, streaming, utilities
from kobako.http import openapi_utilities as described
from kobako.http.routing import route
from kobako.http.site import Call, Offline, Route, Run, Site
from kobako.metrics.base import Metrics, Scraped
from kobako.model.resource import Resource
from kobako.plugin import Offline as AnswersOffline
from kobako.plugin import View
from kobako.protocol.messages import Request, Response
from kobako.settings import Settings

Served = TypeVar("Served", bound=Callable[..., Awaitable[Response]])


def routes(
    settings: Settings, resources: Iterable[Resource], views: Iterable[View], metrics: Metrics | None
) -> list[Route]:
    """Return all routes. Raises SettingsError for a URL that two of them have."""
    found = [*_utilities(settings, metrics), *_of_resources(resources), *map(_of_view, views)]
    return [*once("URL", [{each.template: each} for each in found]).values()]


def lists_permissions(settings: Settings) -> bool:
    """Tell whether there is the endpoint that lists permissions."""
    return settings.experimental_permissions_endpoint and bool(settings.storage_backend)


def _utilities(settings: Settings, metrics: Metrics | None) -> Iterable[Route]:
    readers: dict[str, Run] = {"GET": utilities.hello, "HEAD": utilities.hello}
    yield route("hello", "/", readers, describes=described.HELLO, is_of_sender=True)
    yield route("heartbeat", "/__heartbeat__", readers, offline=utilities.heartbeat, describes=described.HEARTBEAT)
    yield route("lbheartbeat", "/__lbheartbeat__", readers, offline=utilities.lbheartbeat, describes=described.ALIVE)
    yield route("version", "/__version__", readers, offline=utilities.version, describes=described.VERSION)
    yield route("api", "/__api__", readers, offline=openapi.endpoint(), describes=described.API)
    yield route("contribute", "/contribute.json", readers, offline=utilities.contribute, describes=described.CONTRIBUTE)
    yield route("batch", "/batch", {"POST": _not_called}, kind="batch", describes=described.BATCH)
    if isinstance(metrics, Scraped):
        told = measuring.exposition(metrics)
        yield route("metrics", "/__metrics__", readers, offline=told, describes=described.METRICS)
    if lists_permissions(settings):
        resource = permissions.PERMISSIONS
        operations, describes = permissions.OPERATIONS, described.PERMISSIONS
        yield route("permissions", resource.path, operations, kind="list", resource=resource, describes=describes)


def _of_resources(resources: Iterable[Resource]) -> Iterable[Route]:
    for each in resources:
        plural = {method: run for method, run in lists.OPERATIONS.items() if method in each.list_methods}
        single = {method: run for method, run in endpoints.OPERATIONS.items() if method in each.object_methods}
        if plural:
            yield route(f"{each.name}-plural", each.path, plural, kind="list", resource=each)
        if single:
            yield route(f"{each.name}-object", each.path + "/{id}", single, kind="object", resource=each)


def _of_view(view: View) -> Route:
    methods: dict[str, Run] = {"GET": _not_called} if view.offline else {}
    methods.update(dict.fromkeys(view.streams, streaming.refuse_part))
    methods.update(view.methods)
    return route(
        view.name,
        view.path,
        _with_head(methods),
        kind="view",
        offline=_offline(view, view.offline) if view.offline else None,
        describes=view.describes,
        writes=view.writes,
        streams=_with_head(view.streams),
    )


def _offline(view: View, run: AnswersOffline) -> Offline:
    located = Resource(name=view.name, path=view.path)

    @wraps(run)
    async def answered(site: Site, request: Request) -> Response:
        return await run(request, located.target(request.path.removeprefix(site.routes.prefix)).variables)

    return answered


def _with_head(methods: Mapping[str, Served]) -> Mapping[str, Served]:
    return {**methods, "HEAD": methods["GET"]} if "GET" in methods else methods


async def _not_called(call: Call) -> Response:
    """The pipeline answers itself: it takes a batch apart, and needs no transaction for what is offline."""
    raise NotImplementedError
