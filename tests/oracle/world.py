"""The world of the model: objects, what is left of deleted ones, and who is who. Dicts and loops.

It shares no code with the server: neither `kobako.model` nor anything else of it is imported.

Source: objects, 1.2, 2.7, 7 and 10.1.
"""

import hashlib
import hmac
import uuid
from typing import Any

SECRET = "abc"
PASSWORD = "secret"

KINDS = {
    "buckets": "bucket",
    "groups": "group",
    "collections": "collection",
    "records": "record",
    "history": "history",
    "accounts": "account",
}
ACCOUNTS = ("al", "bo", "adm", "new")
"""Users who are called by their accounts; all others are users of basicauth."""


class World:
    """All there is: objects by URI, tombstones, and what the settings let whom do. `actor` is who does it."""

    UNKNOWN = -1
    """The version of an object of which it is not told."""

    def __init__(self, settings: dict[str, set[str]], explicit: bool = True):
        self.settings = settings
        self.explicit = explicit
        self.objects: dict[str, dict[str, Any]] = {}
        self.graves: dict[str, float] = {}
        self.etags: dict[str, int] = {}
        self.actor = "system.Everyone"

    def members(self, list_uri: str) -> list[str]:
        return [uri for uri in self.objects if parent(uri) == list_uri]

    def user_id(self, user: str | None, password: str) -> str:
        """Return whom credentials stand for."""
        return basic_id(user, password) if user else "system.Everyone"

    def principals(self, user: str | None, password: str = PASSWORD) -> set[str]:
        """Section 2.7."""
        if user is None:
            return {"system.Everyone"}
        me = self.user_id(user, password)
        groups = {
            uri
            for uri, each in self.objects.items()
            if kind_of(uri) == "group" and {me, "system.Authenticated"} & set(each["data"].get("members", []))
        }
        return {me, "system.Everyone", "system.Authenticated"} | groups

    def public(self, uri: str, data: dict[str, Any]) -> dict[str, Any]:
        """Return what is shown of the data of an object."""
        return data

    def hides(self, uri: str, who: set[str]) -> bool:
        """Tell whether an object that is shared with a caller is not shown to them all the same."""
        return False

    def put(self, uri: str, data: dict[str, Any], acl: dict[str, set[str]], version: int) -> None:
        self.objects[uri] = {
            "data": data,
            "acl": {name: set(who) for name, who in acl.items() if who},
            "version": version,
        }
        self.graves.pop(uri, None)
        self.etags[parent(uri)] = version

    def delete(self, uri: str, version: int) -> None:
        """Section 7: what is inside goes too; a group goes from every ACE."""
        kind = kind_of(uri)
        for each in [each for each in self.objects if each.startswith(uri + "/")]:
            if kind == "collection":
                # After whatever was known of that list, before whatever comes in its next life.
                known = [self.objects[other]["version"] for other in self.members(parent(each))]
                buried = [when for other, when in self.graves.items() if parent(other) == parent(each)]
                self.graves[each] = int(max(known + buried)) + 0.5
        for each in [each for each in self.objects if each.startswith(uri + "/")]:
            del self.objects[each]
        if kind == "bucket":
            self.graves = {each: when for each, when in self.graves.items() if not each.startswith(uri + "/")}
        self.etags = {each: when for each, when in self.etags.items() if not each.startswith(uri + "/")}
        # With a bucket go its groups, and the URIs of any that it might have had (P13).
        self._forget_principals(uri if kind == "group" else f"{uri}/groups/" if kind == "bucket" else None)
        del self.objects[uri]
        self.graves[uri] = version
        self.etags[parent(uri)] = max(version, self.etags.get(parent(uri), 0))

    def _forget_principals(self, gone: str | None) -> None:
        """Take a group from every ACE, or all groups of a bucket (`/buckets/b/groups/`)."""
        if gone is None:
            return
        for each in self.objects.values():
            for name, who in list(each["acl"].items()):
                who -= {one for one in who if one == gone or (gone.endswith("/") and one.startswith(gone))}
                if not who:
                    del each["acl"][name]


def basic_id(user: str, password: str = PASSWORD) -> str:
    """Return the principal of a user of Basic authentication without an account."""
    return "basicauth:" + hmac.new(SECRET.encode(), f"{user}:{password}".encode(), hashlib.sha256).hexdigest()


def prefixed(user: str) -> str:
    """Return the principal by which ACLs, groups and settings name a user."""
    return f"account:{user}" if user in ACCOUNTS else basic_id(user)


def user_of(who: set[str]) -> str:
    """Return which of the principals of a caller is the user, or anybody."""
    return next((each for each in who if not each.startswith(("/", "system."))), "system.Everyone")


def default_bucket(principal: str) -> str:
    """Return the URI of the bucket that a user has as the default one. Section 10.1; the key is the same."""
    digest = hmac.new(SECRET.encode(), principal.encode(), hashlib.sha256).hexdigest()
    return f"/buckets/{uuid.UUID(digest[:32])}"


def kind_of(uri: str) -> str:
    """Return the kind of an object, or of the objects of a list."""
    pieces = uri.split("/")
    return KINDS[pieces[-1] if len(pieces) % 2 == 0 else pieces[-2]]


def parent(uri: str) -> str:
    """Return the URI of the list an object is in."""
    return uri.rpartition("/")[0]
