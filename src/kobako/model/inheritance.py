"""Which permission, on which ancestor, grants which: pure.

One rule along each resource's parents: `write` on an object or on anything it is in grants everything there;
`read` likewise grants reading. `<kind>:create` on an object grants creating that kind in it, and, like any other
permission of the object itself, seeing its attributes. Settings grant rights on one kind of object, everywhere,
and are not inherited.

Source: objects, 2.2 and 2.6; HTTP API, 5.2.
"""

from functools import lru_cache
from typing import Final, Literal

import msgspec

from kobako.model.resource import Target

Action = Literal["read", "write", "create"]
Grant = tuple[str, str]
"""A permission in an object's own ACL: (URI, permission)."""


LATELY: Final = 512
"""How many lists' rules are kept: they follow from names alone, so they never change; but names may be long."""


class Right(msgspec.Struct, frozen=True):
    """What is needed, any of: one of these grants, or a place in one of the settings `<kind>_<action>_principals`."""

    resource: str
    actions: tuple[Action, ...]
    grants: frozenset[Grant]


def lineage(target: Target) -> tuple[str, ...]:
    """Return the URIs whose ACLs decide about a target: its own, if it has an id, and its ancestors'."""
    return ancestors(target) if target.id is None else (target.uri, *ancestors(target))


def ancestors(target: Target) -> tuple[str, ...]:
    """Return the URIs of the objects that a target is in, the nearest first.

    >>> from kobako.resources import RECORD
    >>> ancestors(RECORD.target("/buckets/b/collections/c/records"))
    ('/buckets/b/collections/c', '/buckets/b')
    """
    depth, resource = 0, target.resource.parent
    while resource:
        depth, resource = depth + 1, resource.parent
    return _ancestors(target.place.parent, depth)


@lru_cache(LATELY)
def _ancestors(uri: str, depth: int) -> tuple[str, ...]:
    # Without its id and the name of its list.
    return (uri, *_ancestors(uri.rsplit("/", 2)[0], depth - 1)) if depth else ()


def on_list(target: Target, action: Action) -> Right:
    """Return what lets a caller do something to a whole list: read it, empty it, create in it.

    At the root `write` opens neither reading nor creating: there is no parent whose `write` it could be.
    """
    return _on_list(target.resource.name, ancestors(target), action)


@lru_cache(LATELY)
def _on_list(kind: str, uris: tuple[str, ...], action: Action) -> Right:
    names = ("write",) if action == "write" else ("write", "read")
    if action == "create":
        grants = {(uri, "write") for uri in uris}
        grants.update((uri, f"{kind}:create") for uri in uris[:1])
    else:
        grants = {(uri, name) for uri in uris for name in names}
    actions: tuple[Action, ...] = (action, "write") if uris and action != "write" else (action,)
    return Right(kind, actions, frozenset(grants))


def on_object(target: Target, action: Action) -> Right:
    """Return what lets a caller read or write one object."""
    own = ("write",) if action == "write" else target.resource.permissions
    inherited = on_list(target, action).grants
    actions: tuple[Action, ...] = ("write",) if action == "write" else ("read", "write")
    return Right(target.resource.name, actions, inherited | {(target.uri, name) for name in own})
