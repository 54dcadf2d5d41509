"""How much work a schema can make of a value, known before any is done.

A few lines of schema may ask for more work than there is time: parts that refer ten times to parts that refer ten times
to others, or a recursion that branches at each level. So the work is bounded beforehand: the weight of a schema is how
much of it may apply to one value, at some depth of an object; the work is at most the weight times the size of the
object. What is too much is refused, and nothing is begun.

Source: reliability, I18 and I19.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kobako import JsonObject
from kobako.resources.schema_documents import DEFINITIONS, MAPS, PARTS, Document, Schema, parts

IN_PLACE: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependencies", "dependentSchemas")
"""Keywords whose schemas apply to the same value; all others apply to what is in it."""

# Of these at most one applies to each value in an object, or in an array.
ONE_OF_MEMBERS: Final = ("properties", "additionalProperties", "unevaluatedProperties")
ONE_OF_ITEMS: Final = ("items", "prefixItems", "additionalItems", "unevaluatedItems")

MAX_WORK: Final = 50_000_000
"""About half a second."""

ALTERNATIVES: Final = ("anyOf", "oneOf")
"""Keywords whose failure is told with all that is wrong with each of their schemas."""

MAX_ERRORS: Final = 10_000
"""What may be told of one object; each costs some thousand times as much as finding it."""

MAX_CHAIN: Final = 200
"""Schemas that refer to one another without looking deeper into the value."""

MAX_SCHEMAS: Final = 10_000
MAX_DEPTH: Final = 200
MAX_STEPS: Final = 300_000
"""Schemas times levels that are weighed; below that nothing is known, and nothing accepted."""

META_SCHEMA: Final = 500
LOOKAROUND: Final = 10_000
"""The weight of a pattern that is not matched in linear time, but within a number of steps."""

_lookaround = re.compile(r"\(\?[=!<]|\\[1-9k]")


class TooComplex(Exception):
    """The schema may make too much work, or work without end."""


class Weights:
    """The weights of a schema, by the depth of the values that it is applied to."""

    def __init__(self, document: Document) -> None:
        """Weigh a schema. Raises TooComplex for one that is applied to a value again and again."""
        self.targets = document.targets
        self._root = document.root
        self._order: list[JsonObject] = []
        self._own: dict[int, int] = {}
        self._in_place: dict[int, list[tuple[int, bool]]] = {}
        for each in self._reachable():
            self._visit(each, [])
        self._errors: list[int] = []
        self._by_depth, self._ends = self._weigh()

    def require(self, data: Any, text_size: int, nodes: int) -> None:
        """Raise TooComplex if the schema may make too much work of a value.

        `nodes` are the values in it, `text_size` the characters of its text: patterns read each of them.
        """
        size = nodes + text_size // 8
        if self._ends and max(self._by_depth) * size <= MAX_WORK:
            return
        depth = _depth(data)
        if depth >= len(self._by_depth) and not self._ends:
            raise TooComplex("the schema is too complex for an object that is nested so deep")
        if max(self._by_depth[: depth + 1]) * size > MAX_WORK:
            raise TooComplex("the schema is too complex for an object of this size")

    def can_tell_errors(self, data: Any, nodes: int) -> bool:
        """Tell whether all that may be wrong with a value is little enough to be told."""
        return max(self._errors[: _depth(data) + 1]) * nodes <= MAX_ERRORS

    def _reachable(self) -> Iterable[JsonObject]:
        found, waiting = dict[int, JsonObject](), [self._root]
        while waiting:
            here = waiting.pop()
            if id(here) in found:
                continue
            found[id(here)] = here
            if len(found) > MAX_SCHEMAS:
                raise TooComplex(f"the schema has more than {MAX_SCHEMAS} parts")
            waiting += [each for _, each in self._applied(here) if isinstance(each, dict)]
        return found.values()

    def _applied(self, schema: JsonObject) -> Iterator[tuple[str, Schema]]:
        """Yield the schemas that a schema applies, with the keyword by which it does."""
        yield from ((keyword, each) for keyword, _, each in parts(schema) if keyword not in DEFINITIONS)
        if id(schema) in self.targets:
            yield "allOf", self.targets[id(schema)]

    def _visit(self, schema: JsonObject, chain: list[int]) -> None:
        """Put a schema into the order, after all that it applies to the same value."""
        me = id(schema)
        if me in chain or len(chain) > MAX_CHAIN:
            raise TooComplex("the schema refers to itself without end")
        if me in self._own:
            return
        below = [(each, key) for key, each in self._applied(schema) if key in IN_PLACE and isinstance(each, dict)]
        for each, _ in below:
            self._visit(each, [*chain, me])
        self._own[me] = _own_weight(schema)
        # What was not looked at is found by looking at all of it once more.
        twice = 2 if "unevaluatedProperties" in schema or "unevaluatedItems" in schema else 1
        self._in_place[me] = [(id(each), key in ALTERNATIVES) for each, key in below] * twice
        self._order.append(schema)

    def _weigh(self) -> tuple[list[int], bool]:
        """Return the weight of the root at each depth, and whether the last one holds for all that are deeper."""
        root, nothing = id(self._root), dict[int, int]()
        level, errors = self._level(nothing, nothing, self._own)
        found = [level[root]]
        self._errors.append(errors[root])
        for depth in range(1, MAX_DEPTH + 1):
            if depth * len(self._order) > MAX_STEPS or found[-1] > MAX_WORK:
                return found, False
            above = level
            level, errors = self._level(above, errors, nothing)
            found.append(level[root])
            self._errors.append(errors[root])
            if level == above or not any(level.values()):
                break
        return found, True

    def _level(
        self, above: dict[int, int], errors_above: dict[int, int], own: dict[int, int]
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Return, of each schema, its weight for a value so deep in its own, and how many errors that may make."""
        level, errors = dict[int, int](), dict[int, int]()
        for each in self._order:
            me, in_place = id(each), self._in_place[id(each)]
            level[me] = own.get(me, 0) + self._inside(each, above) + sum(level[it] for it, _ in in_place)
            told = sum(level[it] if is_alternative else errors[it] for it, is_alternative in in_place)
            errors[me] = told + self._inside(each, errors_above)
        return level, errors

    def _inside(self, schema: JsonObject, above: dict[int, int]) -> int:
        """Return the weight of what a schema applies to a value inside of its own."""
        member = item = rest = 0
        for keyword, each in self._applied(schema):
            weight = above.get(id(each), 0)
            if keyword in ONE_OF_MEMBERS:
                member = max(member, weight)
            elif keyword in ONE_OF_ITEMS:
                item = max(item, weight)
            elif keyword not in IN_PLACE:
                rest += weight
        return max(member, item) + rest


def _own_weight(schema: JsonObject) -> int:
    weight = 1
    for keyword, value in schema.items():
        if keyword in MAPS:
            weight += len(value) if isinstance(value, dict) else 1
            if keyword == "patternProperties":
                weight += sum(_pattern_weight(each) for each in value)
        elif keyword == "pattern":
            weight += _pattern_weight(value)
        elif keyword not in PARTS:
            weight += _size(value)
    return weight + (META_SCHEMA if not str(schema.get("$ref", "#")).startswith("#") else 0)


def _pattern_weight(pattern: object) -> int:
    return LOOKAROUND if _lookaround.search(str(pattern)) else 1 + len(str(pattern)) // 10


def _size(value: Any) -> int:
    """Return how many values there are in a value, with itself."""
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


def _depth(value: Any) -> int:
    depth, level = -1, [value]
    while level:
        depth += 1
        objects = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for inside in objects for each in inside]
    return depth
