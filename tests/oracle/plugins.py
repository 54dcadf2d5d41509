"""Random worlds with every plugin on, and what is asked of them: of accounts, histories and files, besides all else."""

import random
from typing import Any

from tests.oracle.everything import AT_THE_END, Everything
from tests.oracle.world import PASSWORD, kind_of, parent, prefixed
from tests.oracle.worlds import IDS, MEDIA, ROOT, Maker, request
from tests.plugins.attachments.sending import file, text

AUDITOR = "auditor"
"""Who may read all histories, and learns from them what is in there."""

ADMIN = "adm"

HISTORY_METHODS = ("GET", "GET", "GET", "GET", "HEAD", "HEAD", "DELETE", "OPTIONS")
HISTORY_VALUES = {
    "resource_name": ("bucket", "collection", "record", "group"),
    "exclude_resource_name": ("record", "bucket"),
    "action": ("create", "update", "delete"),
    "record_id": IDS["record"],
}
HISTORY_ORDERS = ("last_modified", "-last_modified", "uri", "-target.data.secret", "resource_name,-last_modified")
FILES = ("attachment", "attachments/attachment", "attachments/second")


class PluginMaker(Maker):
    """Makes a world with accounts, histories and files."""

    users = ("ann", "al", "bob", "bo", "cat", ADMIN)
    world: Everything

    def __init__(self, rng: random.Random, *, has_alias: bool = False):
        super().__init__(rng, has_alias=has_alias)
        self.sent_files: list[str] = []
        self.remade: list[str] = []

    def make_world(self, settings: dict[str, set[str]], explicit: bool) -> Everything:
        return Everything(settings, explicit)

    def settings(self) -> dict[str, set[str]]:
        given = super().settings()
        given["history_read"] = {prefixed(AUDITOR)}
        for action in ("read", "write", "create"):
            if self.rng.random() < 0.1:
                given.setdefault(f"history_{action}", set()).add(self.principal())
        given["account_write"] = {prefixed(ROOT), prefixed(ADMIN)}
        given["account_create"] = self.rng.choice((set(), {"system.Everyone"}, {prefixed(ADMIN)}))
        given["account_read"] = self.rng.choice((set(), {prefixed(ADMIN)}, {self.principal()}))
        return given

    def password_of(self, user: str | None) -> str:
        known = self.world.passwords.get(user or "", PASSWORD)
        return known if self.rng.random() < 0.95 else "wrong"

    def building(self) -> list[list[dict[str, Any]]]:
        accounts = [
            request(ROOT, "PUT", f"/accounts/{name}", body=self._account(password=PASSWORD))
            for name in IDS["account"]
            if name in self.users
        ]
        tree = super().building()
        records = [each["path"] for parts in tree for each in parts if kind_of(each["path"]) == "record"]
        files = [
            [self._with_form(request(ROOT, "POST", f"{each}/{self.rng.choice(FILES)}"))]
            for each in records
            if self.rng.random() < 0.4
        ]
        return [accounts, *tree, *files]

    def asking(self) -> list[dict[str, Any]]:
        if self.sent_files and self.rng.random() < 0.05:
            return self._recreating(self.rng.choice(self.sent_files))
        asked = super().asking()
        if len(asked) > 1 and self.rng.random() < 0.2:
            # The last one: what is not told of it is asked when the batch is done.
            asked.append(self.sent("DELETE", self._file(), in_batch=True))
        return asked

    def _recreating(self, file: str) -> list[dict[str, Any]]:
        """Return the parts of a batch that delete a record with a file, or its collection, and make both again."""
        segments = file.split("/")
        collection, record = "/".join(segments[:5]), "/".join(segments[:7])
        gone = self.rng.choice((collection, record))
        made = [collection, record] if gone == collection else [record]
        self.remade.append(collection)
        return [request(ROOT, "DELETE", gone), *(self.build(each) for each in made)]

    def one(self, in_batch: bool = False) -> dict[str, Any]:
        asks = {super().one: 9, self._of_account: 4, self._of_history: 4, self._of_snapshot: 1, self._of_file: 4}
        [ask] = self.rng.choices(list(asks), list(asks.values()))
        return ask(in_batch)

    def _of_account(self, in_batch: bool) -> dict[str, Any]:
        methods = ("GET", "GET", "HEAD", "PUT", "PUT", "POST", "PATCH", "PATCH", "DELETE", "LIST", "LIST", "CLEAR")
        method, path = self.rng.choice(methods), "/accounts/" + self.rng.choice(IDS["account"])
        if method == "CLEAR" and self.rng.random() < 0.8:
            method = "LIST"
        asked = self.sent({"LIST": "GET", "CLEAR": "DELETE"}.get(method, method), path, in_batch)
        if method in ("POST", "LIST", "CLEAR"):
            asked["path"] = parent(path)
        if method in ("LIST", "CLEAR"):
            asked["query"] = self.query(asked["path"], asked["method"])
            if self.rng.random() < 0.2:
                asked["query"]["password"] = PASSWORD
        if method in ("PUT", "POST"):
            asked["body"] = self._account()
        if method == "POST":
            asked["body"]["data"]["id"] = path.rpartition("/")[2]
        if method == "PATCH":
            asked["dialect"] = "plain" if in_batch else self.rng.choice(list(MEDIA))
            asked["body"] = self.patch(path, asked["dialect"])
            if asked["dialect"] != "json" and self.rng.random() < 0.5:
                asked["body"]["data"]["password"] = self.rng.choice((PASSWORD, "changed"))
        if method not in ("POST", "LIST", "CLEAR") and self.rng.random() < 0.2:
            asked["headers"] = self.precondition(path, asked)
            asked["headers"].pop("If-None-Match", None)
        return asked

    def _account(self, password: str | None = None) -> dict[str, Any]:
        data = self.data("account") | {"password": password or self.rng.choice((PASSWORD, PASSWORD, "changed"))}
        return {"data": data} | ({"permissions": self.acl("account")} if self.rng.random() < 0.5 else {})

    def _of_history(self, in_batch: bool) -> dict[str, Any]:
        method, path = self.rng.choice(HISTORY_METHODS), f"/buckets/{self.rng.choice(self.buckets)}/history"
        if in_batch and method == "OPTIONS":
            method = "GET"
        asked = self.sent(method, path, in_batch)
        if method != "OPTIONS":
            asked["query"] = self._query_of_history(path)
            if self.rng.random() < 0.15:
                asked["headers"] = self.precondition(path, asked)
        if method == "DELETE":
            asked["query"].pop("_fields", None)
            asked["query"].pop("_token", None)
        return asked

    def _query_of_history(self, path: str) -> dict[str, str]:
        """Return filters that try to tell what is hidden, as those of other lists do."""
        query: dict[str, str] = {}
        if self.rng.random() < 0.4:
            name = self.rng.choice(list(HISTORY_VALUES))
            query[name] = self.rng.choice(HISTORY_VALUES[name])
        if self.rng.random() < 0.15:
            canary = f"canary-{self.rng.randint(1, self.canaries)}-data"
            query[self.rng.choice(("target.data.secret", "like_target.data.secret"))] = canary
        if self.rng.random() < 0.2:
            query["_since"] = self.since(path)
        elif self.rng.random() < 0.5:
            query["_limit"] = str(self.rng.randint(1, 4))
        if self.rng.random() < 0.4:
            query["_sort"] = self.rng.choice(HISTORY_ORDERS)
        if self.rng.random() < 0.15:
            query["_fields"] = "uri,user_id"
        if self.tokens and self.rng.random() < 0.1:
            query["_token"] = self.rng.choice(self.tokens)
        return query

    def _file(self) -> str:
        """Return the path of a file that was sent once, or of any other."""
        if self.sent_files and self.rng.random() < 0.7:
            return self.rng.choice(self.sent_files)
        bucket, collection, record = (self.rng.choice(ids) for ids in (self.buckets, IDS["collection"], IDS["record"]))
        return f"/buckets/{bucket}/collections/{collection}/records/{record}/{self.rng.choice(FILES)}"

    def _of_snapshot(self, in_batch: bool) -> dict[str, Any]:
        """Ask how a collection was: best of all one that is another by now."""
        collection = f"/buckets/{self.rng.choice(self.buckets)}/collections/{self.rng.choice(IDS['collection'])}"
        if self.remade and self.rng.random() < 0.7:
            collection = self.rng.choice(self.remade)
        bucket, _, name = collection.partition("/collections/")
        time = self.since(f"{bucket}/history").strip('"') if self.rng.random() < 0.7 else AT_THE_END
        return self.sent("GET", f"{bucket}/snapshot/collections/{name}@{time}", in_batch)

    def _of_file(self, in_batch: bool) -> dict[str, Any]:
        path = self._file()
        method = self.rng.choice(("GET", "GET", "GET", "HEAD", "POST", "POST", *(() if in_batch else ("DELETE",))))
        if method in ("GET", "HEAD") and self.rng.random() < 0.9:
            # Kinto's one is read by its name among the others.
            path = path.removesuffix("/attachment") + "/attachments/attachment" if path.split("/")[8:] == [] else path
        if method == "GET" and "attachments" in path and self.rng.random() < 0.2:
            return self.sent(method, f"{path}/url", in_batch)
        asked = self.sent(method, path, in_batch)
        asked["streams"] = method == "POST" or "attachments" in path
        return self._with_form(asked) if method == "POST" and not in_batch else asked

    def _with_form(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return a request that sends a file, and perhaps something for its record."""
        self.sent_files.append(asked["path"])
        texts: dict[str, Any] = {}
        if self.rng.random() < 0.5:
            texts["data"] = {"secret": self.canary("data")}
        if self.rng.random() < 0.3:
            texts["permissions"] = self.acl("record")
        part = file(f"{self.canary('name')}.txt", self.canary("file").encode())
        return asked | {"streams": True, "texts": texts, "form": [part, *(text(*each) for each in texts.items())]}
