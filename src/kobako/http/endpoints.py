"""The operations on single objects of any resource.

Each reads like its row of the specification: first what may be told to anybody, then access, then what is wrong
with the request, then what it does. The order of these lines is the order in which errors win (section 2.5).

Source: HTTP API, sections 5, 8 and 10.
"""

from collections.abc import Mapping
from typing import Final

from kobako.http import checks, inputs, reads
from kobako.http.inputs import Inputs
from kobako.http.responses import cache_headers, data_response, not_modified, object_response
from kobako.http.site import Call, Run
from kobako.model import access, acls, objects
from kobako.model.acls import AclDict
from kobako.permission.base import Acl
from kobako.protocol import params, patching, query
from kobako.protocol.errors import invalid
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Response
from kobako.protocol.projection import project


async def get_object(call: Call) -> Response:
    """Return an object, its ACL too for those who may write it: 200, 304."""
    given = inputs.read(call)
    inputs.negotiate(call.request)
    rights = await access.rights(call.tx, call.caller, call.target)
    rights.require_on_object("read")
    stored = rights.seen(await objects.find(call.tx, call.target))
    if stored is None:
        await objects.timestamp(call.tx, call.target)
    given.check()
    stored = checks.existing(call.target, stored)
    if given.preconditions.unchanged(stored.last_modified):
        return not_modified(stored.last_modified)
    checks.require_version(given, stored, rights)
    fields = query.read_fields(given.params, inputs.known_fields(call.target.resource))
    await reads.record(call, [stored], fields=fields)
    if fields:
        response = data_response(project(stored.data(), fields), stored.last_modified)
    else:
        response = object_response(stored, await checks.shown_acl(call, call.target, rights))
    response.headers.update(await cache_headers(call))
    return response


async def put_object(call: Call) -> Response:
    """Create an object or replace it: 201 or 200, with its new ETag."""
    tx, target = call.tx, call.target
    given = inputs.read(call, body=True)
    old = await objects.find_to_write(tx, target)
    inputs.negotiate(call.request, (inputs.JSON,))

    # Replacing takes write on the object; creating takes create on what will hold it.
    rights = await access.rights(tx, call.caller, target)
    old = rights.seen(old)
    if old and call.request.headers.get("if-none-match") != "*":
        rights.require_on_object("write")
    else:
        rights.require_on_list("create")
    if old is None and not target.resource.tells_missing_parent:
        await objects.timestamp(tx, target)
    given.check()
    checks.require_id(target)
    await checks.require_version_to_write(call, given, old, rights)
    checks.require_same_id(target, given.body.data)

    data = given.body.data
    if data is None:
        # Only the permissions change; the object gets a new version all the same.
        data = old.data() if old else {}
    if old:
        data = checks.with_readonly_fields(target, data, old)
    data = rights.admit(data, old)
    old_acl = await tx.permission.acl(target.uri) if old else {}
    acl = acls.with_owner(acls.replaced(old_acl, given.body.permissions), checks.owner(call, rights))
    new = await objects.write(tx, target, data, acl, old=old, old_acl=old_acl, by=call.caller.user)
    return object_response(new, checks.visible(rights, acl), 200 if old else 201)


async def patch_object(call: Call) -> Response:
    """Change some fields of an object, in one of three dialects: 200, with all of it or what `light`, `diff` show."""
    tx, target = call.tx, call.target
    given = inputs.read(call)
    old = await objects.find_to_write(tx, target)
    inputs.negotiate(call.request, inputs.PATCHES)
    rights = await access.rights(tx, call.caller, target)
    old = rights.seen(old)
    # An unknown object is a 404 to those who could read it, and nothing to the others.
    rights.require_on_object("write" if old else "read")
    given.check()
    old = checks.existing(target, old)
    checks.require_version(given, old, rights)

    old_acl = await tx.permission.acl(target.uri)
    before = old.data()
    provided, data, acl = _patched(call, given, before, old_acl)
    if target.resource.patch:
        data = target.resource.patch(target, before, data)
    data = target.resource.validate(data, "")
    checks.require_same_id(target, data)
    checks.require_readonly_fields(target, data, before)
    data = rights.admit(data, old)
    acl = acls.with_owner(acl, checks.owner(call, rights))
    new = await objects.write(tx, target, data, acl, old=old, old_acl=old_acl, by=call.caller.user)
    behavior = call.request.headers.get("response-behavior") or "full"
    if behavior == "full":
        return object_response(new, checks.visible(rights, acl))
    after = new.data()
    shown = patching.light(provided, before, after) if behavior == "light" else patching.diff(provided, after)
    return data_response(shown, new.last_modified)


async def delete_object(call: Call) -> Response:
    """Delete an object with all that is under it, and return its tombstone."""
    tx, target = call.tx, call.target
    given = inputs.read(call)
    old = await objects.find_to_write(tx, target)
    inputs.negotiate(call.request)
    rights = await access.rights(tx, call.caller, target)
    old = rights.seen(old)
    rights.require_on_object("write" if old else "read")
    given.check()
    old = checks.existing(target, old)
    checks.require_version(given, old, rights)
    text = given.params.get("last_modified", [""])[0]
    wanted = objects.wanted_timestamp(params.timestamp(text), tx.now, location="querystring")
    [tombstone] = await objects.delete(tx, target, [old], by=call.caller.user, wanted=wanted)
    return object_response(tombstone, None)


def _patched(call: Call, given: Inputs, before: JsonObject, old_acl: Acl) -> tuple[JsonObject, JsonObject, AclDict]:
    """Return what the client provided, and the data and ACL that the patch makes of the stored ones."""
    body, dialect = given.body, inputs.media_type(call.request)
    if dialect == inputs.JSON_PATCH:
        permissions = call.target.resource.permissions
        document = patching.as_document(before, old_acl, permissions)
        result = patching.apply_operations(document, given.operations, permissions)
        acl = {name: list(principals) for name, principals in result["permissions"].items() if principals}
        return result["data"], result["data"], acl
    if body.data is None and body.permissions is None:
        raise invalid("body", "data", "Provide at least one of data or permissions")
    merging = dialect == inputs.MERGE_PATCH
    combine = patching.merge if merging else patching.attributes
    provided = body.data or {}
    acl = acls.patched(old_acl, body.permissions, null_clears=merging)
    return provided, combine(before, provided), acl


OPERATIONS: Final[Mapping[str, Run]] = {
    "GET": get_object,
    "HEAD": get_object,
    "PUT": put_object,
    "PATCH": patch_object,
    "DELETE": delete_object,
}
