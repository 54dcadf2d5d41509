"""The settings of the history: what is left out, and how much is kept.

Source: objects, 11 and 11.6.
"""

import re
from typing import Final

import msgspec

from kobako import Settings, SettingsError, read_options

_URI: Final = re.compile(
    r"/buckets/(?P<bucket>[^/]+)(?:/groups/(?P<group>[^/]+)|/collections/(?P<collection>[^/]+)(?:/records/(?P<record>[^/]+))?)?"
)


class Options(msgspec.Struct):
    """`history.<name>` in the settings."""

    exclude_resources: tuple[str, ...] = ()
    exclude_user_ids: tuple[str, ...] = ()
    auto_trim_max_count: int = -1
    auto_trim_user_ids: tuple[str, ...] = ()
    auto_trim_threshold: int = 100


def read(settings: Settings) -> Options:
    """Return the settings of the history. Raises SettingsError."""
    options = read_options(settings, "history", Options)
    if options.auto_trim_threshold < 0:
        raise SettingsError(
            f"Setting 'history.auto_trim_threshold' is '{options.auto_trim_threshold}': must not be negative."
        )
    excluded_resources(options)
    return options


def excluded_resources(options: Options) -> list[dict[str, str]]:
    """Return what is left out, each as its ids: `{"bucket": "b", "collection": "c"}`. Raises SettingsError.

    >>> excluded_resources(Options(exclude_resources=("/buckets/b", "/buckets/b/groups/g")))
    [{'bucket': 'b'}, {'bucket': 'b', 'group': 'g'}]
    """
    return [_ids(uri) for uri in options.exclude_resources]


def _ids(uri: str) -> dict[str, str]:
    found = _URI.fullmatch(uri)
    if found is None:
        rule = "must be the URIs of buckets, groups, collections or records, as /buckets/blog/collections/articles"
        raise SettingsError(f"Setting 'history.exclude_resources' has '{uri}': {rule}.")
    return {name: id for name, id in found.groupdict().items() if id}
