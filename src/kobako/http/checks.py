"""What endpoints check about the object a request points at, each with the error it ends in.

Source: HTTP API, sections 2.5, 7.2, 8 and 10.1.
"""

from kobako.http.inputs import Inputs
from kobako.http.site import Call
from kobako.model import access, objects
from kobako.model.access import Rights
from kobako.model.acls import AclDict
from kobako.model.inheritance import Action
from kobako.model.resource import Target
from kobako.permission.base import Acl
from kobako.protocol import etags
from kobako.protocol.errors import (
    ChangesForgotten,
    InvalidParameters,
    ModifiedMeanwhile,
    Problem,
    UnknownObject,
    invalid,
)
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.ordering import equal
from kobako.protocol.selection import MISSING
from kobako.storage.base import Stored


async def require(call: Call, action: Action, target: Target) -> None:
    """Raise Forbidden, or MissingToken, unless the caller may do this to an object, or to a list where there is no id.

    `create` is asked of a list.
    """
    rights = await access.rights(call.tx, call.caller, target)
    if target.id is None or action == "create":
        rights.require_on_list(action)
    else:
        rights.require_on_object(action)


def require_id(target: Target) -> None:
    """Raise InvalidParameters if no object of this kind can have the id."""
    if not target.resource.ids.accepts(target.id):
        raise invalid("path", None, "Invalid object id")


def require_same_id(target: Target, data: JsonObject | None) -> None:
    """Raise InvalidParameters if the data has another id than the URL."""
    if data is not None and data.get("id", target.id) != target.id:
        raise invalid("body", "id", "Object id does not match existing object")


def require_readonly_fields(target: Target, data: JsonObject, old: JsonObject) -> None:
    """Raise InvalidParameters if a field that stays as it is would change, or go."""
    kept = [each for each in target.resource.readonly_fields if each in old]
    if changed := [each for each in kept if not equal(old[each], data.get(each, MISSING))]:
        raise InvalidParameters([Problem("body", each, f"Cannot modify {each}") for each in changed])


def with_readonly_fields(target: Target, data: JsonObject, old: Stored) -> JsonObject:
    """Return what replaces an object, with the fields that stay as they are. Raises InvalidParameters."""
    if not target.resource.readonly_fields:
        return data
    before = old.data()
    kept = {each: before[each] for each in target.resource.readonly_fields if each in before}
    require_readonly_fields(target, data := {**kept, **data}, before)
    return data


def existing(target: Target, stored: Stored | None) -> Stored:
    """Return the object. Raises UnknownObject if there is none, InvalidParameters if there can be none."""
    if stored is None:
        require_id(target)
        raise UnknownObject(str(target.id), target.resource.name)
    return stored


def require_version(given: Inputs, stored: Stored, rights: Rights) -> None:
    """Raise ModifiedMeanwhile if the client knows another version of an object that exists."""
    if not given.preconditions.allow(stored.last_modified):
        raise modified(stored, rights, stored.last_modified)


async def require_version_to_write(call: Call, given: Inputs, old: Stored | None, rights: Rights) -> None:
    """Raise ModifiedMeanwhile if the client knows another version of what it writes, which may be nothing yet."""
    if not given.preconditions.allow(old.last_modified if old else None):
        timestamp = old.last_modified if old else await objects.timestamp(call.tx, rights.target)
        raise modified(old, rights, timestamp)


def require_list_version(given: Inputs, timestamp: int) -> None:
    """Raise ModifiedMeanwhile if the client knows another version of a list."""
    if not given.preconditions.allow(timestamp):
        raise ModifiedMeanwhile(headers=etags.headers_for(timestamp))


async def require_known_changes(call: Call, since: int | None) -> None:
    """Raise ChangesForgotten if a client asks for changes among which deletions may be missing (S20).

    Who knows nothing misses nothing. A list that was emptied altogether is answered as after a flush: with nothing, and
    a newer ETag, which clients take for what it is (objects, 29.2).
    """
    if not since:
        return
    storage, place = call.tx.storage, call.target.place
    purged_before = await storage.purged_before(place)
    if since < purged_before and await storage.count(place) > 0:
        raise ChangesForgotten(since, purged_before)


def modified(stored: Stored | None, rights: Rights, timestamp: int) -> ModifiedMeanwhile:
    """Return a 412: with the object as it is now, for those who may read it; its timestamp, or else the list's."""
    if stored is None:
        return ModifiedMeanwhile(headers=etags.headers_for(timestamp))
    details = {"existing": stored.data()} if rights.on_object("read") else None
    return ModifiedMeanwhile(details=details, headers=etags.headers_for(stored.last_modified))


def owner(call: Call, rights: Rights) -> str | None:
    """Return the principal that joins those who may write what the caller writes, None where there are none."""
    has_acl = call.site.settings.explicit_permissions and not rights.target.resource.owned
    return rights.owner if has_acl else None


async def shown_acl(call: Call, target: Target, rights: Rights) -> Acl | None:
    """Return the ACL that is stored as the caller sees it: empty for those who must not, None where there is none."""
    if target.resource.owned:
        return None
    return await call.tx.permission.acl(target.uri) if rights.shows_acl else {}


def visible(rights: Rights, acl: AclDict) -> AclDict | None:
    """Return the ACL that is written, as the caller sees it: not at all, unless they stand in its `write`."""
    if rights.target.resource.owned:
        return None
    return acl if rights.shows(acl) else {}
