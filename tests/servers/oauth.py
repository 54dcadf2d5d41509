"""A small OAuth server, over HTTP, in a thread: Firefox Accounts' endpoints, and introspection (RFC 7662)."""

import base64
import secrets
from typing import Any
from urllib.parse import urlencode

from tests.servers.answering import Answered, AnsweringServer, Asked

CLIENT = {"client_id": "kobako", "client_secret": "between: us"}


class OAuthServer(AnsweringServer):
    """One server, with one client and one user, who is logged in; `tokens` are those it has given out."""

    def __init__(self) -> None:
        super().__init__()
        self.uri = f"{self.url}/v1"
        self.tokens: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, str] = {}
        self.back = ""

    def grant(self, **said: Any) -> str:
        """Return a token of which the server says this."""
        token = secrets.token_hex(12)
        self.tokens[token] = said
        return token

    def answer(self, asked: Asked) -> Answered:
        given = asked.given
        match asked.path:
            case "/v1/__heartbeat__":
                return 200, {}, {}
            case "/v1/verify" if given["token"] in self.tokens:
                return 200, self.tokens[given["token"]], {}
            case "/v1/verify":
                return 400, {"code": 400, "errno": 108}, {}
            case "/v1/authorization":
                code = secrets.token_hex(8)
                self.codes[code] = given["scope"]
                return 302, {}, {"Location": f"{self.back}?{urlencode({'code': code, 'state': given['state']})}"}
            case "/v1/token" if given["code"] in self.codes and CLIENT.items() <= given.items():
                scope = self.codes.pop(given["code"])
                token = self.grant(user="alice", scope=scope.split(), client_id=CLIENT["client_id"])
                return 200, {"access_token": token, "token_type": "bearer", "scope": scope}, {}
            case "/v1/token":
                return 400, {"code": 400, "errno": 105}, {}
            case "/introspect":
                return self._introspect(asked)
        return 404, {}, {}

    def _introspect(self, asked: Asked) -> Answered:
        # Each of the two is encoded as in a form before (RFC 6749, 2.3.1).
        pair = base64.b64encode(b"kobako:between%3A+us").decode()
        if asked.headers.get("authorization") != f"Basic {pair}":
            return 401, {"error": "invalid_client"}, {}
        return 200, self.tokens.get(asked.given["token"], {"active": False}), {}
