"""A naive model of who may do what, to compare a server with: dicts and loops, written from the tables.

It shares no code with the server: neither `kobako.model` nor anything else of it is imported. Nothing is computed
twice in clever ways; each row below is a row of a table. Timestamps are not predicted: they are learnt from the
answers, and used to predict what `_since` and preconditions do.

`predict()` tells what a request must be answered, and what it does to the world when it is; the world changes only
when `Expected.commit` is called, with the answer.

Source: objects, 1.4 to 1.6, 2.2, 2.3, 2.5, 2.6 and 4; HTTP API, 5, 8 and 11.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.oracle.documents import CHANGES, Item, Unpatchable, page, passes, projected
from tests.oracle.tables import ACES, SETTINGS, SHARED
from tests.oracle.world import World, kind_of, parent, user_of

LENGTH = {"B": 3, "G": 5, "C": 5, "R": 7, "H": 5}

Answer = tuple[int, dict[str, str], Any]
"""Status, headers, and the body: decoded where it is JSON, else its text."""


class Expected(NamedTuple):
    """What an answer must be. What is None is not looked at."""

    status: int | tuple[int, ...]
    body: Any = None
    total: int | None = None
    more: bool | None = None
    ordered: bool = True
    readable: Any = None  # what the caller may read besides: a token may hold the field that orders a page
    commit: Callable[[Answer], None] = lambda answer: None


def holds(world: World, who: set[str], uri: str, needed: str) -> bool:
    """Tell whether principals have a right on an object or list."""
    kind = kind_of(uri)
    for action in SETTINGS[kind][needed].split():
        if world.settings.get(f"{kind}_{action}", set()) & who:
            return True
    for ace in ACES[kind][needed].split():
        letter, _, permission = ace.partition(".")
        owner = "/".join(uri.split("/")[: LENGTH[letter]])
        if owner in world.objects and world.objects[owner]["acl"].get(permission, set()) & who:
            return True
    return False


def scope(world: World, who: set[str], list_uri: str, needed: str) -> list[str] | None:
    """Return the objects of a list that a caller reaches, None where the list is refused. Section 2.5."""
    everything = world.members(list_uri)
    if holds(world, who, list_uri, needed):
        return everything
    permissions = SHARED[kind_of(list_uri)][needed]
    shared = [
        uri for uri in everything if any(world.objects[uri]["acl"].get(each, set()) & who for each in permissions)
    ]
    if shared or holds(world, who, list_uri, "create"):
        return [uri for uri in shared if not world.hides(uri, who)]
    return None


def document(world: World, uri: str) -> dict[str, Any]:
    """Return the `data` of an object in an answer, without its timestamp."""
    return {**world.objects[uri]["data"], "id": uri.rpartition("/")[2]}


def shown(
    document: dict[str, Any], acl: dict[str, set[str]], who: set[str], *, shows_acl: bool = False
) -> dict[str, Any]:
    """Return the answer that shows an object; its ACL only to who stands in its write ACE. Section 1.5."""
    visible = acl if shows_acl or acl.get("write", set()) & who else {}
    return {"data": document, "permissions": {name: sorted(each) for name, each in visible.items() if each}}


def predict(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    """Tell what a request must be answered. `who`: the principals of its caller."""
    path, method = request["path"], request["method"]
    is_list = len(path.split("/")) % 2 == 0
    table = LIST_METHODS if is_list else OBJECT_METHODS
    changes_one = method in ("POST", "PUT", "PATCH") or (method == "DELETE" and not is_list)
    # Section 2.8: that a collection to write in is missing is told before access is decided.
    if kind_of(path) == "record" and changes_one and is_homeless(world, path):
        return Expected(404)
    return table[method](world, request, who)


def refused(who: set[str]) -> Expected:
    return Expected(403 if "system.Authenticated" in who else 401)


def is_homeless(world: World, path: str) -> bool:
    """Tell whether what holds a list is missing."""
    home = path.rpartition("/")[0] if len(path.split("/")) % 2 == 0 else parent(parent(path))
    return bool(home) and home not in world.objects


def failed(
    world: World, who: set[str], uri: str, headers: dict[str, str], *, is_readable: bool = False
) -> Expected | None:
    """Return the answer where preconditions on an object fail: it shows what there is, to who may read it."""
    exists = uri in world.objects
    wanted = headers.get("If-Match")
    met = wanted is None or (exists and wanted in ("*", f'"{world.objects[uri]["version"]}"'))
    if met and not (exists and headers.get("If-None-Match") == "*"):
        return None
    readable = exists and (is_readable or holds(world, who, uri, "read"))
    return Expected(412, {"existing": document(world, uri)} if readable else {})


def _failed_list(world: World, path: str, headers: dict[str, str]) -> Expected | None:
    wanted = headers.get("If-Match")
    met = wanted in (None, "*", f'"{world.etags.get(path)}"')
    return None if met and headers.get("If-None-Match") != "*" else Expected(412, {})


def found(world: World, who: set[str], uri: str, *, shows_acl: bool = False) -> Expected:
    """Return the answer that shows an object; its ACL to who may see it, or to whoever asks."""
    return Expected(200, shown(document(world, uri), world.objects[uri]["acl"], who, shows_acl=shows_acl))


def get_list(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    reached = scope(world, who, request["path"], "whole")
    if reached is None:
        return refused(who)
    is_whole = holds(world, who, request["path"], "whole")
    return listed(world, request, reached, tombs(world, request["path"]) if is_whole else [])


def tombs(world: World, list_uri: str) -> list[str]:
    """Return the URIs of the tombstones of a list."""
    return [uri for uri in world.graves if parent(uri) == list_uri]


def listed(world: World, request: dict[str, Any], reached: list[str], tombs: list[str]) -> Expected:
    """Return the answer that lists what a caller reaches, and these tombstones where it polls."""
    path, query, headers = request["path"], request["query"], request["headers"]
    if is_homeless(world, path):
        return Expected(404)
    if path in world.etags and headers.get("If-None-Match") == f'"{world.etags[path]}"':
        return Expected(304)
    if wrong := _failed_list(world, path, headers):
        return wrong
    live = _select(world, reached, query)
    items = live + (_select(world, tombs, query) if "_since" in query else [])
    # A HEAD counts, and has no pages.
    is_head = request["method"] == "HEAD"
    if "_token" in query:
        # Whatever the token says, and wherever it comes from: rows of this list that the caller reaches, or a 400 (P2).
        return Expected((200, 400), None, None, readable=_select(world, [*reached, *tombs], {}))
    shown_page, more = page(items, query)
    body = {"data": [projected(document, query) for _, document in shown_page]}
    ordered = all(version == int(version) for version, _ in shown_page)
    return Expected(200, body, len(live), more and not is_head, ordered, shown_page)


def delete_list(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    reached = scope(world, who, request["path"], "clear")
    return refused(who) if reached is None else removed_from_list(world, request, reached)


def removed_from_list(world: World, request: dict[str, Any], reached: list[str]) -> Expected:
    """Return the answer that tells what was deleted of a list."""
    path = request["path"]
    if is_homeless(world, path):
        return Expected(404)
    if wrong := _failed_list(world, path, request["headers"]):
        return wrong
    shown_page, more = page(_select(world, reached, request["query"]), request["query"])
    deleted = [{"id": document["id"], "deleted": True} for _, document in shown_page]

    def commit(answer: Answer) -> None:
        for each in answer[2]["data"]:
            world.delete(f"{path}/{each['id']}", each["last_modified"])

    return Expected(200, {"data": deleted}, more=more, ordered=False, readable=shown_page, commit=commit)


def post(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    path, body, headers = request["path"], request["body"], request["headers"]
    id = body.get("data", {}).get("id")
    uri = f"{path}/{id}"
    if id is not None and uri in world.objects:
        if not holds(world, who, uri, "read"):
            return refused(who)
        return failed(world, who, uri, headers) or found(world, who, uri)
    if not holds(world, who, path, "create"):
        return refused(who)
    if is_homeless(world, path):
        return Expected(404)
    if "If-Match" in headers:
        return Expected(412, {})
    return written(world, uri, request, who, 201)


def get_object(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    uri, headers = request["path"], request["headers"]
    if not holds(world, who, uri, "read"):
        return refused(who)
    if uri not in world.objects:
        return Expected(404)
    if headers.get("If-None-Match") == f'"{world.objects[uri]["version"]}"':
        return Expected(304)
    if wrong := failed(world, who, uri, headers):
        return wrong
    if "_fields" in request["query"]:
        return Expected(200, {"data": projected(document(world, uri), request["query"])})
    return found(world, who, uri)


def put(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    uri, headers = request["path"], request["headers"]
    exists = uri in world.objects
    creates = not exists or headers.get("If-None-Match") == "*"
    # Section 10.2: whose default bucket it is may create it, and a collection in it.
    may_create = creates and request["door"] == "default" and kind_of(uri) in ("bucket", "collection")
    if not may_create and not holds(world, who, parent(uri) if creates else uri, "create" if creates else "write"):
        return refused(who)
    if is_homeless(world, uri):
        return Expected(404)
    return failed(world, who, uri, headers) or written(world, uri, request, who, 200 if exists else 201)


def patch(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    return of_existing(world, request, who) or written(world, request["path"], request, who, 200)


def delete(world: World, request: dict[str, Any], who: set[str]) -> Expected:
    return of_existing(world, request, who) or removed(world, request["path"])


def removed(world: World, uri: str) -> Expected:
    """Return the answer that tells that an object was deleted."""
    tombstone = {"data": {"id": uri.rpartition("/")[2], "deleted": True}}
    return Expected(200, tombstone, commit=lambda answer: world.delete(uri, answer[2]["data"]["last_modified"]))


def of_existing(world: World, request: dict[str, Any], who: set[str]) -> Expected | None:
    """Return what stands in the way of a change or deletion. HTTP API, 5.3: who may not see the list learns nothing."""
    uri = request["path"]
    if not holds(world, who, uri, "write" if uri in world.objects else "missing"):
        return refused(who)
    if uri not in world.objects:
        return Expected(404)
    return failed(world, who, uri, request["headers"])


def written(
    world: World,
    uri: str,
    request: dict[str, Any],
    who: set[str],
    status: int,
    *,
    owner: str | None = None,
    shows_acl: bool = False,
) -> Expected:
    """Return the answer of a write: the object, with whoever wrote it (or the owner) in its write ACE. Section 1.6."""
    old = world.objects.get(uri, {"data": {}, "acl": {}})
    data, acl = copy.deepcopy(old["data"]), copy.deepcopy(old["acl"])
    try:
        data, acl = CHANGES[request.get("dialect", request["method"])](data, acl, request["body"])
    except Unpatchable:
        return Expected(400)
    data.pop("id", None)
    if request["method"] != "PATCH" and kind_of(uri) == "group" and "data" in request["body"]:
        data.setdefault("members", [])
    if world.explicit:
        acl["write"] = acl.get("write", set()) | {owner or user_of(who)}
    # The id of a POST may be left to the server.
    id = request["body"].get("data", {}).get("id") if request["method"] == "POST" else uri.rpartition("/")[2]
    document = {**world.public(uri, data), **({"id": id} if id else {})}

    def commit(answer: Answer) -> None:
        stored = answer[2]["data"]
        world.put(f"{parent(uri)}/{stored['id']}", data, acl, stored["last_modified"])

    return Expected(status, shown(document, acl, who, shows_acl=shows_acl), commit=commit)


def _select(world: World, uris: list[str], query: dict[str, str]) -> list[Item]:
    """Return what the filters of a query let pass, with its version; tombstones have no fields."""
    items = []
    for uri in uris:
        if uri in world.objects:
            version, shown_as = world.objects[uri]["version"], document(world, uri)
        else:
            version, shown_as = world.graves[uri], {"id": uri.rpartition("/")[2], "deleted": True}
        if all(passes(shown_as, version, name, value) for name, value in query.items()):
            items.append((version, shown_as))
    return items


LIST_METHODS = {"GET": get_list, "HEAD": get_list, "POST": post, "DELETE": delete_list}
OBJECT_METHODS = {"GET": get_object, "HEAD": get_object, "PUT": put, "PATCH": patch, "DELETE": delete}
