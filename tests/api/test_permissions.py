"""Who may do what: the observable matrix of the specification, run against the server.

A `·` stands for a refusal (403, or 401 to anybody), a number below 100 for the objects in a list answered with 200,
any other number for the status. Source: objects, 2.3, 2.4 and 2.6; HTTP API, 5; reliability, P16, P18, P20, P23, P24.
"""

from typing import Any, NamedTuple

import pytest
from tests.api.sharing import OTHER, WORLD, B, C, G, R, contents, create, ids, principal_of, share, world

from kobako.settings import Settings
from kobako.testing.client import Answer, Client

GRANTS = {
    "B.read": (B, "read"),
    "B.write": (B, "write"),
    "B.c:create": (B, "collection:create"),
    "B.g:create": (B, "group:create"),
    "C.read": (C, "read"),
    "C.write": (C, "write"),
    "C.r:create": (C, "record:create"),
    "G.read": (G, "read"),
    "G.write": (G, "write"),
    "R.read": (R, "read"),
    "R.write": (R, "write"),
}

# One row of objects 2.4 a request; `If-None-Match: *` is written `new`, an id in the body after `id=`.
MATRIX = """
GET    /buckets                                | 1   1   1   1   ·   ·   ·   ·   ·   ·   ·
DELETE /buckets                                | ·   1   ·   ·   ·   ·   ·   ·   ·   ·   ·
PUT    /buckets/new                            | ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·
POST   /buckets                                | ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·
GET    /buckets/x                              | ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·
GET    /buckets/x/collections                  | ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·
GET    /buckets/b                              | 200 200 200 200 ·   ·   ·   ·   ·   ·   ·
PUT    /buckets/b                              | ·   200 ·   ·   ·   ·   ·   ·   ·   ·   ·
PATCH  /buckets/b                              | ·   200 ·   ·   ·   ·   ·   ·   ·   ·   ·
DELETE /buckets/b                              | ·   200 ·   ·   ·   ·   ·   ·   ·   ·   ·
GET    /buckets/b/collections                  | 2   2   0   ·   1   1   1   ·   ·   ·   ·
POST   /buckets/b/collections                  | ·   201 201 ·   ·   ·   ·   ·   ·   ·   ·
PUT    /buckets/b/collections/new              | ·   201 201 ·   ·   ·   ·   ·   ·   ·   ·
DELETE /buckets/b/collections                  | ·   2   0   ·   ·   1   ·   ·   ·   ·   ·
GET    /buckets/b/collections/c                | 200 200 ·   ·   200 200 200 ·   ·   ·   ·
PUT    /buckets/b/collections/c                | ·   200 ·   ·   ·   200 ·   ·   ·   ·   ·
PATCH  /buckets/b/collections/c                | ·   200 ·   ·   ·   200 ·   ·   ·   ·   ·
DELETE /buckets/b/collections/c                | ·   200 ·   ·   ·   200 ·   ·   ·   ·   ·
GET    /buckets/b/collections/x                | 404 404 ·   ·   ·   ·   ·   ·   ·   ·   ·
PATCH  /buckets/b/collections/x                | 404 404 ·   ·   ·   ·   ·   ·   ·   ·   ·
DELETE /buckets/b/collections/x                | 404 404 ·   ·   ·   ·   ·   ·   ·   ·   ·
PUT    /buckets/b/collections/c new            | ·   412 412 ·   ·   ·   ·   ·   ·   ·   ·
POST   /buckets/b/collections id=c             | 200 200 ·   ·   200 200 200 ·   ·   ·   ·
GET    /buckets/b/groups                       | 2   2   ·   0   ·   ·   ·   1   1   ·   ·
POST   /buckets/b/groups                       | ·   201 ·   201 ·   ·   ·   ·   ·   ·   ·
PUT    /buckets/b/groups/new                   | ·   201 ·   201 ·   ·   ·   ·   ·   ·   ·
DELETE /buckets/b/groups                       | ·   2   ·   0   ·   ·   ·   ·   1   ·   ·
GET    /buckets/b/groups/g                     | 200 200 ·   ·   ·   ·   ·   200 200 ·   ·
PUT    /buckets/b/groups/g                     | ·   200 ·   ·   ·   ·   ·   ·   200 ·   ·
PATCH  /buckets/b/groups/g                     | ·   200 ·   ·   ·   ·   ·   ·   200 ·   ·
DELETE /buckets/b/groups/g                     | ·   200 ·   ·   ·   ·   ·   ·   200 ·   ·
PUT    /buckets/b/groups/g new                 | ·   412 ·   412 ·   ·   ·   ·   ·   ·   ·
POST   /buckets/b/groups id=g                  | 200 200 ·   ·   ·   ·   ·   200 200 ·   ·
GET    /buckets/b/groups/x                     | 404 404 ·   ·   ·   ·   ·   ·   ·   ·   ·
PATCH  /buckets/b/groups/x                     | 404 404 ·   ·   ·   ·   ·   ·   ·   ·   ·
GET    /buckets/b/collections/c/records        | 2   2   ·   ·   2   2   0   ·   ·   1   1
POST   /buckets/b/collections/c/records        | ·   201 ·   ·   ·   201 201 ·   ·   ·   ·
PUT    /buckets/b/collections/c/records/new    | ·   201 ·   ·   ·   201 201 ·   ·   ·   ·
DELETE /buckets/b/collections/c/records        | ·   2   ·   ·   ·   2   0   ·   ·   ·   1
GET    /buckets/b/collections/c/records/r      | 200 200 ·   ·   200 200 ·   ·   ·   200 200
PUT    /buckets/b/collections/c/records/r      | ·   200 ·   ·   ·   200 ·   ·   ·   ·   200
PATCH  /buckets/b/collections/c/records/r      | ·   200 ·   ·   ·   200 ·   ·   ·   ·   200
DELETE /buckets/b/collections/c/records/r      | ·   200 ·   ·   ·   200 ·   ·   ·   ·   200
GET    /buckets/b/collections/c/records/x      | 404 404 ·   ·   404 404 ·   ·   ·   ·   ·
PATCH  /buckets/b/collections/c/records/x      | 404 404 ·   ·   404 404 ·   ·   ·   ·   ·
DELETE /buckets/b/collections/c/records/x      | 404 404 ·   ·   404 404 ·   ·   ·   ·   ·
PUT    /buckets/b/collections/c/records/r new  | ·   412 ·   ·   ·   412 412 ·   ·   ·   ·
POST   /buckets/b/collections/c/records id=r   | 200 200 ·   ·   200 200 ·   ·   ·   200 200
GET    /buckets/b/collections/x/records        | 404 404 ·   ·   ·   ·   ·   ·   ·   ·   ·
DELETE /buckets/b/collections/x/records        | ·   404 ·   ·   ·   ·   ·   ·   ·   ·   ·
POST   /buckets/b/collections/x/records        | 404 404 404 404 404 404 404 404 404 404 404
PUT    /buckets/b/collections/x/records/r      | 404 404 404 404 404 404 404 404 404 404 404
PATCH  /buckets/b/collections/x/records/r      | 404 404 404 404 404 404 404 404 404 404 404
DELETE /buckets/b/collections/x/records/r      | 404 404 404 404 404 404 404 404 404 404 404
"""

SETTINGS_GIVEN = {
    f"{kind[0]}.{action}": f"{kind}_{action}"
    for kind in ("bucket", "collection", "group", "record")
    for action in ("read", "write", "create")
}

# The same for rights by settings (objects 2.6); `.` as `·`. Nothing is inherited by children or parents.
BY_SETTINGS = """
                                               | bucket      | collection  | group       | record
                                               | r   w   c     r   w   c     r   w   c     r   w   c
GET    /buckets                                | 1   ·   0     ·   ·   ·     ·   ·   ·     ·   ·   ·
DELETE /buckets                                | ·   1   0     ·   ·   ·     ·   ·   ·     ·   ·   ·
POST   /buckets                                | ·   ·   201   ·   ·   ·     ·   ·   ·     ·   ·   ·
PUT    /buckets/new                            | ·   ·   201   ·   ·   ·     ·   ·   ·     ·   ·   ·
POST   /buckets id=b                           | 200 200 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
GET    /buckets/b                              | 200 200 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
PUT    /buckets/b                              | ·   200 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
PUT    /buckets/b new                          | ·   ·   412   ·   ·   ·     ·   ·   ·     ·   ·   ·
PATCH  /buckets/b                              | ·   200 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
DELETE /buckets/b                              | ·   200 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
GET    /buckets/x                              | 404 404 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
PATCH  /buckets/x                              | 404 404 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
DELETE /buckets/x                              | 404 404 ·     ·   ·   ·     ·   ·   ·     ·   ·   ·
GET    /buckets/b/collections                  | ·   ·   ·     2   2   0     ·   ·   ·     ·   ·   ·
DELETE /buckets/b/collections                  | ·   ·   ·     ·   2   0     ·   ·   ·     ·   ·   ·
POST   /buckets/b/collections                  | ·   ·   ·     ·   201 201   ·   ·   ·     ·   ·   ·
POST   /buckets/b/collections id=c             | ·   ·   ·     200 200 ·     ·   ·   ·     ·   ·   ·
PUT    /buckets/b/collections/new              | ·   ·   ·     ·   201 201   ·   ·   ·     ·   ·   ·
GET    /buckets/b/collections/c                | ·   ·   ·     200 200 ·     ·   ·   ·     ·   ·   ·
PUT    /buckets/b/collections/c                | ·   ·   ·     ·   200 ·     ·   ·   ·     ·   ·   ·
PUT    /buckets/b/collections/c new            | ·   ·   ·     ·   412 412   ·   ·   ·     ·   ·   ·
PATCH  /buckets/b/collections/c                | ·   ·   ·     ·   200 ·     ·   ·   ·     ·   ·   ·
DELETE /buckets/b/collections/c                | ·   ·   ·     ·   200 ·     ·   ·   ·     ·   ·   ·
GET    /buckets/b/collections/x                | ·   ·   ·     404 404 ·     ·   ·   ·     ·   ·   ·
PATCH  /buckets/b/collections/x                | ·   ·   ·     404 404 ·     ·   ·   ·     ·   ·   ·
POST   /buckets/x/collections                  | ·   ·   ·     ·   404 404   ·   ·   ·     ·   ·   ·
PUT    /buckets/x/collections/c                | ·   ·   ·     ·   404 404   ·   ·   ·     ·   ·   ·
GET    /buckets/b/groups                       | ·   ·   ·     ·   ·   ·     2   2   0     ·   ·   ·
DELETE /buckets/b/groups                       | ·   ·   ·     ·   ·   ·     ·   2   0     ·   ·   ·
POST   /buckets/b/groups                       | ·   ·   ·     ·   ·   ·     ·   201 201   ·   ·   ·
POST   /buckets/b/groups id=g                  | ·   ·   ·     ·   ·   ·     200 200 ·     ·   ·   ·
GET    /buckets/b/groups/g                     | ·   ·   ·     ·   ·   ·     200 200 ·     ·   ·   ·
PUT    /buckets/b/groups/g                     | ·   ·   ·     ·   ·   ·     ·   200 ·     ·   ·   ·
DELETE /buckets/b/groups/g                     | ·   ·   ·     ·   ·   ·     ·   200 ·     ·   ·   ·
GET    /buckets/b/groups/x                     | ·   ·   ·     ·   ·   ·     404 404 ·     ·   ·   ·
PUT    /buckets/x/groups/g                     | ·   ·   ·     ·   ·   ·     ·   404 404   ·   ·   ·
GET    /buckets/b/collections/c/records        | ·   ·   ·     ·   ·   ·     ·   ·   ·     2   2   0
DELETE /buckets/b/collections/c/records        | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   2   0
POST   /buckets/b/collections/c/records        | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   201 201
POST   /buckets/b/collections/c/records id=r   | ·   ·   ·     ·   ·   ·     ·   ·   ·     200 200 ·
PUT    /buckets/b/collections/c/records/new    | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   201 201
GET    /buckets/b/collections/c/records/r      | ·   ·   ·     ·   ·   ·     ·   ·   ·     200 200 ·
PUT    /buckets/b/collections/c/records/r      | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   200 ·
PUT    /buckets/b/collections/c/records/r new  | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   412 412
PATCH  /buckets/b/collections/c/records/r      | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   200 ·
DELETE /buckets/b/collections/c/records/r      | ·   ·   ·     ·   ·   ·     ·   ·   ·     ·   200 ·
GET    /buckets/b/collections/c/records/x      | ·   ·   ·     ·   ·   ·     ·   ·   ·     404 404 ·
PATCH  /buckets/b/collections/c/records/x      | ·   ·   ·     ·   ·   ·     ·   ·   ·     404 404 ·
"""


class Asked(NamedTuple):
    """One row of a table: what is sent, and what comes of it, by column."""

    method: str
    url: str
    new: bool
    id: str | None
    outcomes: dict[str, str]

    async def send(self, client: Client) -> Answer:
        return await client.request(self.method, self.url, headers=self.headers, **self.content)

    async def send_in_batch(self, client: Client) -> Answer:
        part = {"method": self.method, "path": self.url, "headers": self.headers}
        if "json" in self.content:
            part["body"] = self.content["json"]
        [entry] = (await client.batch(part)).json["responses"]
        return Answer(entry["status"], entry["headers"], entry["body"])

    @property
    def headers(self) -> dict[str, str]:
        return {"If-None-Match": "*"} if self.new else {}

    @property
    def content(self) -> dict[str, Any]:
        if self.method not in ("PUT", "POST", "PATCH"):
            return {}
        return {"json": {"data": {"id": self.id} if self.id else {"a": 1}}}


def rows(table: str, columns: dict[str, Any]) -> list[Any]:
    """Return the rows of a table as parameters of a test."""
    lines = [line.split("|") for line in table.strip("\n").splitlines() if line[0] != " "]
    return [
        pytest.param(_asked(left.split(), cells.split(), columns), id=" ".join(left.split())) for left, cells in lines
    ]


def _asked(request: list[str], cells: list[str], columns: dict[str, Any]) -> Asked:
    method, url, *options = request
    id = next((each[3:] for each in options if each.startswith("id=")), None)
    return Asked(method, url, "new" in options, id, dict(zip(columns, cells, strict=True)))


async def as_herself(owner: Client, other: Client) -> tuple[Client, str]:
    return other, await principal_of(other)


async def as_member(owner: Client, other: Client) -> tuple[Client, str]:
    await create(owner, "/buckets/elsewhere")
    await owner.put("/buckets/elsewhere/groups/team", data={"members": [await principal_of(other)]})
    return other, "/buckets/elsewhere/groups/team"


async def as_anybody_with_a_name(owner: Client, other: Client) -> tuple[Client, str]:
    return other, "system.Authenticated"


async def as_anonymous(owner: Client, other: Client) -> tuple[Client, str]:
    return other.anonymous(), "system.Everyone"


def outcome(asked: Asked, answer: Answer, client: Client) -> str:
    """Return what came of a request, as the tables write it."""
    refusal = 403 if client.headers else 401
    if answer.status == refusal:
        return "·"
    if answer.status == 200 and isinstance(answer.data, list):
        return str(len(answer.data))
    return str(answer.status)


@pytest.mark.parametrize("requester", [as_herself, as_member, as_anybody_with_a_name, as_anonymous])
@pytest.mark.parametrize("asked", rows(MATRIX, GRANTS))
async def test_one_permission_opens_exactly_what_the_matrix_says(asked: Asked, requester: Any) -> None:
    observed = {}

    for name, (uri, permission) in GRANTS.items():
        async with world() as (owner, other):
            client, principal = await requester(owner, other)
            await share(owner, uri, permission, principal)
            before = await contents(owner)
            answer = await asked.send(client)
            observed[name] = outcome(asked, answer, client)
            if answer.status >= 400:
                assert await contents(owner) == before

    assert observed == asked.outcomes


@pytest.mark.parametrize("asked", rows(MATRIX, GRANTS))
async def test_a_part_of_a_batch_passes_the_same_gates(asked: Asked) -> None:
    """P18."""
    observed = {}

    for name, (uri, permission) in GRANTS.items():
        async with world() as (owner, other):
            await share(owner, uri, permission, await principal_of(other))
            observed[name] = outcome(asked, await asked.send_in_batch(other), other)

    assert observed == asked.outcomes


@pytest.mark.parametrize("asked", [each for each in rows(MATRIX, GRANTS) if each.values[0].method == "GET"])
async def test_head_answers_what_get_answers(asked: Asked) -> None:
    """P16, P20: totals count what the caller may read, and nothing else."""
    head = asked._replace(method="HEAD")

    for uri, permission in GRANTS.values():
        async with world() as (owner, other):
            await share(owner, uri, permission, await principal_of(other))
            answer, shown = await head.send(other), await asked.send(other)
            assert answer.status == shown.status
            assert answer.headers.get("ETag") == shown.headers.get("ETag")
            if shown.status == 200 and isinstance(shown.data, list):
                assert answer.headers["Total-Objects"] == answer.headers["Total-Records"] == str(len(shown.data))


@pytest.mark.parametrize("asked", rows(BY_SETTINGS, SETTINGS_GIVEN))
async def test_a_setting_opens_one_kind_of_objects_and_nothing_above_or_below(asked: Asked) -> None:
    observed = {}

    for name, setting in SETTINGS_GIVEN.items():
        async with world(**{setting: OTHER}) as (_, other):
            observed[name] = outcome(asked, await asked.send(other), other)

    assert observed == asked.outcomes


@pytest.mark.parametrize("asked", rows(BY_SETTINGS, SETTINGS_GIVEN))
async def test_settings_may_name_everybody(asked: Asked) -> None:
    observed = {}

    for name, setting in SETTINGS_GIVEN.items():
        async with world(**{setting: frozenset({"system.Everyone"})}) as (_, other):
            anonymous = other.anonymous()
            observed[name] = outcome(asked, await asked.send(anonymous), anonymous)

    assert observed == asked.outcomes


async def test_settings_may_name_a_group() -> None:
    async with world(record_read=frozenset({"/buckets/b/groups/g"})) as (owner, other):
        assert (await other.get(R)).status == 403

        await owner.patch(G, data={"members": [await principal_of(other)]})

        assert (await other.get(R)).status == 200


async def test_whoever_may_create_records_lists_and_deletes_their_own() -> None:
    async with world(record_create=OTHER) as (owner, other):
        await create(other, f"{C}/records/mine")

        assert ids(await other.get(f"{C}/records")) == {"mine"}
        assert ids(await other.delete(f"{C}/records")) == {"mine"}
        assert ids(await owner.get(f"{C}/records")) == {"r", "s"}


async def test_whoever_may_create_buckets_lists_and_deletes_their_own(client: Client) -> None:
    """P24."""
    await create(client, B)
    other = client.as_user("ann")
    await create(other, "/buckets/hers")

    assert ids(await other.get("/buckets")) == {"hers"}
    assert ids(await other.delete("/buckets")) == {"hers"}
    assert ids(await client.get("/buckets")) == {"b"}


async def test_who_is_allowed_by_a_setting_sees_no_acl_before_they_stand_in_it() -> None:
    async with world(record_write=OTHER) as (_, other):
        assert (await other.get(R)).json["permissions"] == {}

        await other.patch(R, data={"a": 1})

        assert await principal_of(other) in (await other.get(R)).json["permissions"]["write"]


async def test_a_fresh_server_lets_anybody_create_and_read_nothing(client: Client) -> None:
    """P23."""
    await create(client, *WORLD)
    anonymous = client.anonymous()

    asked = [each.values[0] for each in rows(MATRIX, GRANTS) if "/x/records" not in each.values[0].url]
    statuses = {(each.method, each.url): (await each.send(anonymous)).status for each in asked}

    assert set(statuses.values()) == {401}


def test_only_users_may_create_buckets_by_default() -> None:
    """P23."""
    everyone = {name for name, who in Settings().principals_by_permission.items() if "system.Everyone" in who}

    assert everyone == {"permissions_read"}
    assert Settings().principals("bucket", "create") == {"system.Authenticated"}
