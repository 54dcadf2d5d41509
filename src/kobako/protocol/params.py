"""The parameters of a query string: decoded, and checked one by one as the API types them.

Names keep the order of the query string, since errors are reported in it. A value is the text that was sent;
`native` reads it as JSON where it is JSON.

Source: HTTP API, sections 2.3, 9.4 to 9.6.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from kobako.protocol import jsontext
from kobako.protocol.errors import BadRequest, Problem, invalid

Params = Mapping[str, Sequence[str]]

MAX_PARAMETERS = 1000
MAX_TIMESTAMP = 2**63
TIMESTAMPS = ("_since", "_before", "_to", "last_modified")
SCALARS = (*TIMESTAMPS, "_limit", "_token", "id")

SHORT = 200
"""Characters of a query string that is kept, decoded: the same ones come again and again."""

_OF_ASCII = re.compile("[^%]*(?:%[0-7][0-9A-Fa-f][^%]*)*")
"""What needs no decoding to see that it is UTF-8."""

_INTEGER = re.compile(r"-?[0-9]{1,25}")


def require_text(query: str) -> None:
    """Raise BadRequest for a query string that is not UTF-8; bytes that are not are lone surrogates here."""
    if query.isascii() and ("%" not in query or _OF_ASCII.fullmatch(query)):
        return
    try:
        unquote_to_bytes(query).decode()
    except UnicodeError:
        shown = query.encode(errors="replace").decode()
        raise BadRequest(
            "A request with an incorrect encoding in the querystring was"
            f"received. Please make sure your requests are encoded in UTF-8: {shown}"
        ) from None


def parse(query: str) -> Params:
    """Return the parameters of a query string, each with its values.

    Raises BadRequest when it is not UTF-8, InvalidParameters for a NUL character or too many parameters.

    >>> parse("_sort=a&in_id=x%2Cy;b+=1")
    {'_sort': ('a',), 'in_id': ('x,y',), 'b': ('1',)}
    """
    if not query:
        return {}
    return _parsed_lately(query) if len(query) <= SHORT else _parsed(query)


def _parsed(query: str) -> Params:
    require_text(query)
    try:
        pairs = parse_qsl(query.replace(";", "&"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise invalid("querystring", None, f"more than {MAX_PARAMETERS} parameters") from None
    params: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        # JSON could hide the character behind an escape; no field or value may have it.
        if "\x00" in name or "\x00" in value or "\\u0000" in value:
            raise invalid("querystring", name.replace("\x00", ""), "Invalid character 0x00")
        name = name.strip()
        params[name] = (*params.get(name, ()), value)
    return params


_parsed_lately = lru_cache(1024)(_parsed)


def native(text: str) -> Any:
    """Return the JSON value of a text, or the text itself where it is no JSON.

    >>> [native(text) for text in ("2", '"2"', "true", "2.0.1", "")]
    [2, '2', True, '2.0.1', '']
    """
    try:
        return jsontext.decode(text)
    except jsontext.InvalidJson:
        return text


def timestamp(text: str) -> int | None:
    """Return the milliseconds in an integer, or in one between double quotes; None for anything else.

    >>> timestamp('"1700000000000"'), timestamp("1e3")
    (1700000000000, None)
    """
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return int(text) if _INTEGER.fullmatch(text) else None


def limit(text: str) -> int | None:
    """Return the number in a `_limit`, None when it asks for none (empty, 0, null). Raises ValueError."""
    value = native(text)
    if isinstance(value, str) and value:
        value = native(value)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'"{text[:100]}" is not a number')
    if value < 0:
        raise ValueError(f"{text} is less than minimum value 0")
    return int(value) or None


def check(params: Params, problems: list[Problem]) -> None:
    """Add to `problems` what is wrong with the types of the parameters that have one."""
    for name in SCALARS if params else ():
        for text in params.get(name, ())[:1]:
            wrong = f"{[*params[name]]} is not a single value" if len(params[name]) > 1 else _fault(name, text)
            if wrong:
                problems.append(Problem("querystring", name, wrong))


def _fault(name: str, text: str) -> str | None:
    if name == "_limit":
        try:
            limit(text)
        except ValueError as error:
            return str(error)
    elif name in ("id", "_token"):
        value = native(text)
        # An empty text is none; `id="1"` asks for the id 1.
        if not isinstance(value, str) and not (value is None and name == "_token"):
            return f"{text[:100]} is not a string: {{'{name}': ''}}"
    elif not (text == "" or (text == "null" and name.startswith("_"))):
        value = timestamp(text)
        if value is None:
            return f'"{text[:100]}" is not a number'
        if value < 0:
            return f"{value} is less than minimum value 0"
        if value > MAX_TIMESTAMP:
            return f"{value} is greater than maximum value {MAX_TIMESTAMP}"
    return None


def encode(params: Params) -> str:
    """Return the query string of parameters.

    >>> encode({"in_id": ["x,y"], "a": ["é", "+"]})
    'in_id=x%2Cy&a=%C3%A9&a=%2B'
    """
    return urlencode(params, doseq=True)
