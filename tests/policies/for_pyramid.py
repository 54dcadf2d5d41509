"""What the tests name by dotted paths: policies, a group finder and authorization policies written for Pyramid."""

import sys
import threading
from types import ModuleType
from typing import Any, ClassVar

from pyramid.authorization import ACLAuthorizationPolicy

COMPAT = "pyramid.compat"
if COMPAT not in sys.modules:
    # pyramid_ipauth is of the time of Pyramid 1, whose module of names for Python 2 and 3 version 2 has no longer.
    compat = ModuleType(COMPAT)
    vars(compat).update(string_types=(str,), integer_types=(int,), iteritems_=lambda mapping: mapping.items())
    sys.modules[COMPAT] = compat

from pyramid_ipauth import IPAuthenticationPolicy  # noqa: E402


class ByAddress(IPAuthenticationPolicy):  # type: ignore[misc]
    """The policy of the registry, under a name that does not mean Kobako's own."""


class ByKey:
    """Users who send the key that the settings have for them; sees what it was asked with."""

    def __init__(self, keys: str, realm: str = "Keys"):
        self.keys = dict(each.split("=") for each in keys.split())
        self.realm = realm
        self.seen: list[Any] = []
        SEEN.append(self.seen)

    def unauthenticated_userid(self, request: Any) -> str | None:
        return self.keys.get(request.headers.get("X-Key", ""))

    def authenticated_userid(self, request: Any) -> str | None:
        from pyramid.threadlocal import get_current_request

        self.seen.append((request, get_current_request(), threading.current_thread()))
        return self.unauthenticated_userid(request)

    def effective_principals(self, request: Any) -> list[str]:
        user = self.unauthenticated_userid(request)
        given = ["holders", "system.Authenticated", user] if user else []
        return ["system.Everyone", *given]

    def forget(self, request: Any) -> list[tuple[str, str]]:
        return [
            ("WWW-Authenticate", f'Key realm="{self.realm}"'),
            ("Set-Cookie", "key="),
            ("WWW-Authenticate", "Other"),
        ]


SEEN: list[list[Any]] = []
"""What each policy that was made has been asked with; the last one is the latest policy's."""


class Named(ByKey):
    """A policy with a name of its own."""

    name = "Locksmith"


class Breaks:
    """A policy that cannot be made."""

    authenticated_userid = None

    def __init__(self) -> None:
        raise RuntimeError("no key server")


def find_groups(userid: str, request: Any) -> list[str] | None:
    """Everybody is in the group of their name; who is gone is not known any more."""
    if request.headers.get("X-Gone") == userid:
        return None
    return [f"group:{userid}", request.prefixed_userid.upper()]


class OwnersOnly:
    """Nobody does anything but to buckets that bear their name, and lists nothing else."""

    def permits(self, context: Any, principals: frozenset[str], permission: str) -> bool:
        if context.is_list:
            return bool(permission == "create")
        return any(context.uri == f"/buckets/{each.rpartition(':')[2]}" for each in principals)


class NoDeletions(ACLAuthorizationPolicy):  # type: ignore[misc]
    """What Kobako permits, but for the bucket that is sealed."""

    def permits(self, context: Any, principals: Any, permission: str) -> Any:
        if context.uri == "/buckets/sealed" and permission == "write":
            return False
        return super().permits(context, principals, permission)


class ByHeader:
    """Whoever says the word does anything; sees what it was asked with."""

    seen: ClassVar[list[Any]] = []

    def permits(self, context: Any, principals: frozenset[str], permission: str) -> bool:
        from pyramid.threadlocal import get_current_request

        request = get_current_request()
        self.seen.append((context.request, request, threading.current_thread()))
        return bool(request.headers.get("X-Word") == "sesame")
