"""JSON schemas, compiled: what a schema has to be, and what an object has to be by one.

Whatever a client wrote into a schema, it costs bounded time and memory, and nothing is fetched: references stay in the
document (`schema_documents`), work is bounded before it begins (`schema_weights`), patterns are matched in linear time,
or within a number of steps where they look around, and compiled schemas are kept in a cache of bounded size.

Source: objects, 9.2 and 9.3; reliability, I17 to I21.
"""

import hashlib
from collections import OrderedDict
from typing import Any, Final

import jsonschema_rs as engine
from jsonschema_rs import ValidationErrorKind as Kind

from kobako import InvalidParameters, JsonObject, Problem, encode, invalid
from kobako.resources.schema_documents import UNRESOLVED, Document
from kobako.resources.schema_weights import TooComplex, Weights

PATTERNS: Final = engine.FancyRegexOptions(backtrack_limit=10_000, size_limit=2**20, dfa_size_limit=2**20)

DIALECTS: Final[dict[str, type[engine.Validator]]] = {
    # Nothing but Kinto knows Draft 3 any more: what it shares with Draft 4 is understood.
    "json-schema.org/draft-03/schema": engine.Draft4Validator,
    "json-schema.org/draft-04/schema": engine.Draft4Validator,
    "json-schema.org/draft-06/schema": engine.Draft6Validator,
    "json-schema.org/draft-07/schema": engine.Draft7Validator,
    "json-schema.org/draft/2019-09/schema": engine.Draft201909Validator,
    "json-schema.org/draft/2020-12/schema": engine.Draft202012Validator,
}
NEWEST: Final = engine.Draft202012Validator


def _anything(_: str) -> bool:
    return True


_META: Final = engine.Draft7Validator(
    {"$ref": "http://json-schema.org/draft-07/schema#"},
    # Only of patterns the form counts: one that cannot be compiled would fail every object later.
    formats={"uri": _anything, "uri-reference": _anything},
    pattern_options=PATTERNS,
    offline=True,
)


def check_schema(value: Any, name: str) -> None:
    """Raise InvalidParameters unless a value is a schema of Draft 7, whatever its `$schema` says."""
    if not isinstance(value, dict):
        shown = repr(value)[:200]
        raise invalid("body", name, f'"{shown}" is not a mapping type: Does not implement dict-like functionality.')
    try:
        _META.validate(value)
    except engine.ValidationError as error:
        at = error.instance_path[-1] if error.instance_path else ""
        raise invalid("body", name, f"{at}{_short(error.message)}") from None
    except ValueError as error:
        raise invalid("body", name, _short(str(error))) from None


class Rules:
    """A schema that objects have to pass; its verdict does not depend on the fields in `ignored`."""

    def __init__(self, schema: JsonObject, ignored: tuple[str, ...]) -> None:
        self._names_id = "id" in schema.get("properties", {})
        self._ignored = {*ignored, *(() if self._names_id else ("id",))}
        self._schema = _without_required(schema, self._ignored)
        self._reached: list[str] = []
        self._refusal: str | None = None
        try:
            self._validator, self._weights = _compiled(self._schema, self._reached)
        except (TooComplex, ValueError) as error:
            # The schema was accepted once; it fails the objects that it should judge.
            self._refusal = _short(str(getattr(error, "message", error)))

    def check(self, id: str, data: JsonObject) -> None:
        """Raise InvalidParameters for the first thing that is wrong with an object."""
        if self._refusal is not None:
            raise invalid("body", "schema", self._refusal)
        judged = {name: value for name, value in data.items() if name not in self._ignored}
        if self._names_id:
            judged["id"] = id
        text = encode(judged)
        # Before each value stands one of these, but for the first.
        nodes = 1 + text.count(",") + text.count("[") + text.count("{")
        self._reached.clear()
        try:
            self._weights.require(judged, len(text), nodes)
            if not self._validator.is_valid(judged):
                self._require_resolved()
                if not self._weights.can_tell_errors(judged, nodes):
                    raise invalid("body", "schema", "the object is not valid under the schema")
                self._validator.validate(judged)
        except TooComplex as error:
            raise invalid("body", "schema", str(error)) from None
        except engine.ValidationError as error:
            raise InvalidParameters([_problem(error, self._schema, judged)]) from None
        self._require_resolved()

    def _require_resolved(self) -> None:
        if self._reached:
            raise invalid("body", "schema", self._reached[0])


class RulesCache:
    """The rules of the schemas used last: so many, and so large together, at most."""

    def __init__(self, max_entries: int = 500, max_size: int = 64 * 2**20) -> None:
        self._kept: OrderedDict[bytes, tuple[Rules, int]] = OrderedDict()
        self._max_entries, self._max_size, self._size = max_entries, max_size, 0

    def __len__(self) -> int:
        return len(self._kept)

    def rules(self, schema: JsonObject, ignored: tuple[str, ...]) -> Rules:
        """Return the rules of a schema."""
        text = encode([schema, ignored])
        key = hashlib.blake2b(text.encode(), digest_size=32).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        rules = Rules(schema, ignored)
        # A pattern, compiled, may take so much, however short it is.
        self._keep(key, rules, 4096 + 10 * len(text) + 2**20 * text.count('"pattern'))
        return rules

    def _keep(self, key: bytes, rules: Rules, size: int) -> None:
        self._kept[key] = rules, size
        self._size += size
        while len(self._kept) > self._max_entries or self._size > self._max_size:
            _, (_, freed) = self._kept.popitem(last=False)
            self._size -= freed


def _without_required(schema: JsonObject, ignored: set[str]) -> JsonObject:
    if not isinstance(schema.get("required"), list):
        return schema
    kept = [name for name in schema["required"] if name not in ignored]
    rest = {name: value for name, value in schema.items() if name != "required"}
    return {**rest, "required": kept} if kept else rest


def _compiled(schema: JsonObject, reached: list[str]) -> tuple[engine.Validator, Weights]:
    """Return what judges an object; `reached` will be told the references to nowhere that it comes upon.

    Raises TooComplex, or ValueError.
    """
    name = str(schema.get("$schema", "")).partition("://")[2].rstrip("#")
    dialect = DIALECTS.get(name, NEWEST)
    keywords = {UNRESOLVED: _unresolved(reached)}

    def compiled(validator: type[engine.Validator]) -> tuple[engine.Validator, Weights]:
        document = Document(schema, old_ids=validator is engine.Draft4Validator)
        weights = Weights(document)
        made = validator(
            document.root, keywords=keywords, validate_formats=False, pattern_options=PATTERNS, offline=True
        )
        return made, weights

    try:
        return compiled(dialect)
    except engine.ValidationError:
        # It was checked as a schema of Draft 7: so it is read where it makes no sense in its own dialect.
        return compiled(engine.Draft7Validator)


def _unresolved(reached: list[str]) -> "type[engine.KeywordValidator]":
    class Unresolved:
        """The keyword of a reference to nowhere."""

        def __init__(self, parent_schema: JsonObject, value: Any, schema_path: list[str | int]) -> None:
            self._text = str(value)

        def validate(self, instance: Any) -> None:
            """Note that it was reached, and fail."""
            reached.append(self._text)
            raise ValueError(self._text)

    return Unresolved


def _problem(error: engine.ValidationError, schema: JsonObject, data: JsonObject) -> Problem:
    path, kind = error.instance_path, error.kind
    keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
    name: str | int = path[-1] if path else keyword
    text = _short(error.message)
    match kind:
        case Kind.Required(property=missing):
            text = f"'{missing}' is a required property"
            # The last one that is required, not the one that is missing: clients know it so.
            name = name if path else _at(schema, error.schema_path, [missing])[-1]
        case Kind.AdditionalProperties(unexpected=names):
            text = _unexpected(names)
        case Kind.FalseSchema() if keyword == "additionalProperties":
            text = _unexpected([*_at(data, path, {})])
        case Kind.Type(types=types):
            text = f"{_short(repr(error.instance))} is not of type {', '.join(map(repr, types))}"
    return Problem("body", name, text)


def _unexpected(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names))
    return f"Additional properties are not allowed ({_short(shown)} {'was' if len(names) == 1 else 'were'} unexpected)"


def _at(value: Any, path: list[str | int], default: Any) -> Any:
    """Return what a path leads to; the default where that is not of its type, or nothing."""
    for each in path:
        try:
            value = value[each]
        except (LookupError, TypeError):
            return default
    return value if value and type(value) is type(default) else default


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "..."
