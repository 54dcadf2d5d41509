"""Who calls, by name and password of an account: the policy `account`.

What was verified, or refused, is remembered in the cache, as a keyed hash of password and stored hash together. The
stored one is read at each login, so another password, or none, is in force for all workers at its commit, whatever the
cache says: the cache only spares the hashing. Where the database says that nothing was committed, even reading is
spared, for half of the time that the cache would (`lasts_s`).

Source: objects, 14.4 and 14.5; reliability, P6, P7 and P10.
"""

import hashlib
import hmac
import logging
import re
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from kobako import (
    Authenticator,
    Backends,
    BackendUnavailable,
    Identity,
    Passing,
    Policy,
    Request,
    Settings,
    attempts,
    basic_credentials,
)
from kobako.plugins.accounts import vault
from kobako.plugins.accounts.account import IDS
from kobako.plugins.accounts.hashing import Hasher
from kobako.plugins.accounts.options import KIND, Options
from kobako.plugins.accounts.vault import Secret

METHODS: Final = ("POST", "PUT", "PATCH")
"""What a temporary password serves for, on accounts."""

_log = logging.getLogger("kobako.accounts")


def verified_key(settings: Settings, name: str) -> str:
    """Return the key under which the cache has what was verified of an account."""
    return _mac(settings.userid_hmac_secret, f"accounts:{name}:verified")


class Login(msgspec.Struct, frozen=True):
    """Recognizes the users of accounts."""

    settings: Settings
    options: Options
    hasher: Hasher
    backends: Backends

    async def authenticate(self, request: Request) -> Identity | Passing | None:
        """Return whose account name and password are for. It takes the same time whether there is such an account."""
        pair = basic_credentials(request)
        if pair is None:
            return None
        name, password = pair
        secret = await self._secret(name) if IDS.accepts(name) else None
        found = await self._found(name, password, secret, request)
        # Temporary passwords depend on the time, and on what is asked.
        return Passing(found) if secret and secret.reset else found

    async def _found(self, name: str, password: str, secret: Secret | None, request: Request) -> Identity | None:
        if not await self._is_right(name, password, secret, request) or secret is None:
            return None
        is_waiting = self.options.validation and secret.is_pending
        return None if is_waiting else Identity(name)

    async def _secret(self, name: str) -> Secret | None:
        for attempt in attempts():
            async with attempt, self.backends.begin() as tx:
                secret = await vault.find(tx.storage, name)
        return secret

    async def _is_right(self, name: str, password: str, secret: Secret | None, request: Request) -> bool:
        key = verified_key(self.settings, name)
        proof = _mac(key, f"{secret.hash if secret else ''}:{password}")
        if await self._is_known(key, proof):
            return True
        # Where there is basicauth too, its users send the names of no account with every request.
        refused_key = _mac(self.settings.userid_hmac_secret, f"accounts:{name}:refused")
        if not await self._is_known(refused_key, proof):
            if await self.hasher.verify(password, secret.hash if secret else None):
                await self._remember(key, proof)
                if secret and self.hasher.is_outdated(secret.hash) and not self.settings.readonly:
                    await self._renew(name, password, secret)
                return True
            await self._remember(refused_key, proof)
        return secret is not None and await self._is_temporary(name, password, secret, request)

    async def _is_known(self, key: str, proof: str) -> bool:
        """Tell whether the cache knows this proof; it is then known for longer."""
        try:
            known = await self.backends.cache.get(key)
        except BackendUnavailable:
            return False
        if not isinstance(known, dict) or not hmac.compare_digest(str(known.get("proof")), proof):
            return False
        # Not at each request: that would make a write of each read.
        if self.backends.clock() - known["at"] > self.options.cache_ttl_seconds * 1000 / 2:
            await self._remember(key, proof)
        return True

    async def _remember(self, key: str, proof: str) -> None:
        try:
            value = {"proof": proof, "at": self.backends.clock()}
            await self.backends.cache.set(key, value, self.options.cache_ttl_seconds)
        except BackendUnavailable as error:
            _log.warning("A login could not be cached: %s", error)

    async def _renew(self, name: str, password: str, known: Secret) -> None:
        """Replace a hash of another kind by one as they are made now, unless the password was changed meanwhile."""
        hash = await self.hasher.hash(password)
        try:
            for attempt in attempts():
                async with attempt, self.backends.begin([vault.place(name)]) as tx:
                    secret = await vault.find(tx.storage, name)
                    if secret and secret.hash == known.hash:
                        await vault.keep(tx.storage, name, replace(secret, hash=hash))
        except BackendUnavailable as error:
            _log.warning("The hash of an account's password could not be renewed: %s", error)

    async def _is_temporary(self, name: str, password: str, secret: Secret, request: Request) -> bool:
        """Tell whether this is the temporary password, sent with what it is for; it is used up by that."""
        if not secret.reset or not secret.reset.is_for(password, self.backends.clock()):
            return False
        if self.settings.readonly or not changes_password(request, name):
            return False
        for attempt in attempts():
            async with attempt, self.backends.begin([vault.place(name)]) as tx:
                now = await vault.find(tx.storage, name)
                is_unused = now is not None and now.reset == secret.reset
                if now and is_unused:
                    await vault.keep(tx.storage, name, replace(now, reset=None))
        return is_unused


def policy(settings: Settings, options: Options, hasher: Hasher) -> Any:
    """Return what makes the policy."""

    def make(policy: Policy, backends: Backends) -> Authenticator:
        login = Login(settings, options, hasher, backends)
        realm = policy.options.get("realm", "Realm")
        return Authenticator(KIND, login.authenticate, f'Basic realm="{realm}"', lasts_s=options.cache_ttl_seconds / 2)

    return make


def changes_password(request: Request, name: str) -> bool:
    """Tell whether a request does nothing but give an account another password.

    >>> body = b'{"data": {"password": "new"}}'
    >>> changes_password(Request(method="PATCH", path="/v1/accounts/alice", headers={}, body=body), "alice")
    True
    """
    path = re.fullmatch(r"/v\d+/accounts(?:/([^/]+))?", request.path)
    if request.method not in METHODS or not path or path[1] not in (None, name):
        return False
    try:
        data = msgspec.json.decode(request.body)["data"]
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError, RecursionError):
        return False
    return isinstance(data, dict) and data.keys() == {"password"}


def _mac(key: str, message: str) -> str:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()
