"""Who calls: the user that the first authenticator recognizes, and every principal of the request.

Authenticators may wait for others, so they are asked before the transaction, and hold no lock meanwhile; groups are
read in it. Wrong credentials are no error: whoever is not recognized is anybody. A protected endpoint then answers 401.

Source: HTTP API, section 4.
"""

import base64
import binascii
import hashlib
import logging
import re
from collections.abc import Collection, Hashable

from kobako.http.site import Authenticator, GroupFinder, Identity, Passing, Recognized, Site
from kobako.model.access import Caller, anonymous, authenticated
from kobako.model.transaction import Transaction
from kobako.protocol.messages import Request
from kobako.protocol.principals import length_problem

_log = logging.getLogger("kobako.authentication")


async def recognize(site: Site, request: Request, version: Hashable = None) -> Recognized:
    """Ask the authenticators about a request, unless it is known what they say at this version of the database, or at
    any.
    """
    if not site.senders.last_s or (version is None and not site.senders.are_constant):
        found = await authenticate(site, request)
        identity = found.identity if isinstance(found, Passing) else found
        return Recognized(identity, await _added(site, request))
    sent, now = digest_of(request.headers.get("authorization", "")), site.backends.clock()
    if known := site.senders.find(version, sent, now):
        return known
    found = await authenticate(site, request)
    if isinstance(found, Passing):
        return Recognized(found.identity, frozenset())
    recognized = Recognized(found, frozenset())
    site.senders.keep(version, sent, now, recognized)
    return recognized


def last_s(authenticators: Collection[Authenticator], find_groups: GroupFinder | None) -> float:
    """Return for how many seconds an Authorization header tells all there is to know of who sends it, 0 for never."""
    if find_groups or any(each.principals for each in authenticators):
        return 0
    return min((each.lasts_s for each in authenticators), default=0)


def digest_of(header: str) -> bytes:
    """Return what stands for an Authorization header: credentials are not kept."""
    return hashlib.sha256(header.encode(errors="surrogatepass")).digest()


async def identify(site: Site, found: Recognized, tx: Transaction) -> Caller:
    """Return who calls, with every principal they have."""
    if found.identity is None:
        return anonymous(found.added)
    user, principals = found.identity.user, found.identity.principals | found.added
    return authenticated(user, principals if site.find_groups else principals | await tx.groups_of(user))


async def authenticate(site: Site, request: Request) -> Identity | Passing | None:
    """Return whom the first authenticator finds that recognizes the request, None if none does; in a Passing where one
    that was asked says so.

    The user id is prefixed (section 4.3). Where the settings have a way of their own to find groups, the groups are
    among the principals, and whoever it does not know is not recognized.
    """
    is_passing = False
    for each in site.authenticators:
        found = await each.authenticate(request)
        if isinstance(found, Passing):
            is_passing, found = True, found.identity
        if found:
            user = f"{each.name.lower()}:{found.user}"
            if not user.isprintable() or length_problem(user):
                _log.warning("A user id of policy '%s' is too long, or no text: not recognized", each.name)
                continue
            groups = await site.find_groups(request, user) if site.find_groups else frozenset[str]()
            if groups is not None:
                identity = Identity(user, found.principals | groups)
                return Passing(identity) if is_passing else identity
    return Passing() if is_passing else None


async def _added(site: Site, request: Request) -> frozenset[str]:
    """Return the principals that authenticators add to a request whoever it is from."""
    added = frozenset[str]()
    for each in site.authenticators:
        if each.principals:
            added |= await each.principals(request)
    return added


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """Return user name and password of a Basic Authorization header, None if there are none (section 4.2)."""
    try:
        decoded = base64.b64decode(_after(request, "basic"), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    user, colon, password = text.partition(":")
    return (user, password) if user and colon else None


def bearer_token(request: Request, scheme: str = "Bearer") -> str | None:
    """Return the token of a Bearer Authorization header, or of another scheme; None if there is none (RFC 6750, 2.1).

    >>> bearer_token(Request(method="GET", path="/v1/", headers={"authorization": "bearer abc.DEF=="}))
    'abc.DEF=='
    """
    token = _after(request, scheme)
    return token if re.fullmatch(r"[\w.~+/-]+=*", token, re.ASCII) else None


def _after(request: Request, scheme: str) -> str:
    """Return what follows a scheme, in any case of letters, in the Authorization header; empty if that has another."""
    first, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if first.lower() == scheme.lower() else ""
