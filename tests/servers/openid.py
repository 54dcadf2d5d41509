"""A small OpenID provider: discovery, keys, login without questions, tokens, user info; over HTTP, in a thread.

What it does wrong, a test says; tokens may be signed by anybody.
"""

import base64
import hashlib
import json
import secrets
import time
from functools import cache
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.servers.answering import Answered, AnsweringServer, Asked

CLIENT = {"client_id": "kobako", "client_secret": "between the two of us, and nobody else"}
AUDIENCE = "https://kobako.example/"


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Return a key, the same for a name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(name: str) -> bytes:
    """Return what anybody may know of a key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key(name).public_key().public_bytes(serialization.Encoding.PEM, form)


class OpenIDProvider(AnsweringServer):
    """One provider, with one client and one user, who is logged in."""

    def __init__(self) -> None:
        super().__init__()
        self.issuer = self.url
        self.keys = ["first"]
        self.profile: dict[str, Any] = {"sub": "alice", "email": "alice@example.com", "email_verified": True}
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.id_claims: dict[str, Any] = {}

    def options(self, **others: str) -> dict[str, str]:
        """Return the settings of a policy for this provider."""
        return {"issuer": self.issuer, **CLIENT, **others}

    def rotate(self, name: str) -> None:
        """Sign with another key, the only one from now on."""
        self.keys = [name]

    def sign(self, claims: dict[str, Any], *, key: str | None = None, kid: str | None = None) -> str:
        """Return a JWT, with the newest key or another one, under its id or another one's."""
        name = key or self.keys[-1]
        return jwt.encode(claims, rsa_key(name), "RS256", headers={"kid": kid or name})

    def claims(self, **others: Any) -> dict[str, Any]:
        """Return what an access token says."""
        now = int(time.time())
        said = {"iss": self.issuer, "sub": "alice", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600, **others}
        return {name: value for name, value in said.items() if value is not None}

    def grant(self, token: str | None = None, **profile: Any) -> str:
        """Return an access token that the user info endpoint takes."""
        token = token or secrets.token_urlsafe(12)
        self.tokens[token] = {**self.profile, **profile}
        return token

    def grant_jwt(self, **claims: Any) -> str:
        """Return an access token that is a JWT, which the user info endpoint takes whatever it says."""
        return self.grant(self.sign(self.claims(**claims)))

    def answer(self, asked: Asked) -> Answered:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        match asked.path:
            case "/.well-known/openid-configuration":
                return 200, self.configuration(), {}
            case "/jwks":
                return 200, {"keys": [self._jwk(each) for each in self.keys]}, {}
            case "/authorize":
                return 302, {}, {"Location": self._authorize(asked.given)}
            case "/token":
                return self._trade(asked.given)
            case "/userinfo" if token in self.tokens:
                return 200, self.tokens[token], {}
            case "/userinfo":
                return 401, {"error": "invalid_token"}, {}
        return 404, {}, {}

    def configuration(self, **others: Any) -> dict[str, Any]:
        """Return what it says of itself."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            **others,
        }

    def _jwk(self, name: str) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name("RS256")
        return {**json.loads(algorithm.to_jwk(rsa_key(name).public_key())), "kid": name, "use": "sig", "alg": "RS256"}

    def _authorize(self, given: dict[str, str]) -> str:
        assert given["client_id"] == CLIENT["client_id"]
        assert given["response_type"] == "code"
        code = secrets.token_urlsafe(12)
        self.codes[code] = given
        return f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}"

    def _trade(self, given: dict[str, str]) -> Answered:
        asked = self.codes.pop(given["code"], None)
        if asked is None or any(given[name] != value for name, value in CLIENT.items()):
            return 400, {"error": "invalid_grant"}, {}
        if asked["redirect_uri"] != given["redirect_uri"] or given["grant_type"] != "authorization_code":
            return 400, {"error": "invalid_request"}, {}
        hashed = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).decode()
        if asked["code_challenge"] != hashed.rstrip("="):
            return 400, {"error": "invalid_grant"}, {}
        claims = self.claims(**{"aud": CLIENT["client_id"], "nonce": asked["nonce"], **self.id_claims})
        token = self.grant_jwt() if asked.get("audience") == AUDIENCE else self.grant()
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 600, "id_token": self.sign(claims)}
        return 200, answer, {}
