"""The checker can tell: each of these histories breaks a promise, and gets the verdict for it; a good one gets none."""

from pathlib import Path
from typing import Any

import pytest
from tests.consistency import history
from tests.consistency.checker import check, check_file
from tests.consistency.history import Event, Fault, Log, Op, Poll, Rest, Seen


def op(start: float, version: int = 0, **more: Any) -> Op:
    """Return a request that took 0.5 s, by default an acknowledged PUT of a/r1 by a token of its own."""
    given = {"end": start + 0.5, "writer": "w", "kind": "put", "list": "a", "id": "r1", "status": 200, **more}
    return Op(start=float(start), version=version, **{"token": f"t{version}", **given})


def delete(start: float, version: int, **more: Any) -> Op:
    """Return a deletion."""
    return op(start, version, kind="delete", token="", **more)


def poll(start: float, cursor: int, after: int, *changes: Seen, **more: Any) -> Poll:
    """Return a poll of one page that took 0.5 s."""
    given = {"poller": "p", "list": "a", "style": "first", "etags": [after], "end": start + 0.5, **more}
    return Poll(start=float(start), cursor=cursor, after=after, changes=list(changes), **given)


def rest(*objects: Seen, list: str = "a", arrays: dict[str, Any] | None = None) -> Rest:
    """Return a list at rest."""
    etag = max((each.version for each in objects), default=0)
    return Rest(end=100.0, list=list, etag=etag, objects=[*objects], arrays=arrays or {})


def seen(version: int, id: str = "r1") -> Seen:
    """Return an object as the write of that version left it."""
    return Seen(id, version, f"t{version}")


CREATED = op(0, 5, status=201)
PAIR = {"id": "pair-w-1", "batch": "t1", "token": "t1"}

GOOD: list[Any] = [
    pytest.param(
        [CREATED, poll(1, 0, 5, seen(5)), op(2, 8), poll(3, 5, 8, seen(8)), rest(seen(8))], id="polls follow writes"
    ),
    pytest.param([CREATED, poll(1, 0, 5, seen(5), end=30, slowest=(1, 2)), rest(seen(5))], id="many quick pages"),
    pytest.param([CREATED, poll(1, 0, 5, seen(5)), poll(2, 5, 5, status=304, etags=[]), rest(seen(5))], id="a 304"),
    pytest.param(
        [
            CREATED,
            poll(1, 0, 5, seen(5)),
            op(2, 8),
            poll(3, 5, 9, etags=[9, 9], end=5, style="last"),
            op(4, 10),
            poll(6, 9, 10, seen(10)),
            rest(seen(10)),
        ],
        id="replaced while pages were read",
    ),
    pytest.param([CREATED, delete(1, 7), poll(2, 0, 7), rest(Seen("r1", 7))], id="deleted before the first poll"),
    pytest.param(
        [CREATED, Fault(start=0.9, end=1, kind="worker"), op(1, status=0, token="u"), rest(Seen("r1", 6, "u"))],
        id="an unknown write was done",
    ),
    pytest.param(
        [CREATED, Fault(start=0.9, end=1, kind="worker"), op(1, status=0, token="u"), rest(seen(5))],
        id="an unknown write was not done",
    ),
    pytest.param([op(0, status=412, token="x", if_match=3), rest()], id="a refusal"),
    pytest.param(
        [
            op(0, 4, status=201, id="log-0"),
            op(1, 5, kind="append", id="log-0", token="x", count=1),
            op(2, 6, kind="append", id="log-0", token="y", count=2),
            rest(Seen("log-0", 6, "y", 2), arrays={"log-0": ["x", "y"]}),
        ],
        id="an array grows",
    ),
]

BAD: list[Any] = [
    pytest.param("S1", [op(0, 5), poll(1, 0, 5), rest(seen(5))], id="missed on a single page"),
    pytest.param(
        "S7",
        [CREATED, poll(1, 0, 5, seen(5)), op(2, 8), poll(3, 5, 9, etags=[9, 9], style="last"), rest(seen(8))],
        id="missed with pages, by the last ETag",
    ),
    pytest.param(
        "S8",
        [CREATED, poll(1, 0, 5, seen(5)), op(2, 8), poll(3, 5, 9, etags=[9, 9], style="oldest"), rest(seen(8))],
        id="missed with pages, by the highest last_modified",
    ),
    pytest.param(
        "S8",
        [
            CREATED,
            poll(1, 0, 5, seen(5)),
            op(2, 8),
            poll(3, 5, 9, etags=[9, 9], end=3.5),
            op(4, 10),
            rest(seen(10)),
        ],
        id="replaced only after the last page",
    ),
    pytest.param(
        "S9", [CREATED, poll(1, 0, 5, seen(5)), delete(2, 8), poll(3, 5, 8), rest(Seen("r1", 8))], id="missed tombstone"
    ),
    pytest.param("S8", [CREATED, poll(1, 5, 6, seen(5)), rest(seen(5))], id="a change not after the cursor"),
    pytest.param("S7", [poll(1, 0, 9, etags=[8, 9], style="last")], id="pages with different ETags"),
    pytest.param("S27", [poll(1, 0, 9), poll(2, 9, 8)], id="the ETag went back"),
    pytest.param("S28", [poll(1, 0, 9), poll(2, 9, 12)], id="the ETag moved for nothing"),
    pytest.param("S20", [poll(1, 9, 9, status=410, etags=[])], id="a new beginning where nothing was purged"),
    pytest.param("S10", [op(0, 9), poll(1, 0, 8, seen(8))], id="an ETag older than what was acknowledged"),
    pytest.param(
        "S10", [poll(0, 0, 8), op(1, 9), poll(2, 8, 8, status=304, etags=[])], id="a 304 after a write was acknowledged"
    ),
    pytest.param("S3", [op(0, 9), op(1, 8)], id="a later write with a lower version"),
    pytest.param("S5", [op(0, 9, end=2), op(1, 9, id="r2", end=2)], id="one version, two objects"),
    pytest.param("S5", [op(0, 9), poll(1, 0, 9, Seen("r1", 9, "other"))], id="one version, two writes"),
    pytest.param("S5", [op(0, status=409)], id="a conflict"),
    pytest.param("S5", [op(0, status=503)], id="503 without a fault"),
    pytest.param("S5", [op(0, status=0)], id="no answer without a fault"),
    pytest.param("S5", [Fault(start=0, end=1, kind="cut"), op(20, status=0)], id="no answer long after a fault"),
    pytest.param("O2", [Fault(start=0, end=1, kind="cut"), op(0.5, 5, end=12)], id="stuck after a fault"),
    pytest.param("O2", [op(0, 5), poll(1, 0, 5, Seen("r1", 5, "t5"), end=30, slowest=(1, 12))], id="a page is late"),
    pytest.param("C15", [op(0, status=500)], id="a defect"),
    pytest.param("C15", [poll(0, 0, 0, status=500, etags=[])], id="a poll met a defect"),
    pytest.param("C15", [poll(0, 0, 0, status=404, etags=[])], id="a poll of what is there is a 404"),
    pytest.param("S5", [poll(0, 0, 0, status=503, etags=[])], id="a poll failed without a fault"),
    pytest.param("O6", [Fault(start=0, end=1, kind="stop", problem="exit status 1")], id="a bad end"),
    pytest.param("C15", [op(0, status=404)], id="404 where the collection is"),
    pytest.param("C15", [op(0, status=412)], id="412 without a condition"),
    pytest.param("P18", [op(0, 5, kind="intrude")], id="an intruder is let in"),
    pytest.param(
        "P18",
        [op(0, status=403, kind="intrude", token="x"), rest(Seen("r1", 5, "x"))],
        id="an intruder's write is kept",
    ),
    pytest.param(
        "C11", [op(0, status=412, if_match=3, token="x"), rest(Seen("r1", 5, "x"))], id="a refused write is kept"
    ),
    pytest.param("C11", [poll(0, 0, 5, Seen("r1", 5, "x")), op(0, status=412, token="x")], id="and was seen before"),
    pytest.param("C16", [poll(0, 0, 5, Seen("r1", 5, "x")), rest(Seen("r1", 6, "x"))], id="a write was done twice"),
    pytest.param("C1", [op(0, 5), op(1, 8), op(2, 9, if_match=5)], id="If-Match of a version that was replaced"),
    pytest.param("C2", [op(0, 5), op(1, 8, status=201, if_none_match=True)], id="If-None-Match of what was there"),
    pytest.param("C3", [op(0, 5), op(1, 8, kind="post", status=201)], id="created twice"),
    pytest.param(
        "C4",
        [
            op(0, 5, status=201, patch={"a": 1}, fields={"a": 1}),
            op(1, 6, kind="patch", patch={"b": 1}, fields={"a": 1, "b": 1}),
            op(2, 7, kind="patch", patch={"c": 1}, fields={"a": 1, "c": 1}),
        ],
        id="a field of another is lost",
    ),
    pytest.param("C7", [op(0, 5, status=201), delete(1, 6), op(2, 7)], id="replaced after it was deleted"),
    pytest.param("C7", [op(0, 5, status=201), delete(1, 6), delete(2, 7)], id="deleted twice"),
    pytest.param("C25", [op(0, 5), op(1, 8), op(2, 5, kind="get", token="t5")], id="an old version is read"),
    pytest.param("C25", [op(0, 5), op(2, status=404, kind="get")], id="what was acknowledged is not found"),
    pytest.param("C25", [op(0, 5), op(1, 8), rest(seen(5))], id="an acknowledged write is lost"),
    pytest.param("C25", [op(0, 5), delete(1, 8), rest(seen(5))], id="a deletion is lost"),
    pytest.param("C25", [op(0, 5), rest()], id="an acknowledged record is lost"),
    pytest.param(
        "C5",
        [op(0, 5, kind="append", id="log-0", token="x", count=1), rest(Seen("log-0", 5), arrays={"log-0": []})],
        id="a lost element",
    ),
    pytest.param(
        "C5",
        [
            op(0, 5, kind="append", id="log-0", token="x", count=1),
            rest(Seen("log-0", 5, "x", 2), arrays={"log-0": ["x", "x"]}),
        ],
        id="an element twice",
    ),
    pytest.param(
        "C5",
        [
            op(0, 5, kind="append", id="log-0", token="x", count=1),
            rest(Seen("log-0", 5, "x", 2), arrays={"log-0": ["x", "z"]}),
        ],
        id="an element of nobody",
    ),
    pytest.param(
        "C5",
        [
            poll(0, 0, 5, Seen("log-0", 5, "y", 1)),
            op(1, 6, kind="append", id="log-0", token="x", count=2),
            op(1, 7, kind="append", id="log-0", token="y", count=1),
            rest(Seen("log-0", 6, "y", 2), arrays={"log-0": ["x", "y"]}),
        ],
        id="somebody saw another beginning",
    ),
    pytest.param(
        "C13",
        [
            op(0, status=0, **PAIR),
            op(0, status=0, **PAIR | {"list": "b"}),
            rest(Seen("pair-w-1", 5, "t1")),
            rest(list="b"),
        ],
        id="half a batch",
    ),
    pytest.param(
        "C25",
        [
            op(0, 5, status=201, **PAIR),
            op(0, 5, status=201, **PAIR | {"list": "b"}),
            rest(Seen("pair-w-1", 5, "t0")),
            rest(Seen("pair-w-1", 5, "t0"), list="b"),
        ],
        id="a batch is lost",
    ),
    pytest.param("C22", [op(0, 5, kind="visit")], id="a guest replaces"),
    pytest.param("C22", [op(0, 5), op(1, 8, kind="visit", status=201)], id="a guest creates what was there"),
    pytest.param(
        "C9", [op(0, 5, list="c"), op(1, kind="drop", list="c"), op(2, 5, kind="get", list="c")], id="read after all"
    ),
    pytest.param(
        "C9", [op(0, 5, list="c"), op(1, kind="drop", list="c"), rest(seen(5), list="c")], id="outlived its collection"
    ),
    pytest.param("S1", [op(0, 5), poll(1, 0, 5, seen(5)), rest(seen(5), seen(4, "r2"))], id="unknown to a replica"),
]


@pytest.mark.parametrize("events", GOOD)
def test_nothing_is_found_in(events: list[Event]) -> None:
    assert check(events) == []


@pytest.mark.parametrize(("case", "events"), BAD)
def test_the_checker_finds(case: str, events: list[Event]) -> None:
    assert case in {found.case for found in check(events)}


def test_a_history_that_was_kept_gets_the_same_verdict(tmp_path: Path) -> None:
    events = [event for each in [*GOOD, *BAD] for event in each.values[-1]]
    log = Log(tmp_path / "history.jsonl")
    for event in events:
        log.add(event)
    log.close()

    assert list(history.read(tmp_path / "history.jsonl")) == events
    cases = [found.case for found in check(events)]
    assert [found.case for found in check_file(tmp_path / "history.jsonl")] == cases
