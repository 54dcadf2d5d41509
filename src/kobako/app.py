"""App: settings, resources and backends, assembled into one ASGI callable.

Everything is handed over and nothing is looked up: two apps live in one process. Adapters are imported here, by the
name of the backend, so a driver is needed only where it is used.
"""

import time
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database
from kobako.http import asgi, end_of_service, endpoints, listening, lists, measuring, openapi, permissions, utilities
from kobako.http import openapi_utilities as described
from kobako.http.authentication import basic
from kobako.http.pipeline import answer
from kobako.http.routing import SAFE, Routes, route
from kobako.http.site import Authenticator, Call, Route, Run, Site
from kobako.metrics.assembly import measured_authenticators, measured_backends, measured_listeners, open_metrics
from kobako.metrics.base import Metrics, Scraped
from kobako.model.inheritance import Action
from kobako.model.listeners import Listener, Listeners
from kobako.model.resource import Resource, Resources
from kobako.model.transaction import Backends
from kobako.protocol import ids, jsontext
from kobako.protocol.messages import Request, Response
from kobako.settings import Policy, Settings, SettingsError

ID_GENERATORS: Final = {"uuid4": ids.UUID4, "name": ids.NAME, "relaxed_uuid": ids.RELAXED_UUID}
ACTIONS: Final[tuple[Action, ...]] = ("read", "write", "create")
BASICAUTH: Final = {
    "description": "Very basic authentication sessions. Not for production use.",
    "url": "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html",
}


def milliseconds() -> int:
    """Return the time of the wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class App:
    """A server: call it as ASGI does, or `answer` requests in the same process.

    Opened before the first request and closed after the last, by the ASGI lifespan or `async with`.
    """

    def __init__(
        self,
        settings: Settings,
        resources: Iterable[Resource],
        *,
        listeners: Iterable[Listener] = (),
        capabilities: Mapping[str, Mapping[str, Any]] = {},
        clock: Clock = milliseconds,
    ):
        known = [_configured(each, settings) for each in resources]
        self.settings = settings
        self._database = open_database(settings, clock)
        self._cache = open_cache(settings, clock)
        self._metrics = metrics = open_metrics(settings)
        database, cache = measured_backends(self._database, self._cache, metrics)
        named = map(listening.named, settings.event_listeners)
        policies = [_authenticator(each, settings) for each in settings.policies]
        self.site = Site(
            settings=settings,
            backends=Backends(database, cache, Resources(known), _settings_grants(settings, known), clock),
            routes=Routes("/v" + settings.http_api_version.partition(".")[0], _routes(settings, known, metrics)),
            authenticators=measured_authenticators(policies, metrics),
            listeners=Listeners(measured_listeners([*listeners, *named], metrics)),
            capabilities={**_capabilities(settings, metrics), **capabilities},
            heartbeats={
                "storage": self._database.check,
                "permission": self._database.check,
                "cache": self._cache.check,
            },
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
        await self._database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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


def open_database(settings: Settings, clock: Clock) -> Database:
    """Return the database of the settings, not open yet. Raises SettingsError for one that is not offered."""
    name, url = settings.storage_backend, settings.storage_url
    if (settings.permission_backend, settings.permission_url) != (name, url):
        raise SettingsError(
            f"permission_backend is {settings.permission_backend} at {settings.permission_url!r}, storage_backend "
            f"{name} at {url!r}: objects and permissions have to be in the same database"
        )
    if name == "memory":
        from kobako.databases.memory import MemoryDatabase

        return MemoryDatabase(clock)
    from kobako.databases.sqlite import SQLiteDatabase

    return SQLiteDatabase(sqlite_path("storage_url", url), clock)


def open_cache(settings: Settings, clock: Clock) -> Cache:
    """Return the cache of the settings."""
    if settings.cache_backend == "memory":
        from kobako.cache.memory import MemoryCache

        return MemoryCache(settings.cache_prefix, settings.cache_max_size_bytes, clock)
    from kobako.cache.sqlite import SQLiteCache

    return SQLiteCache(sqlite_path("cache_url", settings.cache_url), settings.cache_prefix, clock)


def sqlite_path(name: str, url: str) -> Path:
    """Return the file of a URL: `sqlite:///relative/path`, `sqlite:////absolute/path`. Raises SettingsError.

    >>> str(sqlite_path("storage_url", "sqlite:////var/lib/kobako.db"))
    '/var/lib/kobako.db'
    """
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise SettingsError(f"{name} is {url!r}: a SQLite database is named sqlite:///path/to/file")
    return Path(path)


def _capabilities(settings: Settings, metrics: Metrics | None) -> Mapping[str, Mapping[str, Any]]:
    """Return what the hello view says that this server can do, beyond every server (objects, 28)."""
    found: dict[str, Mapping[str, Any]] = {"basicauth": BASICAUTH} if settings.policies else {}
    if settings.experimental_permissions_endpoint:
        found["permissions_endpoint"] = permissions.CAPABILITY
    if isinstance(metrics, Scraped):
        found["prometheus"] = metrics.capability
    return found


def _version_file(settings: Settings) -> Any:
    """Return what the version file says, None if there is none that is JSON."""
    try:
        return jsontext.decode(Path(settings.version_json_path).read_bytes())
    except (OSError, jsontext.InvalidJson):
        return None


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
    if settings.experimental_permissions_endpoint:
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


def _authenticator(policy: Policy, settings: Settings) -> Authenticator:
    return basic(policy.name, settings.userid_hmac_secret, policy.options.get("realm", "Realm"))


def _settings_grants(settings: Settings, resources: Iterable[Resource]) -> Any:
    """Return the function that tells what the settings let some principals do to a kind of object."""
    table: Mapping[str, list[tuple[Action, frozenset[str]]]] = {
        each.name: [(action, allowed) for action in ACTIONS if (allowed := settings.principals(each.name, action))]
        for each in (*resources, permissions.PERMISSIONS)
    }

    def granted(resource: str, principals: frozenset[str]) -> Set[Action]:
        return {action for action, allowed in table[resource] if not allowed.isdisjoint(principals)}

    return granted
