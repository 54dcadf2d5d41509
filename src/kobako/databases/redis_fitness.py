"""Whether a server can be trusted with data: which are refused, and what an operator is told of the others."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from kobako.databases.base import UnfitDatabase
from kobako.databases.redis_server import Server

OLDEST = (6, 2)
"""ZMSCORE and ZRANGE BYSCORE came with it."""

_log = logging.getLogger("kobako.redis")


async def check(server: Server) -> None:
    """Log what endangers data. Raises UnfitDatabase for a server that is too old, BackendUnavailable."""
    info = await server.info()
    version = str(info.get("redis_version", "0"))
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise UnfitDatabase(f"{server.shown} is Redis {version}: 6.2 is the oldest that will do, or any Valkey")
    settings = {name: await server.setting(name) for name in ("save", "appendonly", "appendfsync", "maxmemory-policy")}
    for level, message in findings(info, settings):
        _log.log(level, "%s: %s", server.shown, message)


def findings(info: Mapping[str, Any], settings: Mapping[str, str | None]) -> Iterator[tuple[int, str]]:
    """Return what there is to be said about a server, and how grave it is.

    `settings` are those of CONFIG GET, None for one that it does not tell.
    """
    policy = info.get("maxmemory_policy") or settings["maxmemory-policy"]
    if policy is None:
        yield logging.WARNING, "maxmemory-policy could not be checked: it has to be noeviction"
    elif policy != "noeviction":
        yield (
            logging.WARNING,
            f"maxmemory-policy is {policy}: Redis will drop data when it is full. Set it to noeviction",
        )
    if info.get("role", "master") != "master":
        yield logging.WARNING, "this is a replica: it can be read, and every write will fail"
    yield from _on_persistence(info, settings)


def _on_persistence(info: Mapping[str, Any], settings: Mapping[str, str | None]) -> Iterator[tuple[int, str]]:
    appends = info.get("aof_enabled") == 1 or settings["appendonly"] == "yes"
    if appends and settings["appendfsync"] == "always":
        return
    if appends and settings["appendfsync"] is None:
        yield logging.WARNING, "appendfsync could not be checked: unless it is always, a crash may lose the last writes"
    elif appends:
        window = (
            "the last second or two" if settings["appendfsync"] == "everysec" else "what the system had not written"
        )
        yield logging.INFO, f"appendfsync is {settings['appendfsync']}: loss of power may lose {window}"
    elif settings["save"]:
        yield logging.WARNING, "there are only snapshots: a crash loses what came after the last. Set appendonly to yes"
    elif settings["save"] is None:
        yield logging.WARNING, "persistence could not be checked: without it, a restart of Redis loses everything"
    else:
        yield logging.WARNING, "nothing is kept on disk: a restart of Redis loses everything. Set appendonly to yes"
