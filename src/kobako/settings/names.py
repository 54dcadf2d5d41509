"""Names of settings: which exist, which are Kinto's and mean nothing here, and what somebody may have meant.

Source: HTTP API, sections 16.4 to 16.13; objects, 2.6.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from kobako.settings import dotted, parsing
from kobako.settings.fields import rows

STOCK_RESOURCES: Final = (
    "bucket",
    "collection",
    "group",
    "record",
    "permissions",
    "history",
    "account",
    "user-data",
)

FIXED: Final = {row.name: row for row in rows()}

STRUCTURAL: Final = frozenset({"use", "settings_prefix", "multiauth.policies"})
"""Names that are read where they matter, and say nothing by themselves."""

NAMING: Final = ("multiauth.policies", "event_listeners")
"""Settings that list names, about each of which other settings say more."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WITHOUT_EFFECT: Final = _names("""
    json_renderer handle_exceptions available_languages filter filter-with storage_poolclass
    permission_poolclass cache_poolclass admin_assets_path
""")
"""Names of Kinto's that change nothing, or belong to what is not included: neither refused nor spoken of."""

OF_PLUGINS: Final = _names("""
    default_bucket_hmac_secret account_cache_ttl_seconds account_validation account_argon2_memory_kib
    account_argon2_rounds
""")
"""Names of the package's own plugins that do not begin as FOREIGN ones do."""

KNOWN: Final = FIXED.keys() | STRUCTURAL | WITHOUT_EFFECT | OF_PLUGINS

PLUGIN_PREFIXES: Final = tuple(
    _names("history. quotas. attachment. changes. signer. mail. fxa-oauth. account_validation.")
)
"""How names begin that belong to the package's own plugins."""

FOREIGN: Final = tuple(
    _names("""
    multiauth.policy. event_listeners. pyramid. tm. jinja2. heka. retry. cornice. kinto_changes. signer_ statsd.
    session. cache. debugtoolbar.
""")
)
"""How names begin that belong to policies, and frameworks of other servers."""


class Family(msgspec.Struct, frozen=True):
    """Settings that exist once a resource: `pattern` has a group `type`, `key` is for Settings."""

    attribute: str
    pattern: re.Pattern[str]
    key: Callable[[re.Match[str]], str]
    parse: parsing.Parser


def _generator(raw: str) -> str:
    return dotted.resolve("id generator", raw)


def _disabled(raw: str) -> bool:
    return not parsing.boolean(raw)


# The names of Kinto 1.x for the two kinds of endpoints.
_ENDPOINTS = {"collection": "plural", "record": "object"}

FAMILIES: Final = (
    Family(
        "principals_by_permission",
        re.compile(r"(?P<type>.+)_(?P<permission>read|write|create|delete)_principals"),
        lambda match: f"{match['type']}_{match['permission']}",
        parsing.principals,
    ),
    Family(
        "cache_expires",
        re.compile(r"(?P<key>(?:.+[._])?(?P<type>[^._]+))_cache_expires_seconds"),
        lambda match: match["key"],
        parsing.integer_or_none,
    ),
    Family(
        "indexes",
        re.compile(r"(?P<key>(?:.+[._])?(?P<type>record))_indexes"),
        lambda match: match["key"],
        parsing.indexed_fields,
    ),
    Family(
        "id_generators",
        re.compile(r"(?:(?P<type>.+)_)?id_generator"),
        lambda match: match["type"] or "",
        _generator,
    ),
    Family(
        "disabled_methods",
        re.compile(
            r"(?P<endpoint>plural|object|collection|record)_(?P<type>.+)_(?P<method>get|head|post|put|patch|delete)_enabled"
        ),
        lambda match: f"{_ENDPOINTS.get(match['endpoint'], match['endpoint'])}_{match['type']}_{match['method']}",
        _disabled,
    ),
)


def member(name: str) -> tuple[Family, re.Match[str]] | None:
    """Return the family a name belongs to by its form, whatever the type in it."""
    for family in FAMILIES:
        if match := family.pattern.fullmatch(name):
            return family, match
    return None


def exists(name: str, resources: Collection[str]) -> bool:
    """Tell whether a name (without prefix) is a setting of Kobako or Kinto; in families, of these resources.

    >>> exists("paginate_by", []), exists("mushroom_read_principals", ["mushroom"]), exists("pagnate_by", [])
    (True, True, False)
    """
    if name in KNOWN or name.startswith((*FOREIGN, *PLUGIN_PREFIXES)):
        return True
    found = member(name)
    return found is not None and found[1]["type"] in (None, "root", *resources)


def is_undecided(name: str, resources: Collection[str]) -> bool:
    """Tell whether a name is about a kind of object that is none of these: somebody else may bring it.

    >>> is_undecided("shelf_read_principals", ["bucket"]), is_undecided("bucket_read_principals", ["bucket"])
    (True, False)
    """
    return member(name) is not None and not exists(name, resources)


def nearest(name: str, resources: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the setting that a misspelt name is closest to.

    >>> nearest("pagnate_by", []), nearest("buket_create_principals", ["bucket"])
    ('paginate_by', 'bucket_create_principals')
    """
    members = [
        form.format(resource)
        for resource in resources
        for form in ("{}_read_principals", "{}_write_principals", "{}_create_principals", "{}_id_generator")
    ]
    candidates = [*FIXED, "id_generator", "record_cache_expires_seconds", "record_indexes", *members]
    return next(iter(difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff)), None)
