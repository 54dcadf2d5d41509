"""Who is told what, and when. Source: HTTP API, 14; objects, 20 and 27.3; C21.

How the events of a batch are merged, and what its failing parts leave of them: test_batch_transactions.py.
"""

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from tests.api.sharing import B, C, R, create, ids, principal_of, put, serving

from kobako.http import reads
from kobako.model import objects
from kobako.model.events import ObjectsChanged, ObjectsRead
from kobako.model.listeners import Listener
from kobako.model.transaction import Transaction
from kobako.protocol.errors import ApiError, Forbidden
from kobako.resources import BUCKET
from kobako.settings import EventListener, SettingsError

RECORDS = f"{C}/records"
EVERYTHING = ("create", "update", "delete", "read")

Event = ObjectsChanged | ObjectsRead


class Told:
    """A listener that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    async def __call__(self, tx: Transaction, event: Event) -> None:
        self.events.append(event)

    def take(self) -> list[Any]:
        """Return what was told since the last time."""
        taken, self.events = self.events, []
        return taken


def to_all(told: Told) -> list[Listener]:
    """Return the listener for every action."""
    return [Listener(told, actions=EVERYTHING)]


# The payload

WHERE = {"resource_name": "record", "bucket_id": "b", "collection_id": "c"}
OBJECT, LIST = {"uri": R, **WHERE, "record_id": "r"}, {"uri": RECORDS, **WHERE}


@pytest.mark.parametrize(
    ("method", "url", "action", "where"),
    [
        pytest.param("PUT", R, "update", OBJECT, id="PUT on an object that is there"),
        pytest.param(
            "PUT", f"{RECORDS}/new", "create", {"uri": f"{RECORDS}/new", **WHERE, "record_id": "new"}, id="PUT"
        ),
        pytest.param("PATCH", R, "update", OBJECT, id="PATCH"),
        pytest.param("DELETE", R, "delete", OBJECT, id="DELETE of an object"),
        pytest.param("GET", R, "read", OBJECT, id="GET of an object"),
        pytest.param("HEAD", R, "read", OBJECT, id="HEAD of an object"),
        pytest.param("POST", RECORDS, "create", LIST, id="POST"),
        pytest.param("DELETE", RECORDS, "delete", LIST, id="DELETE of a list"),
        pytest.param("DELETE", f"{RECORDS}?n=2", "read", LIST, id="DELETE of a list that deletes nothing"),
        pytest.param("GET", f"{RECORDS}?_limit=1", "read", LIST, id="GET of a list"),
        pytest.param("HEAD", RECORDS, "read", LIST, id="HEAD of a list"),
    ],
)
async def test_an_event_says_what_was_asked_where_and_by_whom(method: str, url: str, action: str, where: Any) -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C, f"{RECORDS}/s", R)
        told.take()

        json = {"data": {"n": 1}} if method in ("PUT", "POST", "PATCH") else None
        answer = await client.request(method, url, **({"json": json} if json else {}))
        [event] = told.take()

        assert answer.status < 300
        assert event.payload() == {
            "timestamp": (await client.get(RECORDS)).etag,
            "action": action,
            "user_id": await principal_of(client),
            **where,
        }


async def test_the_user_of_an_event_is_null_for_anybody() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, permissions={"write": ["system.Everyone"]})
        await client.anonymous().patch(B, data={"n": 1})

        assert [each.payload()["user_id"] for each in told.take()] == [await principal_of(client), None]


async def test_the_timestamp_is_that_of_the_list_also_for_what_is_older() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C, R)
        latest = (await client.get(RECORDS)).etag
        told.take()

        await client.put(f"{RECORDS}/imported", data={"last_modified": 1000})
        await client.put(f"{RECORDS}/ahead", data={"last_modified": latest + 50_000})
        await client.get(R)

        assert [each.timestamp for each in told.take()] == [latest, latest + 50_000, latest + 50_000]


# The objects


async def test_changes_pair_each_object_with_what_it_was() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C)
        told.take()

        one = (await client.post(RECORDS, data={"id": "r", "n": 1}, permissions={"read": ["system.Everyone"]})).data
        await client.patch(R, data={"n": 2}, headers={"Response-Behavior": "diff"})
        told_of_patch = told.take()[1]
        two = (await client.get(R)).data
        three = (await client.put(f"{RECORDS}/s", data={})).data
        told.take()
        gone = {each["id"]: each for each in (await client.delete(f"{RECORDS}?_sort=-id")).data}

        assert told_of_patch.impacted_objects() == [{"new": two, "old": one}]
        [event] = told.take()
        assert event.impacted_objects() == [{"new": gone["s"], "old": three}, {"new": gone["r"], "old": two}]


async def test_what_is_read_is_told_as_it_is_returned() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C)
        await client.put(R, data={"n": 1, "m": {"a": 1, "b": 2}})
        await create(client, f"{RECORDS}/s", f"{RECORDS}/gone")
        await client.delete(f"{RECORDS}/gone")
        told.take()

        returned = [
            [(await client.get(R)).data],
            [(await client.get(f"{R}?_fields=m.a")).data],
            (await client.get(RECORDS)).data,
            (await client.get(f"{RECORDS}?_since=0&_fields=n")).data,
            (await client.get(f"{RECORDS}?_limit=1&_sort=id")).data,
            [(await client.post(RECORDS, data={"id": "r", "n": 3})).data],
        ]
        for nothing in (
            await client.head(R),
            await client.head(RECORDS),
            await client.delete(f"{RECORDS}?n=7"),
        ):
            assert nothing.status == 200
            returned.append([])

        assert [each.read_objects() for each in told.take()] == returned
        assert [len(each) for each in returned] == [1, 1, 2, 3, 1, 1, 0, 0, 0]


async def test_a_reader_is_told_only_of_what_the_caller_may_see() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C, R)
        await create(client, f"{RECORDS}/s", permissions={"read": ["system.Everyone"]})
        told.take()
        await client.anonymous().get(RECORDS)

        assert [[each["id"] for each in event.read_objects()] for event in told.take()] == [["s"]]


# Which are told


async def test_nothing_is_told_of_what_fails_or_was_known() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B)
        etag = (await client.get(B)).headers["ETag"]
        told.take()

        answers = [
            await client.get(B, headers={"If-None-Match": etag}),
            await client.get("/buckets", headers={"If-None-Match": etag}),
            await client.head(B, headers={"If-None-Match": etag}),
            await client.get(B, headers={"If-Match": '"12"'}),
            await client.put(B, data={}, headers={"If-None-Match": "*"}),
            await client.delete(B, headers={"If-Match": '"12"'}),
            await client.delete("/buckets", headers={"If-Match": '"12"'}),
            await client.get("/buckets/x"),
            await client.get("/buckets?_limit=x"),
            await client.as_user("ann").get(B),
            await client.anonymous().get(B),
            await client.post("/buckets", data={"id": "not valid!"}),
        ]

        assert [each.status for each in answers] == [304] * 3 + [412] * 4 + [403, 400, 403, 401, 400]
        assert told.take() == []


async def test_what_a_failing_part_of_a_batch_did_is_told_no_more_than_the_utilities() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B)
        told.take()
        await client.get("/")
        await client.batch({"path": "/buckets/x"}, {"path": "/"}, put("/buckets/not valid!"))

        assert told.take() == []


async def test_the_deletion_of_an_object_is_told_without_what_was_in_it() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C, R)
        told.take()
        await client.delete(B)

        assert [(each.action, each.place.resource, len(each.changes)) for each in told.take()] == [
            ("delete", "bucket", 1)
        ]


async def test_reads_and_changes_of_a_batch_are_merged_by_list_and_action_in_the_order_of_their_first() -> None:
    told = Told()
    async with serving(listeners=to_all(told)) as client:
        await create(client, B, C)
        told.take()
        first = await client.batch(
            put(R, n=1), {"path": R}, put(f"{RECORDS}/s", n=2), {"path": f"{RECORDS}?_fields=n"}, {"path": B}
        )
        events = told.take()

        assert [(each.action, each.uri) for each in events] == [("create", R), ("read", R), ("read", B)]
        assert [each["new"]["id"] for each in events[0].impacted_objects()] == ["r", "s"]
        assert events[0].payload()["record_id"] == "r"
        assert events[0].timestamp == first.json["responses"][0]["body"]["data"]["last_modified"]
        assert [each.get("n") for each in events[1].read_objects()] == [1, 2, 1]


# Who is told


async def test_a_listener_is_told_of_the_kinds_and_actions_it_named() -> None:
    plain, deletions, collections, both = Told(), Told(), Told(), Told()
    listeners = [
        Listener(plain),
        Listener(deletions, actions=["delete"]),
        Listener(collections, resources=["collection", "group"]),
        Listener(both, actions=["read"], resources=["collection"]),
    ]
    async with serving(listeners=listeners) as client:
        await create(client, B, C)
        await client.get(B)
        await client.get(C)
        await client.delete(B)

    def heard(told: Told) -> list[tuple[str, str]]:
        return [(each.action, each.place.resource) for each in told.take()]

    assert heard(plain) == [("create", "bucket"), ("create", "collection"), ("delete", "bucket")]
    assert heard(deletions) == [("delete", "bucket")]
    assert heard(collections) == [("create", "collection")]
    assert heard(both) == [("read", "collection")]


async def test_reads_cost_nothing_where_nobody_listens_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("an event was made that nobody asked for")

    monkeypatch.setattr(reads, "ObjectsRead", refuse)
    async with serving(listeners=[Listener(Told()), Listener(Told(), actions=["read"], resources=["group"])]) as client:
        await create(client, B)

        assert [(await client.get(url)).status for url in (B, "/buckets", f"{B}/collections")] == [200] * 3


async def test_a_listener_may_be_a_plain_function() -> None:
    told: list[str] = []

    def before(tx: Transaction, event: Event) -> None:
        told.append(f"before {event.uri}")

    def after(tx: Transaction, event: Event) -> None:
        told.append(f"after {event.uri}")

    async with serving(listeners=[Listener(after, after_commit=True), Listener(before)]) as client:
        await create(client, B)

    assert told == [f"before {B}", f"after {B}"]


async def test_listeners_are_told_in_their_order_each_event_in_turn() -> None:
    told: list[tuple[str, str]] = []

    def named(name: str, *, after_commit: bool = False) -> Listener:
        return Listener(lambda tx, event: told.append((name, event.uri)), after_commit=after_commit)

    async with serving(listeners=[named("c", after_commit=True), named("b"), named("a")]) as client:
        await client.batch(put(B), put(C))

    assert told == [("b", B), ("a", B), ("b", C), ("a", C), ("c", B), ("c", C)]


async def test_who_is_told_at_once_hears_last_of_each_operation_in_its_order() -> None:
    told: list[Any] = []

    async def writing(tx: Transaction, event: Event) -> None:
        if event.target.id == "b":
            await objects.write(tx, BUCKET.target("/buckets", "echo"), {}, old=None, by=None)

    def at_once(tx: Transaction, operations: list[Any]) -> None:
        told.append([(each.action, each.uri) for each in operations])

    listeners = [Listener(at_once, at_once=True, resources=["bucket", "record"]), Listener(writing)]
    async with serving(listeners=listeners) as client:
        await client.batch(put(B), put(C), put("/buckets/c"), put(R), put("/buckets/c"))
        await client.put(C)

    buckets = [("create", B), ("create", "/buckets/c"), ("create", R), ("update", "/buckets/c")]
    assert told == [[*buckets, ("create", "/buckets/echo")]]


async def test_nobody_is_told_twice_in_a_transaction_of_the_same() -> None:
    told, at_once = Told(), Told()
    async with serving(listeners=[Listener(told), Listener(at_once, at_once=True)]) as client:
        site, buckets = client.app.site, BUCKET.target("/buckets")
        async with site.backends.begin([buckets.place]) as tx:
            for id in ("a", "b"):
                await objects.write(tx, buckets.at(id), {}, old=None, by=None)
                await site.listeners.before_commit(tx)
            await site.listeners.before_commit(tx)

    assert [event.uri for event in told.take()] == ["/buckets/a", "/buckets/b"]
    assert [[event.uri for event in events] for events in at_once.take()] == [["/buckets/a"], ["/buckets/b"]]


async def test_what_is_written_by_who_is_told_at_once_is_told_and_it_may_refuse() -> None:
    told: list[str] = []

    async def at_once(tx: Transaction, operations: list[Any]) -> None:
        if operations[0].target.id == "b":
            await objects.write(tx, BUCKET.target("/buckets", "echo"), {}, old=None, by=None)
        if operations[0].target.id == "echo":
            raise Forbidden("No echo.")

    listeners = [Listener(at_once, at_once=True), Listener(lambda tx, event: told.append(event.uri))]
    async with serving(listeners=listeners) as client:
        answer = await client.put(B)

        assert (answer.status, told) == (403, [B, "/buckets/echo"])
        assert (await client.get(B)).status == 403


# Before the commit, and after it


async def test_before_the_commit_others_see_nothing_yet_and_after_it_they_do() -> None:
    seen: list[bool] = []

    async def look(tx: Transaction, event: Event) -> None:
        async with tx.backends.begin() as other:
            seen.append(await objects.find(other, BUCKET.target("/buckets", "b")) is not None)

    async with serving(listeners=[Listener(look, after_commit=True)]) as client:
        await create(client, B)

    assert seen == [True]


class InsufficientStorage(ApiError):
    """What a plugin may refuse with."""

    status, errno, error = 507, 121, "Insufficient Storage"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(Forbidden(), 403, id="of the API"),
        pytest.param(InsufficientStorage("Quota exceeded."), 507, id="of a plugin"),
        pytest.param(RuntimeError("secret"), 500, id="any other"),
    ],
)
async def test_an_exception_before_the_commit_is_the_answer_and_undoes_everything(
    error: Exception, status: int
) -> None:
    after = Told()

    async def refuse(tx: Transaction, event: Event) -> None:
        if event.place.resource == "record":
            raise error

    listeners = [Listener(refuse), Listener(after, actions=EVERYTHING, after_commit=True)]
    async with serving(listeners=listeners) as client:
        await create(client, B, C)
        before = [(await client.get(each)).json for each in (C, f"{RECORDS}?_since=0", f"{B}/collections")]
        after.take()

        answers = [
            await client.put(R, data={}),
            await client.post(RECORDS, data={}),
            await client.batch(put("/buckets/other"), put(R)),
        ]

        assert [each.status for each in answers] == [status] * 3
        assert "secret" not in str(answers)
        assert after.take() == []
        assert [(await client.get(each)).json for each in (C, f"{RECORDS}?_since=0", f"{B}/collections")] == before
        assert ids(await client.get("/buckets?_since=0")) == {"b"}


async def test_a_reading_may_be_refused_before_the_answer_leaves() -> None:
    async def refuse(tx: Transaction, event: Event) -> None:
        raise Forbidden("Not for you.")

    async with serving(listeners=[Listener(refuse, actions=["read"])]) as client:
        await create(client, B)
        answers = [await client.get(B), await client.get("/buckets"), await client.batch({"path": B})]

        assert [(each.status, each.json["message"]) for each in answers] == [(403, "Not for you.")] * 3


async def test_a_failure_after_the_commit_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()

    def fail(tx: Transaction, event: Event) -> None:
        raise Forbidden("too late")

    listeners = [Listener(fail, EVERYTHING, after_commit=True, name="audit"), Listener(told, after_commit=True)]
    async with serving(listeners=listeners) as client:
        with caplog.at_level(logging.ERROR):
            await create(client, B)

        errors = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
        assert errors == [f"Unable to notify audit of {B}"]
        assert len(told.events) == 1
        assert (await client.get(B)).status == 200


# Listeners of the settings

made: list[tuple[Mapping[str, str], Told]] = []


def listener(options: Mapping[str, str]) -> Told:
    """Make a listener, as a setting names it."""
    made.append((options, Told()))
    return made[-1][1]


def late(options: Mapping[str, str]) -> Listener:
    """Make a listener that wants to be told after the commit."""

    def refuse(tx: Transaction, event: Event) -> None:
        raise RuntimeError("too late")

    return Listener(refuse, actions=EVERYTHING, after_commit=True)


def nothing(options: Mapping[str, str]) -> None:
    """Make no listener."""


@pytest.mark.parametrize(
    "use", [pytest.param(__name__, id="a module"), pytest.param(f"{__name__}.listener", id="a factory")]
)
async def test_a_listener_is_made_by_what_the_settings_name_with_its_own_options(use: str) -> None:
    made.clear()
    audit = EventListener("audit", use, ("delete", "read"), ("bucket",), {"url": "redis://here", "size": "3"})
    async with serving(event_listeners=(audit,)) as client:
        await create(client, B, C)
        await client.get(B)
        await client.get(C)
        await client.delete(B)

    [(options, told)] = made
    assert options == {"url": "redis://here", "size": "3"}
    assert [(each.action, each.uri) for each in told.events] == [("read", B), ("delete", B)]


async def test_a_listener_of_the_settings_may_say_that_it_comes_after_the_commit() -> None:
    async with serving(event_listeners=(EventListener("late", f"{__name__}.late"),)) as client:
        await create(client, B)


@pytest.mark.parametrize(
    ("name", "use", "message"),
    [
        ("x", "not.there", r"'event_listeners.x.use' is 'not.there', which does not exist\."),
        ("x", "json.nothing", r"'event_listeners.x.use' is 'json.nothing', which does not exist\."),
        ("nowhere", "nowhere", r"'event_listeners' is 'nowhere', which does not exist\."),
        ("x", "json", r"'event_listeners.x.use' is 'json', which is a module without a function 'listener'\."),
        ("x", "json.decoder.NaN", r"'event_listeners.x.use' is 'json.decoder.NaN', which cannot be called\."),
        ("x", "..", r"'event_listeners.x.use' is '\.\.', which cannot be imported: .+"),
        ("x", f"{__name__}.nothing", r"'event_listeners.x.use' is .+, which returned None, which is no listener\."),
    ],
)
async def test_a_name_that_leads_to_no_listener_stops_the_start(name: str, use: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        async with serving(event_listeners=(EventListener(name, use),)):
            pass


def test_a_listener_in_code_takes_known_actions_and_collections_of_names() -> None:
    with pytest.raises(ValueError, match="there are create, update, delete, read"):
        Listener(Told(), actions=["destroy"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="told before the commit"):
        Listener(print, after_commit=True, at_once=True)
    with pytest.raises(TypeError, match="'record' is one text"):
        Listener(Told(), resources="record")
