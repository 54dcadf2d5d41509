"""A profile of each request, in a file that `pstats` reads: to find out where time goes, never in production.

A process has one event loop, and a profile holds all that runs in it between the first and the last step of the
request. So requests are served one after the other while this is on: what a profile shows is of its request, and of
what goes on in the background.

Source: HTTP API, section 16.12.
"""

import asyncio
import cProfile
import logging
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kobako.settings import Settings, SettingsError

if TYPE_CHECKING:
    from kobako.monitoring import Application, Receive, Scope, Send

MAX_NAME = 150
"""Characters of a path that go into the name of a file, which is no longer than 255 bytes."""

_log = logging.getLogger("kobako.profiler")


def folder(settings: Settings) -> Path:
    """Return where profiles are written."""
    return Path(settings.profiler_dir or tempfile.gettempdir())


def check(settings: Settings) -> None:
    """Make the folder if need be. Raises SettingsError if it cannot be written."""
    path = folder(settings)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"Setting 'profiler_dir' is '{path}': {error.strerror}.") from error
    if not os.access(path, os.W_OK):
        raise SettingsError(f"Setting 'profiler_dir' is '{path}': it cannot be written.")


def profiled(app: "Application", settings: Settings) -> "Application":
    """Return an app that writes a profile of each request, and serves one at a time."""
    path, turn = folder(settings), asyncio.Lock()

    async def serve(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        async with turn:
            profile, began = cProfile.Profile(), time.perf_counter()
            profile.enable()
            try:
                await app(scope, receive, send)
            finally:
                profile.disable()
                _write(profile, path, scope, time.perf_counter() - began)

    return serve


def _write(profile: cProfile.Profile, path: Path, scope: "Scope", seconds: float) -> None:
    now = time.time()
    start = f"{name_of(scope['method'], scope['path'])}.{seconds * 1000:.0f}ms."
    file = path / f"{start}{now:.0f}.prof"
    if file.exists():
        file = path / f"{start}{now:.6f}.prof"
    try:
        profile.dump_stats(file)
    except OSError as error:
        # The request is answered, and is not to fail for this.
        _log.error("The profile %s cannot be written: %s", file, error.strerror)


def name_of(method: str, path: str) -> str:
    """Return how the name of the file begins.

    >>> name_of("GET", "/v1/buckets/blog/"), name_of("GET", "/")
    ('GET.v1.buckets.blog', 'GET.root')
    """
    dotted = re.sub(r"[^\w-]+", ".", path, flags=re.ASCII).strip(".")[:MAX_NAME]
    return f"{re.sub(r'[^A-Za-z]', '', method)}.{dotted or 'root'}"
