"""What was written for Pyramid: it is given a real Pyramid request, made of ours, and runs in a thread.

A policy has `authenticated_userid(request)`, `effective_principals(request)`, and `forget(request)`, whose
WWW-Authenticate headers a 401 offers. A group finder is called with the user id and the request. This module imports
Pyramid, and is imported only where the settings name something of the kind.

Source: objects, 15.1; Pyramid, IAuthenticationPolicy; pyramid_multiauth, "groupfinder".
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec
from pyramid.authorization import Allow  # type: ignore[import-untyped]
from pyramid.registry import Registry  # type: ignore[import-untyped]
from pyramid.request import Request as PyramidRequest  # type: ignore[import-untyped]
from pyramid.threadlocal import RequestContext  # type: ignore[import-untyped]

from kobako.http.site import Authenticator, GroupFinder, Identity
from kobako.model import access
from kobako.model.access import Caller
from kobako.model.inheritance import Action
from kobako.model.resource import Target
from kobako.model.transaction import Authorize, Permit
from kobako.permission.base import AUTHENTICATED, EVERYONE
from kobako.protocol.messages import Request
from kobako.settings import Settings, all_by_name

NOT_ADDED: Final = frozenset({EVERYONE, AUTHENTICATED})
"""Principals that a request has, or has not, whatever a policy says."""

NOTHING: Final = Request(method="GET", path="/")
"""What is asked where nobody asks."""

_OF_THE_MESSAGE: Final = ("host", "content-length", "transfer-encoding")
"""Headers that the request says in another way: by its origin and its body."""


def authenticator(name: str, policy: Any, settings: Settings) -> Authenticator:
    """Return the authenticator that asks a policy. A policy with a `name` of its own keeps it (section 4.3)."""
    registry = registry_of(settings)

    async def authenticate(request: Request) -> Identity | None:
        user = await _ask(policy.authenticated_userid, pyramid_request(request, registry))
        return None if user is None else Identity(str(user))

    async def added(request: Request) -> frozenset[str]:
        found: frozenset[str] = await _ask(partial(_principals, policy), pyramid_request(request, registry))
        return found

    nobodys = pyramid_request(NOTHING, registry)
    return Authenticator(getattr(policy, "name", None) or name, authenticate, _challenge(policy.forget(nobodys)), added)


def group_finder(find: Callable[[str, PyramidRequest], Iterable[str] | None], settings: Settings) -> GroupFinder:
    """Return the group finder that asks a function, which has the bare user id, and `request.prefixed_userid`."""
    registry = registry_of(settings)

    async def find_groups(request: Request, user: str) -> frozenset[str] | None:
        asked = pyramid_request(request, registry)
        asked.prefixed_userid = user
        groups = await _ask(lambda asked: find(user.partition(":")[2], asked), asked)
        return None if groups is None else frozenset(map(str, groups))

    return find_groups


class Context(msgspec.Struct, frozen=True):
    """What an authorization policy is asked about: an object, or a list; `permitted` is what our own rules allow."""

    request: PyramidRequest
    uri: str
    resource: str
    is_list: bool
    permitted: Sequence[Action]

    @property
    def __acl__(self) -> list[tuple[str, str, str]]:
        """The same for policies that look for an ACL, as Pyramid's own does: so that decides as we do."""
        return [(Allow, EVERYONE, each) for each in self.permitted]


def authorize(policy: Any, settings: Settings) -> Authorize:
    """Return what asks an authorization policy whatever may be of use at a target, at once."""
    registry = registry_of(settings)

    async def decide(caller: Caller, target: Target, permitted: Set[Permit]) -> Set[Permit]:
        asked = pyramid_request(caller.request or NOTHING, registry)
        asked.prefixed_userid = caller.user

        def context(of: Literal["object", "list"]) -> Context:
            uri = target.uri if of == "object" else target.list_uri
            allowed = [action for what, action in permitted if what == of]
            return Context(asked, uri, target.resource.name, of == "list", allowed)

        def ask(_: PyramidRequest) -> Set[Permit]:
            contexts = {of: context(of) for of in ("object", "list")}
            return {
                (of, action)
                for of, action in access.questions(target)
                if policy.permits(contexts[of], caller.principals, action)
            }

        found: Set[Permit] = await _ask(ask, asked)
        return found

    return decide


def registry_of(settings: Settings) -> Registry:
    """Return a Pyramid registry whose settings have the names that they have in files, without prefix."""
    registry = Registry("kobako")
    registry.settings = all_by_name(settings)
    return registry


def pyramid_request(request: Request, registry: Registry) -> PyramidRequest:
    """Return the request as Pyramid would have it."""
    query = request.query.encode(errors="surrogateescape").decode("latin-1")
    made = PyramidRequest.blank(
        quote(request.path, errors="surrogateescape"),
        environ={"QUERY_STRING": query, "REMOTE_ADDR": request.client},
        base_url=request.origin,
        headers={name: value for name, value in request.headers.items() if name not in _OF_THE_MESSAGE},
        method=request.method,
        body=request.body,
    )
    made.registry = registry
    return made


async def _ask(question: Callable[[PyramidRequest], Any], request: PyramidRequest) -> Any:
    """Return the answer of code that may wait, and may look for the current request where Pyramid has it."""

    def ask() -> Any:
        with RequestContext(request):
            return question(request)

    return await asyncio.to_thread(ask)


def _principals(policy: Any, request: PyramidRequest) -> frozenset[str]:
    """Return what a policy adds: the bare id of its user is no principal here, where ids have a prefix."""
    found = frozenset(map(str, policy.effective_principals(request)))
    return found - NOT_ADDED - {str(policy.unauthenticated_userid(request))}


def _challenge(headers: Iterable[tuple[str, str]]) -> str:
    return "\n".join(value for name, value in headers if name.lower() == "www-authenticate")
