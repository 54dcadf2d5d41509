"""What the benchmarks make of what they measure. Nothing here measures."""

import json
from xml.etree import ElementTree

import pytest
from bench import plot, report, targets, wire
from bench.figures import Figure, Results, Round, figure, of_round, percentile, rounded
from bench.load import Done


def a_round(cpu_us: float, *, errors: int = 0) -> Round:
    return Round(cpu_us, 0.0, 1000.0, 0.5, 1.5, 100, errors)


@pytest.fixture
def results() -> Results:
    results = Results({"limit-sqlite-full": "the limit", "kobako-sqlite": "Kobako"})
    results.memory["kobako-sqlite"] += [50_000_000, 60_000_000]
    for connections in (1, 16):
        results.rounds["limit-sqlite-full", "one", connections] += map(a_round, (40, 50, 60))
        results.rounds["kobako-sqlite", "one", connections] += [a_round(90), a_round(110, errors=2), a_round(100)]
    return results


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)], ids=["median", "99", "all", "least"]
)
def test_a_percentile_is_a_value_that_was_measured(percent: int, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_a_figure_is_the_median_with_its_spread() -> None:
    measured = figure([10.0, 30.0, 20.0, 22.0, 18.0])

    assert measured == Figure(20.0, 10.0, 30.0)
    assert measured.spread == 0.5


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.234, "1.23"), (99.96, "100"), (1234.0, "1,230"), (289_123.0, "289,000")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert rounded(value) == text


def test_a_round_counts_what_each_request_has_cost_and_what_failed() -> None:
    done = Done(seconds=2.0, latencies=[0.001] * 98 + [0.005, 0.009], failed_parts=3)
    done.statuses.update({200: 60, 304: 38, 503: 2})

    measured = of_round(done, 0.02, 0.01)

    assert measured.cpu_us == pytest.approx(300)
    assert measured.per_second == 50
    assert (measured.p50_ms, measured.p99_ms) == pytest.approx((1.0, 5.0))
    assert measured.errors == 5


def test_targets_compare_with_the_limit_of_the_same_database() -> None:
    costs = {("kobako-sqlite", "batch"): 3000.0, ("limit-sqlite-full", "put"): 100.0, ("kinto", "batch"): 1.0}

    (verdict,) = targets.verdicts(costs)

    assert (verdict.contender, verdict.other, verdict.measured) == ("kobako-sqlite", "limit-sqlite-full", 1.2)
    assert verdict.is_reached


def test_writes_are_compared_with_pocketbase_at_the_same_durability() -> None:
    costs = {("kobako-sqlite", "put"): 400.0, ("kobako-sqlite-normal", "put"): 250.0, ("pocketbase", "put"): 500.0}

    (verdict,) = targets.verdicts(costs)

    assert (verdict.contender, verdict.measured, verdict.is_reached) == ("kobako-sqlite-normal", 2.0, False)


def test_the_report_has_medians_spreads_targets_and_errors(results: Results) -> None:
    page = report.as_markdown(results, {"Date": "today"})

    assert "| one object | 50 ±20% | 100 ±10% |" in page
    assert "| one object | Kobako | the limit | ≤ 2 × | 2.00 | 2.00 | reached |" in page
    assert "| Kobako | 50 | 60 |" in page
    assert "- Kobako, one object, 16 connections: 2 in 300 requests" in page


def test_the_report_keeps_each_round_as_json(results: Results) -> None:
    kept = json.loads(json.dumps(report.as_json(results, {})))

    assert [each["server_us"] for each in kept["measured"][0]["rounds"]] == [40, 50, 60]
    assert report.as_markdown(report.from_json(kept), {}) == report.as_markdown(results, {})


def test_the_plot_is_xml_with_a_dot_for_each_figure() -> None:
    figures = {("kinto", "one"): Figure(5000, 4000, 9000), ("pocketbase", "one"): Figure(300, 250, 400)}

    root = ElementTree.fromstring(plot.draw(figures, {"kinto": "K & co", "pocketbase": "P"}, {"one": "1"}, "CPU"))

    dots = [each for each in root.iter("{http://www.w3.org/2000/svg}circle") if each.get("r") == "6.5"]
    assert [each.get("cy") for each in dots] == ["129.0", "129.0"]
    assert [plot.Scale(figures).x(value) for value in (100, 10_000)] == [plot.LEFT, plot.WIDTH - plot.RIGHT]


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 40),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 38),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 59),
    ],
    ids=["length", "no body", "chunks to come", "all chunks"],
)
def test_an_answer_ends_where_its_head_says(data: bytes, end: int | None) -> None:
    head = wire.read_head(data)

    assert head is not None
    assert head.end == end


def test_a_body_in_chunks_is_put_together() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"

    assert wire.read_body(data) == b"[1,2]"
