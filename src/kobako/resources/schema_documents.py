"""JSON schemas with references of their own only: nothing that is fetched, read from a file or looked up elsewhere.

A schema refers to parts of itself in several ways: by pointer, by anchor, by the `$id` of a part. All are rewritten as
pointers from its root, so that nobody after this needs to know about URLs. A reference to anything else becomes a
keyword of ours, UNRESOLVED, which fails a value that reaches it and no other.

Source: objects, 9.3; reliability, I17 and I18.
"""

import copy
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, unquote, urldefrag, urljoin

from kobako import JsonObject

Schema = JsonObject | bool
Pointer = tuple[str, ...]
"""The names and positions that lead from the root to a part."""

UNRESOLVED: Final = "x-kobako-unresolved"
"""The keyword that stands for a reference to nowhere; its value says what is wrong."""

DEFINITIONS: Final = ("definitions", "$defs")
MAPS: Final = (*DEFINITIONS, "properties", "patternProperties", "dependencies", "dependentSchemas")
"""Keywords whose value has a schema under each of its names."""

PARTS: Final = (
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "items", "prefixItems", "additionalItems", "contains"),
    *("unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties"),
)
"""Keywords whose value is a schema, or an array of schemas."""

META_SCHEMAS: Final = frozenset(
    {f"http://json-schema.org/draft-0{number}/schema" for number in (4, 6, 7)}
    | {f"https://json-schema.org/draft/{name}/schema" for name in ("2019-09", "2020-12")}
)
"""The documents that are known without being fetched."""

_REFERENCES: Final = ("$ref", "$recursiveRef", "$dynamicRef")
_NAMES: Final = ("$id", "id", "$schema", "$anchor", "$dynamicAnchor", "$recursiveAnchor")


def parts(schema: Schema) -> Iterator[tuple[str, Pointer, Schema]]:
    """Yield the schemas directly in a schema: under which keyword, where from here, and what."""
    if isinstance(schema, bool):
        return
    for keyword, value in schema.items():
        if keyword in MAPS and isinstance(value, dict):
            yield from ((keyword, (keyword, name), each) for name, each in value.items() if _is_schema(each))
        elif keyword in PARTS and isinstance(value, list):
            yield from ((keyword, (keyword, str(at)), each) for at, each in enumerate(value) if _is_schema(each))
        elif keyword in PARTS and _is_schema(value):
            yield keyword, (keyword,), value


class Document:
    """A schema whose references are pointers; `targets` are what they lead to, by the identity of who refers."""

    def __init__(self, schema: JsonObject, *, old_ids: bool = False) -> None:
        """Rewrite a copy of a schema; with `old_ids` parts are named by `id`, as in Draft 4."""
        self.root: JsonObject = copy.deepcopy(schema)
        self.targets: dict[int, Schema] = {}
        self._id = "id" if old_ids else "$id"
        self._bases: dict[int, str] = {}
        self._known: dict[str, Pointer] = {}
        self._seen: list[JsonObject] = []
        self._index(self.root, (), "")
        for each in self._seen:
            # Grows meanwhile: a pointer may lead to what did not look like a schema.
            self._rewrite(each)
        for each in self._seen:
            for name in _NAMES:
                if name != "id" or old_ids:
                    each.pop(name, None)

    def _index(self, schema: Schema, pointer: Pointer, base: str) -> None:
        """Note the names of a schema and of all that is in it."""
        waiting = [(schema, pointer, base)]
        while waiting:
            here, place, base = waiting.pop()
            if isinstance(here, bool) or id(here) in self._bases:
                continue
            own = here.get(self._id)
            if isinstance(own, str) and "$ref" not in here:
                base = _joined(base, own).rstrip("#")
            self._known.setdefault(base, place)
            base = base.partition("#")[0]
            for name in (here.get("$anchor"), here.get("$dynamicAnchor")):
                if isinstance(name, str):
                    self._known.setdefault(f"{base}#{name}", place)
            self._bases[id(here)] = base
            self._seen.append(here)
            waiting += [(each, place + further, base) for _, further, each in parts(here)]

    def _rewrite(self, schema: JsonObject) -> None:
        for keyword in _REFERENCES:
            reference = schema.get(keyword)
            if not isinstance(reference, str):
                continue
            del schema[keyword]
            try:
                target = self._find(reference, self._bases[id(schema)])
            except LookupError as error:
                schema[UNRESOLVED] = str(error.args[0])[:300]
            else:
                self._refer(schema, target)

    def _refer(self, schema: JsonObject, target: Pointer | str) -> None:
        if "$ref" in schema:
            # A schema may have a `$ref` and a dynamic one.
            further: JsonObject = {}
            schema["allOf"] = [*schema.get("allOf", ()), further]
            self._refer(further, target)
        elif isinstance(target, str):
            schema["$ref"] = target
        else:
            schema["$ref"] = "#" + "".join("/" + quote(_escaped(each)) for each in target)
            self.targets[id(schema)] = self._at(target)

    def _find(self, reference: str, base: str) -> Pointer | str:
        """Return where a reference leads to: a pointer from the root, or the URL of a meta-schema.

        Raises LookupError with the reason why it leads nowhere.
        """
        url, fragment = urldefrag(base + reference if reference.startswith("#") else _joined(base, reference))
        if url not in self._known:
            if url in META_SCHEMAS and not fragment:
                return url
            raise LookupError(f"Unresolvable: {reference}")
        if fragment and not fragment.startswith("/"):
            if f"{url}#{fragment}" not in self._known:
                raise LookupError(f"Unresolvable: {reference}")
            return self._known[f"{url}#{fragment}"]
        tokens = unquote(fragment).split("/")[1:]
        pointer = (*self._known[url], *(each.replace("~1", "/").replace("~0", "~") for each in tokens))
        try:
            found = self._at(pointer)
            if not _is_schema(found):
                raise LookupError
        except (LookupError, ValueError, TypeError):
            raise LookupError(f"PointerToNowhere: '{fragment}' does not exist") from None
        self._index(found, pointer, base)
        return pointer

    def _at(self, pointer: Pointer) -> Any:
        value: Any = self.root
        for each in pointer:
            value = value[int(each) if isinstance(value, list) else each]
        return value


def _is_schema(value: object) -> bool:
    return isinstance(value, dict | bool)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference
