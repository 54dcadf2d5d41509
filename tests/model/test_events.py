"""The log of changes: merged, undone, told in rounds. Source: HTTP API, 14; reliability, C21."""

from typing import Any

import pytest

from kobako.model.events import Change, EventLog, ObjectsChanged, merged
from kobako.storage.base import TOMBSTONE, Place, Stored

BUCKETS = Place("bucket", "")
RECORDS = Place("record", "/buckets/b/collections/c")
OTHERS = Place("record", "/buckets/b/collections/d")

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


def entry(place: Place, action: str, *ids: str, uri: str = "/first", user: str | None = "u:a") -> ObjectsChanged:
    """Return an event with a change of each id."""
    old = None if action == "create" else NEW
    deleted = action == "delete"
    changes = [Change(old, Stored(id, 5, "{}", deleted=deleted)) for id in ids]
    return ObjectsChanged(place, action, uri, user, changes)  # type: ignore[arg-type]


MERGING = [
    pytest.param([], [], id="nothing"),
    pytest.param(
        [entry(RECORDS, "create", "a"), entry(RECORDS, "create", "b", uri="/second", user="u:b")],
        [("record", "create", "/first", "u:a", "ab")],
        id="the first operation says where and who",
    ),
    pytest.param(
        [entry(RECORDS, "create", "a"), entry(RECORDS, "update", "a"), entry(RECORDS, "create", "b")],
        [("record", "create", "/first", "u:a", "ab"), ("record", "update", "/first", "u:a", "a")],
        id="actions stay apart, in the order of their first",
    ),
    pytest.param(
        [entry(RECORDS, "create", "a"), entry(BUCKETS, "create", "b"), entry(RECORDS, "create", "c")],
        [("record", "create", "/first", "u:a", "ac"), ("bucket", "create", "/first", "u:a", "b")],
        id="kinds stay apart",
    ),
    pytest.param(
        [entry(RECORDS, "delete", "a", "b"), entry(OTHERS, "delete", "c"), entry(RECORDS, "delete", "d")],
        [("record", "delete", "/first", "u:a", "abd"), ("record", "delete", "/first", "u:a", "c")],
        id="lists stay apart",
    ),
]


@pytest.mark.parametrize(("entries", "expected"), MERGING)
def test_events_are_merged_by_list_and_action(entries: list[ObjectsChanged], expected: Any) -> None:
    assert [
        (each.place.resource, each.action, each.uri, each.user, "".join(change.new.id for change in each.changes))
        for each in merged(entries)
    ] == expected


def test_old_and_new_stay_together() -> None:
    changes = [Change(NEW, NEWER), Change(None, NEW), Change(NEWER, GONE)]
    entries = [ObjectsChanged(RECORDS, "update", "/", None, [change]) for change in changes]

    assert merged(entries)[0].changes == changes


@pytest.fixture
def log() -> EventLog:
    """An empty log."""
    return EventLog()


def told(log: EventLog) -> list[str]:
    """Return the ids of each event of the next round."""
    return ["".join(change.new.id for change in each.changes) for each in log.take()]


def record(log: EventLog, id: str) -> None:
    log.record(RECORDS, f"/{id}", None, [Change(None, Stored(id, 5, "{}"))])


def test_an_operation_that_changes_nothing_is_no_event(log: EventLog) -> None:
    log.record(RECORDS, "/", None, [])

    assert log.take() == []


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

    assert [each.uri for each in log.told] == ["/a", "/b"]


def test_what_was_told_can_not_be_undone_in_a_later_round(log: EventLog) -> None:
    record(log, "a")
    log.take()
    mark = log.mark()
    record(log, "b")

    log.rewind(mark)

    assert log.take() == []
    assert [each.uri for each in log.told] == ["/a"]
