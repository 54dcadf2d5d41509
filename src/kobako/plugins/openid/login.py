"""The login: a browser is sent to the provider, comes back with a code, and goes on with a token.

Source: objects, 15.3; RFC 6749, 4.1; RFC 7636; RFC 9700.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from kobako import (
    InvalidParameters,
    NoAnswer,
    Problem,
    Request,
    Response,
    ServiceUnavailable,
    invalid,
    logins,
    origin_of,
)
from kobako.plugins.openid.keys import BadToken
from kobako.plugins.openid.provider import Provider

PREFIX: Final = "openid:state:"


DESCRIBES: Final[Mapping[str, Any]] = {
    "get": {
        "tags": ["OpenID"],
        "security": [],
        "responses": {"307": {"description": "Where the browser goes on."}},
    }
}
"""What `/__api__` says of both endpoints."""


class Login(msgspec.Struct, frozen=True):
    """A login that has begun: with which provider, where it goes on, and what its end is recognized by."""

    provider: str
    callback: str
    nonce: str
    verifier: str


class Flow:
    """The two endpoints of the login, for all providers."""

    begun: logins.Logins

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers

    async def login(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Send the browser to the provider."""
        given = logins.parameters(request)
        provider = self._provider(variables, _wrong_with_login(given))
        options = provider.options
        callback, scope = given["callback"], given["scope"]
        if not any(fnmatchcase(origin_of(callback) or "", each) for each in options.callback_origins):
            raise invalid("querystring", "callback", f"{callback} is not among the callbacks that are allowed")
        if options.userid_field == "email" and "email" not in scope.split():
            raise invalid("querystring", "scope", f"Provider {provider.name} requires 'email' scope")
        login = Login(provider.name, callback, secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        state = await self.begun.begin(msgspec.to_builtins(login), options.state_ttl_seconds, options.state_length)
        asked = {
            "client_id": options.client_id,
            "response_type": "code",
            "scope": scope,
            "redirect_uri": request.url.rpartition("/")[0] + "/token",
            "state": state,
            "nonce": login.nonce,
        }
        optional = {"prompt": given.get("prompt"), "audience": options.audience}
        asked |= {name: value for name, value in optional.items() if value}
        return logins.redirect(_authorization(provider, asked, login.verifier), 307)

    async def token(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Trade the code for a token, and send the browser on with it."""
        given = logins.parameters(request)
        provider = self._provider(variables, logins.missing(given, ("code", "state")))
        kept = await self.begun.end(given["state"])
        login = msgspec.convert(kept, Login) if kept else None
        if login is None or login.provider != provider.name:
            raise logins.refused("state", "Invalid state")
        try:
            reply = await provider.exchange(given["code"], request.url, login.verifier)
            await provider.check_id(reply.json(), login.nonce)
        except NoAnswer as error:
            raise ServiceUnavailable(f"Provider {provider.name} cannot be asked for a token.") from error
        except BadToken as error:
            raise logins.refused("code", f"Invalid code: the ID token it was traded for is refused, {error}") from error
        return logins.redirect(login.callback + quote(base64.b64encode(reply.body), safe=""), 307)

    def _provider(self, variables: Mapping[str, str], problems: list[Problem]) -> Provider:
        """Return the provider of a URL. Raises InvalidParameters with all that is wrong with a request."""
        name = variables["provider"]
        provider = self._providers.get(name)
        if provider is None:
            problems = [*problems, Problem("path", "provider", f"Unknown provider '{name}'")]
        if provider is None or problems:
            raise InvalidParameters(problems)
        return provider


def _wrong_with_login(given: Mapping[str, str]) -> list[Problem]:
    problems = logins.missing(given, ("callback", "scope"))
    callback, prompt = given.get("callback"), given.get("prompt")
    if callback and origin_of(callback) is None:
        problems.append(Problem("querystring", "callback", "Must be a URL"))
    if prompt and prompt != "none":
        problems.append(Problem("querystring", "prompt", f'"{prompt}" is not one of none'))
    return problems


def _authorization(provider: Provider, asked: dict[str, str], verifier: str) -> str:
    """Return the URL of the provider that a login begins at."""
    if provider.configuration.takes_challenges:
        hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()
        asked = {**asked, "code_challenge": hashed.rstrip("="), "code_challenge_method": "S256"}
    endpoint = provider.configuration.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
