"""The settings of Firefox Accounts, `fxa-oauth.*`, without any prefix. Source: objects, 15.4."""

import logging
from typing import Annotated

import msgspec
from msgspec import Meta

from kobako import Settings, SettingsError, origin_of, read_options

_log = logging.getLogger("kobako.fxa")

Seconds = Annotated[int, Meta(ge=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, by their names; `scope` is the older name for both scopes."""

    oauth_uri: str
    client_id: str = ""
    client_secret: str = ""
    scope: tuple[str, ...] = ("profile",)
    requested_scope: tuple[str, ...] = ()
    required_scope: tuple[str, ...] = ()
    cache_ttl_seconds: Seconds = 300
    state_ttl_seconds: Seconds = msgspec.field(name="state.ttl_seconds", default=3600)
    heartbeat_timeout_seconds: Annotated[float, Meta(gt=0)] = 3
    relier_enabled: bool = msgspec.field(name="relier.enabled", default=True)
    authorized_domains: tuple[str, ...] = msgspec.field(name="webapp.authorized_domains", default=())

    @property
    def asked_for(self) -> str:
        """The scope that a login asks for."""
        return " ".join(self.requested_scope or self.scope)

    @property
    def needed(self) -> tuple[str, ...]:
        """The scopes that a token has to have."""
        return self.required_scope or self.scope

    def at(self, path: str) -> str:
        """Return a URL of the service."""
        return f"{self.oauth_uri.rstrip('/')}/{path}"


def read(settings: Settings) -> Options:
    """Return the settings. Raises SettingsError."""
    options = read_options(settings, "fxa-oauth", Options)
    if (origin_of(options.oauth_uri) or "").partition(":")[0] not in ("http", "https"):
        raise SettingsError(f"Setting 'fxa-oauth.oauth_uri' is '{options.oauth_uri}': must be a URL, https://host/v1.")
    if options.relier_enabled and not (options.client_id and options.client_secret):
        _log.warning(
            "Settings 'fxa-oauth.client_id' and 'fxa-oauth.client_secret' are needed for logins: "
            "if there are none, set 'fxa-oauth.relier.enabled' to false."
        )
    return options
