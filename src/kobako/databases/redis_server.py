"""The server that Redis is: a pool of connections, the scripts on it, and its errors as those of the contract.

Nothing is sent twice: a unit of work that was applied, its answer lost on the way, would find its own changes and take
them for those of another. A script that the server does not know was not run, and is sent again with its text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from kobako.databases.base import BackendUnavailable, UnfitDatabase
from kobako.databases.redis_keys import Command
from kobako.databases.redis_scripts import RUN

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 5.0

Argument = str | bytes | int

_pack = msgspec.msgpack.encode


# uvloop says RuntimeError of a connection that is cut while it is made.
LOST = (RedisError, OSError, RuntimeError)


class Server:
    """Connections to one server, `connections` at most; those who come later wait for one."""

    def __init__(self, url: str, connections: int) -> None:
        self.shown = masked(url)
        try:
            self._pool = BlockingConnectionPool.from_url(
                url,
                max_connections=connections,
                timeout=POOL_TIMEOUT_S,
                socket_connect_timeout=CONNECT_TIMEOUT_S,
                socket_timeout=ANSWER_TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
                protocol=2,
            )
        except ValueError as error:
            raise UnfitDatabase(f"{self.shown}: {error}") from error
        self._client = Redis(connection_pool=self._pool)
        self._scripts: dict[str, AsyncScript] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._pool.disconnect()

    async def run(
        self,
        facts: Iterable[tuple[Command, str | bool]],
        commands: Sequence[Command],
        leases: "Sequence[str]" = (),
        owner: str = "",
    ) -> list[Any] | None:
        """Run commands if all facts hold, and return their answers; None if one does not. Gives leases up first."""
        known = [*facts]
        keys = {key for command in (*commands, *(fact for fact, _ in known)) for key in _keys(command)}
        packed = (_pack(known), _pack(commands), _pack(leases), owner)
        answers: list[Any] | None = await self.call(RUN, [*keys, *leases], packed)
        return answers

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run a script and return its answer. Raises BackendUnavailable."""
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(script)
        try:
            return await self._scripts[script](keys, arguments)
        except LOST as error:
            raise self._unavailable(error) from error

    async def touch(self, key: str, lasts_ms: int) -> None:
        """Write a key that is soon gone. Raises BackendUnavailable."""
        try:
            await self._client.set(key, "", px=lasts_ms)
        except LOST as error:
            raise self._unavailable(error) from error

    async def info(self) -> Mapping[str, Any]:
        """Return what the server tells of itself. Raises BackendUnavailable."""
        try:
            return await self._client.info()
        except LOST as error:
            raise self._unavailable(error) from error

    async def setting(self, name: str) -> str | None:
        """Return a setting of the server, None where it does not tell. Raises BackendUnavailable."""
        try:
            found = await self._client.config_get(name)
        except ResponseError:
            return None
        except LOST as error:
            raise self._unavailable(error) from error
        return found.get(name)

    def _unavailable(self, error: Exception) -> BackendUnavailable:
        return BackendUnavailable(f"{self.shown}: {error}")


def masked(url: str) -> str:
    """Return a URL that may be shown: without its password, and without its query, where one may be.

    >>> masked("rediss://kobako:sesame@db.example:6380/1?ssl_cert_reqs=none")
    'rediss://kobako:***@db.example:6380/1'
    """
    parts = urlsplit(url)
    who, at, where = parts.netloc.rpartition("@")
    user, colon, _ = who.partition(":")
    return f"{parts.scheme}://{user}{colon and ':***'}{at}{where}{parts.path}"


def _keys(command: Command) -> Command:
    return command[1:3] if command[0] == "PAGE" else command[1:2]
