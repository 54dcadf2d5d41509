"""What a plugin writes on behalf of a caller: as a PATCH would, or the creation of what is not there.

Source: objects, 17.2; HTTP API, 10.4.
"""

from typing import Any

from kobako.http import checks
from kobako.http.site import Call
from kobako.model import access, acls, objects
from kobako.model.resource import Target
from kobako.protocol import payload
from kobako.storage.base import Stored


async def merge(call: Call, target: Target, old: Stored | None, data: Any, permissions: Any = None) -> Stored:
    """Put attributes, and permissions, into an object that may not be there yet; return it as it is then.

    Both are checked as the members of a body are, None where there are none. Whether the caller may do so has been
    asked before. Raises InvalidParameters, and what the resource's own rules raise.
    """
    resource, tx = target.resource, call.tx
    members = {"data": data, "permissions": permissions}
    given = payload.checked({name: each for name, each in members.items() if each is not None}, resource.permissions)
    checks.require_id(target)
    checks.require_same_id(target, given.data)
    before = old.data() if old else {}
    after = {**before, **(given.data or {})}
    if old and resource.patch:
        after = resource.patch(target, before, after)
    after = resource.validate(after, "data.")
    checks.require_readonly_fields(target, after, before)
    old_acl = await tx.permission.acl(target.uri) if old else {}
    acl = acls.patched(old_acl, given.permissions, null_clears=False)
    rights = await access.rights(tx, call.caller, target)
    acl = acls.with_owner(acl, checks.owner(call, rights))
    return await objects.write(tx, target, after, acl, old=old, old_acl=old_acl, by=call.caller.user)
