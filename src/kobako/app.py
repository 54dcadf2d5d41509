"""App: settings, resources and backends, assembled into one ASGI callable.

Everything is handed over and nothing is registered: two apps live in one process.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec

from kobako.backends import open_cache, open_database
from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database
from kobako.http import asgi, end_of_service, endpoints, listening, lists, measuring, openapi, permissions, utilities
from kobako.http import openapi_utilities as described
from kobako.http.authentication import basic
from kobako.http.pipeline import answer
from kobako.http.routing import SAFE, Routes, route
from kobako.http.site import Authenticator, Call, Check, Route, Run, Site
from kobako.metrics.assembly import measured_authenticators, measured_backends, measured_listeners, open_metrics
from kobako.metrics.base import Metrics, Scraped
from kobako.model import schema
from kobako.model.inheritance import Action
from kobako.model.listeners import Listener, Listeners
from kobako.model.resource import Resource, Resources, as_given
from kobako.model.tasks import Tasks
from kobako.model.transaction import Backends
from kobako.plugin import Plugin, View, included
from kobako.protocol import ids, jsontext
from kobako.protocol.ids import IdGenerator
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature, Policy, Settings, SettingsError, imports, steps

ID_GENERATORS: Final = {"uuid4": ids.UUID4, "name": ids.NAME, "relaxed_uuid": ids.RELAXED_UUID}
ACTIONS: Final[tuple[Action, ...]] = ("read", "write", "create")
VERSION_FILES: Final = (Path(__file__).with_name("version.json"), Path(__file__).parent / "config" / "version.json")
"""Where the package may bring the version file, if the settings' is not there (section 6.4)."""
BASICAUTH: Final = {
    "description": "Very basic authentication sessions. Not for production use.",
    "url": "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html",
}


T = TypeVar("T")


def milliseconds() -> int:
    """Return the time of the wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class App:
    """A server: call it as ASGI does, or `answer` requests in the same process.

    Opened before the first request and closed after the last, by the ASGI lifespan or `async with`. `tasks` run in
    each process between the two, beside the requests. Plugins that `includes` names follow those that are handed over.
    """

    def __init__(
        self,
        settings: Settings,
        resources: Iterable[Resource],
        *,
        plugins: Iterable[Plugin] = (),
        listeners: Iterable[Listener] = (),
        capabilities: Mapping[str, Mapping[str, Any]] = {},
        tasks: Iterable[Callable[["App"], Awaitable[None]]] = (),
        clock: Clock = milliseconds,
    ):
        self._plugins = [*plugins, *included(settings)]
        own = Plugin(
            name="app", resources=[*resources], listeners=[*listeners], capabilities=capabilities, tasks=[*tasks]
        )
        parts = [own, *self._plugins]
        known = _served(chain.from_iterable(each.resources for each in parts), settings)
        views = [view for each in parts for view in each.views]
        told = [listener for each in parts for listener in each.listeners]
        told += map(listening.named, settings.event_listeners)
        hooks = Feature.TRANSACTION_HOOK in settings.features
        self.settings = settings
        self._tasks = Tasks(partial(task, self) for each in parts for task in each.tasks)
        self._database = open_database(settings, clock)
        self._cache = open_cache(settings, clock)
        self._metrics = metrics = open_metrics(settings) if Feature.METRICS in settings.features else None
        database, cache = measured_backends(self._database, self._cache, metrics)
        policies = [_authenticator(each, settings) for each in settings.policies]
        policies += [authenticator for each in parts for authenticator in each.authenticators]
        self.site = Site(
            settings=settings,
            backends=Backends(database, cache, Resources(known), _settings_grants(settings, known), clock),
            routes=Routes("/v" + settings.http_api_version.partition(".")[0], _routes(settings, known, views, metrics)),
            authenticators=measured_authenticators(policies, metrics),
            listeners=Listeners(measured_listeners([each for each in told if not each.after_commit or hooks], metrics)),
            capabilities=_all("capability", [_capabilities(settings, metrics), *(each.capabilities for each in parts)]),
            heartbeats=_all(
                "heartbeat",
                [_heartbeats(settings, self._database, self._cache), *(each.heartbeats for each in parts)],
            ),
            version_file=_version_file(settings),
            end=end_of_service.planned(settings),
            metrics=metrics,
        )

    async def answer(self, request: Request) -> Response:
        """Serve one request, as if it had come from the network."""
        return await answer(self.site, request)

    async def migrate(self) -> list[str]:
        """Create or update the schema of the database; return what was done, in words."""
        return await self._database.migrate()

    async def __aenter__(self) -> "App":
        steps.run(self.settings)
        await self._database.open()
        self._tasks.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.stop()
        await self._database.close()
        await self._cache.close()
        if self._metrics:
            self._metrics.close()

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one ASGI scope: a request, or the lifespan of the server."""
        if scope["type"] == "http":
            await asgi.serve(self.site, scope, receive, send)
        elif scope["type"] == "lifespan":
            await asgi.live(self, receive, send)


def _heartbeats(settings: Settings, database: Database, cache: Cache) -> dict[str, Check]:
    """Return the checks of the backends that are not disabled."""
    checks: dict[str, Check] = {"storage": database.check, "permission": database.check, "cache": cache.check}
    return {name: check for name, check in checks.items() if getattr(settings, f"{name}_backend")}


def _capabilities(settings: Settings, metrics: Metrics | None) -> Mapping[str, Mapping[str, Any]]:
    """Return what the hello view says that this server can do, beyond every server (objects, 28)."""
    found: dict[str, Mapping[str, Any]] = {"basicauth": BASICAUTH} if settings.policies else {}
    if _lists_permissions(settings):
        found["permissions_endpoint"] = permissions.CAPABILITY
    if isinstance(metrics, Scraped):
        found["prometheus"] = metrics.capability
    return found


def _lists_permissions(settings: Settings) -> bool:
    return settings.experimental_permissions_endpoint and bool(settings.storage_backend)


def _version_file(settings: Settings) -> Any:
    """Return what the version file says, None if there is none that is JSON."""
    file = next((each for each in (Path(settings.version_json_path), *VERSION_FILES) if each.is_file()), None)
    try:
        return jsontext.decode(file.read_bytes()) if file else None
    except (OSError, jsontext.InvalidJson):
        return None


def _served(resources: Iterable[Resource], settings: Settings) -> list[Resource]:
    """Return the resources as the settings change them, each once: none without a storage, where there are no objects.

    Raises SettingsError for objects without permissions.
    """
    if not settings.storage_backend:
        return []
    if not settings.permission_backend:
        raise SettingsError("Setting 'permission_backend' is empty, or its step left out: objects need permissions.")
    return [
        _configured(each, settings) for each in _all("resource", [{each.name: each} for each in resources]).values()
    ]


def _configured(resource: Resource, settings: Settings) -> Resource:
    """Return a resource as the settings change it, with its schema put to work."""
    generator = settings.id_generator(resource.name)
    if resource.schema is not None:
        resource = _with_schema(resource, resource.schema)
    return msgspec.structs.replace(
        resource,
        permissions=() if resource.owned else resource.permissions,
        ids=_ids(resource, generator),
        list_methods=tuple(
            each for each in resource.list_methods if _is_enabled(settings, "plural", resource.name, each)
        ),
        object_methods=tuple(
            each for each in resource.object_methods if _is_enabled(settings, "object", resource.name, each)
        ),
    )


def _ids(resource: Resource, generator: str | None) -> IdGenerator:
    """Return what makes the ids of a resource. Raises SettingsError for one that refuses what it makes."""
    found = (ID_GENERATORS.get(generator) or imports.load(generator)) if generator else resource.ids
    if not isinstance(found, IdGenerator):
        raise SettingsError(f"Setting '{resource.name}_id_generator' is '{generator}', which is no IdGenerator.")
    if not found.accepts(made := found.generate()):
        raise SettingsError(f"The id generator of '{resource.name}' made {made!r}, which it does not accept itself.")
    return found


def _with_schema(resource: Resource, given: type[msgspec.Struct] | JsonObject) -> Resource:
    """Return a resource that validates by its schema; what it validates besides comes after."""
    by_schema, further = schema.validator(given), resource.validate
    validate = by_schema if further is as_given else lambda data, path: further(by_schema(data, path), path)
    return msgspec.structs.replace(
        resource, validate=validate, data_schema=resource.data_schema or schema.described(given)
    )


def _all(what: str, parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """Return what several parts of the app bring. Raises SettingsError for a name that two of them have."""
    found: dict[str, T] = {}
    for name, value in chain.from_iterable(each.items() for each in parts):
        if name in found:
            raise SettingsError(f"There are two of one {what}: '{name}'.")
        found[name] = value
    return found


def _is_enabled(settings: Settings, endpoint: str, resource: str, method: str) -> bool:
    return settings.is_enabled(endpoint, resource, method) and (method in SAFE or not settings.readonly)


def _routes(
    settings: Settings, resources: Iterable[Resource], views: Iterable[View], metrics: Metrics | None
) -> list[Route]:
    """Return all routes. Raises SettingsError for a URL that two of them have."""
    found = [*_utilities(settings, metrics), *_of_resources(resources), *map(_of_view, views)]
    return [*_all("URL", [{each.template: each} for each in found]).values()]


def _utilities(settings: Settings, metrics: Metrics | None) -> Iterable[Route]:
    readers: dict[str, Run] = {"GET": utilities.hello, "HEAD": utilities.hello}
    yield route("hello", "/", readers, describes=described.HELLO)
    yield route("heartbeat", "/__heartbeat__", readers, offline=utilities.heartbeat, describes=described.HEARTBEAT)
    yield route("lbheartbeat", "/__lbheartbeat__", readers, offline=utilities.lbheartbeat, describes=described.ALIVE)
    yield route("version", "/__version__", readers, offline=utilities.version, describes=described.VERSION)
    yield route("api", "/__api__", readers, offline=openapi.endpoint(), describes=described.API)
    yield route("contribute", "/contribute.json", readers, offline=utilities.contribute, describes=described.CONTRIBUTE)
    yield route("batch", "/batch", {"POST": _taken_apart}, kind="batch", describes=described.BATCH)
    if isinstance(metrics, Scraped):
        told = measuring.exposition(metrics)
        yield route("metrics", "/__metrics__", readers, offline=told, describes=described.METRICS)
    if _lists_permissions(settings):
        resource = permissions.PERMISSIONS
        operations, describes = permissions.OPERATIONS, described.PERMISSIONS
        yield route("permissions", resource.path, operations, kind="list", resource=resource, describes=describes)


def _of_resources(resources: Iterable[Resource]) -> Iterable[Route]:
    for each in resources:
        plural = {method: run for method, run in lists.OPERATIONS.items() if method in each.list_methods}
        single = {method: run for method, run in endpoints.OPERATIONS.items() if method in each.object_methods}
        yield route(f"{each.name}-plural", each.path, plural, kind="list", resource=each)
        yield route(f"{each.name}-object", each.path + "/{id}", single, kind="object", resource=each)


def _of_view(view: View) -> Route:
    heads = {"HEAD": view.methods["GET"]} if "GET" in view.methods else {}
    methods = {**view.methods, **heads}
    return route(view.name, view.path, methods, kind="view", describes=view.describes, writes=view.writes)


async def _taken_apart(call: Call) -> Response:
    """Never called: the pipeline takes a batch apart, and calls the endpoints of its parts."""
    raise NotImplementedError


def _authenticator(policy: Policy, settings: Settings) -> Authenticator:
    return basic(policy.name, settings.userid_hmac_secret, policy.options.get("realm", "Realm"))


def _principals(settings: Settings, resource: Resource, action: Action) -> frozenset[str]:
    if action == "create" and f"{resource.name}_create" not in settings.principals_by_permission:
        return frozenset(resource.creators)
    return settings.principals(resource.name, action)


def _settings_grants(settings: Settings, resources: Iterable[Resource]) -> Any:
    """Return the function that tells what the settings let some principals do to a kind of object."""
    table: Mapping[str, list[tuple[Action, frozenset[str]]]] = {
        each.name: [(action, allowed) for action in ACTIONS if (allowed := _principals(settings, each, action))]
        for each in (*resources, permissions.PERMISSIONS)
    }

    def granted(resource: str, principals: frozenset[str]) -> Set[Action]:
        return {action for action, allowed in table[resource] if not allowed.isdisjoint(principals)}

    return granted
