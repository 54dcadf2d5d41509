"""Parents of lists: the URIs of the objects that lists belong to, of which each is in a list of its own."""

from functools import lru_cache


def parent_of(uri: str) -> str:
    """Return the parent of the list that an object is in, by its URI.

    >>> parent_of("/buckets/b/collections/c"), parent_of("/buckets/b")
    ('/buckets/b', '')
    """
    return uri.rpartition("/")[0].rpartition("/")[0]


@lru_cache(1000)
def lineage(parent: str) -> tuple[str, ...]:
    """Return a parent, and the parents of the lists that it and all it is in are in."""
    found = [parent]
    while found[-1]:
        found.append(parent_of(found[-1]))
    return tuple(found)
