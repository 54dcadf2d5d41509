"""What the model says of accounts: who may do what with them. Naive, like the rest of it.

An account is seen by its own user, whatever its ACL says, and by administrators. A user of another policy has an
account of the id they have there, if anybody made it, and only the rights on it that its ACL gives.

Source: objects, 14.2 and 14.3.
"""

from typing import Any

from tests.oracle.model import Expected, failed, found, listed, refused, removed, removed_from_list, tombs, written
from tests.oracle.world import World, user_of

LIST = "/accounts"


def predict(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    """Tell what a request about accounts must be answered."""
    if request["path"] == LIST:
        return _listed(world, request, who)
    uri, method = request["path"], request["method"]
    if method == "PUT":
        return _put(world, request, who, uri)
    is_there = uri in world.objects and _is_seen(world, who, uri)
    if not _may(world, who, uri, "write" if is_there and method in ("PATCH", "DELETE") else "read"):
        return refused(who)
    if not is_there:
        return Expected(404)
    if wrong := failed(world, who, uri, request["headers"], is_readable=True):
        return wrong
    if method in ("GET", "HEAD"):
        return found(world, who, uri, shows_acl=_is_admin(world, who))
    if method == "DELETE":
        return removed(world, uri)
    return _written(world, uri, request, who, 200)


def _is_admin(world: World, who: set[str]) -> bool:
    return bool(world.settings["account_write"] & who)


def _may_create(world: World, who: set[str]) -> bool:
    return _is_admin(world, who) or bool(world.settings["account_create"] & who)


def _is_anybody(who: set[str]) -> bool:
    return user_of(who) == "system.Everyone"


def _has_account(who: set[str]) -> bool:
    return user_of(who).startswith("account:")


def _own(who: set[str]) -> str:
    """Return the URI of the caller's own account, which may be missing."""
    return f"{LIST}/{user_of(who).partition(':')[2]}"


def _may(world: World, who: set[str], uri: str, needed: str) -> bool:
    if _is_admin(world, who):
        return True
    if _is_anybody(who):
        return False
    by_settings = needed == "read" and world.settings["account_read"] & who
    return (
        bool(by_settings) or user_of(who) == f"account:{uri.rpartition('/')[2]}" or _is_shared(world, who, uri, needed)
    )


def _is_shared(world: World, who: set[str], uri: str, needed: str) -> bool:
    acl = world.objects[uri]["acl"] if uri in world.objects else {}
    names = ("read", "write") if needed == "read" else ("write",)
    return any(acl.get(each, set()) & who for each in names)


def _is_seen(world: World, who: set[str], uri: str) -> bool:
    """Tell whether an account is there for a caller: an ACL opens nobody else's."""
    return _is_admin(world, who) or _is_anybody(who) or uri == _own(who)


def _listed(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    if request["method"] == "POST":
        return _post(world, request, who)
    if _is_anybody(who):
        return Expected(401)
    needed = "write" if request["method"] == "DELETE" else "read"
    reached = [uri for uri in world.members(LIST) if _is_listed(world, who, uri, needed)]
    if needed == "write":
        return removed_from_list(world, request, reached)
    is_whole = _is_admin(world, who) and world.settings["account_read"] & who
    # The user of an account has seen it go, in the same batch.
    gone = [uri for uri in tombs(world, LIST) if is_whole or (_has_account(who) and uri == _own(who))]
    return listed(world, request, reached, gone)


def _is_listed(world: World, who: set[str], uri: str, needed: str) -> bool:
    """Tell whether an account is in the list: to read all of them takes another setting than to write them."""
    if _is_admin(world, who) and (needed == "write" or world.settings["account_read"] & who):
        return True
    if _has_account(who) and uri == _own(who):
        return True
    return _is_shared(world, who, uri, needed) and (_is_admin(world, who) or uri == _own(who))


def _post(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    uri = f"{LIST}/{request['body']['data']['id']}"
    if uri in world.objects and _is_seen(world, who, uri):
        if _is_anybody(who) or not _may(world, who, uri, "read"):
            return refused(who)
        return found(world, who, uri, shows_acl=_is_admin(world, who))
    return _created(world, request, who, uri)


def _put(world: World, request: dict[str, Any], who: set[str], uri: str) -> Expected:
    if uri not in world.objects or not _is_seen(world, who, uri):
        return _created(world, request, who, uri)
    if not _may(world, who, uri, "write"):
        return refused(who)
    return failed(world, who, uri, request["headers"], is_readable=True) or _written(world, uri, request, who, 200)


def _created(world: World, request: dict[str, Any], who: set[str], uri: str) -> Expected:
    if not _may_create(world, who):
        return refused(who)
    if not _is_seen(world, who, uri):
        return Expected(400)
    if "If-Match" in request["headers"]:
        return Expected(412, {})
    return _written(world, uri, request, who, 201)


def _written(world: World, uri: str, request: dict[str, Any], who: set[str], status: int) -> Expected:
    """Section 14.2: its own user joins the writers of an account, and not who made it."""
    is_own_users = _is_admin(world, who) or _is_anybody(who)
    owner = f"account:{uri.rpartition('/')[2]}" if is_own_users else user_of(who)
    return written(world, uri, request, who, status, owner=owner, shows_acl=is_own_users)
