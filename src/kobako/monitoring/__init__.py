"""What watches a server: Sentry, New Relic, a profiler. Nothing of it is there unless a setting asks for it.

`check` tells at the start what is wrong with these settings; `begin` starts what belongs to a process, before its app
is made; `install_middlewares` puts around the app what looks at each request.

Source: HTTP API, section 16.12.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from kobako.settings import Settings, SettingsError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def check(settings: Settings) -> None:
    """Raise SettingsError for what could not begin: a library or a file is missing."""
    if settings.sentry_dsn:
        _require("sentry", "sentry_sdk")
    if settings.newrelic_config:
        _require("newrelic", "newrelic.agent")
        from kobako.monitoring import newrelic

        newrelic.check(settings)
    if settings.profiler_enabled:
        from kobako.monitoring import profiler

        profiler.check(settings)


def begin(settings: Settings) -> None:
    """Start what belongs to a process. Raises SettingsError."""
    check(settings)
    if settings.sentry_dsn:
        from kobako.monitoring import sentry

        sentry.begin(settings)
    if settings.newrelic_config:
        from kobako.monitoring import newrelic

        newrelic.begin(settings)


def announce(settings: Settings) -> None:
    """Tell whoever watches that a server starts: once for a server, whatever the number of its processes."""
    if settings.sentry_dsn:
        from kobako.monitoring import sentry

        sentry.announce(settings)


def end(settings: Settings) -> None:
    """Send what has not been sent yet: the process stops. It takes some seconds where nobody answers."""
    if settings.sentry_dsn:
        from kobako.monitoring import sentry

        sentry.end()
    if settings.newrelic_config:
        from kobako.monitoring import newrelic

        newrelic.end()


def install_middlewares(app: Application, settings: Settings) -> Application:
    """Return an app with what the settings put around it. (Cliquet's applications call it; the stock server does.)"""
    if settings.profiler_enabled:
        from kobako.monitoring import profiler

        app = profiler.profiled(app, settings)
    if settings.sentry_dsn:
        from kobako.monitoring import sentry

        app = sentry.isolated(app)
    if settings.newrelic_config:
        from kobako.monitoring import newrelic

        app = newrelic.wrapped(app)
    return _ending(app, settings) if settings.sentry_dsn or settings.newrelic_config else app


def _ending(app: Application, settings: Settings) -> Application:
    """Return an app that ends what was begun when the server stops."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(end, settings)
            await send(message)

        await app(scope, receive, told if scope["type"] == "lifespan" else send)

    return serve


def _require(extra: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise SettingsError(
            f"Setting '{extra}_{'dsn' if extra == 'sentry' else 'config'}' needs a library that is missing: "
            f"pip install 'kobako[{extra}]'."
        ) from error
