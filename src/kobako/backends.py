"""Backends by the names the settings have for them.

Adapters are imported here, when they are asked for: a driver is needed only where it is used.

Source: HTTP API, sections 16.6 and 16.15.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kobako.cache.base import Cache
from kobako.databases.base import Clock, Database
from kobako.settings import Settings, SettingsError, shown

EXTRAS = ("postgresql", "redis", "memcached")
"""Backends with a driver of their own, each in an extra of its name."""

SCHEMES = {"sqlite": "sqlite"}
"""The backend that the scheme of a URL stands for."""


def open_database(settings: Settings, clock: Clock) -> Database:
    """Return the database of the settings, not open yet; where none is named, one in memory that nothing is kept in.

    Raises SettingsError for one that is not offered.
    """
    objects = ("storage_url", settings.storage_backend, settings.storage_url)
    permissions = ("permission_url", settings.permission_backend, settings.permission_url)
    if objects[1:] == permissions[1:]:
        return _database(*objects, clock)
    if not settings.storage_backend:
        return _database(*permissions, clock)
    from kobako.databases.split import SplitDatabase

    return SplitDatabase(_database(*objects, clock), _database(*permissions, clock))


def open_cache(settings: Settings, clock: Clock) -> Cache:
    """Return the cache of the settings; where none is named, what has to last longer than a request is in memory."""
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
    backend = SCHEMES.get(url.partition("://")[0])
    if backend is None:
        raise SettingsError(f"{name} is '{shown(url)}': it has to begin with one of {', '.join(SCHEMES)} and ://.")
    return _database(name, backend, url, clock)


def _database(name: str, backend: str, url: str, clock: Clock) -> Database:
    match backend:
        case "memory" | "":
            from kobako.databases.memory import MemoryDatabase

            return MemoryDatabase(clock)
        case "sqlite":
            from kobako.databases.sqlite import SQLiteDatabase

            return SQLiteDatabase(sqlite_path(name, url), clock)
        case other:
            raise SettingsError(f"{name} is for '{other}': no such database is offered.")


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
