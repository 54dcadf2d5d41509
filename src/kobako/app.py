"""App: settings, resources and backends, assembled into one ASGI callable.

Everything is handed over and nothing is registered: two apps live in one process.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from kobako.backends import open_cache, open_database
from kobako.cache.base import Cache
from kobako.configured import once, served, settings_grants
from kobako.databases.base import Clock, Database
from kobako.http import asgi, end_of_service, endpoints, listening, lists, measuring, openapi, permissions, utilities
from kobako.http import openapi_utilities as described
from kobako.http.pipeline import answer
from kobako.http.routing import Routes, route
from kobako.http.site import Authenticator, Call, Check, Route, Run, Site
from kobako.metrics.assembly import measured_authenticators, measured_backends, measured_listeners, open_metrics
from kobako.metrics.base import Metrics, Scraped
from kobako.model import migrations, purging
from kobako.model.listeners import Listener, Listeners
from kobako.model.resource import Resource, Resources, Target
from kobako.model.tasks import Tasks
from kobako.model.transaction import Backends, Transaction
from kobako.plugin import Plugin, View, included
from kobako.policies import named
from kobako.policies.basic import CAPABILITY as BASICAUTH
from kobako.protocol import jsontext
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature, Settings, steps

VERSION_FILES: Final = (Path(__file__).with_name("version.json"), Path(__file__).parent / "config" / "version.json")
"""Where the package may bring the version file, if the settings' is not there (section 6.4)."""


def milliseconds() -> int:
    """Return the time of the wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class App:
    """A server: call it as ASGI does, or `answer` requests in the same process.

    `authenticators` are asked before the policies of the settings.
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
        authenticators: Iterable[Authenticator] = (),
        capabilities: Mapping[str, Mapping[str, Any]] = {},
        tasks: Iterable[Callable[["App"], Awaitable[None]]] = (),
        clock: Clock = milliseconds,
    ):
        self._plugins = [*plugins, *included(settings)]
        named_listeners = [listening.named(each) for each in settings.event_listeners]
        own = Plugin(
            name="app",
            resources=[*resources],
            listeners=[*listeners],
            capabilities=capabilities,
            tasks=[*tasks, *(task for each in named_listeners for task in each.tasks), *_upkeep(settings)],
        )
        parts = [own, *self._plugins]
        known = served(chain.from_iterable(each.resources for each in parts), settings)
        views = [view for each in parts for view in each.views]
        told = [listener for each in parts for listener in each.listeners]
        told += [listener for each in named_listeners for listener in each.listeners]
        hooks = Feature.TRANSACTION_HOOK in settings.features
        self.settings = settings
        self._tasks = Tasks(partial(task, self) for each in parts for task in each.tasks)
        self._database = open_database(settings, clock)
        self._cache = open_cache(settings, clock)
        self._metrics = metrics = open_metrics(settings) if Feature.METRICS in settings.features else None
        database, cache = measured_backends(self._database, self._cache, metrics)
        backends = Backends(
            database, cache, Resources(known), settings_grants(settings, known), clock, named.authorize(settings)
        )
        made = once("policy", [each.policies for each in parts])
        policies = [*authenticators]
        policies += [
            made[each.kind](each, backends) if each.kind in made else named.authenticator(each, settings)
            for each in settings.policies
        ]
        policies += [authenticator for each in parts for authenticator in each.authenticators]
        self.site = Site(
            settings=settings,
            backends=backends,
            routes=Routes("/v" + settings.http_api_version.partition(".")[0], _routes(settings, known, views, metrics)),
            authenticators=measured_authenticators(policies, metrics),
            find_groups=named.group_finder(settings),
            listeners=Listeners(measured_listeners([each for each in told if not each.after_commit or hooks], metrics)),
            capabilities=once("capability", [_capabilities(settings, metrics), *(each.capabilities for each in parts)]),
            heartbeats=once(
                "heartbeat",
                [_heartbeats(settings, self._database, self._cache), *(each.heartbeats for each in parts)],
            ),
            version_file=_version_file(settings),
            end=end_of_service.planned(settings),
            metrics=metrics,
            about_user=[each.about_user for each in parts if each.about_user],
        )

    async def answer(self, request: Request) -> Response:
        """Serve one request, as if it had come from the network."""
        return await answer(self.site, request)

    async def migrate(self) -> list[str]:
        """Create or update the schema of the database, then do so for the plugins; return what was done, in words.

        Called while the app is not open.
        """
        done = await self._database.migrate()
        if any(each.migrations or each.upkeep for each in self._plugins):
            await self._database.open()
            try:
                for each in self._plugins:
                    done += await self._migrate(each)
            finally:
                await self._database.close()
        return done

    async def _migrate(self, plugin: Plugin) -> list[str]:
        works = {name: partial(work, self) for name, work in plugin.migrations.items()}
        done = await migrations.run(self.site.backends, plugin.name, works)
        for work in plugin.upkeep:
            done += await work(self)
        return done

    @asynccontextmanager
    async def transaction(self, *writes: Target) -> AsyncIterator[Transaction]:
        """Begin a transaction outside of requests, for tasks and migrations, that writes lists of these targets.

        Listeners hear of what is done, as of what requests do. Raises TryAgain where others were in the way.
        """
        async with self.site.backends.begin({each.place for each in writes}) as tx:
            yield tx
            await self.site.listeners.before_commit(tx)
        await self.site.listeners.after_commit(tx)

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


def _upkeep(settings: Settings) -> list[Callable[[App], Awaitable[None]]]:
    """Return the tasks that look after what is stored, as the settings say."""
    after_s = settings.purge_deleted_after

    async def purge(app: App) -> None:
        assert after_s is not None
        await purging.keep_purging(app.site.backends, after_s)

    return [purge] if after_s and not settings.readonly and settings.storage_backend else []


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


def _routes(
    settings: Settings, resources: Iterable[Resource], views: Iterable[View], metrics: Metrics | None
) -> list[Route]:
    """Return all routes. Raises SettingsError for a URL that two of them have."""
    found = [*_utilities(settings, metrics), *_of_resources(resources), *map(_of_view, views)]
    return [*once("URL", [{each.template: each} for each in found]).values()]


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
