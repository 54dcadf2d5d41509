"""A Selection as SQL: an operator is a row of OPERATORS, what a field is called in a database is its Column.

What each operator means is said in `protocol/filters.py`; here it is said again for databases, which must come to
the same result (`tests/backends` compares them). The table `objects` is called `o`; values travel as parameters, and
so do the names of fields. A condition that is NULL counts as false.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from kobako.protocol.selection import MISSING, Filter, Operator, Selection, Sort
from kobako.storage import keys

NULL, TEXT, NUMBER, BOOLEAN, ARRAY, OBJECT, ABSENT = range(7)
"""The ranks of types, in the order of JSON values."""

TRUE, FALSE = "(1=1)", "(1=0)"

COLUMNS = {"id": TEXT, "last_modified": NUMBER}
"""Fields that are columns of the table, with the one type they have; others are in the JSON of an object."""


class Parameters:
    """The values of a statement, and their numbers. `template`: how {n} is written, which begins after `before`."""

    def __init__(self, template: str, before: int = 0) -> None:
        self._template = template
        self._before = before
        self.values: list[Any] = []

    def add(self, value: Any) -> str:
        """Return the SQL for a value."""
        self.values.append(value)
        return self._template.format(n=self._before + len(self.values))


class Column(Protocol):
    """One field of objects, as a database says what is asked of it: each method returns a condition."""

    def has(self, rank: int) -> str:
        """Return that the field has a value of this type."""
        ...

    def among(self, values: Iterable[Any]) -> str:
        """Return that the field has one of these values."""
        ...

    def compare(self, sign: str, value: Any) -> str:
        """Return that the field is <, <=, > or >= a value: by type first, then by value."""
        ...

    def like(self, pattern: str) -> str:
        """Return that the text form of the field matches a pattern."""
        ...

    def contains(self, values: Iterable[Any]) -> str:
        """Return that the field is an array with all of these values."""
        ...

    def contains_any(self, values: Iterable[Any]) -> str:
        """Return that the field is an array with one of these values."""
        ...

    def order(self, direction: str) -> Sequence[str]:
        """Return the keys of ORDER BY."""
        ...


class Dialect(msgspec.Struct, frozen=True):
    """How a database says it."""

    parameter: str
    """{n}: the number of a parameter, from 1."""
    within: Callable[[Parameters, str, str], str]
    """Return the condition that objects are of the list of a parent and a resource."""
    live: str
    """The condition that an object is not a tombstone."""
    column: Callable[[Parameters, str], Column]
    """Return a field."""
    by_index: str = ""
    """How the table is said to be read by the index of a {key}, where the planner does not know better."""
    by_id: str = ""
    """The same, by the index of ids."""

    limit: Callable[[Parameters, int], str] = Parameters.add
    """Return how many objects at most."""


Statement = tuple[str, list[Any]]
"""SQL, and its values."""


def page(
    dialect: Dialect, parent: str, resource: str, selection: Selection, indexes: Sequence[str] = (), before: int = 0
) -> Statement:
    """Return the statement for the objects selected; `indexes`: the fields that the list declares.

    `before`: how many parameters there are already, where it is a part of another statement.
    """
    parameters = Parameters(dialect.parameter, before)
    conditions = _conditions(dialect, parameters, parent, resource, selection, indexes)
    columns = [dialect.column(parameters, each.field) for each in selection.sort]
    if selection.after is not None:
        conditions.append(_after(columns, selection.sort, selection.after))
    order = [
        key for column, each in zip(columns, selection.sort, strict=True) for key in column.order(_direction(each))
    ]
    if leading := _leading(selection, indexes):
        conditions.append(_from(parameters, leading, selection))
        order.insert(0, f"{leading} {_direction(selection.sort[0])}")
    source = _source(dialect, selection, indexes)
    sql = f"SELECT o.id, o.last_modified, o.data, o.deleted {source} WHERE {every(conditions)}"
    if order:
        sql += f" ORDER BY {', '.join(order)}"
    if selection.limit is not None:
        sql += f" LIMIT {dialect.limit(parameters, selection.limit)}"
    return sql, parameters.values


def count(dialect: Dialect, parent: str, resource: str, selection: Selection, indexes: Sequence[str] = ()) -> Statement:
    """Return the statement that counts what passes."""
    parameters = Parameters(dialect.parameter)
    conditions = _conditions(dialect, parameters, parent, resource, selection, indexes)
    unordered = msgspec.structs.replace(selection, sort=())
    return f"SELECT count(*) {_source(dialect, unordered, indexes)} WHERE {every(conditions)}", parameters.values


def effort(
    dialect: Dialect, parent: str, resource: str, selection: Selection, indexes: Sequence[str], most: int
) -> Statement:
    """Return the statement that counts the objects to look at, up to `most`: all that indexes do not rule out."""
    parameters = Parameters(dialect.parameter)
    led = _led_by(parameters, selection, indexes) or _led_by_timestamp(dialect, parameters, selection)
    conditions = [dialect.within(parameters, parent, resource), *led]
    source = _source(dialect, msgspec.structs.replace(selection, sort=()), indexes)
    looked_at = f"SELECT 1 {source} WHERE {every(conditions)} LIMIT {parameters.add(most)}"
    return f"SELECT count(*) FROM ({looked_at}) AS looked_at", parameters.values


def _conditions(
    dialect: Dialect,
    parameters: Parameters,
    parent: str,
    resource: str,
    selection: Selection,
    indexes: Sequence[str],
) -> list[str]:
    led = _led_by(parameters, selection, indexes)
    conditions = [dialect.within(parameters, parent, resource), *led]
    if not selection.tombstones:
        conditions.append(dialect.live)
    if selection.ids is not None:
        conditions.append(dialect.column(parameters, "id").among(sorted(selection.ids)))
    for each in selection.filters:
        if led and _is_told_by_key(each, indexes):
            continue
        conditions.append(OPERATORS[each.operator](dialect.column(parameters, each.field), _value(each)))
    return conditions


# Operators.


def _compare(sign: str) -> Callable[[Column, Any], str]:
    return lambda column, value: column.compare(sign, value)


def _equal(column: Column, value: Any) -> str:
    return column.among([value])


def _among(column: Column, values: Iterable[Any]) -> str:
    return column.among(values)


def _like(column: Column, pattern: str) -> str:
    return column.like(pattern)


def _has(column: Column, wanted: bool) -> str:
    return f"NOT {column.has(ABSENT)}" if wanted else column.has(ABSENT)


def _contains(column: Column, values: Iterable[Any]) -> str:
    return column.contains(values)


def _contains_any(column: Column, values: Iterable[Any]) -> str:
    return column.contains_any(values)


def _not(positive: Callable[[Column, Any], str]) -> Callable[[Column, Any], str]:
    return lambda column, value: f"({positive(column, value)} IS NOT TRUE)"


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

# Declared indexes: conditions on keys (`keys.py`) that hold for all that passes, so that an index leads there.

SIGNS: dict[Operator, str] = {
    Operator.EQ: "=",
    Operator.LT: "<=",
    Operator.MAX: "<=",
    Operator.GT: ">=",
    Operator.MIN: ">=",
}
"""How the keys compare: values that differ may have one key."""


EQUALITIES = (Operator.EQ, Operator.IN)

FEW_VALUES = 1000
"""So many are looked up one by one."""


def uses_indexes(selection: Selection) -> bool:
    """Tell whether declared indexes could be of use. Tombstones are in none."""
    fields = (*(each.field for each in selection.filters), *(each.field for each in selection.sort[:1]))
    return not selection.tombstones and not COLUMNS.keys() >= set(fields)


def is_led_to(selection: Selection, indexes: Sequence[str]) -> bool:
    """Tell whether an index leads to the objects that have a value, or one of several."""
    return not selection.tombstones and any(
        each.field in indexes and each.operator in EQUALITIES for each in selection.filters
    )


def is_found_at_once(selection: Selection, indexes: Sequence[str]) -> bool:
    """Tell whether the objects, in the order of their timestamps, are read from an index, with few others or none."""
    if selection.ids is not None or any(each.field != "last_modified" for each in selection.sort) or not selection.sort:
        return False
    others = [each for each in selection.filters if each.field != "last_modified" or each.operator not in SIGNS]
    return not others or is_led_to(selection, indexes)


def is_ordered_by_index(selection: Selection, indexes: Sequence[str]) -> bool:
    """Tell whether objects come out of an index in their order."""
    return bool(_leading(selection, indexes))


def _source(dialect: Dialect, selection: Selection, indexes: Sequence[str]) -> str:
    if selection.ids is not None and (selection.limit is None or len(selection.ids) <= FEW_VALUES):
        # A page of very many ids is found sooner in its order.
        return f"FROM objects AS o{dialect.by_id}"
    if not indexes or selection.tombstones or selection.ids is not None:
        return "FROM objects AS o"
    found = [each.field for each in selection.filters if each.operator in EQUALITIES]
    led = [field for field in (*found, *(each.field for each in selection.sort[:1])) if field in indexes]
    by_index = dialect.by_index.format(key=keys.COLUMNS[indexes.index(led[0])]) if led else ""
    return f"FROM objects AS o{by_index}"


def _led_by(parameters: Parameters, selection: Selection, indexes: Sequence[str]) -> list[str]:
    if not indexes or selection.tombstones:
        return []
    found = [_key_condition(parameters, each, indexes) for each in selection.filters if each.field in indexes]
    return [each for each in found if each]


def _led_by_timestamp(dialect: Dialect, parameters: Parameters, selection: Selection) -> list[str]:
    """Return the conditions on the timestamp, of objects that are read in the order of these: a poll sees few."""
    if selection.ids is not None or not selection.sort or selection.sort[0].field != "last_modified":
        return []
    column = dialect.column(parameters, "last_modified")
    bounds = [each for each in selection.filters if each.field == "last_modified" and each.operator in SIGNS]
    return [OPERATORS[each.operator](column, each.value) for each in bounds]


def _key_condition(parameters: Parameters, filter: Filter, indexes: Sequence[str]) -> str:
    column = _key_column(filter.field, indexes)
    if filter.operator in SIGNS:
        return f"{column} {SIGNS[filter.operator]} {parameters.add(keys.key(filter.value))}"
    if filter.operator is not Operator.IN:
        return ""
    if not 0 < len(filter.value) <= FEW_VALUES:
        return f"{column} IS NOT NULL"
    return f"{column} IN ({', '.join(parameters.add(keys.key(each)) for each in filter.value)})"


def _is_told_by_key(filter: Filter, indexes: Sequence[str]) -> bool:
    """Tell whether the condition on the key says it all: then nobody has to look into the JSON."""
    if filter.field not in indexes or filter.operator not in EQUALITIES:
        return False
    values = filter.value if filter.operator is Operator.IN else (filter.value,)
    return 0 < len(values) <= FEW_VALUES and all(keys.is_exact(each) for each in values)


def _leading(selection: Selection, indexes: Sequence[str]) -> str:
    """Return the column of keys that an order begins with, if there is one."""
    is_led = selection.sort and not selection.tombstones and selection.sort[0].field in indexes
    return _key_column(selection.sort[0].field, indexes) if is_led else ""


def _from(parameters: Parameters, column: str, selection: Selection) -> str:
    """Return the condition that a key is not before the place where a page begins."""
    if selection.after is None:
        return f"{column} IS NOT NULL"
    sign = "<=" if selection.sort[0].descending else ">="
    return f"{column} {sign} {parameters.add(keys.key(selection.after[0]))}"


def _key_column(field: str, indexes: Sequence[str]) -> str:
    return f"o.{keys.COLUMNS[indexes.index(field)]}"


# Order and pages.


def _direction(key: Sort) -> str:
    return "DESC" if key.descending else "ASC"


def _after(columns: Sequence[Column], sort: Sequence[Sort], after: Sequence[Any]) -> str:
    """Return the condition that an object comes strictly after a place: at the first key that differs."""
    condition = ""
    for column, key, value in reversed(list(zip(columns, sort, after, strict=True))):
        further = column.compare("<" if key.descending else ">", value)
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


def rank_of(value: Any) -> int:
    """Return the rank of a value's type."""
    if value is None or value is MISSING:
        return NULL if value is None else ABSENT
    return {str: TEXT, int: NUMBER, float: NUMBER, bool: BOOLEAN, list: ARRAY, dict: OBJECT}[type(value)]


def every(conditions: Sequence[str]) -> str:
    """Return the conditions joined, as a balanced tree: databases limit the depth of expressions, not their number."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({every(conditions[:middle])} AND {every(conditions[middle:])})"


def either(conditions: Iterable[str]) -> str:
    """Return that one of the conditions holds."""
    return f"({' OR '.join(conditions) or FALSE})"
