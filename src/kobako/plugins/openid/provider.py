"""One provider: what it says of itself, and what it says of tokens.

Source: objects, 15.3; OpenID Connect Discovery 1.0, 3 and 4; OpenID Connect Core 1.0, 5.3.
"""

import logging
from contextlib import suppress
from typing import Any, Final

import msgspec

from kobako import (
    BackendUnavailable,
    Cache,
    Clock,
    JsonObject,
    NoAnswer,
    Remote,
    Reply,
    SettingsError,
    Verified,
    origin_of,
)
from kobako.plugins.openid.keys import ALGORITHMS, BadToken, Keys
from kobako.plugins.openid.options import Options

LAST_READ_S: Final = 30 * 86_400
"""How long a configuration is kept for a start while the provider is down."""

REFUSALS: Final = (400, 401, 403)
"""How a provider answers to a token that is not valid (RFC 6750, 3.1)."""

_log = logging.getLogger("kobako.openid")


class Configuration(msgspec.Struct, frozen=True):
    """What a provider says of itself, as far as it matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    code_challenge_methods_supported: tuple[str, ...] = ()
    id_token_signing_alg_values_supported: tuple[str, ...] = ()

    @property
    def takes_challenges(self) -> bool:
        """Whether a code may be bound to who asked for it (RFC 7636)."""
        return "S256" in self.code_challenge_methods_supported

    @property
    def signs_ids(self) -> bool:
        """Whether its ID tokens are such that we can verify them."""
        return not set(ALGORITHMS).isdisjoint(self.id_token_signing_alg_values_supported)


class Provider:
    """A provider of the settings; it is `open` before anything else is asked of it."""

    configuration: Configuration
    _keys: Keys

    def __init__(self, name: str, options: Options, cache: Cache, clock: Clock) -> None:
        self.name = name
        self.options = options
        self._cache = cache
        self._clock = clock
        self._remote = Remote(options.timeout_seconds)

    async def open(self) -> None:
        """Read what the provider says of itself, or take what it said last. Raises SettingsError."""
        try:
            found = await self._read()
        except NoAnswer as error:
            # A worker that takes the place of another shall not need the provider for that.
            found = await self._cache.get(self._key)
            if found is None:
                raise self._refused(f"what it says of itself cannot be read: {error}") from error
            _log.warning("Provider '%s' cannot be read, and is taken to be as it was: %s", self.name, error)
        self.configuration = self._checked(found)
        self._keys = Keys(self._remote, self._clock, self.configuration.jwks_uri)
        with suppress(BackendUnavailable):
            await self._cache.set(self._key, found, LAST_READ_S)

    async def close(self) -> None:
        """Let go of connections."""
        await self._remote.close()

    async def verify(self, token: str) -> Verified | None:
        """Return whose an access token is, None if it is not valid. Raises NoAnswer."""
        try:
            expires = await self._expiry(token) if self.options.audience else None
        except BadToken as error:
            _log.info("A token is refused for provider '%s': %s", self.name, error)
            return None
        bearer = {"Authorization": f"Bearer {token}"}
        reply = await self._remote.get(self.configuration.userinfo_endpoint, bearer)
        if reply.status in REFUSALS:
            return None
        profile = reply.required()
        user = _user(profile, self.options.userid_field)
        return Verified(user, profile, expires) if user else None

    async def exchange(self, code: str, redirect_uri: str, verifier: str) -> Reply:
        """Return what the provider answers to a code. Raises NoAnswer."""
        form = {
            "code": code,
            "client_id": self.options.client_id,
            "client_secret": self.options.client_secret,
            "redirect_uri": redirect_uri,
            "grant_type": "authorization_code",
        }
        if self.configuration.takes_challenges:
            form["code_verifier"] = verifier
        return await self._remote.post(self.configuration.token_endpoint, form=form)

    async def check_id(self, answer: JsonObject, nonce: str) -> None:
        """Look at the ID token of an answer, if there is one. Raises BadToken unless it is of this login, NoAnswer."""
        token = answer.get("id_token")
        if token is None or not self.configuration.signs_ids:
            return
        issuer, audience = self.configuration.issuer, self.options.client_id
        claims = await self._keys.claims(str(token), issuer=issuer, audience=audience)
        if claims.get("nonce") != nonce:
            raise BadToken("it is of another login")

    @property
    def _key(self) -> str:
        return f"openid:configuration:{self.options.issuer}"

    async def _expiry(self, token: str) -> int:
        """Return when a token ends, in milliseconds. Raises BadToken, NoAnswer."""
        issuer, audience = self.configuration.issuer, self.options.audience
        claims = await self._keys.claims(token, issuer=issuer, audience=audience)
        return int(claims["exp"]) * 1000

    async def _read(self) -> JsonObject:
        base = self.options.issuer.rstrip("/")
        return (await self._remote.get(f"{base}/.well-known/openid-configuration")).required()

    def _checked(self, found: Any) -> Configuration:
        """Return a configuration that can be worked with. Raises SettingsError."""
        try:
            made = msgspec.convert(found, Configuration)
        except msgspec.ValidationError as error:
            raise self._refused(f"what it says of itself is incomplete: {error}") from error
        if made.issuer.rstrip("/") != self.options.issuer.rstrip("/"):
            raise self._refused(f"it says that it is '{made.issuer}'")
        for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
            if origin_of(getattr(made, name)) is None:
                raise self._refused(f"its {name} is '{getattr(made, name)}', which is no URL")
        return made

    def _refused(self, problem: str) -> SettingsError:
        return SettingsError(f"Setting 'multiauth.policy.{self.name}.issuer' is '{self.options.issuer}': {problem}.")


def _user(profile: JsonObject, field: str) -> str | None:
    """Return the user id in a profile, None where there is none, or it is an e-mail address of anybody's claim (P22).

    >>> _user({"sub": 12}, "sub"), _user({"email": "a@b.c", "email_verified": False}, "email")
    ('12', None)
    """
    if field == "email" and profile.get("email_verified", True) not in (True, "true"):
        return None
    value = profile.get(field)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
