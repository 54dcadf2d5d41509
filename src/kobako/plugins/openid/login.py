"""The login: a browser is sent to the provider, comes back with a code, and goes on with a token.

Source: objects, 15.3; RFC 6749, 4.1; RFC 7636; RFC 9700.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from kobako import (
    Cache,
    InvalidParameters,
    NoAnswer,
    Problem,
    Request,
    Response,
    ServiceUnavailable,
    invalid,
    origin_of,
)
from kobako.plugins.openid.keys import BadToken
from kobako.plugins.openid.provider import Provider

INVALID_TOKEN: Final = 105
"""The errno inside of the details (HTTP API, 2.2)."""

_STATE: Final = re.compile(r"[0-9a-f]{1,2048}")


class Login(msgspec.Struct, frozen=True):
    """A login that has begun: with which provider, where it goes on, and what its end is recognized by."""

    provider: str
    callback: str
    nonce: str
    verifier: str


class Flow:
    """The two endpoints of the login, for all providers."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self.cache: Cache

    async def login(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Send the browser to the provider."""
        problems, given = list[Problem](), _parameters(request)
        provider = self._provider(variables, problems)
        _require(given, ("callback", "scope"), problems)
        callback, prompt = given.get("callback"), given.get("prompt")
        if callback and (wrong := _wrong_callback(callback, provider)):
            problems.append(Problem("querystring", "callback", wrong))
        if prompt not in (None, "", "none"):
            problems.append(Problem("querystring", "prompt", f'"{prompt}" is not one of none'))
        if problems or provider is None:
            raise InvalidParameters(problems)
        if provider.options.userid_field == "email" and "email" not in given["scope"].split():
            raise invalid("querystring", "scope", f"Provider {provider.name} requires 'email' scope")
        state = secrets.token_hex(provider.options.state_length)
        login = Login(provider.name, given["callback"], secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        await self.cache.set(_key(state), msgspec.to_builtins(login), provider.options.state_ttl_seconds)
        return _redirect(_authorization(provider, login, state, given, request))

    async def token(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Trade the code for a token, and send the browser on with it."""
        problems, given = list[Problem](), _parameters(request)
        provider = self._provider(variables, problems)
        _require(given, ("code", "state"), problems)
        if problems or provider is None:
            raise InvalidParameters(problems)
        login = await self._begun(given["state"])
        if login is None or login.provider != provider.name:
            raise _refused("state", "Invalid state")
        try:
            reply = await provider.exchange(given["code"], request.url, login.verifier)
            await provider.check_id(reply.json(), login.nonce)
        except NoAnswer as error:
            raise ServiceUnavailable(f"Provider {provider.name} cannot be asked for a token.") from error
        except BadToken as error:
            raise _refused("code", f"Invalid code: what it is traded for is refused, since {error}") from error
        return _redirect(login.callback + quote(base64.b64encode(reply.body), safe=""))

    async def _begun(self, state: str) -> Login | None:
        """Return the login of a state, once: whoever asks again, or at the same moment, gets None."""
        kept = await self.cache.delete(_key(state)) if _STATE.fullmatch(state) else None
        return msgspec.convert(kept, Login) if kept else None

    def _provider(self, variables: Mapping[str, str], problems: list[Problem]) -> Provider | None:
        name = variables["provider"]
        if name not in self._providers:
            problems.append(Problem("path", "provider", f"Unknown provider '{name}'"))
        return self._providers.get(name)


def _parameters(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.query, keep_blank_values=True))


def _require(given: Mapping[str, str], names: tuple[str, ...], problems: list[Problem]) -> None:
    problems += [Problem("querystring", name, "Required") for name in names if not given.get(name)]
    if given.get("error"):
        # It came back without a code: what the provider says of it helps more than that (RFC 6749, 4.1.2.1).
        problems += [Problem("querystring", "error", f"The provider answered: {given['error'][:100]}")]


def _wrong_callback(callback: str, provider: Provider | None) -> str | None:
    origin = origin_of(callback)
    if origin is None:
        return "Must be a URL"
    if provider and not any(fnmatchcase(origin, each) for each in provider.options.callback_origins):
        return f"{origin} not allowed"
    return None


def _authorization(provider: Provider, login: Login, state: str, given: Mapping[str, str], request: Request) -> str:
    """Return the URL of the provider that a login begins at."""
    asked = {
        "client_id": provider.options.client_id,
        "response_type": "code",
        "scope": given["scope"],
        "redirect_uri": request.url.rpartition("/")[0] + "/token",
        "state": state,
        "nonce": login.nonce,
    }
    if given.get("prompt"):
        asked["prompt"] = given["prompt"]
    if provider.options.audience:
        asked["audience"] = provider.options.audience
    if provider.configuration.takes_challenges:
        hashed = hashlib.sha256(login.verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
        asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    endpoint = provider.configuration.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"


def _redirect(url: str) -> Response:
    # What is in these URLs is for one browser, and no other site.
    kept_nowhere = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status=307, headers={"Location": url, **kept_nowhere})


def _refused(name: str, description: str) -> InvalidParameters:
    error = invalid("querystring", name, description)
    error.details[0]["errno"] = INVALID_TOKEN
    return error


def _key(state: str) -> str:
    return f"openid:state:{state}"
