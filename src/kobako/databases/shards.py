"""Shards: the first column of every key, so that a cluster can keep what is in one bucket on one machine."""


def shard(uri: str) -> str:
    """Return the shard of an object, or of the lists that belong to it: the bucket it is in, or is.

    Of objects in no bucket: the first two segments of the URI. What is under an object has its shard.

    >>> shard("/buckets/b/collections/c"), shard("/accounts/a"), shard("")
    ('b', '/accounts/a', '')
    """
    first, _, rest = uri.removeprefix("/").partition("/")
    return rest.partition("/")[0] if first == "buckets" and rest else "/".join(uri.split("/")[:3])
