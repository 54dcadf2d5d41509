"""The parts of a batch in one transaction: what is kept, what is told, who may. Source: HTTP API, 12.4 and 14; C11,
C12, C21, P18."""

from typing import Any

import msgspec
import pytest
from tests.api.sharing import CHALLENGE, B, C, G, R, create, ids, parts, principal_of, put, serving, share, statuses

from kobako.databases.base import BackendUnavailable
from kobako.model import objects
from kobako.protocol.errors import Conflict, Forbidden, ServiceUnavailable
from kobako.resources import BUCKET, RESOURCES
from kobako.testing.client import Client


async def test_a_part_sees_what_those_before_it_did(client: Client) -> None:
    answer = await client.batch(
        put(B), put(C), put(R, n=1), {"path": R}, {"method": "DELETE", "path": R}, {"path": f"{C}/records"}, {"path": R}
    )

    assert statuses(answer) == [201, 201, 201, 200, 200, 200, 404]
    assert parts(answer)[5]["body"]["data"] == []


async def test_versions_increase_in_the_order_of_the_parts(client: Client) -> None:
    answer = await client.batch(*[put(f"/buckets/b{n}") for n in range(5)], put("/buckets/b0"))

    versions = [each["body"]["data"]["last_modified"] for each in parts(answer)]
    assert versions == sorted(set(versions))
    assert (await client.get("/buckets")).etag == versions[-1]


async def test_a_failing_part_leaves_the_others_alone(client: Client) -> None:
    """C12."""
    await create(client, "/buckets/known")
    other = {"Authorization": client.as_user("ann").headers["authorization"]}

    answer = await client.batch(
        put("/buckets/a"),
        put("/buckets/not valid!"),
        {**put("/buckets/known"), "headers": {"If-None-Match": "*"}},
        {**put("/buckets/known"), "headers": other},
        {**put("/buckets/known"), "headers": {"Authorization": ""}},
        {"path": "/buckets/a/collections/x"},
        {"method": "TRACE", "path": "/buckets/a"},
        {"method": "PUT", "path": "/buckets/a", "body": {"dat": {}}},
        {"path": "/buckets/a", "headers": {"Accept": "text/html"}},
        put("/buckets/c"),
    )

    assert statuses(answer) == [201, 400, 412, 403, 401, 404, 405, 400, 406, 201]
    assert parts(answer)[4]["headers"]["WWW-Authenticate"] == CHALLENGE
    assert ids(await client.get("/buckets")) == {"a", "c", "known"}


async def test_a_part_that_fails_late_leaves_nothing_behind() -> None:
    """C12, C21: neither object, nor ACL, nor tombstone, nor event."""
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.extend(each.new.id for each in event.changes)

    async with serving(resources=_refusing(Forbidden()), after_commit=[listener]) as client:
        await create(client, "/buckets/kept")
        before = (await client.get("/buckets")).etag
        answer = await client.batch(put("/buckets/bad"), put("/buckets/good"), put("/buckets/bad"))

        assert statuses(answer) == [403, 201, 403]
        assert ids(await client.get(f"/buckets?_since={before}")) == {"good"}
        assert (await client.get("/buckets/bad")).status == 403
        assert told == ["kept", "good"]


def _refusing(error: Exception) -> list[Any]:
    """Return resources where writing the bucket `bad` fails with this error, once everything is written."""

    async def react(tx: Any, target: Any, change: Any) -> None:
        if change.new.id == "bad":
            raise error

    # Children refer to their parent by name, so they may stay.
    return [msgspec.structs.replace(BUCKET, react=react), *RESOURCES[1:]]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(ServiceUnavailable(), 503, id="503 raised on purpose"),
        pytest.param(BackendUnavailable(), 503, id="database away"),
        pytest.param(RuntimeError("secret"), 500, id="defect"),
        pytest.param(Conflict(), 409, id="409 raised on purpose"),
    ],
)
async def test_a_part_that_fails_by_the_server_or_a_conflict_undoes_the_whole_batch(
    error: Exception, status: int
) -> None:
    """C11."""
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.append(event)

    async with serving(resources=_refusing(error), after_commit=[listener]) as client:
        answer = await client.batch(put("/buckets/a"), put("/buckets/bad"), put("/buckets/c"))

        assert answer.status == answer.json["code"] == status
        assert ("Retry-After" in answer.headers) == (status != 500)
        assert "responses" not in answer.json
        assert "secret" not in str(answer)
        assert ids(await client.get("/buckets?_since=0")) == set()
        assert told == []


async def test_a_part_answered_with_5xx_undoes_the_whole_batch() -> None:
    """C11: also where it was not raised but returned, as the heartbeat does."""
    async with serving() as client:
        client.app.site.heartbeats["storage"] = _down  # type: ignore[index]
        answer = await client.batch(put("/buckets/a"), {"path": "/__heartbeat__"})

        assert answer.status == 503
        assert "responses" not in answer.json
        assert ids(await client.get("/buckets")) == set()


async def _down() -> bool:
    return False


async def test_a_conflict_undoes_the_whole_batch_and_nothing_claims_to_be_stored(client: Client) -> None:
    """C11."""
    await create(client, "/buckets/kept")
    before = (await client.get("/buckets")).etag

    answer = await client.batch(
        put("/buckets/a"),
        put("/buckets/b", last_modified=1000),
        put("/buckets/c", last_modified=1000),
        put("/buckets/d"),
    )

    assert (answer.status, answer.json["errno"]) == (409, 122)
    assert answer.headers["Retry-After"] == "3"
    assert "responses" not in answer.json
    assert (await client.get("/buckets?_since=0")).etag == before
    assert ids(await client.get("/buckets?_since=0")) == {"kept"}


async def test_a_veto_before_the_commit_undoes_the_whole_batch() -> None:
    """C11, C21."""
    told: list[Any] = []

    async def veto(tx: Any, event: Any) -> None:
        raise Forbidden("Not today.")

    async def listener(tx: Any, event: Any) -> None:
        told.append(event)

    async with serving(before_commit=[veto], after_commit=[listener]) as client:
        batch, alone = await client.batch(put("/buckets/a"), put("/buckets/c")), await client.put(B, data={})

        assert [(each.status, each.json["message"]) for each in (batch, alone)] == [(403, "Not today.")] * 2
        assert ids(await client.get("/buckets?_since=0")) == set()
        assert told == []


async def test_a_listener_that_fails_after_the_commit_changes_no_answer() -> None:
    async def listener(tx: Any, event: Any) -> None:
        raise RuntimeError("lost")

    async with serving(after_commit=[listener]) as client:
        assert statuses(await client.batch(put(B))) == [201]
        assert (await client.get(B)).status == 200


# Events


async def test_the_events_of_a_batch_are_merged_by_list_and_action() -> None:
    """C21."""
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.append((event.action, event.place.resource, event.uri, [each.new.id for each in event.changes]))

    async with serving(after_commit=[listener]) as client:
        await client.batch(
            put(B), put(C), put("/buckets/c"), put(R), put("/buckets/not valid!"), put(B), put("/buckets/d")
        )

    assert told == [
        ("create", "bucket", B, ["b", "c", "d"]),
        ("create", "collection", C, ["c"]),
        ("create", "record", R, ["r"]),
        ("update", "bucket", B, ["b"]),
    ]


async def test_listeners_are_told_what_was_before_and_after() -> None:
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.extend((event.action, each.old and each.old.data(), each.new.data()) for each in event.changes)

    async with serving(after_commit=[listener]) as client:
        one = (await client.put(B, data={"a": 1})).data
        two = (await client.patch(B, data={"b": 2}, headers={"Response-Behavior": "light"})).status
        whole = (await client.get(B)).data
        gone = (await client.delete("/buckets")).data[0]

    assert two == 200
    assert told == [("create", None, one), ("update", one, whole), ("delete", whole, gone)]


async def test_nothing_is_told_of_reads_and_failures() -> None:
    told: list[Any] = []

    async def listener(tx: Any, event: Any) -> None:
        told.append(event)

    async with serving(before_commit=[listener], after_commit=[listener]) as client:
        await create(client, B)
        told.clear()

        await client.get(B)
        await client.post("/buckets", data={"id": "b"})
        await client.put(B, data={}, headers={"If-None-Match": "*"})
        await client.delete("/buckets?id=x")
        await client.delete("/buckets/x")
        await client.batch({"path": B}, put("/buckets/not valid!"))

    assert told == []


async def test_what_a_listener_writes_is_told_in_the_same_phase_and_never_merged() -> None:
    """Section 14.4."""
    before: list[Any] = []
    after: list[Any] = []

    async def writing(tx: Any, event: Any) -> None:
        before.append([each.new.id for each in event.changes])
        if event.changes[0].new.id == "b":
            target = BUCKET.target("/buckets", "echo")
            await objects.write(tx, target, {}, {}, old=None, old_acl={}, by=None)

    async def listener(tx: Any, event: Any) -> None:
        after.append([each.new.id for each in event.changes])

    async with serving(before_commit=[writing], after_commit=[listener]) as client:
        await client.batch(put(B), put("/buckets/c"))

    assert before == after == [["b", "c"], ["echo"]]


async def test_listeners_that_never_stop_writing_are_a_defect_and_nothing_is_kept() -> None:
    async def writing(tx: Any, event: Any) -> None:
        target = BUCKET.target("/buckets", f"{event.changes[0].new.id}x")
        await objects.write(tx, target, {}, {}, old=None, old_acl={}, by=None)

    async with serving(before_commit=[writing]) as client:
        assert (await client.put(B, data={})).status == 500
        assert ids(await client.get("/buckets?_since=0")) == set()


# Access


async def test_each_part_needs_its_own_rights(client: Client) -> None:
    """P18."""
    await create(client, B, C, R)
    other = client.as_user("ann")

    assert statuses(await other.batch({"path": R}, put(R), {"path": "/buckets"}, put("/buckets/mine"))) == [
        403,
        403,
        200,
        201,
    ]
    assert statuses(await client.anonymous().batch({"path": R}, put(R), put("/buckets/mine"))) == [401, 401, 401]


async def test_a_part_may_be_of_another_user(client: Client) -> None:
    other = client.as_user("ann")

    answer = await client.batch(
        {**put(B), "headers": {"Authorization": other.headers["authorization"]}}, {"path": B}, {"path": "/"}
    )

    assert statuses(answer) == [201, 403, 200]
    assert parts(answer)[0]["body"]["permissions"] == {"write": [await principal_of(other)]}
    assert parts(answer)[2]["body"]["user"]["id"] == await principal_of(client)


async def test_a_right_given_by_a_part_counts_for_the_next(client: Client) -> None:
    other = client.as_user("ann")
    await create(client, B)
    hers = {"Authorization": other.headers["authorization"]}
    given = {"method": "PATCH", "path": B, "body": {"permissions": {"read": [await principal_of(other)]}}}
    taken = {"method": "PATCH", "path": B, "body": {"permissions": {"read": []}}}

    answer = await client.batch(
        {"path": B, "headers": hers}, given, {"path": B, "headers": hers}, taken, {"path": B, "headers": hers}
    )

    assert statuses(answer) == [403, 200, 200, 200, 403]


async def test_memberships_are_those_of_the_beginning_of_the_batch(client: Client) -> None:
    """Section 4.4: principals are read once, for the whole batch."""
    await create(client, B, C, R, G)
    other = client.as_user("ann")
    ann = await principal_of(other)
    await share(client, R, "read", G)
    await share(client, G, "write", ann)

    join = {"method": "PATCH", "path": G, "body": {"data": {"members": [ann]}}}
    leave = {"method": "PATCH", "path": G, "body": {"data": {"members": []}}}

    assert statuses(await other.batch({"path": R}, join, {"path": R})) == [403, 200, 403]
    assert (await other.get(R)).status == 200
    assert statuses(await other.batch({"path": R}, leave, {"path": R})) == [200, 200, 200]
    assert (await other.get(R)).status == 403


async def test_memberships_are_those_of_the_beginning_also_for_the_user_of_a_later_part(client: Client) -> None:
    await create(client, B, C, R, G)
    other = client.as_user("ann")
    await share(client, R, "read", G)

    join = {"method": "PATCH", "path": G, "body": {"data": {"members": [await principal_of(other)]}}}
    hers = {"path": R, "headers": {"Authorization": other.headers["authorization"]}}

    assert statuses(await client.batch(join, hers)) == [200, 403]
    assert (await other.get(R)).status == 200
