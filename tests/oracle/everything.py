"""A world with every plugin on: accounts that users log in as, a history of each bucket, and files of records.

Entries of a history are predicted when something is done, and learnt from who may read all of them: `entries_due` tells
what is to be found there, `learn` compares it. From then on they are objects as any others.

Source: objects, 11, 14 and 17.
"""

import re
from collections import Counter
from typing import Any, NamedTuple

from tests.oracle import accounts, attachments, model
from tests.oracle.model import Expected, document, holds, refused
from tests.oracle.world import World, basic_id, kind_of, parent

RECORDED = ("bucket", "group", "collection", "record")
HIDDEN = "********"
"""What accounts show in place of a password."""

AT_THE_END = "9999999999999"
"""The time of a snapshot of what is there now."""

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


class Done(NamedTuple):
    """What was done to an object, by whom, and what was there afterwards: its data, or a tombstone."""

    action: str
    uri: str
    user: str | None
    data: dict[str, Any]


class Everything(World):
    """The world, and what was done in it that no history has told yet.

    `past` is all that records have been: the URI of the collection, which of its `lives` it was, and the data.
    """

    def __init__(self, settings: dict[str, set[str]], explicit: bool = True):
        super().__init__(settings, explicit)
        self.passwords: dict[str, str] = {}
        self.files: attachments.Files = {}
        self.past: list[tuple[str, int, dict[str, Any]]] = []
        self.lives: Counter[str] = Counter()
        self.done: list[Done] = []

    def user_id(self, user: str | None, password: str) -> str:
        """Section 14.4: who is not the user of an account is one of basicauth."""
        if user and f"/accounts/{user}" in self.objects and self.passwords[user] == password:
            return f"account:{user}"
        return basic_id(user, password) if user else "system.Everyone"

    def public(self, uri: str, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "password": HIDDEN} if kind_of(uri) == "account" else data

    def hides(self, uri: str, who: set[str]) -> bool:
        """Section 11.5, P17: an entry is shown to who may read now what it is about; or what that was in."""
        return kind_of(uri) == "history" and not holds(self, who, self.objects[uri]["data"]["uri"], "read")

    def put(self, uri: str, data: dict[str, Any], acl: dict[str, set[str]], version: int) -> None:
        action, id = "update" if uri in self.objects else "create", uri.rpartition("/")[2]
        if kind_of(uri) == "account" and data["password"] != HIDDEN:
            self.passwords[id] = data["password"]
        if kind_of(uri) == "record":
            collection = parent(parent(uri))
            self.past.append((collection, self.lives[collection], data))
        super().put(uri, self.public(uri, data), acl, version)
        self._record(action, uri, {**data, "id": id, "last_modified": version})

    def delete(self, uri: str, version: int) -> None:
        super().delete(uri, version)
        self.files = {each: files for each, files in self.files.items() if not f"{each}/".startswith(f"{uri}/")}
        self.lives[uri] += 1
        if kind_of(uri) == "bucket":
            self.past = [each for each in self.past if not each[0].startswith(f"{uri}/")]
            self.done = [each for each in self.done if not f"{each.uri}/".startswith(f"{uri}/")]
        else:
            self._record("delete", uri, {"id": uri.rpartition("/")[2], "last_modified": version, "deleted": True})

    def _record(self, action: str, uri: str, data: dict[str, Any]) -> None:
        if kind_of(uri) in RECORDED:
            self.done.append(Done(action, uri, None if self.actor == "system.Everyone" else self.actor, data))

    def entries_due(self) -> dict[str, list[Done]]:
        """Return what is to be found in the history of each bucket, in its order."""
        due: dict[str, list[Done]] = {}
        for each in self.done:
            due.setdefault("/".join(each.uri.split("/")[:3]), []).append(each)
        self.done = []
        return due

    def learn(self, bucket: str, due: list[Done], told: list[dict[str, Any]]) -> str | None:
        """Take over the newest entries of a bucket, the oldest first; return what is wrong with them."""
        if len(due) != len(told):
            return f"{len(told)} entries instead of {len(due)}"
        for done, entry in zip(due, told, strict=True):
            if done.data["last_modified"] == self.UNKNOWN:
                self._learn_version(done, entry["target"]["data"]["last_modified"])
            expected = self._entry(done, entry)
            if _without_empty_members(expected) != _without_empty_members(entry):
                return f"entry {entry} instead of {expected}"
            uri = f"{bucket}/history/{entry['id']}"
            data = {name: each for name, each in entry.items() if name not in ("id", "last_modified")}
            super().put(uri, data, {"read": self._readers(done)} if self.explicit else {}, entry["last_modified"])
        return None

    def _learn_version(self, done: Done, version: int) -> None:
        done.data["last_modified"] = self.objects[done.uri]["version"] = version
        self.etags[done.uri.rpartition("/")[0]] = version

    def _entry(self, done: Done, told: dict[str, Any]) -> dict[str, Any]:
        """Section 11.2. The id, the date and the version of an entry are taken as they are."""
        _, _, bucket, *below = done.uri.split("/")
        ids = {f"{kind_of('/' + name)}_id": id for name, id in zip(below[::2], below[1::2], strict=True)}
        acl = self.objects[done.uri]["acl"] if done.uri in self.objects and done.action != "delete" else {}
        assert MOMENT.fullmatch(told["date"]), told["date"]
        return {
            "id": told["id"],
            "last_modified": told["last_modified"],
            "date": told["date"],
            "action": done.action,
            "user_id": done.user,
            "resource_name": kind_of(done.uri),
            **(ids or {"bucket_id": bucket}),
            "uri": done.uri,
            "target": {"data": done.data, "permissions": {name: sorted(who) for name, who in acl.items()}},
        }

    def _readers(self, done: Done) -> set[str]:
        """Section 11.5: who stands in the ACLs of the object, unless it is deleted, its collection and its bucket."""
        segments = done.uri.split("/")
        uris = {"/".join(segments[:length]) for length in (3, 5, 7)}
        if done.action == "delete":
            uris.remove(done.uri)
        acls = [self.objects[uri]["acl"] for uri in uris if uri in self.objects]
        return {each for acl in acls for name in ("read", "write") for each in acl.get(name, set())}


def predict(world: Everything, request: dict[str, Any], who: set[str]) -> Expected:
    """Tell what a request must be answered."""
    segments = request["path"].split("/")
    if segments[1] == "accounts":
        return accounts.predict(world, request, who)
    if segments[3:4] == ["snapshot"]:
        return _snapshot(world, segments[2], segments[5], who)
    if segments[7:8] in (["attachment"], ["attachments"]):
        return attachments.predict(world, world.files, request, who)
    return model.predict(world, request, who)


def _snapshot(world: Everything, bucket: str, name: str, who: set[str]) -> Expected:
    """Section 11.7, as far as it can be told without time: what is there now, and whose past is shown to nobody else.

    Settings do not count. Readers of the collection are not shown what was in a former one of its name.
    """
    collection, _, timestamp = name.partition("@")
    above, own = f"/buckets/{bucket}", f"/buckets/{bucket}/collections/{collection}"
    if not _stands_in(world, above, who) and not _stands_in(world, own, who):
        return refused(who)
    lives = range(world.lives[own] + 1) if _stands_in(world, above, who) else [world.lives[own]]
    past = [data for uri, life, data in world.past if uri == own and life in lives]
    if timestamp != AT_THE_END:
        return Expected(200, readable=past)
    return Expected(200, {"data": [document(world, uri) for uri in world.members(f"{own}/records")]}, ordered=False)


def _stands_in(world: Everything, uri: str, who: set[str]) -> bool:
    acl = world.objects[uri]["acl"] if uri in world.objects else {}
    return any(acl.get(name, set()) & who for name in ("read", "write"))


def _without_empty_members(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without what a group may have or not: members where there are none."""
    data = {name: each for name, each in entry["target"]["data"].items() if (name, each) != ("members", [])}
    return {**entry, "target": {**entry["target"], "data": data}}
