"""The keys a provider signs with, and what they prove of a token.

Source: objects, 15.3; RFC 7517, RFC 7519, RFC 8725.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from kobako import Clock, JsonObject, NoAnswer, Remote

try:
    import jwt
except ModuleNotFoundError as error:
    raise ImportError("it needs a library, which comes with `pip install 'kobako[openid]'`") from error

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512"),
    *("PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Asymmetric ones only: with any other, whoever knows the public key could sign."""

KEPT_MS: Final = 3_600_000
"""How long keys count, which the provider may have withdrawn meanwhile."""

PAUSE_MS: Final = 2_000
"""How often unknown keys are looked for: anybody may send tokens that name one."""

LEEWAY_S: Final = 10
"""By how much the clocks of a provider and ours may differ."""


class BadToken(Exception):
    """A token proves nothing: says why, and nothing of the token."""


class Keys:
    """The keys of one provider: read when they are needed, and again when a token names one that is not among them."""

    def __init__(self, remote: Remote, clock: Clock, url: str) -> None:
        self._remote = remote
        self._clock = clock
        self._url = url
        self._keys: Sequence[JsonObject] = ()
        self._read_at = self._looked_at = -KEPT_MS
        self._reading: asyncio.Task[None] | None = None

    async def claims(self, token: str, *, issuer: str, audience: str) -> JsonObject:
        """Return what a token says, signed by the provider, for this audience, now. Raises BadToken, NoAnswer."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise BadToken("it is not signed by one of the algorithms that are accepted")
            for each in await self._candidates(header):
                if (found := _claims(token, header["alg"], each, issuer, audience)) is not None:
                    return found
        except jwt.PyJWTError as error:
            raise BadToken(str(error)) from error
        raise BadToken("no key of the provider has signed it")

    async def _candidates(self, header: JsonObject) -> Sequence[JsonObject]:
        now = self._clock()
        if now - self._read_at >= KEPT_MS:
            await self._read()
        elif not self._matching(header) and (self._reading or now - self._looked_at >= PAUSE_MS):
            self._looked_at = now
            await self._read()
        return self._matching(header)

    def _matching(self, header: JsonObject) -> Sequence[JsonObject]:
        """Return the keys that may have signed: those of the id that the token names, or any."""
        kid, algorithm = header.get("kid"), header["alg"]
        return [
            each
            for each in self._keys
            if kid in (None, each.get("kid"))
            and each.get("use", "sig") == "sig"
            and each.get("alg", algorithm) == algorithm
        ]

    async def _read(self) -> None:
        """Read the keys; whoever needs them meanwhile waits for the same answer."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._replace())
        await asyncio.shield(self._reading)

    async def _replace(self) -> None:
        try:
            listed = (await self._remote.get(self._url)).required().get("keys")
            if not isinstance(listed, list):
                raise NoAnswer(f"{self._url} has no list of keys")
            self._keys = [each for each in listed if isinstance(each, dict)]
            self._read_at = self._clock()
        finally:
            self._reading = None


def _claims(token: str, algorithm: str, key: JsonObject, issuer: str, audience: str) -> JsonObject | None:
    """Return what a token says, None if it is not this key that has signed it. Raises PyJWTError."""
    try:
        made = jwt.PyJWK(key, algorithm)
        claims: JsonObject = jwt.decode(
            token,
            made,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY_S,
            options={"require": ["iss", "aud", "exp"]},
        )
    except (jwt.InvalidSignatureError, jwt.InvalidKeyError, jwt.PyJWKError):
        return None
    return claims
