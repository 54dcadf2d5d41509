"""What a write makes of an object's ACL: pure.

Source: objects, 1.6; HTTP API, 11.4 and 5.4.
"""

from kobako.permission.base import Acl
from kobako.protocol.payload import GivenPermissions

AclDict = dict[str, list[str]]


def replaced(stored: Acl, given: GivenPermissions | None) -> AclDict:
    """Return the ACL after PUT or creation: what is given is all there is, unless nothing is.

    >>> replaced({"read": ["a"], "write": ["b"]}, {"read": ["c"], "write": None})
    {'read': ['c']}
    >>> replaced({"read": ["a"]}, {"read": None})
    {'read': ['a']}
    """
    named = {name: principals for name, principals in (given or {}).items() if principals is not None}
    return _clean(named if named else stored)


def patched(stored: Acl, given: GivenPermissions | None, *, null_clears: bool) -> AclDict:
    """Return the ACL after PATCH: what is not named stays; null clears in a merge patch, and is nothing elsewhere."""
    changes = {
        name: principals or [] for name, principals in (given or {}).items() if principals is not None or null_clears
    }
    return _clean({**stored, **changes})


def with_owner(acl: AclDict, owner: str | None) -> AclDict:
    """Return the ACL with a principal among those who may write."""
    if owner is None or owner in acl.get("write", ()):
        return acl
    return {**acl, "write": [*acl.get("write", ()), owner]}


def changes(before: Acl, after: Acl) -> AclDict:
    """Return the permissions to replace to get from one ACL to another; an empty list removes one."""
    names = [name for name in (*before, *after) if set(before.get(name, ())) != set(after.get(name, ()))]
    return {name: list(after.get(name, ())) for name in names}


def _clean(acl: Acl) -> AclDict:
    return {name: list(dict.fromkeys(principals)) for name, principals in acl.items() if principals}
