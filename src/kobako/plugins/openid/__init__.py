"""OpenID Connect: users are those of other services, who log in there and bring their access tokens.

Each policy of the kind `openid` is a provider. What a provider says of a token is remembered, so that most requests ask
nobody. What it is like, and how a browser logs in, is in `provider.py` and `login.py`.

Source: objects, 15.3 and 28; reliability, P22.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from kobako import App, Authenticator, Backends, Call, Plugin, Policy, Settings, Tokens, View, logins
from kobako.plugins.openid import options
from kobako.plugins.openid.login import DESCRIBES, PREFIX, Flow
from kobako.plugins.openid.provider import Provider

KIND: Final = "openid"

CAPABILITY: Final = {
    "description": "OpenID connect support.",
    "url": "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html",
}

_log = logging.getLogger("kobako.openid")


def plugin(settings: Settings) -> Plugin:
    """Return the plugin, with the providers that the settings name."""
    return OpenID(settings).plugin()


class OpenID:
    """The providers of one app."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._providers: dict[str, Provider] = {}
        self._tokens: dict[str, Tokens] = {}
        self._flow = Flow(self._providers)
        # Filled when the app is opened: only then the providers are asked what they are like.
        self._shown: list[dict[str, Any]] = []

    def plugin(self) -> Plugin:
        """Return what all this is to an app."""
        has_any = any(each.kind == KIND for each in self._settings.policies)
        return Plugin(
            name="openid",
            policies={KIND: self._policy},
            views=[
                View(name=f"openid-{name}", path=f"/openid/{{provider}}/{name}", offline=answer, describes=DESCRIBES)
                for name, answer in (("login", self._flow.login), ("token", self._flow.token))
            ],
            capabilities={"openid": {**CAPABILITY, "providers": self._shown}} if has_any else {},
            about_user=self._about_user,
            lifespans=[self._open],
        )

    def _policy(self, policy: Policy, backends: Backends) -> Authenticator:
        chosen, name = options.read(policy), policy.name
        if "*" in chosen.callback_origins:
            _log.warning("Setting 'multiauth.policy.%s.callback_origins' is '*': tokens may be sent to any site.", name)
        provider = Provider(name, chosen, backends.cache, backends.clock)
        tokens = Tokens(
            name=name,
            verify=provider.verify,
            cache=backends.cache,
            clock=backends.clock,
            prefix="openid:verify:",
            secret=self._settings.userid_hmac_secret,
            scope=f"{chosen.issuer}:{chosen.client_id}:{chosen.audience}:{chosen.userid_field}",
            ttl_s=chosen.verification_ttl_seconds,
            renewed=True,
            scheme=chosen.header_type,
        )
        self._providers[name], self._tokens[name] = provider, tokens
        self._flow.begun = logins.Logins(backends.cache, PREFIX)
        return tokens.authenticator(chosen.realm)

    @asynccontextmanager
    async def _open(self, app: App) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            for each in self._providers.values():
                opened.push_async_callback(each.close)
                await each.open()
            self._shown[:] = [_shown(each) for each in self._providers.values()]
            yield

    async def _about_user(self, call: Call) -> Mapping[str, Any]:
        """Return the profile of a user whom one of the providers knows."""
        for name, tokens in self._tokens.items():
            known = await tokens.known(call.request)
            if known and call.caller.user == f"{name.lower()}:{known.user}":
                return {"profile": known.profile}
        return {}


def _shown(provider: Provider) -> dict[str, Any]:
    """Return what the hello view says of a provider; `auth_path` has no version prefix."""
    chosen = provider.options
    return {
        "name": provider.name,
        "issuer": chosen.issuer,
        "auth_path": f"/openid/{provider.name}/login",
        "client_id": chosen.client_id,
        "audience": chosen.audience,
        "header_type": chosen.header_type,
        "userinfo_endpoint": provider.configuration.userinfo_endpoint,
    }
