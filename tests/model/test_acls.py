"""What a write makes of an ACL. Source: objects, 1.6; HTTP API, 11.4 and 5.4."""

from typing import Any

import pytest

from kobako.model import acls

STORED = {"read": ["a"], "write": ["b"], "record:create": ["c"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(None, STORED, id="absent"),
        pytest.param({}, STORED, id="empty"),
        pytest.param({"read": None}, STORED, id="null alone"),
        pytest.param({"read": None, "write": None}, STORED, id="nulls"),
        pytest.param({"read": ["x"]}, {"read": ["x"]}, id="one replaces all"),
        pytest.param({"read": ["x"], "write": None}, {"read": ["x"]}, id="one beside null replaces all"),
        pytest.param({"read": []}, {}, id="an empty one clears all"),
        pytest.param({"read": ["x", "y", "x"]}, {"read": ["x", "y"]}, id="doubles collapse"),
    ],
)
def test_replacing(given: Any, expected: Any) -> None:
    assert acls.replaced(STORED, given) == expected


@pytest.mark.parametrize(
    ("given", "null_clears", "expected"),
    [
        pytest.param(None, False, STORED, id="absent"),
        pytest.param({}, False, STORED, id="empty"),
        pytest.param({"read": ["x"]}, False, {**STORED, "read": ["x"]}, id="one is replaced"),
        pytest.param({"read": []}, False, {"write": ["b"], "record:create": ["c"]}, id="an empty one goes"),
        pytest.param({"read": None}, False, STORED, id="null is nothing"),
        pytest.param({"read": None}, True, {"write": ["b"], "record:create": ["c"]}, id="null clears in a merge"),
        pytest.param({"read": ["x"]}, True, {**STORED, "read": ["x"]}, id="others stay in a merge"),
        pytest.param({"group:create": None}, True, STORED, id="clearing what is not there"),
        pytest.param({"group:create": ["x", "x"]}, True, {**STORED, "group:create": ["x"]}, id="doubles collapse"),
    ],
)
def test_patching(given: Any, null_clears: bool, expected: Any) -> None:
    assert acls.patched(STORED, given, null_clears=null_clears) == expected


@pytest.mark.parametrize(
    ("acl", "owner", "expected"),
    [
        pytest.param({}, "me", {"write": ["me"]}, id="to an empty ACL"),
        pytest.param({"write": ["b"]}, "me", {"write": ["b", "me"]}, id="to others"),
        pytest.param({"write": ["me"]}, "me", {"write": ["me"]}, id="once"),
        pytest.param({"read": ["me"]}, "me", {"read": ["me"], "write": ["me"]}, id="to readers"),
        pytest.param({"write": ["b"]}, None, {"write": ["b"]}, id="nobody"),
    ],
)
def test_the_writer_joins_those_who_may_write(acl: Any, owner: str | None, expected: Any) -> None:
    assert acls.with_owner(acl, owner) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({}, {}, {}, id="nothing"),
        pytest.param(STORED, STORED, {}, id="the same"),
        pytest.param({"read": ["a", "b"]}, {"read": ["b", "a"]}, {}, id="another order"),
        pytest.param({}, {"read": ["a"]}, {"read": ["a"]}, id="a new one"),
        pytest.param({"read": ["a"]}, {}, {"read": []}, id="one removed"),
        pytest.param(
            {"read": ["a"], "write": ["b"]}, {"read": ["x"], "write": ["b"]}, {"read": ["x"]}, id="one changed"
        ),
    ],
)
def test_only_what_changed_is_written(before: Any, after: Any, expected: Any) -> None:
    assert acls.changes(before, after) == expected


def test_what_is_given_stays_as_it_was() -> None:
    stored, given = {"write": ["b"]}, {"read": ["x"]}

    acls.with_owner(acls.patched(stored, given, null_clears=True), "me")
    acls.with_owner(acls.replaced(stored, given), "me")

    assert (stored, given) == ({"write": ["b"]}, {"read": ["x"]})
