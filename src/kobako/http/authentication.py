"""Who calls: the first authenticator that recognizes the request.

Wrong credentials are no error: whoever is not recognized is anybody. A protected endpoint then answers 401.

Source: HTTP API, section 4.
"""

import base64
import binascii
import hashlib
import hmac

from kobako.http.site import Authenticator, Identity, Site
from kobako.model.access import ANONYMOUS, Caller, authenticated
from kobako.model.transaction import Transaction
from kobako.protocol.messages import Request


async def identify(site: Site, request: Request, tx: Transaction) -> Caller:
    """Return who calls, with every principal they have."""
    identity = await authenticate(site, request)
    if identity is None:
        return ANONYMOUS
    groups = await tx.groups_of(identity.user)
    return authenticated(identity.user, groups | identity.principals)


async def authenticate(site: Site, request: Request) -> Identity | None:
    """Return what the first authenticator finds that recognizes the request, None if none does."""
    for each in site.authenticators:
        if identity := await each.authenticate(request):
            return identity
    return None


def basic(name: str, secret: str, realm: str = "Realm") -> Authenticator:
    """Return the authenticator of Basic credentials: any pair is a user, whose id is a keyed hash of it.

    Another secret makes other users of everybody. The name of the policy, in small letters, prefixes the ids.
    """
    key, prefix = secret.encode(), name.lower()

    async def authenticate(request: Request) -> Identity | None:
        pair = basic_credentials(request)
        if pair is None:
            return None
        digest = hmac.new(key, f"{pair[0]}:{pair[1]}".encode(), hashlib.sha256).hexdigest()
        return Identity(f"{prefix}:{digest}")

    return Authenticator(name, authenticate, f'Basic realm="{realm}"')


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """Return user name and password of a Basic Authorization header, None if there are none (section 4.2)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    user, colon, password = text.partition(":")
    return (user, password) if user and colon else None
