"""A field of objects in PostgreSQL: a column of the table, or a place in `fields`; see `storage/sql.py`.

`fields` has the same values as the text of an object, as `jsonb`: two values are equal there when they are equal
here, numbers compare by value. Three things PostgreSQL does not say as `protocol` does: the order of arrays and
objects, the case of letters beyond ASCII, and the text of what is no string. There a condition lets through more than
it should, and `storage/postgresql.py` looks again: see `is_exact`.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import msgspec

from kobako.databases.shards import shard
from kobako.protocol import jsontext, ordering
from kobako.protocol.selection import MISSING, Filter, Operator, Selection
from kobako.storage import sql
from kobako.storage.base import Stored
from kobako.storage.sql import ABSENT, ARRAY, FALSE, NULL, NUMBER, OBJECT, TEXT, TRUE, either, rank_of

TYPES = ("null", "string", "number", "boolean", "array", "object")
"""What PostgreSQL calls the types, by rank."""

LARGE_NUMBER = re.compile(r"[:\[,]\s*-?\d+(?:\d{18}|(?:\.\d+)?[eE])")
"""Where a number may begin that has to be written otherwise to be compared as one: see `comparable`."""

BIGINT = range(-(2**63), 2**63)


def comparable(text: str) -> str | None:
    """Return the JSON text whose numbers compare as `ordering` says; None if it is the text itself.

    >>> comparable('{"a":18446744073709551617,"b":1}'), comparable('{"a":1.5}')
    ('{"a":1.8446744073709552e19,"b":1}', None)
    """
    if not LARGE_NUMBER.search(text):
        return None
    return ordering.canonical(jsontext.decode(text))


def is_exact(selection: Selection) -> bool:
    """Tell whether PostgreSQL selects just these objects; their order is another question: `is_ordered`."""
    compounds = any(isinstance(each, (list, dict)) for each in selection.after or ())
    return not compounds and all(map(_is_exact, selection.filters))


def is_ordered(selection: Selection, found: Sequence[Stored]) -> bool:
    """Tell whether objects that were found are in their order: as long as none is sorted by an array or object."""
    fields = [each.field for each in selection.sort if each.field not in sql.COLUMNS]
    if not fields:
        return True
    values = (ordering.value_at(data, field) for data in map(Stored.data, found) for field in fields)
    return not any(isinstance(each, (list, dict)) for each in values)


def _is_exact(filter: Filter) -> bool:
    if filter.operator in (Operator.LT, Operator.MAX, Operator.GT, Operator.MIN):
        return not isinstance(filter.value, (list, dict))
    return filter.operator is not Operator.LIKE


class JsonColumn:
    """A field that is in the JSON of an object, or not."""

    def __init__(self, parameters: sql.Parameters, field: str) -> None:
        self.add = parameters.add
        self._field = field

    def has(self, rank: int) -> str:
        """Return that the field has a value of this type."""
        if rank == ABSENT:
            return f"({self._value} IS NULL)"
        return f"(jsonb_typeof({self._value}) = '{TYPES[rank]}')"

    def among(self, values: Iterable[Any]) -> str:
        """Return that the field has one of these values."""
        values = list(values)
        present = [each for each in values if each is not MISSING]
        conditions = [self.has(ABSENT)] if len(present) < len(values) else []
        if len(present) == 1:
            conditions.append(f"{self._value} = {self.add(_json(present[0]))}::jsonb")
        elif present:
            conditions.append(f"{self._value} = ANY({self._array(present)})")
        return either(conditions)

    def compare(self, sign: str, value: Any) -> str:
        """Return that the field is <, <=, > or >= a value; an array or object may be any."""
        rank = rank_of(value)
        beyond = f"{self._rank} {sign[0]} {rank}"
        if rank in (NULL, ABSENT):
            return either([beyond, *([self.has(rank)] if "=" in sign else [])])
        # For each OR it sees, the planner asks of each partial index whether it serves; none does.
        return f"((({self.has(rank)} AND {self._same(rank, sign, value)}) OR {beyond}) IS TRUE)"

    def like(self, pattern: str) -> str:
        """Return that the field matches, if it is a string of ASCII; others that have a text may match."""
        text = f"({self._value} #>> '{{}}')"
        wanted = self.add(_like_pattern(pattern))
        folded = f'(octet_length({text}) > length({text}) OR lower({text} COLLATE "C") LIKE {wanted}::text)'
        return f"CASE jsonb_typeof({self._value}) WHEN 'string' THEN {folded} ELSE {self._rank} > {TEXT} END"

    def contains(self, values: Iterable[Any]) -> str:
        """Return that the field is an array with all of these values."""
        return f"({self.has(ARRAY)} AND {self._elements} @> {self._array(values)})"

    def contains_any(self, values: Iterable[Any]) -> str:
        """Return that the field is an array with one of these values."""
        return f"({self.has(ARRAY)} AND {self._elements} && {self._array(values)})"

    def order(self, direction: str) -> list[str]:
        """Return the keys of ORDER BY. Arrays are in no order, nor are objects."""
        text = f"CASE {self._rank} WHEN {TEXT} THEN {self._value} #>> '{{}}' END COLLATE \"C\""
        other = f"CASE WHEN jsonb_typeof({self._value}) IN ('number', 'boolean') THEN {self._value} END"
        return [f"{key} {direction}" for key in (self._rank, text, other)]

    def _same(self, rank: int, sign: str, value: Any) -> str:
        """Return the comparison with a value of the type that the field has."""
        if rank in (ARRAY, OBJECT):
            return TRUE
        if rank == TEXT:
            return f"({self._value} #>> '{{}}') COLLATE \"C\" {sign} {self.add(value)}::text"
        return f"{self._value} {sign} {self.add(_json(value))}::jsonb"

    def _array(self, values: Iterable[Any]) -> str:
        return f"{self.add([_json(each) for each in values])}::jsonb[]"

    @property
    def _elements(self) -> str:
        array = f"CASE jsonb_typeof({self._value}) WHEN 'array' THEN {self._value} ELSE '[]' END"
        return f"ARRAY(SELECT jsonb_array_elements({array}))"

    @property
    def _rank(self) -> str:
        ranks = "".join(f" WHEN '{name}' THEN {rank}" for rank, name in enumerate(TYPES))
        return f"CASE jsonb_typeof({self._value}){ranks} ELSE {ABSENT} END"

    @cached_property
    def _value(self) -> str:
        names = self._field.split(".")
        # Nothing is so deep, and PostgreSQL minds the depth of an expression.
        if len(names) > jsontext.MAX_DEPTH:
            return "NULL::jsonb"
        # Not `#>`, which goes into arrays.
        return f"(o.fields{''.join(f' -> {self.add(each)}::text' for each in names)})"


class TableColumn:
    """A field that is a column of the table: `type` is what that has, for PostgreSQL."""

    def __init__(self, parameters: sql.Parameters, field: str) -> None:
        self.add = parameters.add
        self._name = f"o.{field}"
        self._rank = sql.COLUMNS[field]
        self._type = "text" if self._rank == TEXT else "bigint"

    def has(self, rank: int) -> str:
        """Return that the field has a value of this type."""
        return TRUE if rank == self._rank else FALSE

    def among(self, values: Iterable[Any]) -> str:
        """Return that the field has one of these values."""
        possible = [each for each in map(_integral, values) if rank_of(each) == self._rank]
        if self._rank == NUMBER:
            possible = [each for each in possible if type(each) is int and each in BIGINT]
        if len(possible) == 1:
            return f"{self._name} = {self.add(possible[0])}::{self._type}"
        return f"{self._name} = ANY({self.add(possible)}::{self._type}[])"

    def compare(self, sign: str, value: Any) -> str:
        """Return that the field is <, <=, > or >= a value."""
        rank, value = rank_of(value), _integral(value)
        if rank != self._rank:
            return TRUE if (self._rank < rank if sign[0] == "<" else self._rank > rank) else FALSE
        is_bound_as_it_is = rank == TEXT or (type(value) is int and value in BIGINT)
        return f"{self._name} {sign} {self.add(value)}::{self._type if is_bound_as_it_is else 'numeric'}"

    def like(self, pattern: str) -> str:
        """Return that the field may match a pattern: any may."""
        return TRUE

    def contains(self, values: Iterable[Any]) -> str:
        """Return that the field is an array: it is none."""
        return FALSE

    contains_any = contains

    def order(self, direction: str) -> list[str]:
        """Return the key of ORDER BY."""
        return [f"{self._name} {direction}"]


def _column(parameters: sql.Parameters, field: str) -> sql.Column:
    return TableColumn(parameters, field) if field in sql.COLUMNS else JsonColumn(parameters, field)


def _within(parameters: sql.Parameters, parent: str, resource: str) -> str:
    add = parameters.add
    return f"o.bucket = {add(shard(parent))} AND o.parent = {add(parent)} AND o.resource = {add(resource)}"


DIALECT = sql.Dialect(parameter="${n}", within=_within, live="NOT o.deleted", column=_column)


class PlannedColumn(TableColumn):
    """A column that is compared with what the planner does not look at."""

    def compare(self, sign: str, value: Any) -> str:
        """Return that the field is <, <=, > or >= a value."""
        if self._rank != NUMBER or type(value) is not int or value not in BIGINT:
            return super().compare(sign, value)
        return f"{self._name} {sign} (SELECT {self.add(value)}::bigint)"


def _planned_column(parameters: sql.Parameters, field: str) -> sql.Column:
    return PlannedColumn(parameters, field) if field in sql.COLUMNS else JsonColumn(parameters, field)


def _planned_within(parameters: sql.Parameters, parent: str, resource: str) -> str:
    names = {"bucket": shard(parent), "parent": parent, "resource": resource}
    return " AND ".join(f"o.{name} = (SELECT {parameters.add(value)}::text)" for name, value in names.items())


# What is found at once is found in one way, whatever the values are. PostgreSQL would plan anew each time, which takes
# longer than to run the plan, as one that knows the values looks better: so it does not get to see them.
PLANNED = msgspec.structs.replace(
    DIALECT, within=_planned_within, column=_planned_column, limit=lambda _, most: str(most)
)


def _json(value: Any) -> str:
    """Return a value as it is compared with what is in `fields`."""
    text = jsontext.encode([value])
    return (comparable(text) or text)[1:-1]


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _like_pattern(pattern: str) -> str:
    """Return a pattern of ours as one of LIKE, with nothing special but the stars."""
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern.lower())
    return escaped.replace("*", "%") if "*" in escaped else f"%{escaped}%"
