"""Tokens that another service has issued: verified by that service, and what it said is remembered for a while.

Source: objects, 15.3 and 15.4; reliability, P22.
"""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from kobako.cache.base import Cache
from kobako.databases.base import Clock
from kobako.http.authentication import bearer_token
from kobako.http.site import Authenticator, Identity
from kobako.protocol.errors import ServiceUnavailable
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Request
from kobako.remote import NoAnswer

REFUSED_MS: Final = 1_000
"""How long a refusal counts: each part of a batch asks, and shall not wait for what all wait for in vain."""

REFUSED_AT_MOST: Final = 1_000

_log = logging.getLogger("kobako.authentication")


class Verified(msgspec.Struct, frozen=True):
    """Whose a token is: the user id, what else is known of the user, and until when it holds.

    `expires` is in milliseconds since the epoch, None where nobody said.
    """

    user: str
    profile: JsonObject = {}
    expires: int | None = None


Verify = Callable[[str], Awaitable[Verified | None]]
"""(token) -> whose it is, None for one that does not hold. Raises NoAnswer."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """One way to verify tokens, and what is remembered of it.

    The cache keeps a result for `ttl_s`, from its last use where it is `renewed`, and never longer than the token
    holds. Its key is `prefix` and a keyed hash of the token and of `scope`: all that the result depends on besides.
    While the service does not answer nobody is recognized, or where it is `needed` the answer is a 503.
    """

    name: str
    verify: Verify
    cache: Cache
    clock: Clock
    prefix: str
    secret: str
    scope: str
    ttl_s: float
    renewed: bool = False
    needed: bool = False
    scheme: str = "Bearer"
    _refused: dict[str, tuple[int, bool]] = msgspec.field(default_factory=dict)

    def authenticator(self, realm: str = "Realm") -> Authenticator:
        """Return the authenticator of these tokens."""

        async def authenticate(request: Request) -> Identity | None:
            token = bearer_token(request, self.scheme)
            found = await self._find(token) if token else None
            return Identity(found.user) if found else None

        return Authenticator(self.name, authenticate, f'{self.scheme} realm="{realm}"')

    async def known(self, request: Request) -> Verified | None:
        """Return what is remembered of the token of a request, None if it has none, or nothing is."""
        token = bearer_token(request, self.scheme)
        return await self._recall(self._key(token)) if token else None

    async def _find(self, token: str) -> Verified | None:
        key = self._key(token)
        found = await self._recall(key)
        if found is None:
            return await self._ask(key, token)
        if self.renewed:
            await self.cache.expire(key, self._ttl_s(found))
        return found

    async def _ask(self, key: str, token: str) -> Verified | None:
        """Ask the service, unless it was asked just now in vain. Raises ServiceUnavailable."""
        refused_at, is_down = self._refused.get(key, (-REFUSED_MS, False))
        if self.clock() - refused_at >= REFUSED_MS:
            found, is_down = await self._verified(token)
            if found and (ttl_s := self._ttl_s(found)) > 0:
                await self.cache.set(key, msgspec.to_builtins(found), ttl_s)
                return found
            if len(self._refused) >= REFUSED_AT_MOST:
                self._refused.clear()
            self._refused[key] = self.clock(), is_down
        if is_down and self.needed:
            raise ServiceUnavailable()
        return None

    async def _verified(self, token: str) -> tuple[Verified | None, bool]:
        """Return what the service says of a token, and whether it says nothing at all."""
        try:
            return await self.verify(token), False
        except NoAnswer as error:
            _log.warning("Policy '%s' cannot tell whose a token is: %s", self.name, error)
            return None, True

    async def _recall(self, key: str) -> Verified | None:
        kept = await self.cache.get(key)
        return msgspec.convert(kept, Verified) if kept else None

    def _ttl_s(self, found: Verified) -> float:
        if found.expires is None:
            return self.ttl_s
        return min(self.ttl_s, (found.expires - self.clock()) / 1000)

    def _key(self, token: str) -> str:
        text = f"{self.scope}:{token}".encode()
        return self.prefix + hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
