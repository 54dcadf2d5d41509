"""A Selection as SQL: an operator is a row of OPERATORS, what a database calls things is a Dialect.

What each operator means is said in `protocol/filters.py`; here it is said again for a database, which must come to
the same result (`tests/backends` compares them). The table `objects` is called `o`; fields other than `id` and
`last_modified` are looked up in the JSON text of an object, values travel as parameters, paths too.

Nothing is NULL here: each condition is true or false, so that it can be turned round with NOT.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import msgspec

from kobako.protocol import jsontext
from kobako.protocol.ordering import canonical
from kobako.protocol.selection import MISSING, Filter, Operator, Selection, Sort

NULL, TEXT, NUMBER, BOOLEAN, ARRAY, OBJECT, ABSENT = range(7)
"""The ranks of types, in the order of JSON values."""

TRUE, FALSE = "(1=1)", "(1=0)"


class Dialect(msgspec.Struct, frozen=True):
    """How a database says it: templates of SQL, and what is bound for the path of a field."""

    parameter: str
    """{n}: the number of a parameter, from 1."""
    path: Callable[[str], Any]
    """Return what is bound as {path}."""
    rank: str
    """The rank of the type a field has."""
    has_rank: Sequence[str]
    """Whether the field has this rank; one for each."""
    scalar: str
    """The string, number or boolean a field has."""
    compound: str
    """The canonical text of the array or object a field has."""
    json: str
    """The field as JSON text, or NULL."""
    json_of: str
    """A column as JSON text."""
    like: str
    """{json} and {value}, the pattern."""
    values: str
    """A subquery with the values of a parameter, a JSON array."""
    elements: str
    """What is FROM the array of a field; conditions on elements follow."""
    element_has_rank: Sequence[str]
    element_scalar: str
    element_compound: str


class Parameters:
    """The values of a statement, and their numbers."""

    def __init__(self, dialect: Dialect, *values: Any) -> None:
        self._dialect = dialect
        self.values = list(values)

    def add(self, value: Any) -> str:
        """Return the SQL for a value."""
        self.values.append(value)
        return self._dialect.parameter.format(n=len(self.values))


class Column:
    """One field of objects: a column of the table (of one type), or a place in the JSON text."""

    def __init__(self, dialect: Dialect, parameters: Parameters, field: str) -> None:
        self.dialect = dialect
        self.add = parameters.add
        self.fixed = {"id": TEXT, "last_modified": NUMBER}.get(field)
        self._name = f"o.{field}"
        self._field = field

    def has(self, rank: int) -> str:
        """Return the condition that the field has a value of this type."""
        if self.fixed:
            return TRUE if rank == self.fixed else FALSE
        return self.sql(self.dialect.has_rank[rank])

    def beyond(self, sign: str, rank: int) -> str:
        """Return the condition that the type of the field comes before (<) or after (>) another."""
        if self.fixed:
            return TRUE if (self.fixed < rank if sign == "<" else self.fixed > rank) else FALSE
        return f"{self.sql(self.dialect.rank)} {sign} {rank}"

    def value(self, rank: int) -> str:
        """Return what orders fields of this type."""
        if self.fixed:
            return self._name
        return self.sql(self.dialect.compound if rank in (ARRAY, OBJECT) else self.dialect.scalar)

    def json(self) -> str:
        """Return the field as JSON text, or NULL."""
        return self.dialect.json_of.format(column=self._name) if self.fixed else self.sql(self.dialect.json)

    def order(self, direction: str) -> list[str]:
        """Return the keys of ORDER BY."""
        if self.fixed:
            return [f"{self._name} {direction}"]
        rank = self.sql(self.dialect.rank)
        value = f"CASE WHEN {rank} IN ({ARRAY}, {OBJECT}) THEN {self.value(ARRAY)} ELSE {self.value(TEXT)} END"
        return [f"{rank} {direction}", f"{value} {direction}"]

    def sql(self, template: str) -> str:
        """Return a template of the dialect for this field."""
        return template.format(path=self._path)

    @cached_property
    def _path(self) -> str:
        # Not before it is needed: a condition that is always false has no use for it, and SQLite minds.
        return self.add(self.dialect.path(self._field))


def page(dialect: Dialect, parent: str, resource: str, selection: Selection) -> tuple[str, list[Any]]:
    """Return the statement for the objects selected, and its values."""
    parameters = Parameters(dialect)
    conditions = _conditions(dialect, parameters, parent, resource, selection)
    columns = [Column(dialect, parameters, each.field) for each in selection.sort]
    if selection.after is not None:
        conditions.append(_after(columns, selection.sort, selection.after))
    keys = [key for column, each in zip(columns, selection.sort, strict=True) for key in column.order(_direction(each))]
    sql = f"SELECT o.id, o.last_modified, o.data, o.deleted FROM objects AS o WHERE {_all(conditions)}"
    if keys:
        sql += f" ORDER BY {', '.join(keys)}"
    if selection.limit is not None:
        sql += f" LIMIT {parameters.add(selection.limit)}"
    return sql, parameters.values


def count(dialect: Dialect, parent: str, resource: str, selection: Selection) -> tuple[str, list[Any]]:
    """Return the statement that counts what passes, and its values."""
    parameters = Parameters(dialect)
    conditions = _conditions(dialect, parameters, parent, resource, selection)
    return f"SELECT count(*) FROM objects AS o WHERE {_all(conditions)}", parameters.values


def _conditions(
    dialect: Dialect, parameters: Parameters, parent: str, resource: str, selection: Selection
) -> list[str]:
    place = f"parent = {parameters.add(parent)} AND resource = {parameters.add(resource)}"
    conditions = [f"o.list = (SELECT id FROM lists WHERE {place})"]
    if not selection.tombstones:
        conditions.append("o.deleted = 0")
    if selection.ids is not None:
        conditions.append(_among(Column(dialect, parameters, "id"), sorted(selection.ids)))
    for each in selection.filters:
        conditions.append(OPERATORS[each.operator](Column(dialect, parameters, each.field), _value(each)))
    return conditions


# Operators.


def _equal(column: Column, value: Any) -> str:
    return _among(column, [value])


def _among(column: Column, values: Iterable[Any]) -> str:
    """Return the condition that the field has one of these values."""
    return _any(_is(column, rank, bound) for rank, bound in _by_rank(values).items())


def _is(column: Column, rank: int, values: list[Any]) -> str:
    if column.fixed and column.fixed != rank:
        return FALSE
    if rank in (NULL, ABSENT):
        return column.has(rank)
    found = f"{column.value(rank)} {_one_of(column, values)}"
    return found if column.fixed else f"({column.has(rank)} AND {found})"


def _compare(sign: str) -> Callable[[Column, Any], str]:
    """Return the operator for <, <=, > or >=: by type first, then by value."""

    def condition(column: Column, value: Any) -> str:
        rank = _rank(value)
        beyond = column.beyond(sign[0], rank)
        if column.fixed and column.fixed != rank:
            return beyond
        if rank in (NULL, ABSENT):
            return _any([beyond, *([column.has(rank)] if "=" in sign else [])])
        same = f"{column.value(rank)} {sign} {column.add(_bound(value))}"
        return same if column.fixed else f"(({column.has(rank)} AND {same}) OR {beyond})"

    return condition


def _like(column: Column, pattern: str) -> str:
    return column.dialect.like.format(json=column.json(), value=column.add(pattern))


def _has(column: Column, wanted: bool) -> str:
    return f"NOT {column.has(ABSENT)}" if wanted else column.has(ABSENT)


def _contains(column: Column, values: Iterable[Any]) -> str:
    """Return the condition that an array has all of these values: of no value it can be said that it is not there."""
    if column.fixed:
        return FALSE
    return _all([column.has(ARRAY), *(_has_all(column, *each) for each in _by_rank(values).items())])


def _has_all(column: Column, rank: int, values: list[Any]) -> str:
    if rank == NULL:
        return f"EXISTS ({_elements(column, '1', rank)})"
    wanted = column.dialect.values.format(value=column.add(jsontext.encode(values)))
    return f"NOT EXISTS ({wanted} WHERE value NOT IN ({_elements(column, _element(column, rank), rank)}))"


def _contains_any(column: Column, values: Iterable[Any]) -> str:
    if column.fixed:
        return FALSE
    each = [_has_any(column, rank, bound) for rank, bound in _by_rank(values).items()]
    return f"({column.has(ARRAY)} AND {_any(each)})"


def _has_any(column: Column, rank: int, values: list[Any]) -> str:
    found = _elements(column, "1", rank)
    if rank != NULL:
        found += f" AND {_element(column, rank)} {_one_of(column, values)}"
    return f"EXISTS ({found})"


def _elements(column: Column, what: str, rank: int) -> str:
    return f"SELECT {what} FROM {column.sql(column.dialect.elements)} WHERE {column.dialect.element_has_rank[rank]}"


def _element(column: Column, rank: int) -> str:
    return column.dialect.element_compound if rank in (ARRAY, OBJECT) else column.dialect.element_scalar


def _not(positive: Callable[[Column, Any], str]) -> Callable[[Column, Any], str]:
    return lambda column, value: f"NOT {positive(column, value)}"


OPERATORS: dict[Operator, Callable[[Column, Any], str]] = {
    Operator.EQ: _equal,
    Operator.NOT: _not(_equal),
    Operator.LT: _compare("<"),
    Operator.MAX: _compare("<="),
    Operator.GT: _compare(">"),
    Operator.MIN: _compare(">="),
    Operator.IN: _among,
    Operator.EXCLUDE: _not(_among),
    Operator.LIKE: _like,
    Operator.HAS: _has,
    Operator.CONTAINS: _contains,
    Operator.CONTAINS_ANY: _contains_any,
}

# Order and pages.


def _direction(key: Sort) -> str:
    return "DESC" if key.descending else "ASC"


def _after(columns: Sequence[Column], sort: Sequence[Sort], after: Sequence[Any]) -> str:
    """Return the condition that an object comes strictly after a place: at the first key that differs."""
    condition = ""
    for column, key, value in reversed(list(zip(columns, sort, after, strict=True))):
        further = _compare("<" if key.descending else ">")(column, value)
        condition = f"({further} OR ({_equal(column, value)} AND {condition}))" if condition else further
    return condition or FALSE


# Values.


def _value(filter: Filter) -> Any:
    # Ids are text: integers stand for theirs (`gt_id=7`).
    if filter.field != "id":
        return filter.value
    if isinstance(filter.value, tuple):
        return tuple(str(each) if type(each) is int else each for each in filter.value)
    return str(filter.value) if type(filter.value) is int else filter.value


def _rank(value: Any) -> int:
    if value is None or value is MISSING:
        return NULL if value is None else ABSENT
    return {str: TEXT, int: NUMBER, float: NUMBER, bool: BOOLEAN, list: ARRAY, dict: OBJECT}[type(value)]


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
        groups.setdefault(_rank(each), []).append(_bound(each))
    return groups


def _one_of(column: Column, values: list[Any]) -> str:
    if len(values) == 1:
        return f"= {column.add(values[0])}"
    return f"IN ({column.dialect.values.format(value=column.add(jsontext.encode(values)))})"


def _all(conditions: list[str]) -> str:
    """Return the conditions joined, as a balanced tree: databases limit the depth of expressions, not their number."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({_all(conditions[:middle])} AND {_all(conditions[middle:])})"


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions) or FALSE})"
