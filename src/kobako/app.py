"""App: settings, resources and backends, assembled into one ASGI callable.

Everything is handed over and nothing is registered: two apps live in one process.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any

from kobako import assembly, configured
from kobako.backends import open_cache, open_database
from kobako.databases.base import Clock
from kobako.http import asgi
from kobako.http.pieces import Receive, Send
from kobako.http.pipeline import answer
from kobako.http.repeats import Repeat
from kobako.http.site import Authenticator
from kobako.metrics.assembly import open_metrics
from kobako.model import migrations
from kobako.model.listeners import Listener
from kobako.model.resource import Resource, Target
from kobako.model.tasks import Tasks
from kobako.model.transaction import Transaction
from kobako.plugin import Plugin, included
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature, Settings, steps


def milliseconds() -> int:
    """Return the time of the wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class App:
    """A server: call it as ASGI does, or `answer` requests in the same process.

    `authenticators` are asked before the policies of the settings.
    Opened before the first request and closed after the last, by the ASGI lifespan or `async with`. `tasks` run in
    each process between the two, beside the requests. Plugins that `includes` names follow those that are handed over.
    `warnings` are what is strange about the settings, besides what these tell themselves.
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
        own = Plugin(
            name="app", resources=[*resources], listeners=[*listeners], capabilities=capabilities, tasks=[*tasks]
        )
        self.settings = settings
        self._plugins = [own, *plugins, *included(settings), assembly.of_settings(settings)]
        self._database = open_database(settings, clock)
        self._cache = open_cache(settings, clock)
        self._metrics = open_metrics(settings) if Feature.METRICS in settings.features else None
        self._opened = AsyncExitStack()
        self._tasks = Tasks(partial(task, self) for each in self._plugins for task in each.tasks)
        self.site = assembly.assemble(
            assembly.Kit(
                settings=settings,
                plugins=self._plugins,
                authenticators=[*authenticators],
                database=self._database,
                cache=self._cache,
                metrics=self._metrics,
                clock=clock,
            )
        )
        self.warnings = configured.warnings(settings, (kind for each in self._plugins for kind in each.resources))

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

    async def pending(self) -> list[str]:
        """Return the migrations of plugins that were not run yet, in words. Called while the app is open."""
        # Not as requests do it, whose time is measured: a process that does not serve has nowhere to tell that.
        database, plugins = self._database, self._plugins
        found = [(each.name, await migrations.pending(database, each.name, each.migrations)) for each in plugins]
        return [f"plugin {plugin}: {name}" for plugin, names in found for name in names]

    async def _migrate(self, plugin: Plugin) -> list[str]:
        works = {name: partial(work, self) for name, work in plugin.migrations.items()}
        done = await migrations.run(self._database, plugin.name, works)
        for work in plugin.upkeep:
            done += await work(self)
        return done

    @asynccontextmanager
    async def transaction(self, *writes: Target) -> AsyncIterator[Transaction]:
        """Begin a transaction outside of requests, for tasks and migrations, that writes lists of these targets.

        Listeners hear of what is done, as of what requests do. Raises TryAgain where others were in the way.
        """
        listeners = self.site.listeners
        listed = {place for each in writes for place in listeners.written(each)}
        async with self.site.backends.begin({each.place for each in writes} | listed) as tx:
            yield tx
            await listeners.before_commit(tx)
        await listeners.after_commit(tx)

    async def __aenter__(self) -> "App":
        steps.run(self.settings)
        async with AsyncExitStack() as opened:
            await self._database.open()
            opened.push_async_callback(self._close)
            for each in (lifespan for plugin in self._plugins for lifespan in plugin.lifespans):
                await opened.enter_async_context(each(self))
            self._opened = opened.pop_all()
        self._tasks.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.stop()
        await self._opened.aclose()

    async def _close(self) -> None:
        await self._database.close()
        await self._cache.close()
        if self._metrics:
            self._metrics.close()

    def again(self, digest: bytes) -> Repeat | asgi.Supposed | None:
        """Return how a request is answered that came before, of which this is the digest; None where it is read.

        Where the database is to be asked, first, it is supposed until that has told.
        """
        return asgi.again(self.site, digest) if type(self).__call__ is App.__call__ else None

    async def __call__(self, scope: asgi.Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: a request, or the lifespan of the server."""
        if scope["type"] == "http":
            await asgi.serve(self.site, scope, receive, send)
        elif scope["type"] == "lifespan":
            await asgi.live(self, receive, send)
