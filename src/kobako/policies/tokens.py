"""Tokens that another service has issued: verified by that service, and what it said is remembered for a while.

Source: objects, 15.3 and 15.4; reliability, P22.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable

import msgspec

from kobako.cache.base import Cache
from kobako.databases.base import Clock
from kobako.http.authentication import bearer_token
from kobako.http.site import Authenticator, Identity
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Request


class Verified(msgspec.Struct, frozen=True):
    """Whose a token is: the user id, what else is known of the user, and until when it holds.

    `expires` is in milliseconds since the epoch, None where nobody said.
    """

    user: str
    profile: JsonObject = {}
    expires: int | None = None


Verify = Callable[[str], Awaitable[Verified | None]]
"""(token) -> whose it is, None for one that does not hold. May raise ServiceUnavailable."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """One way to verify tokens, and what is remembered of it.

    The cache keeps a result for `ttl_s`, from its last use where it is `renewed`, and never longer than the token
    holds. Its key is `prefix` and a keyed hash of the token and of `scope`: all that the result depends on besides.
    """

    verify: Verify
    cache: Cache
    clock: Clock
    prefix: str
    secret: str
    scope: str
    ttl_s: float
    renewed: bool = False
    scheme: str = "Bearer"

    def authenticator(self, name: str, realm: str = "Realm") -> Authenticator:
        """Return the authenticator of these tokens."""

        async def authenticate(request: Request) -> Identity | None:
            found = await self._find(request)
            return Identity(found.user) if found else None

        return Authenticator(name, authenticate, f'{self.scheme} realm="{realm}"')

    async def known(self, request: Request) -> Verified | None:
        """Return what is remembered of the token of a request, None if it has none, or nothing is."""
        token = bearer_token(request, self.scheme)
        return await self._recall(self._key(token)) if token else None

    async def _find(self, request: Request) -> Verified | None:
        token = bearer_token(request, self.scheme)
        if token is None:
            return None
        key = self._key(token)
        found = await self._recall(key)
        if found is None:
            found = await self.verify(token)
            if found is None or (ttl_s := self._ttl_s(found)) <= 0:
                return None
            await self.cache.set(key, msgspec.to_builtins(found), ttl_s)
        elif self.renewed:
            await self.cache.expire(key, self._ttl_s(found))
        return found

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
