"""What the writers write to: one bucket, lists that stay and one that comes and goes, few ids, so that writers meet.

Records are of three kinds: plain ones (`r7`), which anybody replaces, patches and deletes; logs (`log-3`), arrays that
only grow; and pairs (`pair-w1-5`), of which one batch of one writer writes both halves, in two lists.
"""

import base64
from typing import Any

from tests.consistency.history import Seen

BUCKET = "/v1/buckets/load"
STABLE = ("a", "b")
VOLATILE = "c"
LISTS = (*STABLE, VOLATILE)
OPEN = "b"
"""Where anybody may create records, and nothing else."""

PLAIN_IDS = tuple(f"r{number}" for number in range(30))
PAIRS = 20
LONGEST_LOG = 200


def basic(user: str) -> str:
    """Return the Authorization of a user."""
    return "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()


WRITER = basic("writer")
INTRUDER = basic("intruder")
"""Somebody without any right."""


def collection(name: str) -> str:
    """Return the path of a collection."""
    return f"{BUCKET}/collections/{name}"


def records(name: str) -> str:
    """Return the path of the list of records in a collection."""
    return f"{BUCKET}/collections/{name}/records"


def is_log(id: str) -> bool:
    """Tell whether a record only grows."""
    return id.startswith("log-")


def seen(data: dict[str, Any]) -> Seen:
    """Return what a record of a list tells: the token is that of its last write."""
    items = data.get("items")
    token = items[-1] if items else data.get("by", "")
    return Seen(data["id"], data["last_modified"], "" if data.get("deleted") else token, len(items or ()))
