"""A listener that pushes each event to a list in Redis or Valkey, for others to take from.

What is pushed is the event without its objects, as JSON. It comes after the commit, so that nothing is told which is
then undone. A server that is not there is logged, and costs the event, never the request.

Source: HTTP API, 14.5; objects, 27.3.
"""

import asyncio
import logging
from typing import Any, Final

from kobako.listeners import options
from kobako.model.events import Event
from kobako.model.listeners import Listener, Listening
from kobako.model.transaction import Transaction
from kobako.protocol import jsontext
from kobako.settings import EventListener, parsing

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    from kobako.databases.redis_server import LOST, masked
except ModuleNotFoundError as error:
    raise ImportError("it needs a library, which comes with `pip install 'kobako[redis]'`") from error

LOCAL: Final = "redis://localhost:6379/0"
LISTNAME: Final = "kinto.core.events"
LISTNAME_OF_CLIQUET: Final = "cliquet.events"

LONGEST_WAIT_S: Final = 1.0
"""The request waits meanwhile: for a connection, and for its answer."""

OPTIONS: Final = {"url": parsing.text_or_none, "listname": parsing.text_or_none, "pool_size": parsing.positive}

_log = logging.getLogger("kobako.listeners.redis")


def listening(described: EventListener) -> Listening:
    """Return the listener that the settings describe. Raises SettingsError."""
    given = options.read(described, OPTIONS)
    url = given.get("url") or LOCAL
    default = LISTNAME_OF_CLIQUET if described.use.startswith("cliquet.") else LISTNAME
    try:
        pusher = Pusher(url, given.get("listname") or default, given.get("pool_size", 25))
    except ValueError:
        # The reason is kept back: of a URL that is mistaken it may tell a part of the password.
        raise options.refused(described, "url", "must be redis://[[user]:password@]host[:port][/number]") from None
    return Listening([Listener(pusher.push, after_commit=True)], [pusher.close_at_the_end])


class Pusher:
    """One list, and connections to the server it is on. Raises ValueError for what is no URL of Redis."""

    def __init__(self, url: str, listname: str, pool_size: int) -> None:
        self._shown = masked(url)
        self._listname = listname
        self._redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url, max_connections=pool_size, timeout=LONGEST_WAIT_S, socket_timeout=LONGEST_WAIT_S,
                socket_connect_timeout=LONGEST_WAIT_S, retry=Retry(NoBackoff(), 1),
            )
        )  # fmt: skip

    async def push(self, _: Transaction, event: Event) -> None:
        """Push one event. What fails is logged."""
        try:
            await self._redis.lpush(self._listname, jsontext.encode(event.payload()))
        except LOST as error:
            _log.error("Unable to push an event of %s to %s: %s", event.uri, self._shown, error)

    async def close_at_the_end(self, _: Any) -> None:
        """Let go of the connections when the app is closed."""
        try:
            await asyncio.Event().wait()
        finally:
            await self._redis.aclose()
