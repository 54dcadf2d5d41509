"""Parameters: decoded, typed, and told what is wrong with them (HTTP API, 2.3, 9.4 to 9.6)."""

from typing import Any

import pytest

from kobako.protocol import params
from kobako.protocol.errors import BadRequest, InvalidParameters, Problem


def lists(found: params.Params) -> dict[str, list[str]]:
    return {name: [*values] for name, values in found.items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a=1&b=2", {"a": ["1"], "b": ["2"]}),
        ("b=1&a=2&b=3", {"b": ["1", "3"], "a": ["2"]}),
        ("a=1;b=2", {"a": ["1"], "b": ["2"]}),
        ("a=x+y&c=%2B", {"a": ["x y"], "c": ["+"]}),
        ("+a+=+1+", {"a": [" 1 "]}),
        ("a=&b", {"a": [""], "b": [""]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a=%C3%A9", {"a": ["é"]}),
        ("a=é", {"a": ["é"]}),
        ("a=%", {"a": ["%"]}),
        ("&&;", {}),
    ],
)
def test_a_query_string_is_decoded(query: str, expected: params.Params) -> None:
    assert lists(params.parse(query)) == expected


@pytest.mark.parametrize("query", ["a=%ff", "%ff=1", "a=\udcff", "a=%ed%a0%80"])
def test_what_is_no_text_is_refused(query: str) -> None:
    """I5."""
    with pytest.raises(BadRequest, match="A request with an incorrect encoding in the querystring wasreceived"):
        params.parse(query)


@pytest.mark.parametrize("query", ["a=%00", "a%00=1", "a=%5Cu0000", 'a="x\\u0000"', "a=1&b=\x00"])
def test_nul_characters_are_refused(query: str) -> None:
    """I1."""
    with pytest.raises(InvalidParameters, match="Invalid character 0x00"):
        params.parse(query)


def test_the_number_of_parameters_is_bounded() -> None:
    with pytest.raises(InvalidParameters):
        params.parse("&".join(f"f{number}=1" for number in range(params.MAX_PARAMETERS + 1)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("2.0", 2.0),
        ("1e3", 1000.0),
        ('"2"', "2"),
        ("'2'", "'2'"),
        ("abc", "abc"),
        ("1.2.3", "1.2.3"),
        ("007", "007"),
        ("True", "True"),
        ("None", "None"),
        ("NaN", "NaN"),
        ("803E5708", "803E5708"),
        ("true", True),
        ("null", None),
        ("", ""),
        ("[1,2]", [1, 2]),
        ('{"a":1}', {"a": 1}),
        ('"\\ud800"', '"\\ud800"'),
        ("9" * 5000, "9" * 5000),
        ("[" * 9999, "[" * 9999),
    ],
)
def test_a_value_is_json_or_text(text: str, value: Any) -> None:
    assert params.native(text) == value
    assert type(params.native(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("123", 123),
        ('"123"', 123),
        ("-1", -1),
        ("", None),
        ('"', None),
        ('""', None),
        ('"123', None),
        ("123\n", None),
        ("1.0", None),
        ("1e3", None),
        ("١", None),
        ("+1", None),
        (" 1", None),
        ("1_0", None),
        ("9" * 26, None),
    ],
)
def test_a_timestamp_is_an_integer_or_an_etag(text: str, value: int | None) -> None:
    """S25."""
    assert params.timestamp(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ('"2"', 2), ("2.9", 2), ("0", None), ("", None), ("null", None), ('""', None), ("0.5", None)],
)
def test_a_limit_is_a_number_or_none(text: str, value: int | None) -> None:
    assert params.limit(text) == value


@pytest.mark.parametrize("text", ["-1", "abc", "true", "[1]", "{}", '"x"', "1e999", "NaN", "Infinity", "9" * 5000])
def test_another_limit_is_refused(text: str) -> None:
    """I8."""
    with pytest.raises(ValueError):
        params.limit(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"_since": ["abc"]}, [("_since", '"abc" is not a number')]),
        (
            {"_since": ["-1"], "_limit": ["x"]},
            [("_since", "-1 is less than minimum value 0"), ("_limit", '"x" is not a number')],
        ),
        ({"_before": [str(2**63 + 1)]}, [("_before", f"{2**63 + 1} is greater than maximum value {2**63}")]),
        ({"_to": ["null"], "_since": ["null"], "_token": ["null"], "_limit": ["null"]}, []),
        ({"last_modified": ["null"]}, [("last_modified", '"null" is not a number')]),
        ({"id": ["1"]}, [("id", "1 is not a string: {'id': ''}")]),
        ({"id": ['"1"'], "_token": ["abc"], "_since": [""]}, []),
        ({"_token": ["1"]}, [("_token", "1 is not a string: {'_token': ''}")]),
        ({"_limit": ["1", "2"]}, [("_limit", "['1', '2'] is not a single value")]),
        ({"x": ["1", "2"], "_sort": ["a", "b"], "_other": ["["]}, []),
    ],
)
def test_all_parameters_of_another_type_are_told(given: params.Params, expected: list[tuple[str, str]]) -> None:
    problems: list[Problem] = []

    params.check(given, problems)

    assert problems == [Problem("querystring", name, description) for name, description in expected]


@pytest.mark.parametrize("given", [{"a": ["x y", "é&=+"]}, {"a'b\r\nc": ['"1"']}, {"_sort": ["-a,b"], "x": [""]}])
def test_what_is_encoded_is_decoded_the_same(given: params.Params) -> None:
    """I9: nothing in it breaks a header."""
    encoded = params.encode(given)

    assert lists(params.parse(encoded)) == given
    assert encoded.isascii()
    assert "\r" not in encoded
