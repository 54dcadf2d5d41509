"""Stand-ins that time what they stand for: made when metrics are asked for, and else nothing stands in between.

Source: HTTP API, section 15.5.
"""

import inspect
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final

from kobako.metrics.base import NO_LABELS, Labels, Metrics

STORAGE: Final = "backend.storage.seconds"
PERMISSION: Final = "backend.permission.seconds"
CACHE: Final = "backend.cache.seconds"


def timed(run: Callable[..., Any], metrics: Metrics, name: str, labels: Labels = NO_LABELS) -> Callable[..., Any]:
    """Return a function that does the same, waits for it if need be, and tells how long that took."""

    async def timed_run(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            result = run(*args, **options)
            return await result if inspect.isawaitable(result) else result
        finally:
            metrics.time(name, time.perf_counter() - began, labels)

    return timed_run


class Measured:
    """A backend whose methods, all of which are asynchronous, are timed; the name of the method is a label."""

    def __init__(self, backend: Any, metrics: Metrics, name: str):
        self._backend = backend
        self._metrics = metrics
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if not callable(found):
            return found
        # Kept, so that the next call finds it without coming here.
        self.__dict__[name] = made = timed(found, self._metrics, self._name, {"method": name})
        return made


class MeasuredCache:
    """A cache that is timed, and counts what it knew and what not."""

    def __init__(self, cache: Any, metrics: Metrics):
        self._cache = Measured(cache, metrics, CACHE)
        self._metrics = metrics

    async def get(self, key: str) -> Any:
        """Return the value of a key, None if it is unknown or has expired."""
        value = await self._cache.get(key)
        self._metrics.count("cache_misses" if value is None else "cache_hits")
        return value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


class MeasuredDatabase:
    """A database whose units of work are timed: their begin and end, and the methods of their two backends."""

    def __init__(self, database: Any, metrics: Metrics):
        self._database = database
        self._metrics = metrics

    def begin(self, *args: Any, **options: Any) -> "_Beginning":
        """Begin a unit of work."""
        return _Beginning(self._database.begin(*args, **options), self._metrics)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


class MeasuredFarDatabase(MeasuredDatabase):
    """One that is told what will be asked."""

    def foresee(self, *args: Any, **options: Any) -> "_Beginning":
        """Begin a unit of work that has its answers: they are part of its beginning."""
        return _Beginning(self._database.foresee(*args, **options), self._metrics)


class _Beginning:
    """What `async with database.begin()` enters. A begin that takes long has waited for other writers."""

    def __init__(self, beginning: Any, metrics: Metrics):
        self._beginning = beginning
        self._metrics = metrics

    async def __aenter__(self) -> "_Unit":
        return _Unit(await self._timed(self._beginning.__aenter__, "begin")(), self._metrics)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        method = "commit" if kind is None else "rollback"
        await self._timed(self._beginning.__aexit__, method)(kind, error, trace)

    def _timed(self, run: Callable[..., Awaitable[Any]], method: str) -> Callable[..., Any]:
        return timed(run, self._metrics, STORAGE, {"method": method})


class _Unit:
    def __init__(self, unit: Any, metrics: Metrics):
        self._unit = unit
        self.storage: Any = Measured(unit.storage, metrics, STORAGE)
        self.permission: Any = Measured(unit.permission, metrics, PERMISSION)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)
