"""OAuth 2: users by tokens that another server issued, and tells about when asked (RFC 7662, token introspection).

Each policy of the kind `oauth` is such a server; what it says is remembered for a while.

Source: RFC 7662; reliability, P22.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final
from urllib.parse import quote_plus

import msgspec
from msgspec import Meta

from kobako import (
    App,
    Authenticator,
    Backends,
    Clock,
    JsonObject,
    Plugin,
    Policy,
    Remote,
    Settings,
    SettingsError,
    Tokens,
    Verified,
    origin_of,
    policy_options,
)

KIND: Final = "oauth"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a policy, `multiauth.policy.<name>.*`."""

    introspection_endpoint: str
    client_id: str = ""
    client_secret: str = ""
    required_scope: tuple[str, ...] = ()
    issuer: str = ""
    audience: str = ""
    userid_field: str = "sub"
    header_type: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9._~+-]*$")] = "Bearer"
    realm: str = "Realm"
    cache_ttl_seconds: Annotated[int, Meta(ge=1)] = 300
    timeout_seconds: Annotated[float, Meta(gt=0)] = 5


def plugin(settings: Settings) -> Plugin:
    """Return the plugin, with the servers that the settings name."""
    remotes: list[Remote] = []

    def policy(policy: Policy, backends: Backends) -> Authenticator:
        options = _read(policy)
        remote = Remote(options.timeout_seconds)
        remotes.append(remote)
        told_by = (options.introspection_endpoint, options.issuer, options.audience, options.userid_field)
        return Tokens(
            name=policy.name,
            verify=Introspection(options, remote, backends.clock).verify,
            cache=backends.cache,
            clock=backends.clock,
            prefix="oauth:verify:",
            secret=settings.userid_hmac_secret,
            scope=":".join((*told_by, *options.required_scope)),
            ttl_s=options.cache_ttl_seconds,
            needed=True,
            scheme=options.header_type,
        ).authenticator(options.realm)

    @asynccontextmanager
    async def closing(app: App) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            for each in remotes:
                opened.push_async_callback(each.close)
            yield

    return Plugin(name="oauth", policies={KIND: policy}, lifespans=[closing])


class Introspection:
    """Asks one server about tokens."""

    def __init__(self, options: Options, remote: Remote, clock: Clock) -> None:
        self._options = options
        self._remote = remote
        self._clock = clock

    async def verify(self, token: str) -> Verified | None:
        """Return whose a token is, None if it is not active, or not for us. Raises NoAnswer."""
        form = {"token": token, "token_type_hint": "access_token"}
        reply = await self._remote.post(self._options.introspection_endpoint, form=form, headers=self._credentials())
        said = reply.required()
        user = said.get(self._options.userid_field)
        if not self._holds(said) or not isinstance(user, str) or not user:
            return None
        expires = said.get("exp")
        return Verified(user, {}, None if expires is None else int(expires * 1000))

    def _credentials(self) -> dict[str, str]:
        """Return who we are, as RFC 6749 has it, 2.3.1."""
        options = self._options
        if not options.client_id:
            return {}
        pair = f"{quote_plus(options.client_id)}:{quote_plus(options.client_secret)}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def _holds(self, said: JsonObject) -> bool:
        options, now_s = self._options, self._clock() / 1000
        return (
            said.get("active") is True
            and now_s < _seconds(said.get("exp"), now_s + 1)
            and now_s >= _seconds(said.get("nbf"), now_s)
            and options.issuer in ("", said.get("iss"))
            and (not options.audience or options.audience in _listed(said.get("aud")))
            and set(options.required_scope) <= set(_listed(said.get("scope")))
        )


def _read(policy: Policy) -> Options:
    options = policy_options(policy, Options)
    if (origin_of(options.introspection_endpoint) or "").partition(":")[0] not in ("http", "https"):
        name, url = f"multiauth.policy.{policy.name}.introspection_endpoint", options.introspection_endpoint
        raise SettingsError(f"Setting '{name}' is '{url}': must be a URL, https://host/path or http://host/path.")
    return options


def _seconds(said: Any, default: float) -> float:
    """Return a moment that was said, the default where none was; one that is no number is never now."""
    if said is None:
        return default
    return said if isinstance(said, int | float) and not isinstance(said, bool) else float("nan")


def _listed(said: Any) -> list[str]:
    """Return the members of what is a text with spaces, or a list.

    >>> _listed("read write"), _listed(["read"]), _listed(None)
    (['read', 'write'], ['read'], [])
    """
    if isinstance(said, str):
        return said.split()
    return [each for each in said if isinstance(each, str)] if isinstance(said, list) else []
