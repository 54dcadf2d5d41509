"""What the settings say of a webhook: where events are sent, how they are signed, and how often they are tried."""

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from kobako.listeners import options
from kobako.settings import EventListener, SettingsError, parsing

PREFIX: Final = "whsec_"
HOW_TO_MAKE: Final = "as `python -c \"import secrets, base64; print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\"` makes it"  # noqa: E501
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. `key` is the decoded secret; times are in seconds."""

    name: str
    url: str
    key: bytes
    max_attempts: int = 20
    max_dead: int = 10_000
    timeout_s: int = 10
    backoff_s: int = 2
    allow_private: bool = False


def read(described: EventListener) -> Webhook:
    """Return what the settings say of a webhook. Raises SettingsError."""
    if not NAME.fullmatch(described.name):
        raise SettingsError(
            f"Setting 'event_listeners' has '{described.name}': "
            "a webhook is named by up to 100 letters, digits, dots, hyphens and underscores."
        )
    if "read" in described.actions:
        raise options.refused(described, "actions", "a webhook is told of create, update and delete only")
    given = options.read(described, OPTIONS)
    for name in ("url", "secret"):
        if name not in given:
            raise options.refused(described, name, REQUIRED[name])
    webhook = Webhook(
        name=described.name,
        url=given.pop("url"),
        key=given.pop("secret"),
        **{ATTRIBUTES.get(name, name): value for name, value in given.items()},
    )
    if not webhook.allow_private and not webhook.url.startswith("https:"):
        raise options.refused(described, "url", "must begin with https://, or else 'allow_private' be true")
    return webhook


def _url(raw: str) -> str:
    url = parsing.text(raw) or ""
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or parts.username is not None or re.search(r"[^!-~]", url):
        raise ValueError(REQUIRED["url"])
    return url


def _secret(raw: str) -> bytes:
    text = parsing.text(raw) or ""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(REQUIRED["secret"])
    return key


REQUIRED: Final = {
    "url": "must be https://host[:port]/path, without a user",
    "secret": f"must be {PREFIX} and 24 to 64 bytes in base64, {HOW_TO_MAKE}",
}

OPTIONS: Final[dict[str, Any]] = {
    "url": _url,
    "secret": _secret,
    "max_attempts": parsing.positive,
    "max_dead": parsing.positive,
    "timeout_seconds": parsing.positive,
    "backoff_seconds": parsing.positive,
    "allow_private": parsing.boolean,
}

ATTRIBUTES: Final = {"timeout_seconds": "timeout_s", "backoff_seconds": "backoff_s"}
