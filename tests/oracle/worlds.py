"""Random worlds and random requests, from a seed: what the permission oracle asks.

A request is a dict: who sends it (`user`, None for anybody), `method`, `path` without prefix, `query`, `headers`,
`body`, for a PATCH its `dialect`, whether it `streams` (then it is no part of a batch), the `password` of the sender,
and the `door` it comes through (how the path is spelled). The door `default` is the
alias of the own bucket of who sends it, where nothing is left to be created by the way: the same as the real id.
"""

import random
from typing import Any

from tests.oracle.tables import PERMISSIONS
from tests.oracle.world import PASSWORD, World, basic_id, default_bucket, kind_of, parent, prefixed

USERS = ("ann", "bob", "cat", "dan", "eve")
ROOT = "root"
IDS = {
    "bucket": ("b", "ba", "b-1", "b_1"),
    "group": ("g", "h", "gh"),
    "collection": ("c", "d", "c-1"),
    "record": ("r", "s", "t", "r-1"),
    # The last is the only one that a user of basicauth may make.
    "account": ("al", "bo", "adm", "new", basic_id("ann").partition(":")[2]),
}


def aliased(*users: str) -> tuple[str, ...]:
    """Return ids of buckets for a world in which some are the default one of these users."""
    return ("b", *(default_bucket(prefixed(user)).rpartition("/")[2] for user in users))


PLURALS = {"bucket": "buckets", "group": "groups", "collection": "collections", "record": "records"}
METHODS = {
    False: ("GET", "GET", "HEAD", "PUT", "PUT", "PATCH", "PATCH", "DELETE", "OPTIONS"),
    True: ("GET", "GET", "GET", "HEAD", "HEAD", "POST", "POST", "DELETE", "OPTIONS"),
}
MEDIA = {
    "plain": "application/json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


class Maker:
    """Makes a world's settings, objects and requests; each canary once."""

    users = USERS

    def __init__(self, rng: random.Random, *, has_alias: bool = False):
        self.rng = rng
        self.has_alias = has_alias
        self.buckets = aliased(*self.users[:2]) if has_alias else IDS["bucket"]
        self.canaries = 0
        self.tokens: list[str] = []
        self.openness = rng.choice((0.2, 0.5, 0.8))
        self.world = self.make_world(self.settings(), explicit=rng.random() < 0.9)

    def make_world(self, settings: dict[str, set[str]], explicit: bool) -> World:
        """Return an empty world."""
        return World(settings, explicit)

    def settings(self) -> dict[str, set[str]]:
        """Some rights for some users or groups; who builds the world may create buckets."""
        given = {"bucket_create": {prefixed(ROOT)}}
        for kind in PLURALS:
            for action in ("read", "write", "create"):
                if self.rng.random() < 0.1 * (1 + self.openness):
                    given.setdefault(f"{kind}_{action}", set()).add(self.principal())
        return given

    def principal(self) -> str:
        chance = self.rng.random()
        if chance < 0.6:
            return prefixed(self.rng.choice(self.users))
        if chance < 0.92:
            # Of any bucket, whether it exists or not.
            return f"/buckets/{self.rng.choice(self.buckets)}/groups/{self.rng.choice(IDS['group'])}"
        return "system.Authenticated" if chance < 0.97 else "system.Everyone"

    def canary(self, where: str) -> str:
        self.canaries += 1
        return f"canary-{self.canaries}-{where}"

    def acl(self, kind: str) -> dict[str, Any]:
        """Some permissions for one or two principals; one of them is a canary."""
        names = [name for name in PERMISSIONS[kind] if self.rng.random() < self.openness]
        acl = {name: [self.principal() for _ in range(self.rng.randint(0, 3))] for name in names}
        if acl:
            acl[self.rng.choice(names)].append(self.canary("acl"))
        return acl

    def data(self, kind: str) -> dict[str, Any]:
        data: dict[str, Any] = {"secret": self.canary("data")}
        if self.rng.random() < 0.8:
            data["n"] = self.rng.randint(0, 4)
        if kind == "group":
            data["members"] = self.members()
        return data

    def members(self) -> list[str]:
        chosen = [prefixed(self.rng.choice(self.users)) for _ in range(self.rng.randint(0, 2))]
        return [*chosen, "system.Authenticated"] if self.rng.random() < 0.05 else chosen

    def building(self) -> list[list[dict[str, Any]]]:
        """Return the requests that fill a world, alone or the parts of a batch: some buckets and what is in them."""
        made = []
        for bucket in self.rng.sample(self.buckets, self.rng.randint(2, 3)):
            made.append(f"/buckets/{bucket}")
            made += [f"/buckets/{bucket}/groups/{each}" for each in IDS["group"] if self.rng.random() < 0.5]
            for collection in IDS["collection"]:
                if self.rng.random() < 0.6:
                    made.append(f"/buckets/{bucket}/collections/{collection}")
                    made += [f"{made[-1]}/records/{each}" for each in IDS["record"] if self.rng.random() < 0.6]
        parts = [self.build(uri) for uri in made]
        return [parts[start : start + 25] for start in range(0, len(parts), 25)]

    def build(self, uri: str) -> dict[str, Any]:
        """Return the request that makes an object, by whoever builds the world."""
        acl = self.acl(kind_of(uri))
        if kind_of(uri) == "bucket":
            # Where writing gives no permission, whoever builds needs one for what comes next.
            acl.setdefault("write", []).append(prefixed(ROOT))
        return request(ROOT, "PUT", uri, body={"data": self.data(kind_of(uri)), "permissions": acl})

    def asking(self) -> list[dict[str, Any]]:
        """Return one request, or, one time in four, the parts of a batch."""
        if self.rng.random() < 0.75:
            return [self.one()]
        return [self.one(in_batch=True) for _ in range(self.rng.randint(2, 6))]

    def one(self, in_batch: bool = False) -> dict[str, Any]:
        path = self._path()
        is_list = len(path.split("/")) % 2 == 0
        method = self.rng.choice(METHODS[is_list])
        if method == "DELETE" and len(path.split("/")) <= 3 and self.rng.random() < 0.8:
            # Deleting buckets empties the world.
            method = "GET"
        if method == "OPTIONS" and in_batch:
            method = "HEAD"
        asked = self.sent(method, path, in_batch)
        if is_list and method in ("GET", "HEAD", "DELETE"):
            asked["query"] = self.query(path, method)
        elif method in ("GET", "HEAD") and self.rng.random() < 0.15:
            asked["query"] = {"_fields": "n"}
        if method in ("PUT", "POST"):
            asked["body"] = self._body(path, method)
        if method == "PATCH":
            asked["dialect"] = "plain" if in_batch else self.rng.choice(list(MEDIA))
            asked["body"] = self.patch(path, asked["dialect"])
        if self.rng.random() < 0.2 and method != "OPTIONS":
            asked["headers"] = self.precondition(path, asked)
        return asked

    def sent(self, method: str, path: str, in_batch: bool) -> dict[str, Any]:
        """Return a request of somebody, through some door; with nothing in it."""
        user = self.rng.choice((*self.users, *self.users, *self.users, None, None, ROOT))
        asked = request(user, method, path, password=self.password_of(user))
        by_alias = self.has_alias and not in_batch and self._is_in_default_bucket(asked)
        return asked | {"door": "default" if by_alias else self._door()}

    def password_of(self, user: str | None) -> str:
        """Return the password with which a user comes."""
        return PASSWORD

    def _door(self) -> str:
        return self.rng.choices(("plain", "encoded", "slash"), weights=(20, 2, 1))[0]

    def _is_in_default_bucket(self, asked: dict[str, Any]) -> bool:
        """Tell whether a path is in the sender's default bucket, and all is there that a request implies."""
        objects, path, method = self.world.objects, asked["path"], asked["method"]
        segments = path.split("/")
        own = default_bucket(self.world.user_id(asked["user"], asked["password"]))
        if not asked["user"] or method == "OPTIONS" or "/".join(segments[:3]) != own or own not in objects:
            return False
        collection = "/".join(segments[:5])
        is_put = method == "PUT" and collection == path
        return segments[3:4] != ["collections"] or len(segments) == 4 or is_put or collection in objects

    def _path(self) -> str:
        """Return an object that exists, its list, or any other; the deeper, the likelier."""
        known = [uri for uri in self.world.objects if kind_of(uri) in PLURALS]
        if known and self.rng.random() < 0.75:
            uri = self.rng.choice(known)
        else:
            uri = f"/buckets/{self.rng.choice(self.buckets)}"
            kind = self.rng.choice(("bucket", "group", "collection", "record", "record"))
            if kind == "record":
                uri += f"/collections/{self.rng.choice(IDS['collection'])}"
            if kind != "bucket":
                uri += f"/{PLURALS[kind]}/{self.rng.choice(IDS[kind])}"
        return parent(uri) if self.rng.random() < 0.45 else uri

    def query(self, path: str, method: str) -> dict[str, str]:
        """Return filters that try to tell what is hidden, and orders, pages and projections."""
        query: dict[str, str] = {}
        if self.rng.random() < 0.35:
            query[self.rng.choice(("n", "not_n", "min_n", "lt_n"))] = str(self.rng.randint(0, 4))
        if self.rng.random() < 0.1:
            query["has_n"] = self.rng.choice(("true", "false"))
        if self.rng.random() < 0.15:
            canary = f"canary-{self.rng.randint(1, self.canaries)}-data"
            query[self.rng.choice(("secret", "like_secret"))] = canary
        if self.rng.random() < 0.15:
            ids = self.rng.sample(IDS[kind_of(path)], 2)
            query[self.rng.choice(("in_id", "exclude_id"))] = ",".join(ids)
        if self.rng.random() < 0.3:
            query["_since"] = self.since(path)
        elif self.rng.random() < 0.5:
            query["_limit"] = str(self.rng.randint(1, 3))
        if self.rng.random() < 0.4:
            query["_sort"] = self.rng.choice(("n", "-n", "id", "-secret", "n,-id", "last_modified", "-last_modified"))
        if method != "DELETE" and self.rng.random() < 0.15:
            query["_fields"] = self.rng.choice(("n", "secret,n"))
        if method != "DELETE" and self.tokens and self.rng.random() < 0.1:
            # Of any list, any order and any user. A deletion would tell which it takes.
            query["_token"] = self.rng.choice(self.tokens)
        return query

    def since(self, path: str) -> str:
        known = [each["version"] for uri, each in self.world.objects.items() if parent(uri) == path]
        known += [int(when) for uri, when in self.world.graves.items() if parent(uri) == path and when == int(when)]
        version = self.rng.choice([0, *known])
        return self.rng.choice((str(version), f'"{version}"'))

    def _body(self, path: str, method: str) -> dict[str, Any]:
        kind, body = kind_of(path), {}
        if self.rng.random() < 0.85:
            body["data"] = self.data(kind)
        if self.rng.random() < 0.5:
            body["permissions"] = self.acl(kind)
        if method == "POST" and self.rng.random() < 0.8:
            body.setdefault("data", self.data(kind))["id"] = self.rng.choice(IDS[kind])
        return body

    def patch(self, path: str, dialect: str) -> Any:
        kind = kind_of(path)
        if dialect == "json":
            return [self._operation(kind) for _ in range(self.rng.randint(0, 3))]
        data, acl = self.data(kind) if self.rng.random() < 0.7 else {}, self.acl(kind)
        if self.rng.random() < 0.5:
            acl[self.rng.choice(PERMISSIONS[kind])] = None
        if dialect == "merge" and self.rng.random() < 0.3:
            data["n"] = None
        return {"data": data, "permissions": acl} if self.rng.random() < 0.6 else {"data": data}

    def _operation(self, kind: str) -> dict[str, Any]:
        if self.rng.random() < 0.4:
            name, value = self.rng.choice((("n", self.rng.randint(0, 4)), ("secret", self.canary("data"))))
            if name == "n" and self.rng.random() < 0.2:
                return {"op": "remove", "path": "/data/n"}
            return {"op": "add", "path": f"/data/{name}", "value": value}
        principal = self.canary("acl") if self.rng.random() < 0.1 else self.principal()
        path = f"/permissions/{self.rng.choice(PERMISSIONS[kind])}/{principal.replace('/', '~1')}"
        return {"op": self.rng.choice(("add", "add", "add", "remove")), "path": path}

    def precondition(self, path: str, asked: dict[str, Any]) -> dict[str, str]:
        """Return a precondition that is met or not; for a list only with a version that is known."""
        known = self.world.etags.get(path)
        if path in self.world.objects:
            known = self.world.objects[path]["version"]
        if asked["method"] == "POST":
            known = None
        versions = ['"1"', *([f'"{known}"'] * 2 if known else [])]
        name = self.rng.choice(("If-Match", "If-None-Match"))
        return {name: self.rng.choice(("*", *versions)) if name == "If-None-Match" else self.rng.choice(versions)}


def request(user: str | None, method: str, path: str, **more: Any) -> dict[str, Any]:
    return {
        "user": user,
        "method": method,
        "path": path,
        "query": {},
        "headers": {},
        "body": None,
        "door": "plain",
        "password": PASSWORD,
        "streams": False,
    } | more
