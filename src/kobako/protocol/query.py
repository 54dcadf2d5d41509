"""The query string of a list endpoint -> which objects are meant, in which order, and what is shown of them.

Errors found here are reported one at a time, in the order filters, sort, token; what `params.check` finds has
been reported before, all together.

Source: HTTP API, sections 9.4 to 9.10.
"""

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from kobako.protocol import pagination
from kobako.protocol import params as parameters
from kobako.protocol.errors import invalid
from kobako.protocol.pagination import Token
from kobako.protocol.params import Params
from kobako.protocol.selection import NEWEST_FIRST, Filter, Operator, Selection, Sort
from kobako.protocol.versions import FUTURE_MS

# What a parameter's name can begin with; `contains_any_` before `contains_`, which it begins with.
_PREFIXED = re.compile(r"(contains_any|contains|exclude|has|in|like|gt|lt|min|max|not|eq)_([\w.]+)")
_SORT_ITEM = re.compile(r"([+-]?)([\w.]+)")
_SINCE: Final = {"_since": Operator.GT, "_before": Operator.LT, "_to": Operator.LT}
_LISTS: Final = (Operator.IN, Operator.EXCLUDE)
_CONTAINS: Final = (Operator.CONTAINS, Operator.CONTAINS_ANY)
_NOT_TEXTS: Final = (Operator.HAS, *_CONTAINS)
_ON_TIMESTAMPS: Final = tuple(Operator(name) for name in ("eq", "not", "lt", "max", "gt", "min"))


MAX_SORT: Final = 100
"""Keys of an order: the place of a page is compared key by key, which no database does without bounds."""


MAX_FILTERS: Final = 50
"""Filters of a query: each may look at every object of a list, and at all of a field's text."""


class ListQuery(msgspec.Struct, frozen=True):
    """What a client asks of a list: `selection` has its filters, order and place; `limit` is the size of a page.

    `since` is the timestamp up to which the client knows the list, if it asks for changes: `_since`.
    """

    selection: Selection
    limit: int
    fields: tuple[str, ...] = ()
    token: Token | None = None
    since: int | None = None


def read_list(
    params: Params,
    *,
    now: int,
    paginate_by: int | None,
    max_fetch: int,
    known: Collection[str] | None = None,
    texts: Collection[str] = (),
) -> ListQuery:
    """Return the query in checked parameters. Raises InvalidParameters for the first thing that is wrong.

    `known` are the fields of objects with a closed schema; None: they may have any. Of `texts` any value is a text.
    """
    limit = page_size(params, paginate_by, max_fetch)
    if not params:
        return ListQuery(Selection(), limit)
    filters = read_filters(params, now, known, texts)
    sort = read_sort(params.get("_sort", ()), known)
    fields = read_fields(params, known)
    token = pagination.read(params.get("_token", ("",))[0], sort)
    selection = Selection(
        filters=filters,
        # Tombstones take part as soon as a filter bears on the timestamp (section 9.6).
        tombstones=any(each.field == "last_modified" for each in filters),
        sort=sort,
        after=token.after if token else None,
    )
    return ListQuery(selection, limit, fields, token, _since(params, now))


def of_text(
    text: str,
    *,
    now: int,
    paginate_by: int | None,
    max_fetch: int,
    known: frozenset[str] | None = None,
    texts: frozenset[str] = frozenset(),
) -> ListQuery:
    """Return the query in a query string, as `read_list` does: clients send the same ones again and again."""
    params = parameters.parse(text)
    if len(text) > parameters.SHORT or any(name in params for name in parameters.TIMESTAMPS):
        # Whether a timestamp is too far ahead, the clock says.
        return read_list(params, now=now, paginate_by=paginate_by, max_fetch=max_fetch, known=known, texts=texts)
    return _read_lately(text, paginate_by, max_fetch, known, texts)


@lru_cache(1024)
def _read_lately(
    text: str, paginate_by: int | None, max_fetch: int, known: frozenset[str] | None, texts: frozenset[str]
) -> ListQuery:
    params = parameters.parse(text)
    return read_list(params, now=0, paginate_by=paginate_by, max_fetch=max_fetch, known=known, texts=texts)


def page_size(params: Params, paginate_by: int | None, max_fetch: int) -> int:
    """Return the size of a page (section 9.8): `_limit` without a number also bypasses `paginate_by`."""
    requested = parameters.limit(params["_limit"][0]) if "_limit" in params else paginate_by
    return min(requested or max_fetch, paginate_by or max_fetch, max_fetch)


def read_filters(
    params: Params, now: int, known: Collection[str] | None = None, texts: Collection[str] = ()
) -> tuple[Filter, ...]:
    """Return the filters among the parameters. Raises InvalidParameters."""
    found = tuple(each for name, given in params.items() for each in _filters(name, given, now, known, texts))
    if len(found) > MAX_FILTERS:
        raise invalid("querystring", None, f"more than {MAX_FILTERS} filters")
    return found


def read_sort(
    texts: Sequence[str], known: Collection[str] | None = None, last: tuple[Sort, ...] = NEWEST_FIRST
) -> tuple[Sort, ...]:
    """Return the keys of `_sort`, ended by the timestamp, or another that is unique: the order is total.

    >>> read_sort(["-size, name"])  # doctest: +NORMALIZE_WHITESPACE
    (Sort(field='size', descending=True), Sort(field='name', descending=False),
     Sort(field='last_modified', descending=True))
    """
    items = ",".join(texts).split(",")
    if len(items) > MAX_SORT:
        raise invalid("querystring", "_sort", f"_sort has more than {MAX_SORT} fields")
    found = [each for item in items if (each := _SORT_ITEM.fullmatch(item.strip()))]
    for each in found:
        if not _is_known(each[2], known):
            raise invalid("querystring", None, f"Unknown sort field '{each[2]}'")
    keys = {each[2]: Sort(each[2], each[1] == "-") for each in reversed(found)}
    # Of a field named twice the first counts; the dict was filled backwards for it.
    sort = tuple(reversed(keys.values()))
    return sort if all(each.field in keys for each in last) else sort + last


def read_fields(params: Params, known: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the names in `_fields`; none means all. Raises InvalidParameters."""
    if "_fields" not in params:
        return ()
    names = (name.strip() for name in ",".join(params.get("_fields", ())).split(","))
    fields = tuple(name for name in names if name)
    if unknown := [name for name in fields if not _is_known(name, known)]:
        raise invalid("body", "Invalid _fields parameter", f"Fields {','.join(unknown)} do not exist")
    return fields


def _is_known(field: str, known: Collection[str] | None) -> bool:
    """Tell whether objects may have a field: of a closed schema, the names of the first level count."""
    return known is None or field.partition(".")[0] in known


def _since(params: Params, now: int) -> int | None:
    found = _filters("_since", params["_since"], now, None, ()) if "_since" in params else []
    return found[0].value if found else None


def _filters(
    name: str, texts: Sequence[str], now: int, known: Collection[str] | None, are_texts: Collection[str]
) -> list[Filter]:
    """Return the filters of one parameter: none for the names that are not filters."""
    if name in _SINCE:
        value = None if texts[0] == "null" else _timestamp(name, texts[0], now)
        return [] if value is None else [Filter("last_modified", _SINCE[name], value)]
    if name.startswith("_"):
        return []
    prefixed = _PREFIXED.fullmatch(name)
    field, operator = (prefixed[2], Operator(prefixed[1])) if prefixed else (name, Operator.EQ)
    if not _is_known(field, known):
        raise invalid("querystring", name, f"Unknown filter field '{name}'")
    if field == "last_modified":
        if operator not in _ON_TIMESTAMPS:
            raise invalid("querystring", name, f"Invalid value for {name}")
        return [Filter(field, operator, _timestamp(name, texts[0], now, bounded=not prefixed))]
    if field == "id" and operator in _CONTAINS:
        raise invalid("querystring", name, "Field 'id' is not an array")
    read = _text if field in are_texts and operator not in _NOT_TEXTS else parameters.native
    return [Filter(field, operator, value) for value in _values(name, field, operator, texts, read)]


def _timestamp(name: str, text: str, now: int, *, bounded: bool = True) -> int:
    value = parameters.timestamp(text)
    if value is None or not 0 <= value <= parameters.MAX_TIMESTAMP or (bounded and value >= now + FUTURE_MS):
        raise invalid("querystring", name, f"Invalid value for {name}")
    return value


def _text(text: str) -> str:
    """Return a text that may be given as a JSON string: what looks like a number is none."""
    value = parameters.native(text)
    return value if isinstance(value, str) else text


def _values(name: str, field: str, operator: Operator, texts: Sequence[str], read: Callable[[str], Any]) -> list[Any]:
    """Return the values to compare with: one for each time the parameter was given, or all of them in one."""
    if operator in _LISTS:
        items = tuple(read(item) for text in texts for item in text.split(",") if item)
        if field == "id" and not all(isinstance(item, str) for item in items):
            raise invalid("querystring", name, f"Invalid value for {name}")
        return [items]
    if operator is Operator.EQ and len(texts) > 1:
        return [list(texts)]
    values = [read(text) for text in texts]
    if operator is Operator.HAS:
        return [bool(value) for value in values]
    if operator in _CONTAINS:
        return [tuple(value) if isinstance(value, list) else (value,) for value in values]
    if operator is Operator.LIKE and not all(isinstance(value, str) for value in values):
        raise invalid("querystring", name, f"Invalid value for {name}")
    return values
