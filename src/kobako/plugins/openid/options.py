"""What the settings say of a provider: `multiauth.policy.<name>.*`. Source: objects, 15.3."""

from typing import Annotated

import msgspec
from msgspec import Meta

from kobako import Policy, SettingsError, origin_of, policy_options

Seconds = Annotated[int, Meta(ge=1)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one provider."""

    issuer: str
    client_id: str
    client_secret: str = ""
    audience: str = ""
    header_type: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9._~+-]*$")] = "Bearer"
    userid_field: str = "sub"
    realm: str = "Realm"
    verification_ttl_seconds: Seconds = 86_400
    state_ttl_seconds: Seconds = 3600
    state_length: Annotated[int, Meta(ge=16, le=1024)] = 32
    callback_origins: tuple[str, ...] = ("*",)
    timeout_seconds: Annotated[float, Meta(gt=0)] = 5


def read(policy: Policy) -> Options:
    """Return the settings of a provider. Raises SettingsError."""
    options = policy_options(policy, Options)
    for name in ("issuer", "client_id", "userid_field"):
        if not getattr(options, name):
            raise SettingsError(f"Setting 'multiauth.policy.{policy.name}.{name}' is empty.")
    if (origin_of(options.issuer) or "").partition(":")[0] not in ("http", "https"):
        setting = f"multiauth.policy.{policy.name}.issuer"
        raise SettingsError(f"Setting '{setting}' is '{options.issuer}': must be a URL, https://host or http://host.")
    return options
