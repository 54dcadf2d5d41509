"""May this caller do that here? All of it, these ids only, or no.

The ACLs that matter are looked up once for a target, in `rights`; every question after that is answered from what
was found. This is the one place that decides: every door leads through it.

Source: objects, 2.3 to 2.6; HTTP API, 5.
"""

import logging
from collections.abc import Collection, Sequence, Set
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from kobako.model import inheritance
from kobako.model.inheritance import Action, Grant, Right
from kobako.model.resource import Target
from kobako.model.transaction import Permit, Transaction
from kobako.permission.base import AUTHENTICATED, EVERYONE, Acl
from kobako.protocol.errors import ApiError, Forbidden, MissingToken
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.messages import Request
from kobako.storage.base import Stored

_log = logging.getLogger("kobako.authorization")


ALL: Final[Set[Action]] = frozenset({"read", "write", "create"})


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the prefixed user id, None for anybody, and every principal the request has.

    `request` is what they ask, where rules of somebody else's decide, which may look at it.
    """

    user: str | None = None
    principals: frozenset[str] = frozenset({EVERYONE})
    creates: frozenset[str] = frozenset()
    """URIs of objects that the caller may create, whatever else is granted."""
    request: Request | None = None

    @property
    def owner(self) -> str:
        """The principal that stands for the caller in the ACL of what they write."""
        return self.user or EVERYONE

    def refusal(self) -> ApiError:
        """Return the error for what this caller may not do."""
        return Forbidden() if self.user else MissingToken()


ANONYMOUS: Final = Caller()


def anonymous(principals: Set[str]) -> Caller:
    """Return the caller for a request of no user, with the principals it was given."""
    return Caller(None, frozenset({EVERYONE, *principals})) if principals else ANONYMOUS


def authenticated(user: str, principals: Set[str]) -> Caller:
    """Return the caller for a user with the principals they were given."""
    return Caller(user, frozenset({user, EVERYONE, AUTHENTICATED, *principals}))


class Rights(msgspec.Struct, frozen=True):
    """What a caller may do at a target.

    A kind of objects with rules of its own has a subclass (`Resource.rights`), whose methods say them; those that are
    meant for it have "by the rules" in their first line.
    """

    caller: Caller
    target: Target
    held: Set[Grant]
    by_settings: Set[Action]
    decided: Set[Permit] | None = None
    """What others decided in place of the rules here, None where nobody does."""

    def on_object(self, action: Action) -> bool:
        """Tell whether the caller may read or write the object."""
        return self.permits("object", action) if self.decided is None else ("object", action) in self.decided

    def on_list(self, action: Action) -> bool:
        """Tell whether the caller may read or empty the whole list, or create in it."""
        if action == "create" and self.decided is None and self.target.uri in self.caller.creates:
            return True
        return self.permits("list", action) if self.decided is None else ("list", action) in self.decided

    def require_on_object(self, action: Action) -> None:
        """Raise Forbidden, or MissingToken, unless the caller may do this to the object."""
        if not self.on_object(action):
            raise self.refusal(self.target.uri, action)

    def require_on_list(self, action: Action) -> None:
        """Raise Forbidden, or MissingToken, unless the caller may do this to the list."""
        if not self.on_list(action):
            raise self.refusal(self.target.list_uri, action)

    def permits(self, of: Literal["object", "list"], action: Action) -> bool:
        """Tell what the caller may do by the rules: as ACLs and settings say."""
        right = inheritance.on_object if of == "object" else inheritance.on_list
        return self._have(right(self.target, action))

    def seen(self, stored: Stored | None) -> Stored | None:
        """Return what is there for the caller, by the rules: None for an object that is as if it were not."""
        return stored

    def listed(self, shared: Set[str]) -> Set[str]:
        """Return the ids seen in a list that is not all the caller's, by the rules: of objects shared with them."""
        return shared

    def admit(self, data: JsonObject, old: Stored | None) -> JsonObject:
        """Return the data that the caller may write, by the rules. Raises ApiError for what they may not."""
        return data

    @property
    def owner(self) -> str:
        """The principal that joins those who may write what the caller writes, by the rules."""
        return self.caller.owner

    def refusal(self, uri: str, action: Action) -> ApiError:
        """Return the error for what the caller may not do there, by the rules; the log is told as well."""
        if _log.isEnabledFor(logging.INFO):
            permission = f"{self.target.resource.name}:create" if action == "create" else action
            fields = {"userid": self.caller.owner, "uri": uri, "perm": permission}
            sentence = "Permission '%s' on '%s' not granted to '%s'."
            _log.info(sentence, permission, uri, self.caller.owner, extra={"fields": fields})
        return self.caller.refusal()

    @property
    def shows_acl(self) -> bool:
        """Whether the caller sees the ACL as it is stored, by the rules: who stands in its `write` (objects, 1.5)."""
        return (self.target.uri, "write") in self.held

    def shows(self, acl: Acl) -> bool:
        """Tell whether the caller sees the ACL that they write, by the rules: who stands in its `write`."""
        return not self.caller.principals.isdisjoint(acl.get("write", ()))

    def _have(self, right: Right) -> bool:
        return not right.grants.isdisjoint(self.held) or not self.by_settings.isdisjoint(right.actions)


async def rights(tx: Transaction, caller: Caller, target: Target, *, is_new: bool = False) -> Rights:
    """Look up what a caller may do at a target: one operation, for the object and all it is in.

    One that `is_new` has no ACL. In a list of their own a user may do everything, and nobody else anything.
    """
    if target.resource.owned:
        return Rights(caller, target, frozenset(), ALL if caller.user == target.place.parent else frozenset())
    uris = inheritance.ancestors(target) if is_new else inheritance.lineage(target)
    held = await tx.permission.granted(caller.principals, uris) if uris else frozenset[Grant]()
    return await _decided(tx, caller, target, held)


async def readable(tx: Transaction, caller: Caller, targets: Collection[Target]) -> Set[str]:
    """Return the URIs of those objects, of any kinds that have ACLs, that a caller may read: in one operation."""
    uris = {uri for each in targets for uri in inheritance.lineage(each)}
    held = await tx.permission.granted(caller.principals, uris) if uris else frozenset[Grant]()
    return {each.uri for each in targets if (await _decided(tx, caller, each, held)).on_object("read")}


async def _decided(tx: Transaction, caller: Caller, target: Target, held: Set[Grant]) -> Rights:
    """Return what a caller may do, who holds these grants, by the rules here or by somebody else's."""
    make = target.resource.rights or Rights
    found = make(caller, target, held, tx.settings_grants(target.resource.name, caller.principals))
    if tx.backends.authorize is None:
        return found
    permitted = {
        (of, action)
        for of, action in questions(target)
        if (found.on_list(action) if of == "list" else found.on_object(action))
    }
    return replace(found, decided=await tx.backends.authorize(caller, target, permitted))


def questions(target: Target) -> Sequence[Permit]:
    """Return what there is to decide about a target; of a list alone, nothing about an object."""
    of_list: list[Permit] = [("list", "read"), ("list", "write"), ("list", "create")]
    return of_list if target.id is None else [("object", "read"), ("object", "write"), *of_list]


async def listed_ids(tx: Transaction, found: Rights, action: Action) -> frozenset[str] | None:
    """Return the ids of a list that the caller may read or write: None for all, perhaps none of them.

    Raises Forbidden or MissingToken for a caller with nothing there who may not create anything either.
    """
    if found.on_list(action):
        return None
    target = found.target
    names = ("write",) if action == "write" else target.resource.permissions
    # What ACLs share is no matter where others decide.
    shared = found.decided is None
    ids = await tx.permission.shared(found.caller.principals, target.list_uri, names) if shared else set[str]()
    ids = found.listed(ids)
    if not ids and not found.on_list("create"):
        raise found.refusal(target.list_uri, action)
    return frozenset(ids)
