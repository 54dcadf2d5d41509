"""The operations on the lists of any resource.

Source: HTTP API, sections 5.3 and 9.
"""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from kobako.http import checks, inputs, reads
from kobako.http.inputs import Inputs
from kobako.http.responses import cache_headers, json_response, list_response, not_modified, object_response
from kobako.http.site import Call, Run
from kobako.model import access, acls, objects
from kobako.model.resource import Resource
from kobako.protocol import etags, jsontext, pagination, projection
from kobako.protocol.errors import InvalidParameters, Problem, invalid
from kobako.protocol.messages import Response
from kobako.protocol.pagination import Token
from kobako.protocol.params import encode
from kobako.protocol.query import ListQuery

DELETION: Final = "deletion-token-"
"""What the keys of tokens that serve once begin with, in the cache."""

DEPRECATED_TO: Final = (
    '{"code":"soft-eol","message":"_to is now deprecated, you should use _before instead",'
    '"url":"https://kinto.readthedocs.io/en/2.4.0/api/resource.html#list-of-available-url-parameters"}'
)


async def get_list(call: Call) -> Response:
    """Return a page of the objects that the caller may read: 200, 304."""
    tx, target = call.tx, call.target
    given = inputs.read(call)
    inputs.negotiate(call.request)
    rights = await access.rights(tx, call.caller, target)
    ids = await access.listed_ids(tx, rights, "read")
    sift = _sift(call) if ids else None
    # Before the objects: a change that slips in between is in this answer or in the next poll.
    timestamp = await objects.timestamp(tx, target)
    given.check()
    if given.preconditions.unchanged(timestamp):
        return not_modified(timestamp)
    checks.require_list_version(given, timestamp)
    wanted = await _list_query(call, given)
    etag = min(wanted.token.timestamp, timestamp) if wanted.token else timestamp
    # No object is newer than its list, nor is a deletion: whoever knows the list as it is has missed none.
    is_known = wanted.since is not None and wanted.since >= timestamp
    if call.request.method == "HEAD":
        total = str(await objects.count(tx, target, wanted, None if sift else ids, sift))
        response = json_response("", headers=etags.headers_for(etag))
        response.headers.update({"Total-Objects": total, "Total-Records": total})
        await reads.record(call, (), timestamp=timestamp)
    else:
        page = objects.NOTHING
        if not is_known:
            page = await objects.page(tx, target, wanted, None if sift else ids, etag, sift=sift)
        response = _page_response(call, given, wanted, page, etag)
        await reads.record(call, page.objects, timestamp=timestamp, fields=wanted.fields)
    # After the objects: what was purged before they were read is known by now, also where nothing holds it still.
    if not is_known:
        await checks.require_known_changes(call, wanted.since)
    response.headers.update(await cache_headers(call))
    return _with_deprecations(response, given)


async def post_list(call: Call) -> Response:
    """Create an object, its id given or not: 201; or return the one that exists with this id, untouched: 200."""
    tx, resource = call.tx, call.target.resource
    given = inputs.read(call, body=True)
    if resource.tells_missing_parent:
        await objects.timestamp(tx, call.target)
    data = given.body.data or {}
    target = call.target.at(data["id"] if "id" in data else _new_id(resource, given))
    is_new = "id" not in data and resource.ids.never_again
    checks.require_id(target)
    inputs.negotiate(call.request, (inputs.JSON,))
    old = None if is_new else await objects.find(tx, target)
    rights = await access.rights(tx, call.caller, target, is_new=is_new)
    old = rights.seen(old)
    if old:
        rights.require_on_object("read")
    else:
        rights.require_on_list("create")
    if old is None and not resource.tells_missing_parent:
        await objects.timestamp(tx, target)
    given.check()
    await checks.require_version_to_write(call, given, old, rights)
    if old:
        await reads.record(call, [old])
        return object_response(old, await checks.shown_acl(call, target, rights))
    data = rights.admit(data, None)
    acl = acls.with_owner(acls.replaced({}, given.body.permissions), checks.owner(call, rights))
    new = await objects.write(tx, target, data, acl, old=None, old_acl={}, by=call.caller.user, asked=call.target)
    return object_response(new, checks.visible(rights, acl), 201)


async def delete_list(call: Call) -> Response:
    """Delete the objects that a query selects and the caller may write, a page at a time."""
    tx, target = call.tx, call.target
    given = inputs.read(call)
    inputs.negotiate(call.request)
    rights = await access.rights(tx, call.caller, target)
    ids = await access.listed_ids(tx, rights, "write")
    timestamp = await objects.timestamp(tx, target)
    given.check()
    checks.require_list_version(given, timestamp)
    wanted = await _list_query(call, given)
    if wanted.token:
        await _use_up(call, wanted.token.nonce)
    # Tombstones are never targets, whatever the filters bear on.
    live = msgspec.structs.replace(wanted.selection, tombstones=False)
    wanted = msgspec.structs.replace(wanted, selection=live)
    nonce = str(uuid.uuid4())
    page = await objects.page(tx, target, wanted, ids, timestamp, nonce)
    tombstones = await objects.delete(tx, target, page.objects, by=call.caller.user)
    if not tombstones:
        await reads.record(call, (), timestamp=timestamp)
    latest = max((each.last_modified for each in tombstones), default=timestamp)
    response = list_response(tombstones, latest)
    if page.following:
        await _make_valid(call, nonce)
        response.headers["Next-Page"] = next_page(call, given, wanted, page.following)
    return _with_deprecations(response, given)


def _new_id(resource: Resource, given: Inputs) -> str:
    if resource.ids.generate is None:
        raise InvalidParameters([*given.problems, Problem("body", "data.id", "Required")])
    return resource.ids.generate()


async def _make_valid(call: Call, nonce: str) -> None:
    seconds = call.site.settings.pagination_token_validity_seconds
    await call.tx.backends.cache.set(DELETION + nonce, True, seconds)


async def _use_up(call: Call, nonce: str) -> None:
    """Let a token serve, for once: unless the deletion is undone, then it serves again. Raises InvalidParameters."""
    if await call.tx.backends.cache.delete(DELETION + nonce) is None:
        raise invalid("querystring", None, "_token was already used or has expired.")
    call.tx.when_undone.append(partial(_make_valid, call, nonce))


async def _list_query(call: Call, given: Inputs) -> ListQuery:
    restrict = call.target.resource.restrict
    wanted = inputs.list_query(call.site, call.target.resource, call.request.query, call.tx.now)
    if restrict is None:
        return wanted
    filters = (*wanted.selection.filters, *await restrict(call.tx, call.target, call.caller))
    return msgspec.structs.replace(wanted, selection=msgspec.structs.replace(wanted.selection, filters=filters))


def _sift(call: Call) -> objects.Show | None:
    """Return what tells which objects the caller is shown, where that is no matter of their ACLs alone."""
    sift = call.target.resource.sift
    return partial(sift, call.tx, call.target, call.caller) if sift else None


def _page_response(call: Call, given: Inputs, wanted: ListQuery, page: objects.Page, etag: int) -> Response:
    if wanted.fields:
        project = projection.prepare(wanted.fields)
        data = [project(each.data()) for each in page.objects]
        response = json_response(jsontext.encode({"data": data}), headers=etags.headers_for(etag))
    else:
        response = list_response(page.objects, etag)
    if page.following:
        response.headers["Next-Page"] = next_page(call, given, wanted, page.following)
    return response


def next_page(call: Call, given: Inputs, wanted: ListQuery, token: Token) -> str:
    """Return the URL of the next page: the same parameters, the size of a page, and where to go on."""
    following = {
        **given.params,
        "_limit": [str(wanted.limit)],
        "_token": [pagination.write(token, wanted.selection.sort)],
    }
    return f"{call.request.url}?{encode(following)}"


def _with_deprecations(response: Response, given: Inputs) -> Response:
    if "_to" in given.params:
        response.headers["Alert"] = DEPRECATED_TO
    return response


OPERATIONS: Final[Mapping[str, Run]] = {
    "HEAD": get_list,
    "GET": get_list,
    "POST": post_list,
    "DELETE": delete_list,
}
