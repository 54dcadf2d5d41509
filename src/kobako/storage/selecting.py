"""Selections answered in Python: for storages that keep objects, and have no queries of their own.

What filters and order mean is said in `protocol`, and called here: the reference for backends that do have queries.
"""

from collections.abc import Callable, Iterable, Iterator

from kobako.protocol import filters, ordering
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.selection import Selection
from kobako.storage.base import Stored

OUTSIDE = frozenset({"id", "last_modified"})
"""The fields that can be looked at without decoding an object."""


def select(candidates: Iterable[Stored], selection: Selection) -> list[Stored]:
    """Return the objects selected among these, in their order.

    Of several parts of a list, what is selected among all that was selected in each is what is selected in the list.
    """
    objects = {each.id: each for each in candidates}
    after, sort = selection.after, selection.sort
    found = passing(objects.values(), selection)
    rest = [data for data in found if after is None or ordering.is_after(data, after, sort)]
    return [objects[data["id"]] for data in ordering.in_order(rest, sort)[: selection.limit]]


def passing(candidates: Iterable[Stored], selection: Selection) -> Iterator[JsonObject]:
    """Return what passes the filters of a selection, wherever its place, decoded as far as the selection looks."""
    decode = _decoder(selection)
    tests = [filters.prepare(each) for each in selection.filters]
    ids = selection.ids
    for each in candidates:
        if (selection.tombstones or not each.deleted) and (ids is None or each.id in ids):
            data = decode(each)
            if all(test(data) for test in tests):
                yield data


def _decoder(selection: Selection) -> Callable[[Stored], JsonObject]:
    """Return what decodes an object as far as a selection looks into it: a poll, the hot path, does not."""
    fields = {each.field for each in selection.filters} | {each.field for each in selection.sort}
    return _outside if fields <= OUTSIDE else Stored.data


def _outside(stored: Stored) -> JsonObject:
    return {"id": stored.id, "last_modified": stored.last_modified}
