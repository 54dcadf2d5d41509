"""Lists: filters, order, pages, counts, and what a poller can rely on (HTTP API, section 9)."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings
from kobako.testing.client import Answer, Client
from kobako.testing.fixtures import HOUR, Clock

LIST = "/buckets/b/collections/c/records"
OTHER = "/buckets/b/collections/d/records"


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def with_collections(client: Client) -> Client:
    """Create what the records of these tests are in."""
    for url in ("/buckets/b", "/buckets/b/collections/c", "/buckets/b/collections/d"):
        await client.put(url)
    return client


@pytest.fixture
async def client(settings: Settings, clock: Clock) -> AsyncIterator[Client]:
    """A client with two collections, and a clock that stands still."""
    async with Client(App(settings, RESOURCES, clock=clock)) as client:
        yield await with_collections(client)


def ids(response: Answer) -> list[str]:
    """Return the ids of the objects in an answer, in their order."""
    assert response.status == 200, response.json
    return [each["id"] for each in response.data]


async def pages(client: Client, url: str) -> list[Answer]:
    """Follow Next-Page from the first page of a list to its last."""
    found = [await client.get(url)]
    while following := found[-1].headers.get("Next-Page"):
        found.append(await client.get(following))
    return found


# Filters

OBJECTS: dict[str, dict[str, Any]] = {
    "int2": {"x": 2},
    "int10": {"x": 10},
    "int1": {"x": 1},
    "float2": {"x": 2.0},
    "big": {"x": 2**64},
    "text2": {"x": "2"},
    "abc": {"x": "abc"},
    "upper": {"x": "ABCD"},
    "quoted": {"x": "'2'"},
    "empty": {"x": ""},
    "true": {"x": True},
    "false": {"x": False},
    "null": {"x": None},
    "array": {"x": [1, "a", {"k": 1}]},
    "nothing": {"x": []},
    "object": {"x": {"y": 5, "z": {"w": "deep"}}},
    "missing": {"other": 1},
    "special": {"x": "50%_\\o'f\"f"},
}
ALL = set(OBJECTS)
NUMBERS = {"int2", "int10", "int1", "float2", "big"}
TEXTS = {"text2", "abc", "upper", "quoted", "empty", "special"}
ARRAYS = {"array", "nothing"}

FILTERS: list[tuple[str, set[str]]] = [
    # Values are read as JSON, and are text where they are none.
    ("x=2", {"int2", "float2"}),
    ("x=2.0", {"int2", "float2"}),
    ("x=0.2e1", {"int2", "float2"}),
    ('x="2"', {"text2"}),
    ("x='2'", {"quoted"}),
    ("x=abc", {"abc"}),
    ("eq_x=abc", {"abc"}),
    ("x=ABC", set()),
    ("x=true", {"true"}),
    ("x=True", set()),
    ("x=1", {"int1"}),
    ("x=null", {"null"}),
    ("x=None", set()),
    ("x=", {"empty"}),
    ("x=18446744073709551616", {"big"}),
    ("x=NaN", set()),
    ("x=803E5708", set()),
    ("x=" + "1" * 5000, set()),
    ("x=" + "[" * 5000, set()),
    ('x=[1,"a",{"k":1.0}]', {"array"}),
    ("x=[]", {"nothing"}),
    ('x={"z":{"w":"deep"},"y":5}', {"object"}),
    ("x=2&x=2", set()),
    ("x=abc;x=abc", set()),
    (" x =abc", {"abc"}),
    # Comparisons: null < text < number < boolean < array < object < missing.
    ("not_x=2", ALL - {"int2", "float2"}),
    ("not_x=null", ALL - {"null"}),
    ("lt_x=2", {"int1", "null"} | TEXTS),
    ("max_x=2", {"int1", "int2", "float2", "null"} | TEXTS),
    ("gt_x=2", {"int10", "big", "true", "false", "object", "missing"} | ARRAYS),
    ("min_x=2", {"int2", "float2", "int10", "big", "true", "false", "object", "missing"} | ARRAYS),
    ("gt_x=true", {"object", "missing"} | ARRAYS),
    ("lt_x=null", set()),
    ("min_x=null", ALL),
    ("lt_x=abc", {"null", "text2", "upper", "quoted", "empty", "special"}),
    ("gt_x=1&lt_x=3", {"int2", "float2"}),
    # Lists of values: split first, read afterwards.
    ('in_x=1,"2",abc', {"int1", "text2", "abc"}),
    ("in_x=1,", {"int1"}),
    ("in_x=", set()),
    ('in_x=[1],{"k":1}', set()),
    ("in_x=[[[]]],[]", {"nothing"}),
    ("in_id=", set()),
    ("exclude_id=", ALL),
    ("in_x=null,true", {"null", "true"}),
    ("in_x=1&in_x=2", {"int1", "int2", "float2"}),
    ("exclude_x=2,abc", ALL - {"int2", "float2", "abc"}),
    ("exclude_x=", ALL),
    ("exclude_x=null", ALL - {"null"}),
    # Text.
    ("like_x=bc", {"abc", "upper"}),
    ("like_x=ab*", {"abc", "upper"}),
    ("like_x=*c", {"abc"}),
    ("like_x=a*c", {"abc"}),
    ('like_x="2"', {"int2", "float2", "text2", "quoted"}),
    ('like_x="10"', {"int10"}),
    ("like_x=%25", {"special"}),
    ("like_x=_", {"special"}),
    ("like_x=\\", {"special"}),
    ("like_x=a%25c", set()),
    ("like_x=a_c", set()),
    ("like_x=" + "*a" * 50 + "*", set()),
    ("like_missing=a", set()),
    # Presence: null is a value.
    ("has_x=true", ALL - {"missing"}),
    ("has_x=false", {"missing"}),
    ("has_x=1", ALL - {"missing"}),
    ("has_x=0", {"missing"}),
    ("has_x=yes", ALL - {"missing"}),
    ("has_x=", {"missing"}),
    ("has_x=null", {"missing"}),
    # Arrays.
    ("contains_x=1", {"array"}),
    ('contains_x=[1,"a"]', {"array"}),
    ("contains_x=[1,2]", set()),
    ("contains_x=[]", ARRAYS),
    ('contains_x={"k":1}', {"array"}),
    ("contains_x=true", set()),
    ("contains_any_x=[1,2]", {"array"}),
    ("contains_any_x=[]", set()),
    ("contains_any_x=2", set()),
    # Fields, and names that look like operators.
    ("x.y=5", {"object"}),
    ("x.z.w=deep", {"object"}),
    ("gt_x.y=4", ALL),
    ("lt_x.y=9", {"object"}),
    ("x.0=1", set()),
    ("deleted=true", set()),
    ("not_deleted=true", ALL),
    ("gt_a-b=1", set()),
    ("in_stock=true", set()),
    ("id=abc", {"abc"}),
    ("in_id=abc,true", {"abc"}),
    ("gt_id=u", {"upper"}),
    ("not_id=abc", ALL - {"abc"}),
    ("like_id=int*", {"int2", "int10", "int1"}),
    ("lt_id=7", set()),
    # Ignored.
    ("_expected=12", ALL),
    ("_foo=[", ALL),
    ("_limit=", ALL),
    ("_token=", ALL),
    ("_since=null", ALL),
    ("_before=null", ALL),
    # I16: names are data.
    ("a'b=1", set()),
    ('a"b=1', set()),
    ("$x=1", set()),
    ("__proto__=1", ALL),
    ("a)--=1", set()),
    ("gt_x')--=1", set()),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=[query[:40] for query, _ in FILTERS])
async def test_a_filter_selects(client: Client, query: str, expected: set[str]) -> None:
    """I3, I16, I22, I28; 2.5: HEAD counts the same."""
    for id, data in OBJECTS.items():
        await client.put(f"{LIST}/{id}", data)
    encoded = quote(query, safe="=&;%")
    if "true" in query and query.startswith("in_id"):
        encoded = "in_id=abc,%22true%22"
        expected = {"abc", "true"}

    assert set(ids(await client.get(f"{LIST}?{encoded}"))) == expected
    assert (await client.head(f"{LIST}?{encoded}")).headers["Total-Objects"] == str(len(expected))


REFUSED = [
    ("id=1", "id", "1 is not a string: {'id': ''}"),
    ("in_id=1", "in_id", "Invalid value for in_id"),
    ("in_id=a,null", "in_id", "Invalid value for in_id"),
    ("in_id=[1]", "in_id", "Invalid value for in_id"),
    ('in_id=[["a"]]', "in_id", "Invalid value for in_id"),
    ('exclude_id={"a":1}', "exclude_id", "Invalid value for exclude_id"),
    ("exclude_id=1", "exclude_id", "Invalid value for exclude_id"),
    ("contains_id=a", "contains_id", "Field 'id' is not an array"),
    ("contains_any_id=a", "contains_any_id", "Field 'id' is not an array"),
    ("like_x=1", "like_x", "Invalid value for like_x"),
    ("like_x=null", "like_x", "Invalid value for like_x"),
    ("like_x=[1]", "like_x", "Invalid value for like_x"),
    ("last_modified=", "last_modified", "Invalid value for last_modified"),
    ("last_modified=[1]", "last_modified", '"[1]" is not a number'),
    ("min_last_modified=[[1]]", "min_last_modified", "Invalid value for min_last_modified"),
    ("last_modified=abc", "last_modified", '"abc" is not a number'),
    ("last_modified=-1", "last_modified", "-1 is less than minimum value 0"),
    ("_since=9223372036854775809", "_since", "9223372036854775809 is greater than maximum value 9223372036854775808"),
    ("_since=", "_since", "Invalid value for _since"),
    ("_before=1900000000000", "_before", "Invalid value for _before"),
    ("gt_last_modified=null", "gt_last_modified", "Invalid value for gt_last_modified"),
    ("gt_last_modified=abc", "gt_last_modified", "Invalid value for gt_last_modified"),
    ("not_last_modified=", "not_last_modified", "Invalid value for not_last_modified"),
    (
        "gt_last_modified=1700000000249' or '1'='1",
        "gt_last_modified",
        "Invalid value for gt_last_modified",
    ),
    ("in_last_modified=1,2", "in_last_modified", "Invalid value for in_last_modified"),
    ("exclude_last_modified=1", "exclude_last_modified", "Invalid value for exclude_last_modified"),
    ("like_last_modified=1", "like_last_modified", "Invalid value for like_last_modified"),
    ("has_last_modified=true", "has_last_modified", "Invalid value for has_last_modified"),
    ("contains_last_modified=1", "contains_last_modified", "Invalid value for contains_last_modified"),
    ("contains_any_last_modified=1", "contains_any_last_modified", "Invalid value for contains_any_last_modified"),
    ("x=a%00b", "x", "Invalid character 0x00"),
    ("x%00=a", "x", "Invalid character 0x00"),
    ("in_x=a,%00", "in_x", "Invalid character 0x00"),
    ("x=%22a\\u0000%22", "x", "Invalid character 0x00"),
    ("_limit=-1", "_limit", "-1 is less than minimum value 0"),
    ("_limit=abc", "_limit", '"abc" is not a number'),
    ("_limit=true", "_limit", '"true" is not a number'),
    ("_limit=1e400", "_limit", '"1e400" is not a number'),
    ("_limit=[1]", "_limit", '"[1]" is not a number'),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize(("query", "name", "description"), REFUSED, ids=[query for query, *_ in REFUSED])
async def test_a_parameter_of_another_form_is_refused(
    client: Client, method: str, query: str, name: str, description: str
) -> None:
    """I1, I2, I3, I8, I28."""
    response = await client.request(method, f"{LIST}?{quote(query, safe='=&%')}")

    assert response.status == 400
    assert response.json["details"] == [{"location": "querystring", "name": name, "description": description}]


@pytest.mark.parametrize("name", ["_since", "_before", "_to", "last_modified", "_limit", "_token", "id"])
async def test_a_parameter_that_has_one_value_is_given_once(client: Client, name: str) -> None:
    response = await client.get(f"{LIST}?{name}=1&{name}=2")

    assert response.status == 400
    assert [each["name"] for each in response.json["details"]] == [name]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("&".join(f"f{n}=1" for n in range(50)), 200, id="50 filters"),
        pytest.param("&".join(f"f{n}=1" for n in range(51)), 400, id="51 filters"),
        pytest.param("&".join(["contains_x=[1,2,3]"] * 51), 400, id="51 times one filter"),
        pytest.param("&".join(f"_f{n}=1" for n in range(1000)), 200, id="1,000 parameters"),
        pytest.param("&".join(f"_f{n}=1" for n in range(1001)), 400, id="1,001 parameters"),
        pytest.param("in_x=" + ",".join(map(str, range(20_000))), 200, id="20,000 values"),
        pytest.param("_sort=" + ",".join(f"f{n}" for n in range(100)), 200, id="I8 100 sort fields"),
        pytest.param("_sort=" + ",".join(f"f{n}" for n in range(1000)), 400, id="I8 1,000 sort fields"),
        pytest.param("_fields=" + ",".join(f"f{n}" for n in range(5000)), 200, id="5,000 fields"),
        pytest.param("x" + ".y" * 5000 + "=1", 200, id="5,000 dots"),
        pytest.param("_sort=x" + ".y" * 5000, 200, id="I8 sort by 5,000 dots"),
        pytest.param("_fields=x" + ".y" * 5000, 200, id="fields of 5,000 dots"),
        pytest.param("like_x=" + "*x" * 20_000, 200, id="I22 20,000 stars"),
        pytest.param("_limit=" + "9" * 18, 200, id="I29 _limit"),
        pytest.param("_limit=" + "9" * 301, 400, id="I29 301 digits"),
        pytest.param("_limit=1e300", 200, id="I29 1e300"),
    ],
)
async def test_nothing_in_a_query_is_without_bounds(client: Client, query: str, status: int) -> None:
    """I8, I22, I29: each is answered, or refused, at once."""
    await client.put(f"{LIST}/r", {"x": {"y": 1}})

    assert (await client.get(f"{LIST}?{query}")).status == status


ACLS = ("permissions", "__permissions__", "permissions.read", "__permissions__.write", "acl", "read", "write")


@pytest.mark.parametrize("name", [*ACLS, "parent_id", "parent", "resource", "list", "data", "text"])
async def test_nothing_that_is_kept_beside_an_object_is_filtered_or_sorted_by(client: Client, name: str) -> None:
    """P4: who may read objects asks nothing of their ACLs, nor of columns behind them."""
    for id in "rst":
        await client.put(f"{LIST}/{id}", {"n": 1}, {"read": [f"u:{id}"], "write": [f"v:{id}"]})

    for query in (f"has_{name}=true", f"like_{name}=*", f"contains_{name}=u:r", f"min_{name}=0&max_{name}=z"):
        assert ids(await client.get(f"{LIST}?{query}")) == []
    assert ids(await client.get(f"{LIST}?_sort={name}")) == ids(await client.get(f"{LIST}?_sort=-{name}"))
    assert {*(await client.get(f"{LIST}?_fields={name}")).data[0]} == {"id", "last_modified"}


@pytest.mark.parametrize("filters", ["min_n=0", "like_name=*a*b"])
async def test_a_query_has_a_number_of_filters_at_most(client: Client, filters: str) -> None:
    """I29."""
    for method in ("GET", "HEAD", "DELETE"):
        accepted = await client.request(method, f"{LIST}?_since=0&" + "&".join([filters] * 49))
        refused = await client.request(method, f"{LIST}?_since=0&" + "&".join([filters] * 50))

        assert (accepted.status, refused.status) == (200, 400)
    fault = {"location": "querystring", "name": None, "description": "more than 50 filters"}
    assert refused.json["details"] == [fault]


async def test_filters_are_combined_by_and(client: Client) -> None:
    for number in range(6):
        await client.put(f"{LIST}/r{number}", {"n": number, "even": number % 2 == 0})

    assert ids(await client.get(f"{LIST}?min_n=2&even=true&_sort=n")) == ["r2", "r4"]


# Tombstones


@pytest.fixture
async def changes(client: Client) -> tuple[int, list[str]]:
    """A timestamp, and what happened after it: `live` with n=1 was written, `gone` with n=2 deleted."""
    await client.put(f"{LIST}/older", {"n": 0})
    await client.put(f"{LIST}/gone", {"n": 2})
    since = (await client.get(LIST)).etag
    await client.put(f"{LIST}/live", {"n": 1})
    await client.delete(f"{LIST}/gone")
    return since, ["gone", "live"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_since={t}", ["gone", "live"]),
        ('_since="{t}"', ["gone", "live"]),
        ("gt_last_modified={t}", ["gone", "live"]),
        ("min_last_modified={t}", ["gone", "live"]),
        ("_since={t}&_sort=last_modified", ["live", "gone"]),
        ("_since={t}&_sort=-n", ["gone", "live"]),
        ("_since={t}&n=1", ["live"]),
        ("_since={t}&gt_n=5", ["gone"]),
        ("_since={t}&not_deleted=true", ["live"]),
        ("_since={t}&deleted=true", ["gone"]),
        ("_since={t}&has_n=false", ["gone"]),
        ("_before={t}", ["older"]),
        ("_to={t}", ["older"]),
        ("_since=0", ["gone", "live", "older"]),
        ("_since=null", ["live", "older"]),
        ("_before=null", ["live", "older"]),
        ("_sort=last_modified", ["older", "live"]),
        ("deleted=true", []),
        ("id=gone", []),
    ],
)
async def test_tombstones_are_listed_where_a_filter_bears_on_the_timestamp(
    client: Client, changes: tuple[int, list[str]], query: str, expected: list[str]
) -> None:
    response = await client.get(f"{LIST}?{query.format(t=changes[0])}")

    assert ids(response) == expected
    assert all(
        each == {"id": "gone", "last_modified": each["last_modified"], "deleted": True}
        for each in response.data
        if each["id"] == "gone"
    )


async def test_a_live_object_may_have_a_field_named_deleted(client: Client) -> None:
    await client.put(f"{LIST}/r", {"deleted": True, "n": 1})

    assert ids(await client.get(f"{LIST}?deleted=true")) == ["r"]
    assert ids(await client.get(f"{LIST}?_since=0&deleted=true&n=1")) == ["r"]
    assert (await client.head(LIST)).headers["Total-Objects"] == "1"


async def test_the_deprecated_to_is_announced(client: Client) -> None:
    alert = json.loads((await client.get(f"{LIST}?_to=1")).headers["Alert"])

    assert alert["code"] == "soft-eol"
    assert alert["message"] == "_to is now deprecated, you should use _before instead"
    assert "Alert" not in (await client.get(f"{LIST}?_before=1")).headers


# Order


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("x", ["null", "empty", "text", "one", "ten", "false", "true", "array", "object", "missing"]),
        ("-x", ["missing", "object", "array", "true", "false", "ten", "one", "text", "empty", "null"]),
        ("%2Bx", ["null", "empty", "text", "one", "ten", "false", "true", "array", "object", "missing"]),
        ("+x", ["null", "empty", "text", "one", "ten", "false", "true", "array", "object", "missing"]),
        ("--x,-,,same,-last_modified", None),
        ("same", None),
        ("", None),
        ("id", ["array", "empty", "false", "missing", "null", "object", "one", "ten", "text", "true"]),
        ("same,-id", ["true", "text", "ten", "one", "object", "null", "missing", "false", "empty", "array"]),
        ("-same,last_modified", "reversed"),
        ("x.y", "object first"),
        ("a'b,$x,__proto__,a)--", None),
    ],
)
async def test_objects_come_in_an_order(client: Client, sort: str, expected: Any) -> None:
    """I8, I16: ties, and lists without a sort, come newest first."""
    values = {
        "ten": 10,
        "true": True,
        "null": None,
        "text": "a",
        "object": {"y": 1},
        "one": 1,
        "empty": "",
        "array": [1],
        "false": False,
    }
    for id, value in values.items():
        await client.put(f"{LIST}/{id}", {"x": value, "same": 1})
    await client.put(f"{LIST}/missing", {"same": 1})
    newest = ["missing", *reversed(values)]
    if expected is None:
        expected = newest
    elif expected == "reversed":
        expected = newest[::-1]
    elif expected == "object first":
        expected = ["object", *[each for each in newest if each != "object"]]

    assert ids(await client.get(f"{LIST}?_sort={sort}")) == expected


# Pages


@pytest.mark.parametrize(
    ("paginate_by", "largest", "query", "size"),
    [
        (None, 10_000, "", 9),
        (None, 10_000, "_limit=2", 2),
        (None, 10_000, '_limit="2"', 2),
        (None, 10_000, "_limit=2.9", 2),
        (4, 10_000, "", 4),
        (4, 10_000, "_limit=2", 2),
        (4, 10_000, "_limit=7", 4),
        (4, 10_000, "_limit=1000000000", 4),
        (4, 10_000, "_limit=", 4),
        (4, 10_000, "_limit=0", 4),
        (None, 5, "", 5),
        (None, 5, "_limit=0", 5),
        (None, 5, "_limit=7", 5),
        (7, 5, "_limit=6", 5),
    ],
)
async def test_a_page_is_as_large_as_asked_and_no_larger_than_settings_allow(
    settings: Settings, paginate_by: int | None, largest: int, query: str, size: int
) -> None:
    """I8, I29."""
    limits = replace(settings, paginate_by=paginate_by, storage_max_fetch_size=largest)
    async with Client(App(limits, RESOURCES)) as client:
        await with_collections(client)
        for number in range(9):
            await client.put(f"{LIST}/r{number}")

        response = await client.get(f"{LIST}?{query}")

        assert len(response.data) == size
        assert ("Next-Page" in response.headers) == (size < 9)


async def test_there_is_no_page_after_one_that_is_exactly_full(client: Client) -> None:
    for number in range(4):
        await client.put(f"{LIST}/r{number}")

    assert "Next-Page" not in (await client.get(f"{LIST}?_limit=4")).headers
    assert [len(each.data) for each in await pages(client, f"{LIST}?_limit=2")] == [2, 2]
    assert "Next-Page" not in (await client.head(f"{LIST}?_limit=2")).headers


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "query",
    ["", "_sort=x", "_sort=-x", "_sort=x,-y", "_sort=y.z", "_sort=id", "_sort=-id", "_sort=last_modified", "_since=0"],
)
async def test_pages_have_every_object_once_in_the_order_of_the_list(client: Client, query: str, limit: int) -> None:
    values: list[Any] = [1, 1, "a", None, True, [1], {"z": 1}, 1.5, "", 2**70, "é", "'\"&+=% "]
    for number, value in enumerate(values):
        await client.put(f"{LIST}/r{number}", {"x": value, "y": {"z": value}})
    await client.put(f"{LIST}/missing")
    await client.put(f"{LIST}/gone")
    await client.delete(f"{LIST}/gone")
    whole = await client.get(f"{LIST}?{query}")

    found = await pages(client, f"{LIST}?{query}&_limit={limit}")

    assert [id for each in found for id in ids(each)] == ids(whole)
    assert [len(each.data) for each in found[:-1]] == [limit] * (len(found) - 1)
    assert {each.etag for each in found} == {whole.etag}


async def test_the_next_page_is_an_absolute_url_with_all_parameters(client: Client) -> None:
    """I9."""
    for number in range(4):
        await client.put(f"{LIST}/r{number}", {"a b": "é&=+"})

    url = f"{LIST}?a%20b=%C3%A9%26%3D%2B&_limit=3&_foo=%0D%0A&_%0D%0AX-Injected:=%E2%80%A8"
    following = (await client.get(url)).headers["Next-Page"]

    assert following.startswith(f"http://localhost/v1{LIST}?")
    assert following.isascii()
    assert not {"\r", "\n", " "} & set(following)
    assert ids(await client.get(following)) == ["r0"]


async def test_writes_in_between_neither_repeat_nor_drop_what_stays(client: Client) -> None:
    """S7, S9: a token is a place in the order, not a number of objects."""
    for number in range(10):
        await client.put(f"{LIST}/r{number}", {"n": number})
    first = await client.get(f"{LIST}?_sort=n&_limit=3")

    await client.put(f"{LIST}/before", {"n": -1})
    await client.delete(f"{LIST}/r1")
    await client.delete(f"{LIST}/r2")
    await client.delete(f"{LIST}/r5")
    await client.put(f"{LIST}/after", {"n": 4.5})
    rest = await pages(client, first.headers["Next-Page"])

    assert ids(first) == ["r0", "r1", "r2"]
    assert [id for each in rest for id in ids(each)] == ["r3", "r4", "after", "r6", "r7", "r8", "r9"]
    assert {each.etag for each in rest} == {first.etag}


STYLES = {
    "first page's ETag": "",
    "last page's ETag": "",
    "oldest first, largest timestamp": "_sort=last_modified",
    "newest first, with an upper bound": "_before",
}


@pytest.mark.parametrize("style", STYLES)
async def test_a_poller_misses_nothing_while_others_write(client: Client, clock: Clock, style: str) -> None:
    """S7, S8, S9, S11: in each of four ways to keep a cursor, the replica is the list at rest."""
    for number in range(30):
        await client.put(f"{LIST}/r{number}", {"n": 0})
    replica: dict[str, Any] = {}
    cursor = 0
    done = False

    async def write() -> None:
        nonlocal done
        for number in range(150):
            id = f"r{(number * 7) % 40}"
            if number % 3 == 2:
                await client.delete(f"{LIST}/{id}")
            else:
                await client.put(f"{LIST}/{id}", {"n": number})
            await asyncio.sleep(0)
        done = True

    async def poll() -> None:
        nonlocal cursor
        query = f"_since={cursor}&_limit=4"
        if style == "newest first, with an upper bound":
            bound = (await client.head(LIST)).etag + 1
            query += f"&_before={bound}"
        elif style == "oldest first, largest timestamp":
            query += "&_sort=last_modified"
        url: str | None = f"{LIST}?{query}"
        etags, seen = [], []
        while url:
            page = await client.get(url)
            etags.append(page.etag)
            seen.extend(page.data)
            url = page.headers.get("Next-Page")
            await asyncio.sleep(0)
        for each in sorted(seen, key=lambda each: each["last_modified"]):
            assert each["last_modified"] > cursor
            replica[each["id"]] = each
        latest = max([each["last_modified"] for each in seen], default=cursor)
        cursor = {
            "first page's ETag": etags[0],
            "last page's ETag": etags[-1],
            "oldest first, largest timestamp": latest,
        }.get(style, bound - 1 if "bound" in style else 0)

    async def keep_polling() -> None:
        while not done:
            await poll()
            await asyncio.sleep(0)
        await poll()
        await poll()

    await asyncio.gather(write(), keep_polling())

    live = [each for each in replica.values() if not each.get("deleted")]
    stored = (await client.get(LIST)).data
    assert sorted(live, key=lambda each: str(each["id"])) == sorted(stored, key=lambda each: str(each["id"]))


# Tokens


def forged(last_object: Any, **members: Any) -> str:
    """Return a token as a client might make it up."""
    wire = {"last_object": last_object, "timestamp": 1, "nonce": "", **members}
    return base64.urlsafe_b64encode(json.dumps(wire).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("abc", id="no base64"),
        pytest.param("%20", id="blank"),
        pytest.param("!!!!", id="no alphabet"),
        pytest.param(base64.b64encode(b"abc").decode(), id="no JSON"),
        pytest.param(base64.b64encode(b"[1]").decode(), id="array"),
        pytest.param(base64.b64encode(b"{}").decode(), id="no members"),
        pytest.param(base64.b64encode(b"\xff\xfe").decode(), id="no text"),
        pytest.param(base64.urlsafe_b64encode(b"[" * 30_000).decode(), id="I7 deep"),
        pytest.param("A" * 1_000_000, id="I7 1 MB"),
        pytest.param(forged([1]), id="place an array"),
        pytest.param(forged({"last_modified": 1}, timestamp="x"), id="timestamp a text"),
        pytest.param(forged({"last_modified": 1}, timestamp=-1), id="timestamp negative"),
        pytest.param(forged({"last_modified": 1}, timestamp=2**64), id="timestamp too large"),
        pytest.param(forged({"last_modified": 1}, nonce=1), id="nonce a number"),
        pytest.param(forged({}), id="no place"),
        pytest.param(forged({"last_modified": None}), id="place null"),
        pytest.param(forged({"last_modified": "1"}), id="place a text"),
        pytest.param(forged({"last_modified": True}), id="place a boolean"),
        pytest.param(forged({"last_modified": 2**64}), id="place too large"),
        pytest.param(forged({"last_modified": -1}), id="place negative"),
        pytest.param(forged({"last_modified": [1]}), id="I7 list inside"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_token_that_was_never_given_is_refused(client: Client, method: str, token: str) -> None:
    """I7."""
    response = await client.request(method, f"{LIST}?_token={token}")

    assert response.status == 400
    detail = {"location": "querystring", "name": None, "description": "_token has invalid content"}
    assert response.json["details"] == [detail]


@pytest.mark.parametrize(
    "last_object",
    [{"last_modified": 1, "x": value} for value in ("a", 1, None, [1], {"a": 1}, 2**80, "' or 1=1 --", 1e300)],
)
async def test_a_token_edited_shows_nothing_of_another_list(client: Client, last_object: Any) -> None:
    """P2."""
    await client.put(f"{LIST}/r", {"x": 2})
    await client.put(f"{OTHER}/secret", {"x": 3})

    response = await client.get(f"{LIST}?_sort=-x&_token={forged(last_object, timestamp=2**62)}")

    assert set(ids(response)) <= {"r"}
    assert response.etag == (await client.get(LIST)).etag


async def test_a_token_used_on_another_list_shows_only_what_is_in_it(client: Client) -> None:
    """P2."""
    for number in range(4):
        await client.put(f"{LIST}/r{number}")
        await client.put(f"{OTHER}/s{number}")
    following = (await client.get(f"{LIST}?_limit=2")).headers["Next-Page"]

    elsewhere = await client.get(following.replace("/collections/c/", "/collections/d/"))
    nobody = await client.as_user("bob").get(following)

    assert set(ids(elsewhere)) <= {f"s{number}" for number in range(4)}
    assert nobody.status == 403


async def test_a_page_may_be_read_again(client: Client) -> None:
    for number in range(4):
        await client.put(f"{LIST}/r{number}")
    following = (await client.get(f"{LIST}?_limit=2")).headers["Next-Page"]

    assert ids(await client.get(following)) == ids(await client.get(following)) == ["r1", "r0"]


async def test_preconditions_of_a_later_page_are_about_the_list_as_it_is_now(client: Client) -> None:
    for number in range(4):
        await client.put(f"{LIST}/r{number}")
    first = await client.get(f"{LIST}?_limit=2")
    following, known = first.headers["Next-Page"], first.headers["ETag"]
    assert (await client.get(following, headers={"If-None-Match": known})).status == 304
    await client.put(f"{LIST}/new")

    assert (await client.get(following, headers={"If-None-Match": known})).status == 200
    assert (await client.get(following, headers={"If-Match": known})).status == 412


# Plural DELETE


async def test_a_deletion_takes_what_the_filters_select(client: Client) -> None:
    for number in range(4):
        await client.put(f"{LIST}/r{number}", {"n": number})

    response = await client.delete(f"{LIST}?min_n=2&_fields=n")

    assert sorted(ids(response)) == ["r2", "r3"]
    assert {tuple(sorted(each)) for each in response.data} == {("deleted", "id", "last_modified")}
    assert ids(await client.get(LIST)) == ["r1", "r0"]


@pytest.mark.parametrize("query", ["_since=0", "_since=0&deleted=true", "min_last_modified=0&id=gone"])
async def test_tombstones_are_never_deleted(client: Client, query: str) -> None:
    await client.put(f"{LIST}/gone")
    gone = (await client.delete(f"{LIST}/gone")).etag

    response = await client.delete(f"{LIST}?{query}")

    assert (response.status, response.data, response.etag) == (200, [], gone)


@pytest.mark.parametrize("sort", ["", "n", "-n", "text", "-text,n", "id", "last_modified", "unknown", "o.k"])
@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_a_deletion_goes_on_page_by_page_in_any_order(client: Client, sort: str, limit: int) -> None:
    for number in range(10):
        data = {"n": number % 4, "text": "abc"[number % 3], "o": {"k": number}}
        await client.put(f"{LIST}/r{number}", data if number % 5 else {})

    response = await client.delete(f"{LIST}?_sort={sort}&_limit={limit}")
    deleted = ids(response)
    while following := response.headers.get("Next-Page"):
        response = await client.delete(following)
        deleted += ids(response)

    assert sorted(deleted) == [f"r{number}" for number in range(10)]
    assert ids(await client.get(LIST)) == []


async def test_the_token_of_a_deletion_serves_once(client: Client) -> None:
    """I7."""
    for number in range(6):
        await client.put(f"{LIST}/r{number}")
    following = (await client.delete(f"{LIST}?_limit=2")).headers["Next-Page"]

    responses = [await client.delete(following) for _ in range(2)]

    assert [each.status for each in responses] == [200, 400]
    description = "_token was already used or has expired."
    assert responses[1].json["details"] == [{"location": "querystring", "name": None, "description": description}]
    assert len(ids(await client.get(LIST))) == 2


async def test_the_token_of_a_deletion_expires(client: Client, clock: Clock) -> None:
    for number in range(4):
        await client.put(f"{LIST}/r{number}")
    following = (await client.delete(f"{LIST}?_limit=2")).headers["Next-Page"]
    clock.now += HOUR

    assert (await client.delete(following)).status == 400
    assert len(ids(await client.get(LIST))) == 2


async def test_the_token_of_a_reading_deletes_nothing(client: Client) -> None:
    for number in range(4):
        await client.put(f"{LIST}/r{number}")
    following = (await client.get(f"{LIST}?_limit=2")).headers["Next-Page"]

    assert (await client.delete(following)).status == 400
    assert len(ids(await client.get(LIST))) == 4


async def test_the_token_of_a_deletion_can_be_read_with(client: Client) -> None:
    """19.2: kinto-http.js asks for the following pages with GET."""
    for number in range(4):
        await client.put(f"{LIST}/r{number}")
    following = (await client.delete(f"{LIST}?_limit=2")).headers["Next-Page"]

    assert ids(await client.get(following)) == ["r1", "r0"]


# HEAD, _fields, caching


async def test_head_counts_the_live_objects_that_pass(client: Client) -> None:
    """19.2, 19.4: also under the older name."""
    for number in range(5):
        await client.put(f"{LIST}/r{number}", {"n": number})
    await client.delete(f"{LIST}/r0")

    for query, total in (("", "4"), ("_limit=1", "4"), ("min_n=3", "2"), ("_since=0", "4"), ("_limit=2&n=1", "1")):
        response = await client.head(f"{LIST}?{query}")

        assert (response.headers["Total-Objects"], response.headers["Total-Records"]) == (total, total)
        assert response.etag == (await client.get(LIST)).etag
    assert "Total-Objects" not in (await client.get(LIST)).headers


async def test_head_has_the_status_of_get(client: Client) -> None:
    known = {"If-None-Match": (await client.get(LIST)).headers["ETag"]}

    assert (await client.head(LIST, headers=known)).status == 304
    assert (await client.head(f"{LIST}?_limit=x")).status == 400
    assert (await client.head("/buckets/b/collections/x/records")).status == 404


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a", {"a": {"b": 1, "c": 2}}),
        ("a.b,text.x", {"a": {"b": 1}, "text": "str"}),
        ("unknown", {}),
        ("", {"a": {"b": 1, "c": 2}, "text": "str"}),
    ],
)
async def test_some_fields_of_the_objects_are_listed(client: Client, names: str, expected: Any) -> None:
    created = await client.put(f"{LIST}/r", {"a": {"b": 1, "c": 2}, "text": "str"})

    response = await client.get(f"{LIST}?_fields={names}")

    assert response.data == [{"id": "r", "last_modified": created.etag, **expected}]


@pytest.mark.parametrize(("names", "shown"), [("n", False), ("n,deleted", True)])
async def test_tombstones_show_that_they_are_where_asked(client: Client, names: str, shown: bool) -> None:
    await client.put(f"{LIST}/r", {"n": 1})
    await client.delete(f"{LIST}/r")

    [tombstone] = (await client.get(f"{LIST}?_since=0&_fields={names}")).data

    assert ("deleted" in tombstone) == shown


async def test_pages_of_some_fields_follow_the_order_of_hidden_ones(client: Client) -> None:
    for number in range(5):
        await client.put(f"{LIST}/r{number}", {"n": number, "a": 1})

    found = await pages(client, f"{LIST}?_sort=n&_fields=a&_limit=2")

    assert [id for each in found for id in ids(each)] == ["r0", "r1", "r2", "r3", "r4"]


PUBLIC = {"read": ["system.Everyone"]}


@pytest.mark.parametrize(
    ("expires", "attribute", "cache_control"),
    [
        ({}, None, "no-cache, no-store"),
        ({"record": 0}, None, "max-age=0, must-revalidate, no-cache, no-store"),
        ({"record": 60}, None, "max-age=60"),
        ({"record": 60, "b.record": 61}, None, "max-age=61"),
        ({"record": 60, "b.record": 61, "b.c.record": 62}, None, "max-age=62"),
        ({"record": 60, "b_c_record": 62}, None, "max-age=60"),
        ({"b_c_record": 62, "b_record": 61}, None, "max-age=62"),
        ({"b_record": 61}, None, "max-age=61"),
        ({"d.record": 60}, None, "no-cache, no-store"),
        ({}, 30, "max-age=30"),
        ({"record": 60}, 30, "max-age=60"),
        ({"record": 60}, 90, "max-age=90"),
        ({"record": 0}, 30, "max-age=30"),
        ({}, 0, "max-age=0, must-revalidate, no-cache, no-store"),
    ],
)
async def test_anonymous_readers_may_keep_records_as_long_as_settings_and_collection_say(
    settings: Settings, expires: dict[str, int], attribute: int | None, cache_control: str
) -> None:
    async with Client(App(replace(settings, cache_expires=expires), RESOURCES)) as client:
        await client.put("/buckets/b")
        await client.put("/buckets/b/collections/c", {"cache_expires": attribute}, PUBLIC)
        await client.put(f"{LIST}/r")

        for url in (LIST, f"{LIST}/r"):
            for method in ("GET", "HEAD"):
                anonymous = await client.anonymous().request(method, url)
                user = await client.request(method, url)

                assert (anonymous.status, anonymous.headers["Cache-Control"]) == (200, cache_control)
                assert ("Expires" in anonymous.headers) == cache_control.startswith("max-age")
                assert user.headers["Cache-Control"] == "no-cache, no-store"
                assert "Expires" not in user.headers


@pytest.mark.parametrize(("seconds", "cache_control"), [(60, "max-age=60"), (0, "no-cache, no-store")])
async def test_anonymous_readers_may_keep_other_objects_as_long_as_settings_say(
    settings: Settings, seconds: int, cache_control: str
) -> None:
    async with Client(App(replace(settings, cache_expires={"bucket": seconds}), RESOURCES)) as client:
        await client.put("/buckets/b", permissions=PUBLIC)

        assert (await client.anonymous().get("/buckets/b")).headers["Cache-Control"] == cache_control


async def test_what_is_no_reading_says_nothing_of_caching(client: Client) -> None:
    responses = [
        await client.put(f"{LIST}/r"),
        await client.patch(f"{LIST}/r", {"n": 1}),
        await client.post(LIST, {"id": "r"}),
        await client.get(f"{LIST}/unknown"),
        await client.delete(f"{LIST}/r"),
        await client.delete(LIST),
    ]

    assert not [each for each in responses if "Cache-Control" in each.headers]
