"""`basicauth`: any pair of user name and password is a user.

Source: HTTP API, section 4.2.
"""

import hmac
import math
from typing import Final

from kobako.http.authentication import basic_credentials
from kobako.http.site import Authenticator, Identity
from kobako.protocol.messages import Request

CAPABILITY: Final = {
    "description": "Very basic authentication sessions. Not for production use.",
    "url": "http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html",
}


def basic(name: str, secret: str, realm: str = "Realm") -> Authenticator:
    """Return the authenticator of Basic credentials: the id of a user is a keyed hash of the pair.

    Another secret makes other users of everybody.
    """
    key = secret.encode()

    async def authenticate(request: Request) -> Identity | None:
        pair = basic_credentials(request)
        if pair is None:
            return None
        return Identity(hmac.digest(key, f"{pair[0]}:{pair[1]}".encode(), "sha256").hex())

    return Authenticator(name, authenticate, f'Basic realm="{realm}"', lasts_s=math.inf)
