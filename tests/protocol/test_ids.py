"""Ids: which are accepted, and those that are made (HTTP API, 10.1)."""

import uuid

import pytest

from kobako.protocol import ids
from kobako.protocol.ids import NAME, RELAXED_UUID, UUID4, IdGenerator

A_UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    ("id", "is_name", "is_uuid"),
    [
        ("a", True, False),
        ("A-b_9", True, False),
        ("0", True, False),
        ("a" * 255, True, False),
        (A_UUID, True, True),
        (A_UUID.upper(), True, False),
        (A_UUID + "\n", False, False),
        ("a" * 256, False, False),
        ("", False, False),
        ("_a", False, False),
        ("-a", False, False),
        ("a\n", False, False),
        ("a.b", False, False),
        ("a/b", False, False),
        ("é", False, False),
        ("١", False, False),
        ("a\x00", False, False),
        ("*", False, False),
        (1, False, False),
        (None, False, False),
        (["a"], False, False),
        (True, False, False),
    ],
)
def test_an_id_is_accepted_as_a_whole_or_not(id: object, is_name: bool, is_uuid: bool) -> None:
    """I10, I11."""
    assert (NAME.accepts(id), RELAXED_UUID.accepts(id), UUID4.accepts(id)) == (is_name, is_name, is_uuid)


@pytest.mark.parametrize(("generator", "length"), [(NAME, 8), (RELAXED_UUID, 36), (UUID4, 36)])
def test_ids_that_are_made_are_accepted_and_differ(generator: IdGenerator, length: int) -> None:
    made = [generator.generate() for _ in range(200)]

    assert all(map(generator.accepts, made))
    assert {len(each) for each in made} == {length}
    assert len(set(made)) == 200


def test_uuids_that_are_made_together_are_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that those of new objects are on few pages of an index; they are valid as those of version 4."""
    made = []
    for minutes in range(3):
        now_ms = 1_795_000_000_000 + minutes * 65_536
        monkeypatch.setattr(ids, "_now_ms", lambda: now_ms)  # noqa: B023
        made.append([RELAXED_UUID.generate() for _ in range(50)])

    first, second, third = made
    assert max(first) < min(second) <= max(second) < min(third)
    assert len({each[:8] for each in first}) == 1
    assert len({each[9:13] for each in first}) > 40
    assert {uuid.UUID(each).version for each in first} == {4}
    assert {uuid.UUID(each).variant for each in first} == {uuid.RFC_4122}
