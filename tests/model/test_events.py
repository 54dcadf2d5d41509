"""Events and their log: merged, undone, told in rounds. Source: HTTP API, 14; reliability, C21."""

from typing import Any

import pytest

from kobako.model.events import Change, EventLog, ObjectsChanged, ObjectsRead, Shown, merged
from kobako.model.resource import Target
from kobako.resources import BUCKET, RECORD
from kobako.storage.base import TOMBSTONE, Stored

BUCKETS = BUCKET.target("/buckets")
RECORDS = RECORD.target("/buckets/b/collections/c/records")
OTHERS = RECORD.target("/buckets/b/collections/d/records")

NEW, NEWER = Stored("r", 1, '{"n":1}'), Stored("r", 2, '{"n":2}')
GONE = Stored("r", 3, TOMBSTONE, deleted=True)


@pytest.mark.parametrize(
    ("old", "new", "action"),
    [
        pytest.param(None, NEW, "create", id="nothing before"),
        pytest.param(NEW, NEWER, "update", id="another before"),
        pytest.param(NEW, GONE, "delete", id="a tombstone after"),
    ],
)
def test_a_change_is_named_by_what_was_before_and_after(old: Stored | None, new: Stored, action: str) -> None:
    assert Change(old, new).action == action


def entry(target: Target, action: str, *ids: str, user: str | None = "u:a", timestamp: int = 5) -> ObjectsChanged:
    """Return an event with a change of each id."""
    old = None if action == "create" else NEW
    deleted = action == "delete"
    changes = [Change(old, Stored(id, 5, "{}", deleted=deleted)) for id in ids]
    return ObjectsChanged(target, action, user, timestamp, changes)  # type: ignore[arg-type]


R, S = f"{RECORDS.list_uri}/r", RECORDS.list_uri
MERGING = [
    pytest.param([], [], id="nothing"),
    pytest.param(
        [entry(RECORDS.at("r"), "create", "r"), entry(RECORDS, "create", "b", timestamp=6)],
        [("create", R, "u:a", 5, "rb")],
        id="the first operation says where and when",
    ),
    pytest.param(
        [entry(RECORDS, "create", "a"), entry(RECORDS, "create", "b", user="u:b"), entry(RECORDS, "create", "c")],
        [("create", S, "u:a", 5, "ac"), ("create", S, "u:b", 5, "b")],
        id="users stay apart",
    ),
    pytest.param(
        [entry(RECORDS, "create", "a"), entry(RECORDS, "update", "a"), entry(RECORDS, "create", "b")],
        [("create", S, "u:a", 5, "ab"), ("update", S, "u:a", 5, "a")],
        id="actions stay apart, in the order of their first",
    ),
    pytest.param(
        [entry(RECORDS, "create", "a"), entry(BUCKETS, "create", "b"), entry(RECORDS, "create", "c")],
        [("create", S, "u:a", 5, "ac"), ("create", "/buckets", "u:a", 5, "b")],
        id="kinds stay apart",
    ),
    pytest.param(
        [entry(RECORDS, "delete", "a", "b"), entry(OTHERS, "delete", "c"), entry(RECORDS, "delete", "d")],
        [("delete", S, "u:a", 5, "abd"), ("delete", OTHERS.list_uri, "u:a", 5, "c")],
        id="lists stay apart",
    ),
]


@pytest.mark.parametrize(("entries", "expected"), MERGING)
def test_events_are_merged_by_list_action_and_user(entries: list[ObjectsChanged], expected: Any) -> None:
    found: list[Any] = merged(entries)

    assert [
        (each.action, each.uri, each.user, each.timestamp, "".join(change.new.id for change in each.changes))
        for each in found
    ] == expected


def test_readings_of_one_list_are_merged() -> None:
    first = ObjectsRead(RECORDS.at("r"), "read", None, 5, [Shown(NEW)])
    second = ObjectsRead(RECORDS, "read", None, 6, [Shown(NEWER, ("id",)), Shown(NEW)])

    assert merged([first, second, entry(RECORDS, "create", "a")])[0] == ObjectsRead(
        RECORDS.at("r"), "read", None, 5, [Shown(NEW), Shown(NEWER, ("id",)), Shown(NEW)]
    )


def test_old_and_new_stay_together() -> None:
    changes = [Change(NEW, NEWER), Change(None, NEW), Change(NEWER, GONE)]
    entries = [ObjectsChanged(RECORDS, "update", None, 5, [change]) for change in changes]
    event: Any = merged(entries)[0]

    assert event.changes == changes
    assert event.impacted_objects() == [
        {"new": NEWER.data(), "old": NEW.data()},
        {"new": NEW.data()},
        {"new": GONE.data(), "old": NEWER.data()},
    ]


PAYLOADS = [
    pytest.param(BUCKETS, {"uri": "/buckets", "resource_name": "bucket"}, id="the buckets"),
    pytest.param(BUCKETS.at("b"), {"uri": "/buckets/b", "resource_name": "bucket", "bucket_id": "b"}, id="a bucket"),
    pytest.param(
        RECORDS,
        {"uri": RECORDS.list_uri, "resource_name": "record", "bucket_id": "b", "collection_id": "c"},
        id="the records",
    ),
    pytest.param(
        RECORDS.at("r"),
        {"uri": R, "resource_name": "record", "bucket_id": "b", "collection_id": "c", "record_id": "r"},
        id="a record",
    ),
]


@pytest.mark.parametrize(("target", "expected"), PAYLOADS)
def test_the_id_of_an_object_is_told_where_the_request_pointed_at_one(target: Target, expected: Any) -> None:
    event = ObjectsChanged(target, "delete", "u:a", 7, [Change(NEW, GONE)])

    assert event.payload() == {"timestamp": 7, "action": "delete", "user_id": "u:a", **expected}


def test_what_was_read_is_shown_as_it_was_returned() -> None:
    stored = Stored("r", 2, '{"n":1,"m":2}')
    event = ObjectsRead(RECORDS, "read", None, 5, [Shown(stored), Shown(stored, ("n",))])

    assert event.read_objects() == [
        {"id": "r", "last_modified": 2, "n": 1, "m": 2},
        {"id": "r", "last_modified": 2, "n": 1},
    ]


@pytest.fixture
def log() -> EventLog:
    """An empty log."""
    return EventLog()


def told(log: EventLog) -> list[str]:
    """Return the ids of each event of the next round."""
    events: list[Any] = log.take()
    return ["".join(change.new.id for change in each.changes) for each in events]


def record(log: EventLog, id: str) -> None:
    log.record(ObjectsChanged(RECORDS.at(id), "create", None, 5, [Change(None, Stored(id, 5, "{}"))]))


def test_what_was_undone_is_forgotten(log: EventLog) -> None:
    """C21."""
    record(log, "a")
    mark = log.mark()
    record(log, "b")
    record(log, "c")

    log.rewind(mark)
    record(log, "d")

    assert told(log) == ["ad"]


def test_what_is_written_while_it_is_told_makes_the_next_round_and_is_never_merged(log: EventLog) -> None:
    record(log, "a")

    first = told(log)
    record(log, "b")
    record(log, "c")
    second = told(log)

    assert (first, second, told(log)) == (["a"], ["bc"], [])


def test_all_that_was_told_is_told_again_after_the_commit(log: EventLog) -> None:
    record(log, "a")
    log.take()
    record(log, "b")
    log.take()

    assert [each.target.id for each in log.told] == ["a", "b"]


def test_what_was_told_can_not_be_undone_in_a_later_round(log: EventLog) -> None:
    record(log, "a")
    log.take()
    mark = log.mark()
    record(log, "b")

    log.rewind(mark)

    assert log.take() == []
    assert [each.target.id for each in log.told] == ["a"]
