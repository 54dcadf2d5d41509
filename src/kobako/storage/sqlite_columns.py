"""A field of objects in SQLite: a column of the table, or a place in the JSON text; see `storage/sql.py`.

Nothing is NULL here: each condition is true or false.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from kobako.protocol import jsontext
from kobako.protocol.filters import like, text_form
from kobako.protocol.ordering import canonical, value_at
from kobako.storage import keys, sql
from kobako.storage.sql import ABSENT, ARRAY, FALSE, NULL, OBJECT, TEXT, TRUE, either, every, rank_of

TYPES = ("'null'", "'text'", "'integer', 'real'", "'false', 'true'", "'array'", "'object'")
"""What SQLite calls the types, by rank."""

# {path} is the parameter with the path of the field.
RANK = (
    "CASE json_type(o.data, {path})"
    + "".join(f" WHEN {name} THEN {rank}" for rank, names in enumerate(TYPES) for name in names.split(", "))
    + " ELSE 6 END"
)
HAS_RANK = (
    *(f"ifnull(json_type(o.data, {{path}}), '') IN ({names})" for names in TYPES),
    "(json_type(o.data, {path}) IS NULL)",
)
SCALAR = "json_extract(o.data, {path})"
COMPOUND = "kobako_canonical(o.data -> {path})"
JSON = "(o.data -> {path})"
ELEMENTS = "json_each(o.data, {path}) AS e"

VALUES = "SELECT value FROM json_each({value})"


def _is_like(json: str | None, pattern: str) -> bool:
    text = None if json is None else text_form(jsontext.decode(json))
    return text is not None and like(text, pattern)


def _canonical(json: str | None) -> str | None:
    return None if json is None else canonical(jsontext.decode(json))


def _key(json: str, field: str | None) -> bytes | None:
    return None if field is None else keys.key(value_at(jsontext.decode(json), field))


FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "kobako_like": (_is_like, 2),
    "kobako_canonical": (_canonical, 1),
    "kobako_key": (_key, 2),
}
"""What SQLite can not say itself, with the number of arguments."""


class Column:
    """One field of objects. `fixed`: the only type it has, if it is a column."""

    def __init__(self, parameters: sql.Parameters, field: str) -> None:
        self.add = parameters.add
        self.fixed = sql.COLUMNS.get(field)
        self._name = f"o.{field}"
        self._field = field

    def has(self, rank: int) -> str:
        """Return that the field has a value of this type."""
        if self.fixed:
            return TRUE if rank == self.fixed else FALSE
        return self._sql(HAS_RANK[rank])

    def among(self, values: Iterable[Any]) -> str:
        """Return that the field has one of these values."""
        return either(self._is(rank, bound) for rank, bound in _by_rank(values).items())

    def compare(self, sign: str, value: Any) -> str:
        """Return that the field is <, <=, > or >= a value."""
        rank = rank_of(value)
        beyond = self._beyond(sign[0], rank)
        if self.fixed and self.fixed != rank:
            return beyond
        if rank in (NULL, ABSENT):
            return either([beyond, *([self.has(rank)] if "=" in sign else [])])
        same = f"{self._value(rank)} {sign} {self.add(_bound(value))}"
        return same if self.fixed else f"(({self.has(rank)} AND {same}) OR {beyond})"

    def like(self, pattern: str) -> str:
        """Return that the text form of the field matches a pattern."""
        json = f"json_quote({self._name})" if self.fixed else self._sql(JSON)
        return f"kobako_like({json}, {self.add(pattern)})"

    def contains(self, values: Iterable[Any]) -> str:
        """Return that an array has all of these values: of no value it can be said that it is not there."""
        if self.fixed:
            return FALSE
        return every([self.has(ARRAY), *(self._has_all(*each) for each in _by_rank(values).items())])

    def contains_any(self, values: Iterable[Any]) -> str:
        """Return that an array has one of these values."""
        if self.fixed:
            return FALSE
        return f"({self.has(ARRAY)} AND {either(self._has_any(*each) for each in _by_rank(values).items())})"

    def order(self, direction: str) -> list[str]:
        """Return the keys of ORDER BY."""
        if self.fixed:
            return [f"{self._name} {direction}"]
        rank = self._sql(RANK)
        value = f"CASE WHEN {rank} IN ({ARRAY}, {OBJECT}) THEN {self._value(ARRAY)} ELSE {self._value(TEXT)} END"
        return [f"{rank} {direction}", f"{value} {direction}"]

    def _is(self, rank: int, values: list[Any]) -> str:
        if self.fixed and self.fixed != rank:
            return FALSE
        if rank in (NULL, ABSENT):
            return self.has(rank)
        found = f"{self._value(rank)} {self._one_of(values)}"
        return found if self.fixed else f"({self.has(rank)} AND {found})"

    def _beyond(self, sign: str, rank: int) -> str:
        """Return that the type of the field comes before (<) or after (>) another."""
        if self.fixed:
            return TRUE if (self.fixed < rank if sign == "<" else self.fixed > rank) else FALSE
        return f"{self._sql(RANK)} {sign} {rank}"

    def _has_all(self, rank: int, values: list[Any]) -> str:
        if rank == NULL:
            return f"EXISTS ({self._elements('1', rank)})"
        wanted = VALUES.format(value=self.add(jsontext.encode(values)))
        return f"NOT EXISTS ({wanted} WHERE value NOT IN ({self._elements(_element(rank), rank)}))"

    def _has_any(self, rank: int, values: list[Any]) -> str:
        found = self._elements("1", rank)
        if rank != NULL:
            found += f" AND {_element(rank)} {self._one_of(values)}"
        return f"EXISTS ({found})"

    def _elements(self, what: str, rank: int) -> str:
        return f"SELECT {what} FROM {self._sql(ELEMENTS)} WHERE e.type IN ({TYPES[rank]})"

    def _one_of(self, values: list[Any]) -> str:
        if len(values) == 1:
            return f"= {self.add(values[0])}"
        return f"IN ({VALUES.format(value=self.add(jsontext.encode(values)))})"

    def _value(self, rank: int) -> str:
        """Return what orders fields of this type."""
        if self.fixed:
            return self._name
        return self._sql(COMPOUND if rank in (ARRAY, OBJECT) else SCALAR)

    def _sql(self, template: str) -> str:
        """Return a template for this field."""
        return template.format(path=self._path)

    @cached_property
    def _path(self) -> str:
        # Not before it is needed: a condition that is always false has no use for it, and SQLite minds.
        return self.add("$" + "".join(f".{jsontext.encode(each)}" for each in self._field.split(".")))


def _within(parameters: sql.Parameters, parent: str, resource: str) -> str:
    place = f"parent = {parameters.add(parent)} AND resource = {parameters.add(resource)}"
    return f"o.list = (SELECT id FROM lists WHERE {place})"


# Without statistics SQLite takes the order of the list for the better way.
BY_INDEX = " INDEXED BY objects_by_{key}"

# SQLite's own name for what makes ids unique, the first such rule of the table.
BY_ID = " INDEXED BY sqlite_autoindex_objects_1"

DIALECT = sql.Dialect(
    parameter="?{n}", within=_within, live="o.deleted = 0", column=Column, by_index=BY_INDEX, by_id=BY_ID
)


def _element(rank: int) -> str:
    return "kobako_canonical(e.value)" if rank in (ARRAY, OBJECT) else "e.atom"


def _bound(value: Any) -> Any:
    """Return a value as it is bound: integers beyond 64 bits as their nearest double, arrays as canonical text."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value)
    return canonical(value) if isinstance(value, (list, dict)) else value


def _by_rank(values: Iterable[Any]) -> dict[int, list[Any]]:
    groups: dict[int, list[Any]] = {}
    for each in values:
        groups.setdefault(rank_of(each), []).append(_bound(each))
    return groups
