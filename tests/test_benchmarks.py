"""What the benchmarks make of what they measure. Nothing here measures."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench import curves, dataset, pgbench, plot, promises, report, scale, scale_report, summary, targets, wire
from bench.contenders.kinto_api import login, make_collections, records_of, uri_of, user_id
from bench.contenders.kobako import KobakoPostgreSQL
from bench.figures import Figure, Footprint, Results, Round, figure, of_round, percentile, rounded
from bench.filling import Record
from bench.load import Done
from bench.scale_report import RECORDS, Growth
from bench.wire import Client
from tests.servers.postgresql import QUICK, PostgreSQL

ROOT = Path(__file__).parents[1]


def a_round(cpu_us: float, *, errors: int = 0, per_second: float = 1000.0) -> Round:
    return Round(cpu_us, 0.0, per_second, 0.5, 1.5, 100, errors)


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


def test_the_readme_has_the_figures_of_the_last_run() -> None:
    kept = json.loads((ROOT / "docs" / "benchmarks.json").read_text())

    assert summary.section(report.from_json(kept), kept["about"]) in (ROOT / "README.md").read_text()


def test_a_run_of_some_contenders_leaves_the_readme_as_it_is(results: Results, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- figures -->of the last run<!-- end of figures -->")
    summary.write(results, {}, readme)
    assert "of the last run" in readme.read_text()


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


def test_plugins_are_compared_with_none() -> None:
    costs = {("kobako-sqlite", "one"): 100.0, ("kobako-plugins", "one"): 120.0}

    (verdict,) = targets.verdicts(costs)

    assert (verdict.contender, verdict.other, verdict.measured) == ("kobako-plugins", "kobako-sqlite", 1.2)
    assert not verdict.is_reached


def test_writers_are_compared_with_one_writer_and_with_pgbench() -> None:
    results = Results({"kobako-sqlite": "S", "kobako-postgresql": "P"})
    for name, rates in (("kobako-sqlite", (100, 290)), ("kobako-postgresql", (200, 400))):
        for connections, rate in zip((1, 16), rates, strict=True):
            results.rounds[name, "put", connections].append(a_round(1, per_second=rate))
    results.pgbench |= {1: [500.0], 16: [700.0, 600.0, 800.0]}

    lines = promises.writers(results).splitlines()

    assert lines[2:] == [
        "| S | 100 | 290 | ≥ 3 × one connection | 2.90 | **missed** |",
        "| P | 200 | 400 | ≥ 0.5 × pgbench, one or 16 | 0.57 | reached |",
        "| pgbench, the same statements | 500 | 700 |  |  |  |",
    ]


def test_start_and_memory_have_targets() -> None:
    found = Footprint([0.5, 3.0, 0.6], [41_000_000, 81_000_000], {"kobako-sqlite": 12_000_000})

    page = promises.footprint(found, {"kobako-sqlite": "S"})

    assert "in an empty folder | < 1 s | 0.6 s | reached |" in page
    assert "| an idle worker | < 80 MB | 81 MB | **missed** |" in page
    assert "pages of 1,000: S | < 20 MB | 12 MB | reached |" in page


def test_pgbench_sends_the_values_of_a_statement_for_another_record_each_time() -> None:
    sql = "INSERT INTO objects SELECT $2, $1, $3::text, $4::text[], $5::text"
    text = r"""{"done":true,"title":"it's \t"}"""

    _, line = pgbench.script([(sql, (1234, "record000000007", text, ["a", "b"], None))], version=1234)

    assert line == (
        "INSERT INTO objects SELECT (E'' || 'record' || lpad(:number::text, 9, '0') || E''), :version, "
        r"""E'{"done"\x3atrue,"title"\x3a"it''s \\t"}'::text, ARRAY[E'a', E'b']::text[], NULL::text;"""
    )


def test_pgbench_takes_the_version_after_that_of_the_list_and_its_mark() -> None:
    asked = "SELECT 'list', last_modified::text, xmin::text FROM lists WHERE parent = $1"
    written = "UPDATE lists SET last_modified = $1 WHERE xmin::text = $2"

    _, ask, put = pgbench.script([(asked, ("/b",)), (written, (5, "777"))], version=5)

    assert "AS mark FROM (SELECT 'list', last_modified::text, xmin::text FROM lists WHERE parent = E'/b') AS" in ask
    assert ask.endswith("\\gset\n\\set version :last_modified + 1")
    assert put == "UPDATE lists SET last_modified = :version WHERE xmin::text = :mark;"


@pytest.fixture
def kobako() -> Iterator[KobakoPostgreSQL]:
    """A Kobako as it is measured, with collections and no records."""
    with ExitStack() as stack:
        database = PostgreSQL(*QUICK)
        stack.callback(database.remove)
        database.start()
        kobako = KobakoPostgreSQL(database)
        stack.callback(kobako.remove)
        kobako.prepare()
        kobako.start()
        make_collections(Client(kobako.port, login(dataset.OWNER)))
        yield kobako


@pytest.mark.server
def test_pgbench_writes_records_as_kobako_does(kobako: KobakoPostgreSQL) -> None:
    script, of_list = pgbench.prepare(kobako), "SELECT max(last_modified) FROM lists WHERE resource = 'record'"
    before = int(kobako.database.ask(of_list, kobako.name))
    rate = pgbench.per_second(kobako, script, connections=4)
    written = int(kobako.database.ask(of_list, kobako.name)) - before

    found = kobako.database.ask(
        "SELECT l.last_modified = max(o.last_modified), count(*) > 1, max(data) = min(data), min(o.id)"
        " FROM lists AS l JOIN objects AS o USING (bucket, parent, resource)"
        " WHERE parent = '/buckets/bench/collections/writes' GROUP BY l.last_modified",
        kobako.name,
    )
    # Who came too late has written nothing.
    assert 0 < rate < 1.2 * written / pgbench.SECONDS
    assert re.fullmatch(r"t\|t\|t\|record\d{9}", found)


@pytest.mark.server
def test_records_that_are_filled_in_are_as_those_that_were_put(kobako: KobakoPostgreSQL) -> None:
    client = Client(kobako.port, login(dataset.OWNER))
    owner = user_id(kobako.port, dataset.OWNER)
    client.call("PUT", f"{records_of('items')}/put", {"data": dataset.record(1)})

    kobako.fill([(uri_of("items"), [Record("filled", dataset.record(1), {"write": [owner]})])])

    put, filled = (client.call("GET", f"{records_of('items')}/{id}").json for id in ("put", "filled"))
    rows = kobako.database.ask("SELECT data, fields, key1, key2 FROM objects WHERE resource = 'record'", kobako.name)
    assert put["permissions"] == filled["permissions"] == {"write": [owner]}
    assert {**put["data"], "id": "", "last_modified": 0} == {**filled["data"], "id": "", "last_modified": 0}
    assert len(rows.splitlines()) == 2
    assert len(set(rows.splitlines())) == 1


@pytest.fixture
def growth() -> Growth:
    growth = Growth()
    for backend, costs in (("SQLite", (100, 120)), ("PostgreSQL", (500, 700))):
        for size, cost in zip((10_000, 5_000_000), costs, strict=True):
            growth.bytes[RECORDS, backend, size] = size * 500
            for workload in ("one", "poll"):
                growth.rounds[RECORDS, backend, size, workload] += map(a_round, (cost - 10, cost + 10, cost))
    return growth


def test_growth_is_told_by_size_and_compared_with_the_fewest_records(growth: Growth) -> None:
    page = scale_report.as_markdown(growth, {"Date": "today"})

    assert "|  |  | 10,000 | 5,000,000 |" in page
    assert "| one object | SQLite | 100 ±10% | 120 ±8% |" in page
    assert "| one object | SQLite | ≤ 1.3 × | 1.20 | reached |" in page
    assert "| one object | PostgreSQL | ≤ 1.3 × | 1.40 | **missed** |" in page
    assert "| poll, nothing new | SQLite | ≤" not in page
    assert "| 5,000,000 records in a collection | 2,500 | 2,500 |" in page


def test_growth_is_kept_as_json(growth: Growth) -> None:
    kept = json.loads(json.dumps(scale_report.as_json(growth, {})))

    assert scale_report.as_markdown(scale_report.from_json(kept), {}) == scale_report.as_markdown(growth, {})


def test_a_growth_curve_goes_through_the_medians(growth: Growth) -> None:
    lines = {("one object", "SQLite"): growth.figures(RECORDS, "SQLite", "one")}

    root = ElementTree.fromstring(curves.draw("CPU", {RECORDS: lines}))

    panel = curves.Panel(curves.LEFT, curves.WIDTH - curves.LEFT - curves.RIGHT, [10_000, 5_000_000], 130)
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert line.get("points") == f"70.0,{panel.y(100):.1f} 970.0,{panel.y(120):.1f}"
    assert [panel.y(0), panel.y(150)] == [curves.HEIGHT - curves.BOTTOM, curves.TOP]


@pytest.mark.parametrize("size", [10, 1_000, 5_000_000])
def test_requests_are_spread_over_all_that_there_is(size: int) -> None:
    found = [scale.spread(number, size) for number in range(1_000)]

    assert len(set(found)) == min(size, 1_000)
    assert (min(found), max(found) + max(size // 1_000, 1)) == (0, size)


def test_the_report_has_medians_spreads_targets_and_errors(results: Results) -> None:
    page = report.as_markdown(results, {"Date": "today"})

    assert "| one object | 50 ±20% | 100 ±10% |" in page
    assert "| one object | Kobako | the limit | ≤ 2 × | 2.00 | 2.00 | reached |" in page
    assert "| Kobako | 50 | 60 |" in page
    assert "- Kobako, one object, 16 connections: 2 in 300 requests" in page


def test_the_report_keeps_each_round_as_json(results: Results) -> None:
    results.pgbench |= {1: [500.0], 16: [700.0]}
    results.footprint = Footprint([0.5], [41_000_000], {"kobako-sqlite": 12_000_000})

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
