"""The body of a request that writes (HTTP API, 2.3 and 11.1)."""

from typing import Any

import pytest

from kobako.protocol import payload
from kobako.protocol.errors import Problem
from kobako.protocol.payload import EMPTY, Body

NAMES = ("read", "write")
RULE = "is not a mapping type: Does not implement dict-like functionality."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", EMPTY),
        (b"{}", EMPTY),
        (b'{"data": {}}', Body({}, None)),
        (b'{"permissions": {}}', Body(None, {})),
        (
            b'{"data": {"a": null}, "permissions": {"read": [], "write": null}}',
            Body({"a": None}, {"read": [], "write": None}),
        ),
    ],
)
def test_a_body_has_data_and_permissions(text: bytes, expected: Body) -> None:
    problems: list[Problem] = []

    assert payload.read(text, NAMES, problems) == expected
    assert problems == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1", [("", "Should be a JSON object or an array"), ("", "Required")]),
        (b"null", [("", "Should be a JSON object or an array"), ("", "Required")]),
        (b"[]", [("", f'"[]" {RULE}')]),
        (b'{"a": 1}', [("", "Unrecognized keys in mapping: \"{'a': 1}\"")]),
        (b'{"data": null}', [("data", f'"None" {RULE}')]),
        (b'{"data": 1, "permissions": 2}', [("data", f'"1" {RULE}'), ("permissions", f'"2" {RULE}')]),
        (
            b'{"permissions": {"x": [], "read": [1]}}',
            [
                ("permissions", '"x" is not one of read, write'),
                ("permissions.read.0", "1 is not a string: {'': ''}"),
            ],
        ),
        (b'{"permissions": {"read": "x"}}', [("permissions.read", '"x" is not iterable')]),
        (b'{"permissions": {"read": {"a": 1}}}', [("permissions.read", "\"{'a': 1}\" is not iterable")]),
        (
            b'{"permissions": {"read": ["", null]}}',
            [
                ("permissions.read.0", "Required"),
                ("permissions.read.1", "Required"),
            ],
        ),
    ],
)
def test_all_that_is_wrong_with_a_body_is_told(text: bytes, expected: list[tuple[str, str]]) -> None:
    """I4."""
    problems: list[Problem] = []

    assert payload.read(text, NAMES, problems) == EMPTY
    assert problems == [Problem("body", name, description) for name, description in expected]


@pytest.mark.parametrize("text", [b"{", b" ", b"\xef\xbb\xbf{}", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """I5, I13, I15."""
    problems: list[Problem] = []

    assert payload.read(text, NAMES, problems) == EMPTY
    assert problems[0].description.startswith("Invalid JSON: ")
    assert problems[1:] == [Problem("body", "", "Required")]


@pytest.mark.parametrize("value", ["x" * 10_000, ["x"] * 10_000, {"a": "x" * 10_000}])
def test_a_message_shows_the_beginning_of_a_long_value(value: Any) -> None:
    assert len(payload.shown(value)) < 300
