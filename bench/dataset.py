"""The records: the same in every contender. About 300 bytes of JSON each.

items    10,000, what is read; `kind` and `topic` have 1,000 values each, an index is declared for `topic`
shared   10,000, of which READER may read every hundredth
writes   10,000, what is written again and again
posts    none to begin with
big      100,000, what is synchronised
"""

from typing import Any

OWNER, READER, PASSWORD = "alice", "bob", "correct-horse-battery"

SIZES = {"items": 10_000, "shared": 10_000, "writes": 10_000, "posts": 0, "big": 100_000}

KINDS = 1_000
READABLE = 100
"""Every so many records of `shared` one is READER's too."""

TEXT = (
    "A server that stores JSON, synchronises it and shares it: what clients write offline arrives, in order, and what "
    "others changed comes back with the next poll, page by page. Nothing more."
)


def id_of(number: int) -> str:
    """Return the id of a record: 15 characters, as PocketBase wants.

    >>> id_of(12)
    'record000000012'
    """
    return f"record{number:09d}"


def record(number: int, revision: int = 0) -> dict[str, Any]:
    """Return a record without its id."""
    return {
        "title": f"Record {number}",
        "kind": f"kind-{number % KINDS}",
        "topic": f"topic-{number % KINDS}",
        "count": revision,
        "done": number % 2 == 0,
        "text": TEXT,
    }
