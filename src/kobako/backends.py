"""Backends by the names the settings have for them.

Adapters are imported here, when they are asked for: a driver is needed only where it is used.

Source: HTTP API, sections 16.6 and 16.15.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database
from kobako.databases.connections import Connections
from kobako.settings import POOL, Settings, SettingsError, dotted, imports, shown

EXTRAS = ("postgresql", "redis", "memcached")
"""Backends with a driver of their own, each in an extra of its name."""

SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"} | dict.fromkeys(
    ("redis", "rediss", "unix"), "redis"
)
"""The backend that the scheme of a URL stands for."""


def open_database(settings: Settings, clock: Clock) -> Database:
    """Return the database of the settings, not open yet; where none is named, one in memory that nothing is kept in.

    Raises SettingsError for one that is not offered.
    """
    objects = ("storage", settings.storage_backend, settings.storage_url)
    permissions = ("permission", settings.permission_backend, settings.permission_url)
    if objects[1:] == permissions[1:]:
        return _of_part(*objects, settings, clock)
    if not settings.storage_backend:
        return _of_part(*permissions, settings, clock)
    from kobako.databases.split import SplitDatabase

    return SplitDatabase(_of_part(*objects, settings, clock), _of_part(*permissions, settings, clock))


def open_cache(settings: Settings, clock: Clock) -> Cache:
    """Return the cache of the settings; where none is named, what has to last longer than a request is in memory."""
    if dotted.is_own(settings.cache_backend):
        return _own("cache", settings.cache_backend, settings.cache_url, settings, clock)  # type: ignore[no-any-return]
    url, prefix = settings.cache_url, settings.cache_prefix
    with _driver("cache_backend", settings.cache_backend):
        match settings.cache_backend:
            case "sqlite":
                from kobako.cache.sqlite import SQLiteCache

                return SQLiteCache(sqlite_path("cache_url", url), prefix, clock)
            case "postgresql":
                from kobako.cache.postgresql import PostgreSQLCache

                return PostgreSQLCache(url, prefix, clock)
            case "redis":
                from kobako.cache.redis import RedisCache

                return RedisCache(url, prefix, clock)
            case "memcached":
                from kobako.cache.memcached import MemcachedCache

                return MemcachedCache(settings.cache_hosts, prefix, clock)
    from kobako.cache.memory import MemoryCache

    return MemoryCache(prefix, settings.cache_max_size_bytes, clock)


def of_url(name: str, url: str, clock: Clock) -> Database:
    """Return the database that a URL names by its scheme. Raises SettingsError; `name` is what gave the URL."""
    backend = SCHEMES.get(url.partition("://")[0].partition("+")[0])
    if backend is None:
        raise SettingsError(f"{name} is '{shown(url)}': it has to begin with one of {', '.join(SCHEMES)} and ://.")
    with _driver(name, backend):
        return _database(name, backend, url, clock, Connections())


def _of_part(part: str, backend: str, url: str, settings: Settings, clock: Clock) -> Database:
    """Return the database of the storage or the permissions, with the connections that are set for it."""
    if dotted.is_own(backend):
        return _own(part, backend, url, settings, clock)  # type: ignore[no-any-return]
    with _driver(f"{part}_backend", backend):
        return _database(f"{part}_url", backend, url, clock, _connections(part, settings))


def _own(part: str, name: str, url: str, settings: Settings, clock: Clock) -> Any:
    """Return what somebody's own function makes, which takes (url, settings, clock). Raises SettingsError."""
    try:
        return imports.load(name)(url, settings, clock)
    except SettingsError:
        raise
    except Exception as error:
        problem = f"it failed: {type(error).__name__}: {shown(str(error))}"
        raise SettingsError(f"Setting '{part}_backend' is '{name}': {problem}.") from error


def _connections(part: str, settings: Settings) -> Connections:
    kept, overflow, wait_s, backlog, use_s = (getattr(settings, f"{part}_{name}") for name in POOL)
    return Connections(kept=kept, overflow=overflow, wait_s=wait_s, backlog=backlog, use_s=use_s)


def _database(name: str, backend: str, url: str, clock: Clock, connections: Connections) -> Database:
    match backend:
        case "sqlite":
            from kobako.databases.sqlite import SQLiteDatabase

            return SQLiteDatabase(sqlite_path(name, url), clock)
        case "postgresql":
            from kobako.databases.postgresql import PostgreSQLDatabase

            return PostgreSQLDatabase(url, clock, connections)
        case "redis":
            from kobako.databases.redis import RedisDatabase

            return RedisDatabase(url, clock, connections=connections.most)
    from kobako.databases.memory import MemoryDatabase

    return MemoryDatabase(clock)


@contextmanager
def _driver(setting: str, backend: str) -> Iterator[None]:
    """Say which extra brings a driver that is missing. Raises SettingsError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if backend not in EXTRAS:
            raise
        need = f"that needs a driver, which comes with `pip install 'kobako[{backend}]'`"
        raise SettingsError(f"Setting '{setting}' is '{backend}': {need}.") from error


def sqlite_path(name: str, url: str) -> Path:
    """Return the file of a URL: `sqlite:///relative/path`, `sqlite:////absolute/path`. Raises SettingsError.

    >>> str(sqlite_path("storage_url", "sqlite:////var/lib/kobako.db"))
    '/var/lib/kobako.db'
    """
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise SettingsError(f"{name} is {url!r}: a SQLite database is named sqlite:///path/to/file")
    return Path(path)
