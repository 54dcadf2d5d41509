"""Who may do what with accounts: their owners with their own, administrators with all, anybody may sign up if let.

An administrator is who stands in `account_write_principals`; who may sign up stands in `account_create_principals`.
Any other user sees their own account, and everybody else's is as if it were not there.

Source: objects, 14.2 and 14.3.
"""

from collections.abc import Set
from typing import Literal

from kobako import Acl, ApiError, JsonObject, MissingToken, Rights, Stored, invalid
from kobako.plugins.accounts.options import KIND


class CannotList(MissingToken):
    """Nobody in particular asks for the list of accounts."""

    errno, error = 999, "Cannot read accounts."


class AccountRights(Rights, frozen=True):
    """What a caller may do with an account, or the list of them; `validates`: addresses are validated by mail."""

    validates: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether the caller may do anything to any account."""
        return "write" in self.by_settings

    @property
    def own(self) -> str | None:
        """The name of the caller's own account, which may not exist; None for nobody in particular."""
        return self.caller.user.partition(":")[2] if self.caller.user else None

    @property
    def owner(self) -> str:
        """The principal in the account's `write`: the account's own, but for users of other policies."""
        is_for_another = self.is_admin or self.caller.user is None
        return f"{KIND}:{self.target.id}" if is_for_another else self.caller.owner

    @property
    def shows_acl(self) -> bool:
        """Whether the caller sees the ACL: who stands in its `write`, and administrators."""
        return self.is_admin or (self.target.uri, "write") in self.held

    def shows(self, acl: Acl) -> bool:
        """Tell whether the caller sees the ACL that they write: also who signs up."""
        return self.is_admin or self.caller.user is None or not self.caller.principals.isdisjoint(acl.get("write", ()))

    def permits(self, of: Literal["object", "list"], action: Literal["read", "write", "create"]) -> bool:
        """Tell what the caller may do."""
        id, user = self.target.id, self.caller.user
        if self.is_admin:
            return (of, action) != ("list", "read") or "read" in self.by_settings
        if of == "list" and id is None:
            # Each user may ask for the list, and finds there what `listed` says.
            return user is not None and action == "create"
        if of == "list":
            return action == "create" and "create" in self.by_settings and (user is None or id == self.own)
        return user is not None and (user == f"{KIND}:{id}" or super().permits(of, action))

    def seen(self, stored: Stored | None) -> Stored | None:
        """Return an account if it is there for the caller: a user has only their own."""
        is_theirs = self.is_admin or self.caller.user is None or self.target.id == self.own
        return stored if is_theirs else None

    def listed(self, shared: Set[str]) -> Set[str]:
        """Return the ids seen in the list: the caller's own account, and what is shared with an administrator."""
        if self.own is None:
            return shared if self.is_admin else frozenset()
        theirs = shared if self.is_admin else shared & {self.own}
        return theirs | {self.own} if self.caller.user == f"{KIND}:{self.own}" else theirs

    def admit(self, data: JsonObject, old: Stored | None) -> JsonObject:
        """Return the data with `validated` as it has to be: only an administrator says that it is (14.5)."""
        if not self.validates:
            return data
        before = old.data() if old else {"validated": False}
        known = {"validated": before["validated"]} if "validated" in before else {}
        if self.is_admin:
            return data if old else {**known, **data}
        if "validated" in data and data["validated"] != known.get("validated"):
            raise invalid("body", "data.validated", "Only an administrator may say whether data.validated")
        return {**data, **known}

    def refusal(self, uri: str, action: Literal["read", "write", "create"]) -> ApiError:
        """Return the error for what the caller may not do there."""
        refused = super().refusal(uri, action)
        if self.caller.user is None:
            return CannotList() if self.target.id is None else refused
        if action == "create" and "create" in self.by_settings:
            return invalid("body", "data.id", "Username and account ID do not match.")
        return refused
