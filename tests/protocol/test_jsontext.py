"""JSON text, within limits that hold on every backend (HTTP API, 1.5)."""

from collections.abc import Callable
from typing import Any

import pytest

from kobako.protocol import jsontext
from kobako.protocol.jsontext import MAX_DEPTH, MAX_DIGITS, InvalidJson


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("-" + "9" * MAX_DIGITS, -(10**MAX_DIGITS) + 1),
        ("1.0", 1.0),
        ("1e3", 1000.0),
        ("-0.0", -0.0),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ('"\\/"', "/"),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"": 1, "a.b": 2, "-": 3}', {"": 1, "a.b": 2, "-": 3}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
    ],
)
def test_a_text_is_decoded_exactly(text: str, value: Any) -> None:
    """I15."""
    decoded = jsontext.decode(text)

    assert value is None or (decoded, type(decoded)) == (value, type(value))
    assert jsontext.decode(jsontext.encode(decoded)) == decoded


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[1,]",
        "{'a': 1}",
        "01",
        "+1",
        ".5",
        "NaN",
        "[Infinity]",
        "1e400",
        "-1e999",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        '"\\ud800"',
        '"\\ud800 and more"',
        '"\\ud800\\u0041"',
        '"\\udc00 and more"',
        '{"\\ud800abcdef": 1}',
        '"\\u0000"',
        '{"\\u0000": 1}',
        '{"a": ["b\\u0000"]}',
        '"a\x00"',
        '"a\nb"',
        "1" + "0" * MAX_DIGITS,
        "1" * 10**6,
        "-" + "1" * 4301,
        "[" * (MAX_DEPTH + 1) + "1" + "]" * (MAX_DEPTH + 1),
        "[" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "{} {}",
    ],
)
def test_what_no_database_could_keep_is_refused_at_once(text: str | bytes) -> None:
    """I1, I5, I13, I14, I15."""
    with pytest.raises(InvalidJson):
        jsontext.decode(text)


@pytest.mark.parametrize("of", [str, str.encode], ids=["text", "bytes"])
def test_limits_hold_wherever_in_a_text_something_is(of: Callable[[str], str | bytes]) -> None:
    """I2: what is looked at is chosen by the text; nothing that breaks a limit passes for its place in it."""
    for place in range(0, 2 * MAX_DIGITS):
        for wrong in ("1" + "0" * MAX_DIGITS, '"\\u0000"', '{"\\u0000":1}', "[" * MAX_DEPTH + "]" * MAX_DEPTH):
            with pytest.raises(InvalidJson):
                jsontext.decode(of(f'{{"{"x" * place}":[{wrong}]}}'))
        right = "9" * MAX_DIGITS
        assert jsontext.decode(of(f'["{"x" * place}",{right}]'))[1] == int(right)
