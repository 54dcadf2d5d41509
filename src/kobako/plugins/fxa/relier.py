"""The login at Firefox Accounts, which sends a browser back with a token. Source: objects, 15.4."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import quote, urlencode

from kobako import (
    InvalidParameters,
    NoAnswer,
    Remote,
    Request,
    Response,
    ServiceUnavailable,
    encode,
    host_of,
    invalid,
    json_response,
    logins,
)
from kobako.plugins.fxa.options import Options

PREFIX: Final = "fxa-oauth:state:"


class Relier:
    """The endpoints of the login."""

    begun: logins.Logins

    def __init__(self, options: Options, remote: Remote) -> None:
        self._options = options
        self._remote = remote

    async def params(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Return what a client needs to log in by itself."""
        options = self._options
        return json_response(
            encode({"client_id": options.client_id, "oauth_uri": options.oauth_uri, "scope": options.asked_for})
        )

    async def login(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Send the browser to the login form."""
        options, given = self._options, logins.parameters(request)
        if problems := logins.missing(given, ("redirect",)):
            raise InvalidParameters(problems)
        host = host_of(given["redirect"])
        if host is None:
            raise invalid("querystring", "redirect", "Must be a URL")
        if not any(fnmatchcase(host, each) for each in options.authorized_domains):
            raise invalid("querystring", "redirect", f"{host} is not among the domains that are authorized")
        asked = {
            "action": "signin",
            "client_id": options.client_id,
            "state": await self.begun.begin(given["redirect"], options.state_ttl_seconds),
            "scope": options.asked_for,
        }
        return logins.redirect(f"{options.at('authorization')}?{urlencode(asked)}", 302)

    async def token(self, request: Request, variables: Mapping[str, str]) -> Response:
        """Trade the code for a token, and send the browser on with it."""
        given = logins.parameters(request)
        if problems := logins.missing(given, ("code", "state")):
            raise InvalidParameters(problems)
        redirect = await self.begun.end(given["state"])
        if redirect is None:
            raise logins.refused("state", "Invalid state")
        return logins.redirect(redirect + quote(await self._traded(given["code"]), safe=""), 302)

    async def _traded(self, code: str) -> str:
        """Return the token for a code."""
        options = self._options
        sent = {"code": code, "client_id": options.client_id, "client_secret": options.client_secret}
        try:
            reply = await self._remote.post(options.at("token"), json=sent)
            if reply.status in (400, 401, 403):
                raise logins.refused("code", "Invalid code")
            token = reply.required().get("access_token")
        except NoAnswer as error:
            raise ServiceUnavailable("Firefox Accounts cannot be asked for a token.") from error
        if not isinstance(token, str):
            raise ServiceUnavailable("Firefox Accounts answered with what is no token.")
        return token
