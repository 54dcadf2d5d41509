"""What docs/coverage.md says is not tested, or not yet: `python -m tests.docs.coverage`."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs/coverage.md"


class Row(NamedTuple):
    """One row of a table: its table's title, its number, what it is about, and its last cell."""

    table: str
    number: str
    title: str
    tests: str

    @property
    def named(self) -> list[tuple[str, str]]:
        """The tests it names: (file, test), the test empty where the whole file is meant."""
        parts = [each.partition("::") for each in re.findall(r"`([^`]+)`", self.tests)]
        return [(file, test) for file, _, test in parts]

    @property
    def is_open(self) -> bool:
        return self.tests == "uncovered" or self.tests.startswith("later: ")


def rows() -> list[Row]:
    """Return all rows of the page."""
    table, found = "", []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            table = line.removeprefix("## ")
        cells = [each.strip() for each in line.strip("|").split("|")]
        if len(cells) == 3 and re.fullmatch(r"[A-Z]?\d+(\.\d+)?", cells[0]):
            found.append(Row(table, *cells))
    return found


if __name__ == "__main__":
    for each in rows():
        if each.is_open:
            print(f"{each.table} {each.number}, {each.title}: {each.tests}")
