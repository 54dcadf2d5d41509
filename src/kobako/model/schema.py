"""The fields of a resource, as a Struct or a JSON Schema: what validates them, and what describes them.

A Struct reads strictly: a text is no number. What it has no field for is not kept, or refused where it is made with
`forbid_unknown_fields`; its defaults are stored. A JSON Schema only judges: the data is stored as it came. `id` and
`last_modified` are the server's, and not looked at.

Source: objects, 27.4.
"""

import re
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import msgspec

from kobako.model.resource import Validate
from kobako.protocol.errors import MAX_PROBLEMS, InvalidParameters, Problem
from kobako.protocol.jsontext import JsonObject

MANAGED: Final = ("id", "last_modified")

_AT: Final = re.compile(r"(?P<rule>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>.*)`")


def validator(schema: type[msgspec.Struct] | JsonObject) -> Validate:
    """Return the function that validates data by a schema. Raises ValueError for a JSON Schema that is none."""
    if isinstance(schema, dict):
        return partial(_judged, jsonschema_rs.validator_for(schema))
    return partial(_read, schema)


def described(schema: type[msgspec.Struct] | JsonObject) -> JsonObject:
    """Return the JSON Schema of a schema, without references."""
    if isinstance(schema, dict):
        return schema
    whole = msgspec.json.schema(schema)
    return _inlined(whole, whole.get("$defs", {}), frozenset())  # type: ignore[no-any-return]


def closed_fields(schema: type[msgspec.Struct] | JsonObject) -> tuple[str, ...] | None:
    """Return the fields that data of a schema may have, None if it may have any: a Struct keeps its own only.

    >>> closed_fields({"properties": {"a": {}}, "additionalProperties": False})
    ('a',)
    """
    whole = described(schema)
    is_closed = not isinstance(schema, dict) or (
        whole.get("additionalProperties") is False and "patternProperties" not in whole
    )
    return tuple(whole.get("properties", {})) if is_closed else None


def _read(schema: type[msgspec.Struct], data: JsonObject, path: str) -> JsonObject:
    own = {name: value for name, value in data.items() if name not in MANAGED}
    try:
        read = msgspec.to_builtins(msgspec.convert(own, schema), str_keys=True)
    except msgspec.ValidationError as error:
        raise InvalidParameters([_problem(str(error), path)]) from None
    return {**read, **{name: data[name] for name in MANAGED if name in data}}


def _problem(text: str, path: str) -> Problem:
    """Return what msgspec says of data, as the API says it.

    >>> _problem("Expected `int`, got `str` - at `$.spots[0].size`", "data.")
    Problem(location='body', name='data.spots.0.size', description='Expected `int`, got `str`')
    """
    match = _AT.fullmatch(text)
    assert match
    place = re.sub(r"\[(.*?)\]", r".\1", match["place"] or "").strip(".")
    if missing := _MISSING.fullmatch(match["rule"]):
        return Problem("body", path + ".".join(filter(None, (place, missing["field"]))), "Required")
    return Problem("body", (path + place).strip("."), match["rule"])


def _judged(judge: Any, data: JsonObject, path: str) -> JsonObject:
    own = {name: value for name, value in data.items() if name not in MANAGED}
    errors: Iterable[jsonschema_rs.ValidationError] = judge.iter_errors(own)
    problems = [
        Problem("body", (path + ".".join(map(str, each.instance_path))).strip("."), each.message[:200])
        for each in islice(errors, MAX_PROBLEMS)
    ]
    if problems:
        raise InvalidParameters(problems)
    return data


def _inlined(part: Any, definitions: JsonObject, inside: frozenset[str]) -> Any:
    """Return a part of a schema with what it refers to in place; what refers to itself may be anything there."""
    if isinstance(part, list):
        return [_inlined(each, definitions, inside) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return {} if name in inside else _inlined(definitions[name], definitions, inside | {name})
    return {key: _inlined(value, definitions, inside) for key, value in part.items() if key != "$defs"}
