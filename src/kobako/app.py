"""App: settings, resources and backends, assembled into one ASGI callable.

Everything is handed over and nothing is looked up: two apps live in one process.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from kobako.backends import open_cache, open_database
from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database
from kobako.http import asgi, end_of_service, endpoints, listening, lists, measuring, openapi, permissions, utilities
from kobako.http import openapi_utilities as described
from kobako.http.pipeline import answer
from kobako.http.routing import SAFE, Routes, route
from kobako.http.site import Authenticator, Call, Check, Route, Run, Site
from kobako.metrics.assembly import measured_authenticators, measured_backends, measured_listeners, open_metrics
from kobako.metrics.base import Metrics, Scraped
from kobako.model.inheritance import Action
from kobako.model.listeners import Listener, Listeners
from kobako.model.resource import Resource, Resources
from kobako.model.tasks import Tasks
from kobako.model.transaction import Backends
from kobako.policies import named
from kobako.policies.basic import CAPABILITY as BASICAUTH
from kobako.protocol import ids, jsontext
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature, Settings, SettingsError, steps

ID_GENERATORS: Final = {"uuid4": ids.UUID4, "name": ids.NAME, "relaxed_uuid": ids.RELAXED_UUID}
ACTIONS: Final[tuple[Action, ...]] = ("read", "write", "create")
VERSION_FILES: Final = (Path(__file__).with_name("version.json"), Path(__file__).parent / "config" / "version.json")
"""Where the package may bring the version file, if the settings' is not there (section 6.4)."""


def milliseconds() -> int:
    """Return the time of the wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class App:
    """A server: call it as ASGI does, or `answer` requests in the same process.

    `authenticators` are asked before the policies of the settings.
    Opened before the first request and closed after the last, by the ASGI lifespan or `async with`. `tasks` run in
    each process between the two, beside the requests.
    """

    def __init__(
        self,
        settings: Settings,
        resources: Iterable[Resource],
        *,
        listeners: Iterable[Listener] = (),
        authenticators: Iterable[Authenticator] = (),
        capabilities: Mapping[str, Mapping[str, Any]] = {},
        tasks: Iterable[Callable[["App"], Awaitable[None]]] = (),
        clock: Clock = milliseconds,
    ):
        known = _served(resources, settings)
        described = [listening.named(each) for each in settings.event_listeners]
        told = [*listeners, *(each for one in described for each in one.listeners)]
        tasks = [*tasks, *(each for one in described for each in one.tasks)]
        hooks = Feature.TRANSACTION_HOOK in settings.features
        self.settings = settings
        self._tasks = Tasks(partial(each, self) for each in tasks)
        self._database = open_database(settings, clock)
        self._cache = open_cache(settings, clock)
        self._metrics = metrics = open_metrics(settings) if Feature.METRICS in settings.features else None
        database, cache = measured_backends(self._database, self._cache, metrics)
        policies = [*authenticators, *(named.authenticator(each, settings) for each in settings.policies)]
        self.site = Site(
            settings=settings,
            backends=Backends(
                database, cache, Resources(known), _settings_grants(settings, known), clock, named.authorize(settings)
            ),
            routes=Routes("/v" + settings.http_api_version.partition(".")[0], _routes(settings, known, metrics)),
            authenticators=measured_authenticators(policies, metrics),
            find_groups=named.group_finder(settings),
            listeners=Listeners(measured_listeners([each for each in told if not each.after_commit or hooks], metrics)),
            capabilities={**_capabilities(settings, metrics), **capabilities},
            heartbeats=_heartbeats(settings, self._database, self._cache),
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
    found: dict[str, Mapping[str, Any]] = {}
    if any(each.kind == "basicauth" for each in settings.policies):
        found["basicauth"] = BASICAUTH
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
    """Return the resources as the settings change them: none without a storage, where there are no objects.

    Raises SettingsError for objects without permissions.
    """
    if not settings.storage_backend:
        return []
    if not settings.permission_backend:
        raise SettingsError("Setting 'permission_backend' is empty, or its step left out: objects need permissions.")
    return [_configured(each, settings) for each in resources]


def _configured(resource: Resource, settings: Settings) -> Resource:
    """Return a resource as the settings change it."""
    generator = settings.id_generator(resource.name)
    return msgspec.structs.replace(
        resource,
        ids=ID_GENERATORS[generator] if generator else resource.ids,
        list_methods=tuple(
            each for each in resource.list_methods if _is_enabled(settings, "plural", resource.name, each)
        ),
        object_methods=tuple(
            each for each in resource.object_methods if _is_enabled(settings, "object", resource.name, each)
        ),
    )


def _is_enabled(settings: Settings, endpoint: str, resource: str, method: str) -> bool:
    return settings.is_enabled(endpoint, resource, method) and (method in SAFE or not settings.readonly)


def _routes(settings: Settings, resources: Iterable[Resource], metrics: Metrics | None) -> Iterable[Route]:
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
    for each in resources:
        plural = {method: run for method, run in lists.OPERATIONS.items() if method in each.list_methods}
        single = {method: run for method, run in endpoints.OPERATIONS.items() if method in each.object_methods}
        yield route(f"{each.name}-plural", each.path, plural, kind="list", resource=each)
        yield route(f"{each.name}-object", each.path + "/{id}", single, kind="object", resource=each)


async def _taken_apart(call: Call) -> Response:
    """Never called: the pipeline takes a batch apart, and calls the endpoints of its parts."""
    raise NotImplementedError


def _settings_grants(settings: Settings, resources: Iterable[Resource]) -> Any:
    """Return the function that tells what the settings let some principals do to a kind of object."""
    table: Mapping[str, list[tuple[Action, frozenset[str]]]] = {
        each.name: [(action, allowed) for action in ACTIONS if (allowed := settings.principals(each.name, action))]
        for each in (*resources, permissions.PERMISSIONS)
    }

    def granted(resource: str, principals: frozenset[str]) -> Set[Action]:
        return {action for action, allowed in table[resource] if not allowed.isdisjoint(principals)}

    return granted
