"""Which fields of objects may have an index: said of a collection, in its data or by a setting.

Source: docs/queries.md, "Indexes".
"""

from collections.abc import Sequence
from typing import Final

INDEXED_FIELDS: Final = 5
"""How many fields a list may declare indexes for."""

LONGEST_FIELD: Final = 200
"""How long the path of a field with an index may be."""


def problem(fields: Sequence[str]) -> str | None:
    """Say why these fields can have no indexes, None if they can.

    >>> problem(["size", "author.name"]), problem(["id"])
    (None, '"id" has an index already')
    """
    if len(fields) > INDEXED_FIELDS:
        return f"{len(fields)} fields are more than maximum value {INDEXED_FIELDS}"
    for field in fields:
        if field in ("id", "last_modified"):
            return f'"{field}" has an index already'
        if not field or field.startswith("_") or len(field) > LONGEST_FIELD:
            return f'"{field[:LONGEST_FIELD]}" is no field that a filter can name'
    return "a field is named twice" if len(set(fields)) < len(fields) else None
