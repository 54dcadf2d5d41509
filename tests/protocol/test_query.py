"""The query string of a list: its filters, order, page (HTTP API, 9.4 to 9.10)."""

from typing import Any

import pytest

from kobako.protocol import params, query
from kobako.protocol.errors import InvalidParameters
from kobako.protocol.query import ListQuery
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Sort

NOW = 1_700_000_000_000
DAY = 24 * 3_600_000


def read(text: str, paginate_by: int | None = None, max_fetch: int = 10_000) -> ListQuery:
    """Read a query string."""
    return query.read_list(params.parse(text), now=NOW, paginate_by=paginate_by, max_fetch=max_fetch)


@pytest.mark.parametrize(
    ("text", "field", "operator", "value"),
    [
        ("x=1", "x", "eq", 1),
        ("eq_x=1", "x", "eq", 1),
        ("not_x=a", "x", "not", "a"),
        ("lt_x=1", "x", "lt", 1),
        ("max_x=1", "x", "max", 1),
        ("gt_x=1", "x", "gt", 1),
        ("min_x=1", "x", "min", 1),
        ("in_x=1,a", "x", "in", (1, "a")),
        ("in_x=", "x", "in", ()),
        ("in_x=a,", "x", "in", ("a",)),
        ('in_x=[1,"b"]', "x", "in", ("[1", '"b"]')),
        ("in_x=1&in_x=2", "x", "in", (1, 2)),
        ("exclude_x=null", "x", "exclude", (None,)),
        ("like_x=a", "x", "like", "a"),
        ("has_x=0", "x", "has", False),
        ("has_x=a", "x", "has", True),
        ("contains_x=1", "x", "contains", (1,)),
        ("contains_x=[1,2]", "x", "contains", (1, 2)),
        ("contains_any_x=1", "x", "contains_any", (1,)),
        ("contains_any_x.y=1", "x.y", "contains_any", (1,)),
        ("in_stock=true", "stock", "in", (True,)),
        ("eq_in_stock=true", "in_stock", "eq", True),
        ("GT_x=1", "GT_x", "eq", 1),
        ("gt_a-b=1", "gt_a-b", "eq", 1),
        ("gt_=1", "gt_", "eq", 1),
        ("x=1&x=2", "x", "eq", ["1", "2"]),
        ("x=[1", "x", "eq", "[1"),
        ("_since=5", "last_modified", "gt", 5),
        ('_since="5"', "last_modified", "gt", 5),
        ("_before=5", "last_modified", "lt", 5),
        ("_to=5", "last_modified", "lt", 5),
        ("last_modified=5", "last_modified", "eq", 5),
        ('min_last_modified="5"', "last_modified", "min", 5),
        ('id="1"', "id", "eq", "1"),
        ("gt_id=1", "id", "gt", 1),
        ("a'b=1", "a'b", "eq", 1),
    ],
)
def test_a_parameter_is_a_filter(text: str, field: str, operator: str, value: Any) -> None:
    assert read(text).selection.filters == (Filter(field, Operator(operator), value),)


@pytest.mark.parametrize("text", ["", "_since=null", "_before=null", "_expected=1", "_foo=[", "_sort=a", "_limit=1"])
def test_other_parameters_are_no_filters(text: str) -> None:
    assert read(text).selection.filters == ()


@pytest.mark.parametrize(
    "text",
    [
        "_since=",
        f"_since={NOW + DAY}",
        f"_before={NOW + DAY}",
        f"last_modified={NOW + DAY}",
        "gt_last_modified=null",
        "gt_last_modified=1' or '1'='1",
        "gt_last_modified=9999999999999999999",
        "in_last_modified=1",
        "like_last_modified=1",
        "has_last_modified=true",
        "contains_last_modified=1",
        "contains_id=a",
        "contains_any_id=a",
        "in_id=1",
        "exclude_id=a,1",
        "like_x=1",
        "like_x=a&like_x=true",
    ],
)
def test_a_filter_of_another_form_is_refused(text: str) -> None:
    """I2, I28."""
    with pytest.raises(InvalidParameters) as caught:
        read(text)

    assert caught.value.problems[0].name == text.partition("=")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("x=1", False),
        ("deleted=true", False),
        ("_since=null", False),
        ("_since=0", True),
        ("_before=5", True),
        ("last_modified=5", True),
        ("not_last_modified=5", True),
    ],
)
def test_tombstones_take_part_where_a_filter_bears_on_the_timestamp(text: str, expected: bool) -> None:
    assert read(text).selection.tombstones == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], NEWEST_FIRST),
        ([""], NEWEST_FIRST),
        (["a"], (Sort("a"), *NEWEST_FIRST)),
        (["-a,+b, c"], (Sort("a", True), Sort("b"), Sort("c"), *NEWEST_FIRST)),
        (["a", "b"], (Sort("a"), Sort("b"), *NEWEST_FIRST)),
        (["a.b"], (Sort("a.b"), *NEWEST_FIRST)),
        (["last_modified"], (Sort("last_modified"),)),
        (["last_modified,a"], (Sort("last_modified"), Sort("a"))),
        (["--a,-,,a'b,$x"], NEWEST_FIRST),
        (["a,-a,b"], (Sort("a"), Sort("b"), *NEWEST_FIRST)),
    ],
)
def test_an_order_is_total(texts: list[str], expected: tuple[Sort, ...]) -> None:
    assert query.read_sort(texts) == expected


@pytest.mark.parametrize("text", ["f{}=1", "in_f{}=1,2", "not_f=1"])
def test_filters_have_a_number_of_filters_at_most(text: str) -> None:
    given = params.parse("&".join(text.format(number) for number in range(query.MAX_FILTERS)))

    assert len(query.read_filters(given, NOW)) == query.MAX_FILTERS
    with pytest.raises(InvalidParameters, match="more than 50 filters"):
        query.read_filters({**given, "x": ["1"]}, NOW)


@pytest.mark.parametrize(("number", "accepted"), [(query.MAX_SORT, True), (query.MAX_SORT + 1, False)])
def test_the_keys_of_an_order_are_bounded(number: int, accepted: bool) -> None:
    """I8."""
    texts = [",".join(f"f{each}" for each in range(number))]

    if accepted:
        assert len(query.read_sort(texts)) == number + 1
    else:
        with pytest.raises(InvalidParameters, match="_sort has more than 100 fields"):
            query.read_sort(texts)


@pytest.mark.parametrize(
    ("text", "paginate_by", "max_fetch", "expected"),
    [
        ("", None, 100, 100),
        ("", 10, 100, 10),
        ("", 200, 100, 100),
        ("_limit=5", None, 100, 5),
        ("_limit=5", 10, 100, 5),
        ("_limit=50", 10, 100, 10),
        ("_limit=500", None, 100, 100),
        ("_limit=", 10, 100, 10),
        ("_limit=0", None, 100, 100),
        ("_limit=null", None, 100, 100),
        ("_limit=1e300", None, 100, 100),
    ],
)
def test_a_page_has_a_size(text: str, paginate_by: int | None, max_fetch: int, expected: int) -> None:
    """I8, I29."""
    assert read(text, paginate_by, max_fetch).limit == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ()), ("_fields=", ()), ("_fields=a", ("a",)), ("_fields=a, b.c,&_fields=d", ("a", "b.c", "d"))],
)
def test_fields_are_named(text: str, expected: tuple[str, ...]) -> None:
    assert read(text).fields == expected


KNOWN = ("uri", "id", "last_modified")


@pytest.mark.parametrize("text", ["", "uri=a", "like_id=b&_since=5&_sort=-uri,id&_fields=uri,id", "_unknown=1"])
def test_a_closed_schema_takes_its_own_fields(text: str) -> None:
    query.read_list(params.parse(text), now=NOW, paginate_by=None, max_fetch=100, known=KNOWN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=1", "Unknown filter field 'size'"),
        ("min_size=1", "Unknown filter field 'min_size'"),
        ("size.uri=1", "Unknown filter field 'size.uri'"),
        ("_sort=uri,-size", "querystring: Unknown sort field 'size'"),
        ("_fields=uri,a,b.c", "Invalid _fields parameter in body: Fields a,b.c do not exist"),
    ],
)
def test_a_closed_schema_refuses_other_fields(text: str, message: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        query.read_list(params.parse(text), now=NOW, paginate_by=None, max_fetch=100, known=KNOWN)

    assert refusal.value.message == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name=7", "7"),
        ("name=1e3", "1e3"),
        ("name=null", "null"),
        ('name="a"', "a"),
        ("in_name=7,true,", ("7", "true")),
        ("gt_name=7", "7"),
        ("has_name=false", False),
        ("contains_name=[7]", (7,)),
        ("size=7", 7),
    ],
)
def test_what_a_field_of_texts_is_compared_with_is_text(text: str, value: Any) -> None:
    [found] = query.read_filters(params.parse(text), NOW, texts={"name"})

    assert found.value == value
