"""`/permissions`: the objects on which the caller has rights of their own, whatever their kind.

An entry is made of what the ACLs of an object give to the caller; nothing is inherited, so what is in a shared bucket
is not listed. What the settings give is listed for all buckets, collections and groups there are. The entries are no
stored objects: they are filtered and sorted here, by the rules of any list, and have no version.

Source: objects, 8; HTTP API, 9.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from kobako.http import inputs
from kobako.http.inputs import Inputs
from kobako.http.lists import next_page
from kobako.http.responses import cache_headers, json_response
from kobako.http.site import Call, Run, Site
from kobako.model import access
from kobako.model.resource import Resource, Target
from kobako.protocol import etags, filters, jsontext, ordering, pagination, projection, query
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Response
from kobako.protocol.pagination import Token
from kobako.protocol.query import ListQuery
from kobako.protocol.selection import Selection, Sort

PERMISSIONS: Final = Resource(name="permissions", path="/permissions", permissions=(), list_methods=("HEAD", "GET"))

CAPABILITY: Final = {
    "description": "The permissions endpoint can be used to list all user objects permissions.",
    "url": "https://kinto.readthedocs.io/en/latest/configuration/settings.html#activating-the-permissions-endpoint",
}

KNOWN: Final = (
    *("uri", "resource_name", "bucket_id", "collection_id", "group_id", "record_id"),
    *("id", "last_modified", "deleted"),
)
"""The fields that filters, `_sort` and `_fields` may name."""

BY_SETTINGS: Final = ("bucket", "collection", "group")
"""The kinds of which all objects are listed to those who have rights on all of them; records are too many."""

LAST: Final = (Sort("uri", descending=True),)
"""What ends every order: no two entries have the same."""

Found = dict[str, set[str]]
"""URI -> the permissions that the caller has there, as they were given."""


async def get_permissions(call: Call) -> Response:
    """Return a page of the caller's rights. The ETag is a constant, and a 304 is never sent."""
    given = inputs.read(call)
    inputs.negotiate(call.request)
    rights = await access.rights(call.tx, call.caller, call.target)
    rights.require_on_list("read")
    given.check()
    constant = await call.tx.storage.epoch()
    wanted = _query(call, given)
    entries = await _entries(call)
    # In a thread: there may be many of both, and all others would wait.
    passing = await asyncio.to_thread(_passing, entries, wanted)
    headers = {**etags.headers_for(constant), **await cache_headers(call)}
    if call.request.method == "HEAD":
        total = str(len(passing))
        return json_response("", headers={**headers, "Total-Objects": total, "Total-Records": total})
    page, following = await asyncio.to_thread(_page, passing, wanted, constant)
    data = list(map(projection.prepare(wanted.fields), page)) if wanted.fields else page
    if following:
        headers["Next-Page"] = next_page(call, given, wanted, following)
    return json_response(jsontext.encode({"data": data}), headers=headers)


def _query(call: Call, given: Inputs) -> ListQuery:
    params, settings = given.params, call.site.settings
    limit = query.page_size(params, settings.paginate_by, settings.storage_max_fetch_size)
    # Entries have no version: what bears on it is accepted, and means nothing.
    found = tuple(
        each
        for each in query.read_filters(params, call.tx.now, KNOWN)
        if each.field.partition(".")[0] != "last_modified"
    )
    sort = tuple(
        each for each in query.read_sort(params.get("_sort", ()), KNOWN, LAST) if each.field != "last_modified"
    )
    fields = query.read_fields(params, KNOWN)
    token = pagination.read(params.get("_token", ("",))[0], sort, sparse=True)
    after = token.after if token else None
    return ListQuery(Selection(filters=found, sort=sort, after=after), limit, fields, token)


def _passing(entries: Iterable[JsonObject], wanted: ListQuery) -> list[JsonObject]:
    tests = [filters.prepare(each) for each in wanted.selection.filters]
    return [each for each in entries if all(test(each) for test in tests)]


def _page(entries: Iterable[JsonObject], wanted: ListQuery, constant: int) -> tuple[list[JsonObject], Token | None]:
    """Return the entries of a page, and the token for those that follow."""
    sort, after = wanted.selection.sort, wanted.selection.after
    rest = [each for each in entries if after is None or ordering.is_after(each, after, sort)]
    ordered = ordering.in_order(rest, sort)
    page = ordered[: wanted.limit]
    if len(ordered) <= wanted.limit:
        return page, None
    return page, Token(tuple(ordering.value_at(page[-1], each.field) for each in sort), constant)


async def _entries(call: Call) -> list[JsonObject]:
    """Return an entry for each object on which the caller has a permission."""
    found: Found = {}
    held = await call.tx.permission.held(call.caller.principals)
    # Of what has no URL of its own there may be very much: the entries of a history.
    lists = {uri.rpartition("/")[0] for uri, _ in held}
    shown = {each for each in lists if _target(call.site, f"{each}/id")}
    for uri, permission in held:
        if uri.rpartition("/")[0] in shown:
            found.setdefault(uri, set()).add(permission)
    resources: list[Resource] = [*call.tx.resources]
    async for uri, permission in _by_settings(call, resources):
        found.setdefault(uri, set()).add(permission)
    targets = ((_target(call.site, uri), permissions) for uri, permissions in found.items())
    entries = [_entry(target, permissions) for target, permissions in targets if target]
    root = [
        f"{each.name}:create"
        for each in resources
        if each.parent is None and "create" in call.tx.settings_grants(each.name, call.caller.principals)
    ]
    return [*entries, {"uri": "/", "resource_name": "root", "permissions": root}] if root else entries


async def _by_settings(call: Call, resources: Iterable[Resource]) -> AsyncIterator[tuple[str, str]]:
    """Yield the (uri, permission) that the settings give on each of the objects there are."""
    granted = {
        each.name: call.tx.settings_grants(each.name, call.caller.principals)
        for each in resources
        if each.name in BY_SETTINGS
    }
    for resource in resources:
        names: list[str] = [each for each in granted.get(resource.name, ()) if each != "create"]
        names += [
            f"{each.name}:create"
            for each in resources
            if each.parent and each.parent.name == resource.name and "create" in granted.get(each.name, ())
        ]
        if names and resource.name in BY_SETTINGS:
            async for target in _stored(call, resource):
                for name in names:
                    yield target.uri, name


async def _stored(call: Call, resource: Resource) -> AsyncIterator[Target]:
    """Yield each object of a kind, in all of its lists."""
    if resource.parent is None:
        lists = [resource.path]
    else:
        name = resource.path.rpartition("/")[2]
        lists = [f"{parent.uri}/{name}" async for parent in _stored(call, resource.parent)]
    for each in lists:
        target = resource.target(each)
        for stored in await call.tx.storage.list(target.place):
            yield target.at(stored.id)


def _target(site: Site, uri: str) -> Target | None:
    """Return the object that a URI names, None where no object has such a URL."""
    route = site.routes.match(uri)
    if route is None or route.kind != "object" or route.resource is None:
        return None
    list_uri, _, id = uri.rpartition("/")
    target: Target = route.resource.target(list_uri, id)
    return target


def _entry(target: Target, permissions: set[str]) -> JsonObject:
    return {
        "uri": target.uri,
        "resource_name": target.resource.name,
        "id": target.id,
        **target.variables,
        "permissions": sorted(_expanded(target.resource, permissions)),
    }


def _expanded(resource: Resource, permissions: set[str]) -> set[str]:
    """Return all that permissions on an object let do with this object itself."""
    expanded = permissions | {*(resource.permissions if "write" in permissions else ())}
    if any(each.endswith(":create") for each in resource.permissions):
        # Who may do anything with a bucket or collection sees its attributes.
        expanded.add("read:attributes")
    return expanded


OPERATIONS: Final[Mapping[str, Run]] = {"HEAD": get_permissions, "GET": get_permissions}
