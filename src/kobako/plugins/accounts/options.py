"""The settings of accounts, and what of them does not go together.

Source: objects, 14.1, 14.5 and 14.6; HTTP API, 16.7.
"""

import logging
import re
from typing import Final

import msgspec

from kobako import EVERYONE, Settings, SettingsError, read_options

KIND: Final = "account"
"""What the policy is called here, and what the user ids of accounts begin with."""

_log = logging.getLogger("kobako.accounts")


class Options(msgspec.Struct, frozen=True):
    """`account_...`. Memory in KiB and rounds are those of argon2id; the defaults are OWASP's."""

    cache_ttl_seconds: int = 30
    validation: bool = False
    argon2_memory_kib: int = 19456
    argon2_rounds: int = 2


class Validation(msgspec.Struct, frozen=True):
    """`account_validation....`: addresses are validated by mail. Templates have `{names}` in them."""

    email_regexp: str = r"^[a-zA-Z0-9_.+-]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$"
    email_sender: str = "admin@example.com"
    email_subject_template: str = "activate your account"
    email_body_template: str = "{activation-key}"
    email_confirmation_subject_template: str = "Account active"
    email_confirmation_body_template: str = "The account {id} is now active"
    email_reset_password_subject_template: str = "Reset password"
    email_reset_password_body_template: str = "{reset-password}"
    validation_key_cache_ttl_seconds: int = 604800
    reset_password_cache_ttl_seconds: int = 604800


def read(settings: Settings) -> Options:
    """Return what the settings say. Raises SettingsError."""
    found = read_options(settings, "account", Options, separator="_")
    for name, least in {"cache_ttl_seconds": 1, "argon2_memory_kib": 8, "argon2_rounds": 1}.items():
        _require_at_least(f"account_{name}", getattr(found, name), least)
    return found


def read_validation(settings: Settings) -> Validation:
    """Return what the settings say of the validation by mail. Raises SettingsError."""
    found = read_options(settings, "account_validation", Validation)
    for name in ("validation_key_cache_ttl_seconds", "reset_password_cache_ttl_seconds"):
        _require_at_least(f"account_validation.{name}", getattr(found, name), 1)
    try:
        re.compile(found.email_regexp)
    except re.error as error:
        raise SettingsError(f"Setting 'account_validation.email_regexp' is '{found.email_regexp}': {error}.") from None
    return found


def check(settings: Settings) -> None:
    """Raise SettingsError where accounts could not be used, or could be used by others (14.1)."""
    kinds = [each.kind for each in settings.policies]
    if KIND not in kinds:
        raise SettingsError("Account policy missing the 'multiauth.policy.*.use' setting.")
    if "basicauth" in kinds[: kinds.index(KIND)]:
        raise SettingsError("Setting 'multiauth.policies' has basicauth before accounts: it takes any password.")
    for each in settings.policies:
        if each.name.lower() == KIND and each.kind != KIND:
            raise SettingsError(f"Policy '{each.name}' is no policy of accounts: its users would be taken for theirs.")
    admins = settings.principals("account", "write")
    for principal in sorted(settings.principals("account", "create") - admins - {EVERYONE}):
        raise SettingsError(
            f"Setting 'account_create_principals' has '{principal}', which has to be in 'account_write_principals' too."
        )
    if settings.storage_backend == "memory":
        _log.warning("Setting 'storage_backend' is 'memory': accounts are lost at restart.")


def _require_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise SettingsError(f"Setting '{name}' is '{value}': must be {least} or more.")
