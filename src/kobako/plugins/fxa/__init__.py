"""Firefox Accounts: users by tokens of a service that verifies them, and the login there.

Source: objects, 15.4; reliability, P22.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from kobako import (
    App,
    Authenticator,
    Backends,
    NoAnswer,
    Plugin,
    Policy,
    Remote,
    Settings,
    Tokens,
    Verified,
    View,
    logins,
    policy_options,
)
from kobako.plugins.fxa import options
from kobako.plugins.fxa.options import Options
from kobako.plugins.fxa.relier import PREFIX, Relier

NAME: Final = "fxa"

CAPABILITY: Final = {
    "description": "You can authenticate to that server using Firefox Account.",
    "url": "https://github.com/mozilla-services/kinto-fxa",
}

REFUSALS: Final = (400, 401, 403)
"""How the service answers to a token that is not valid."""


class Offer(msgspec.Struct, frozen=True):
    """The settings of the policy."""

    realm: str = "Realm"


def plugin(settings: Settings) -> Plugin:
    """Return the plugin, with the service that the settings name."""
    return FirefoxAccounts(settings, options.read(settings)).plugin()


class FirefoxAccounts:
    """The service, for one app."""

    def __init__(self, settings: Settings, chosen: Options) -> None:
        self._settings = settings
        self._options = chosen
        self._remote = Remote()
        self._pulse = Remote(chosen.heartbeat_timeout_seconds)
        self._relier = Relier(chosen, self._remote)

    def plugin(self) -> Plugin:
        """Return what all this is to an app."""
        found = {"params": self._relier.params, "login": self._relier.login, "token": self._relier.token}
        views = [View(name=f"fxa-{name}", path=f"/fxa-oauth/{name}", offline=view) for name, view in found.items()]
        return Plugin(
            name=NAME,
            policies={NAME: self._policy},
            views=views if self._options.relier_enabled else [],
            capabilities={NAME: CAPABILITY},
            heartbeats={"oauth": self._is_up},
            lifespans=[self._closing],
        )

    def _policy(self, policy: Policy, backends: Backends) -> Authenticator:
        return Tokens(
            name=NAME,
            verify=self._verify,
            cache=backends.cache,
            clock=backends.clock,
            prefix="fxa-oauth:verify:",
            secret=self._settings.userid_hmac_secret,
            scope=":".join((self._options.oauth_uri, *self._options.needed)),
            ttl_s=self._options.cache_ttl_seconds,
            needed=True,
        ).authenticator(policy_options(policy, Offer).realm)

    async def _verify(self, token: str) -> Verified | None:
        reply = await self._remote.post(self._options.at("verify"), json={"token": token})
        if reply.status in REFUSALS:
            return None
        said = reply.required()
        user, scopes = said.get("user"), said.get("scope")
        if not isinstance(user, str) or not user or not isinstance(scopes, list):
            raise NoAnswer(f"{reply.url} told neither user nor scopes of a token")
        return Verified(user) if set(self._options.needed) <= {str(each) for each in scopes} else None

    async def _is_up(self) -> bool:
        try:
            return (await self._pulse.get(self._options.at("__heartbeat__"))).status == 200
        except NoAnswer:
            return False

    @asynccontextmanager
    async def _closing(self, app: App) -> AsyncIterator[None]:
        self._relier.begun = logins.Logins(app.site.backends.cache, PREFIX)
        try:
            yield
        finally:
            await self._remote.close()
            await self._pulse.close()
