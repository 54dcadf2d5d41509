"""Each section of the specifications, and each case of the checklist, names tests that exist, or says that none do."""

from pathlib import Path

import pytest
from tests.docs.coverage import Row, rows

ROOT = Path(__file__).parents[2]

# How many sub-sections each section has; 0 for a section that has none.
HTTP_API = {
    1: 7,
    2: 5,
    3: 4,
    4: 6,
    5: 4,
    6: 6,
    7: 7,
    8: 4,
    9: 10,
    10: 7,
    11: 4,
    12: 4,
    13: 5,
    14: 5,
    15: 5,
    16: 15,
    17: 0,
}
OBJECTS = {
    1: 6,
    2: 10,
    3: 0,
    4: 0,
    5: 0,
    6: 2,
    7: 1,
    8: 3,
    9: 5,
    10: 2,
    11: 7,
    12: 3,
    13: 3,
    14: 6,
    15: 5,
    17: 8,
    20: 2,
    26: 4,
    27: 5,
    28: 0,
}
CASES = {"S": 29, "C": 25, "P": 25, "I": 29, "A": 10}


def numbered(sections: dict[int, int]) -> list[str]:
    return [
        number
        for section, subsections in sections.items()
        for number in ([f"{section}.{each}" for each in range(1, subsections + 1)] or [str(section)])
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("HTTP API", numbered(HTTP_API)),
        # What stands before the first sub-section of deletion cascades is its table.
        ("Objects", [each for number in numbered(OBJECTS) for each in (["7", "7.1"] if number == "7.1" else [number])]),
        ("Reliability", [f"{letter}{each}" for letter, last in CASES.items() for each in range(1, last + 1)]),
    ],
)
def test_no_number_is_missing(table: str, expected: list[str]) -> None:
    assert [each.number for each in rows() if each.table == table] == expected


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.table} {row.number}")
def test_a_row_names_tests_that_exist_or_none(row: Row) -> None:
    assert bool(row.named) != row.is_open

    for file, test in row.named:
        path = ROOT / (file if file.startswith("src/") else f"tests/{file}")
        assert path.is_file(), file
        assert f"def {test}(" in path.read_text() or not test, test
