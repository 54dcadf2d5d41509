"""What is asked. How a contender is asked for it is said beside that contender.

`kept` is how many different requests there are of a kind: they are sent in turn.
"""

from typing import NamedTuple

KEPT = 1_000
PAGE = 100
SYNC_PAGE = 1_000
SYNC_PAGES_MEASURED = 20
CHANGES = 10
BATCH = 25


class Workload(NamedTuple):
    """A kind of request: its name here, what it is called in tables, how many records an answer has (None: no list)."""

    name: str
    title: str
    records: int | None = None
    writes: bool = False
    as_a_whole: bool = False
    """The requests belong together: all of them are sent, each once."""


WORKLOADS = (
    Workload("hello", "hello"),
    Workload("one", "one object"),
    Workload("unchanged", "one object, 304"),
    Workload("page", "page of 100", PAGE),
    Workload("equal", "filter, 10 of 10,000", 10),
    Workload("indexed", "filter, declared index", 10),
    Workload("poll", "poll, nothing new", 0),
    Workload("changes", "poll, 10 changes", CHANGES),
    Workload("shared", "list, 1 % readable", PAGE),
    Workload("sync", "sync, page of 1,000", SYNC_PAGE, as_a_whole=True),
    Workload("post", "POST", writes=True),
    Workload("put", "PUT", writes=True),
    Workload("patch", "PATCH", writes=True),
    Workload("batch", "batch of 25 PUTs", writes=True),
)

BY_NAME = {each.name: each for each in WORKLOADS}
