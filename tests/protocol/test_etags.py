"""ETags and preconditions (HTTP API, 7.2 and 8)."""

import pytest

from kobako.protocol import etags
from kobako.protocol.errors import Problem
from kobako.protocol.etags import ANY, UNCONDITIONAL, Preconditions, Version

RULE = "The value should be integer between double quotes."


@pytest.mark.parametrize(("header", "version"), [("*", ANY), ('"0"', 0), ('"1700000000000"', 1700000000000)])
def test_a_precondition_is_a_star_or_a_number_between_quotes(header: str, version: Version) -> None:
    assert etags.parse(header) == version


@pytest.mark.parametrize(
    "header",
    [
        "",
        "1",
        '""',
        '"a"',
        '"-1"',
        '" 1"',
        '"1" ',
        '"1"\n',
        '"1',
        "*x",
        'W/"1"',
        '"1", "2"',
        '"١"',
        '"1e3"',
        '"' + "1" * 20,
    ],
)
def test_anything_else_is_refused(header: str) -> None:
    """I6."""
    with pytest.raises(ValueError, match=RULE):
        etags.parse(header)


@pytest.mark.parametrize(
    ("headers", "expected", "names"),
    [
        ({}, UNCONDITIONAL, []),
        ({"if-match": '"1"'}, Preconditions(if_match=1), []),
        ({"if-none-match": "*", "if-match": '"2"'}, Preconditions(if_match=2, if_none_match=ANY), []),
        ({"if-match": "x", "if-none-match": "y"}, UNCONDITIONAL, ["If-Match", "If-None-Match"]),
        ({"if-match": "x", "if-none-match": '"1"'}, Preconditions(if_none_match=1), ["If-Match"]),
    ],
)
def test_all_that_is_wrong_is_told(headers: dict[str, str], expected: Preconditions, names: list[str]) -> None:
    problems: list[Problem] = []

    assert etags.read(headers, problems) == expected
    assert problems == [Problem("header", name, RULE) for name in names]


@pytest.mark.parametrize(
    ("given", "stored", "unchanged", "allowed"),
    [
        (UNCONDITIONAL, 1, False, True),
        (UNCONDITIONAL, None, False, True),
        (Preconditions(if_none_match=1), 1, True, True),
        (Preconditions(if_none_match=1), 2, False, True),
        (Preconditions(if_none_match=2), 1, False, True),
        (Preconditions(if_none_match=1), None, False, True),
        (Preconditions(if_none_match=ANY), 1, False, False),
        (Preconditions(if_none_match=ANY), None, False, True),
        (Preconditions(if_match=1), 1, False, True),
        (Preconditions(if_match=1), 2, False, False),
        (Preconditions(if_match=2), 1, False, False),
        (Preconditions(if_match=1), None, False, False),
        (Preconditions(if_match=0), None, False, False),
        (Preconditions(if_match=ANY), 1, False, True),
        (Preconditions(if_match=ANY), None, False, False),
        (Preconditions(if_match=1, if_none_match=ANY), 1, False, False),
        (Preconditions(if_match=1, if_none_match=ANY), None, False, True),
        (Preconditions(if_match=2, if_none_match=1), 1, True, False),
    ],
)
def test_a_precondition_decides(given: Preconditions, stored: int | None, unchanged: bool, allowed: bool) -> None:
    assert (given.unchanged(stored), given.allow(stored)) == (unchanged, allowed)


@pytest.mark.parametrize(
    ("timestamp", "date"),
    [(0, "Thu, 01 Jan 1970 00:00:00 GMT"), (1_700_000_000_999, "Tue, 14 Nov 2023 22:13:20 GMT")],
)
def test_a_version_is_told_exactly_and_in_whole_seconds(timestamp: int, date: str) -> None:
    assert etags.headers_for(timestamp) == {"ETag": f'"{timestamp}"', "Last-Modified": date}
