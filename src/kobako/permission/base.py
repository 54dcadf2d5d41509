"""The contract of permission backends: who may do what, and who belongs to which group.

An ACL maps the names of permissions (`read`, `write`, `record:create`) of one object, named by its URI, to
principals: strings that name a user, a group (by its URI), or everybody. Nothing is inherited here: that is
`model/inheritance.py`. `kobako.testing.PermissionContract` is this contract in tests, and decides.

Source: permission contract, objects 22; principals, HTTP API 4.4.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Protocol

Acl = Mapping[str, Collection[str]]
"""Permission -> the principals that have it. Permissions without principals are absent."""

EVERYONE = "system.Everyone"
"""The principal that every request has."""

AUTHENTICATED = "system.Authenticated"
"""The principal of whoever said who they are."""


class Permission(Protocol):
    """ACLs and memberships, in one unit of work: see `databases.base`."""

    async def groups(self, user: str) -> frozenset[str]:
        """Return the principals a user was given, and those that were given to every authenticated user."""
        ...

    async def join(self, principal: str, users: Collection[str]) -> None:
        """Give a principal to users. A user who has it already keeps it."""
        ...

    async def leave(self, principal: str, users: Collection[str]) -> None:
        """Take a principal from users. A user who does not have it is passed over."""
        ...

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of these objects' ACLs that name one of the principals."""
        ...

    async def shared(self, principals: Collection[str], parent: str, permissions: Collection[str]) -> Set[str]:
        """Return the ids of the objects directly below `parent` on which a principal has one of the permissions.

        `parent` is the beginning of their URIs, up to the last slash: `/buckets/b/collections`. The object
        `/buckets/b/collections/c` is meant, `/buckets/b/collections/c/records/r` is not.
        """
        ...

    async def held(self, principals: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of all ACLs that name one of the principals."""
        ...

    async def held_alone(self, principal: str, permission: str) -> Set[str]:
        """Return the URIs of the objects on which a principal has a permission, and nobody else has it."""
        ...

    async def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of an object; empty if it has none."""
        ...

    async def acls_of(self, uris: Collection[str]) -> Mapping[str, Acl]:
        """Return the ACLs of these objects, by URI; an object that has none is absent."""
        ...

    async def acls(self, after: str = "", limit: int = 1000) -> Mapping[str, Acl]:
        """Return ACLs by URI, in that order, those behind `after`."""
        ...

    async def members(self, after: str = "", limit: int = 1000) -> Mapping[str, Collection[str]]:
        """Return the users of each principal that was given to any, by principal, those behind `after`."""
        ...

    async def replace(self, uri: str, acl: Acl) -> None:
        """Set the permissions named to exactly these principals; none of them removes it. Others stay."""
        ...

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        """Give permissions on objects, by URI, besides those that are given there already."""
        ...

    async def forget(self, uris: Collection[str]) -> None:
        """Remove all that is known of these objects and of everything under them (`uri/...`).

        Their ACLs go; and what they were as principals (groups) goes from the users who had it and from every
        ACL that names it, so that a group created anew under the same name gets no right of the former one. So go
        those that were never created under what is forgotten: another owner may take the name of a bucket, and who
        trusted the former owner to fill a group does not trust the next one (reliability, P13).
        """
        ...

    async def erase(self, principal: str) -> None:
        """Remove a principal from every ACL and from the users who have it, and all that it was given as a user."""
        ...


def is_under(uri: str, ancestors: Set[str]) -> bool:
    """Tell whether a URI is one of these, or begins with one of them and a slash.

    >>> is_under("/buckets/b/groups/g", {"/buckets/b"}), is_under("/buckets/bb", {"/buckets/b"})
    (True, False)
    """
    while uri:
        if uri in ancestors:
            return True
        uri = uri.rpartition("/")[0]
    return False


def by_uri(rows: Iterable[Iterable[str]]) -> dict[str, dict[str, list[str]]]:
    """Return the ACLs that rows of (uri, permission, principal) make.

    >>> by_uri([("/a", "read", "bob"), ("/a", "read", "eve")])
    {'/a': {'read': ['bob', 'eve']}}
    """
    found: dict[str, dict[str, list[str]]] = {}
    for uri, permission, principal in rows:
        found.setdefault(uri, {}).setdefault(permission, []).append(principal)
    return found
