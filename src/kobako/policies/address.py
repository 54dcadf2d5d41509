"""`ipauth`: who calls, by the address they call from.

Source: HTTP API, section 16.7; objects, 15.5.
"""

from collections.abc import Sequence, Set

from kobako.http.site import Authenticator, Identity
from kobako.protocol.addresses import Range, is_in
from kobako.protocol.messages import Request


def by_address(
    name: str, ranges: Sequence[Range], user: str | None = None, principals: Set[str] = frozenset()
) -> Authenticator:
    """Return the authenticator of addresses: whoever calls from there is this user, if there is one.

    The principals are added to every request from there, also to one that another policy recognizes.
    """
    identity, given = Identity(user) if user else None, frozenset(principals)

    async def authenticate(request: Request) -> Identity | None:
        return identity if identity and is_in(request.client, ranges) else None

    async def added(request: Request) -> frozenset[str]:
        return given if is_in(request.client, ranges) else frozenset()

    return Authenticator(name, authenticate, principals=added)
