"""Dotted names of implementations, as files for Kinto and Cliquet have them, and what they are called here.

An installation's file names modules of another server: `kinto.core.storage.memory`. They mean ours. What is
known but not offered is refused by its name, so that nobody serves from a place they did not choose.

Source: HTTP API, section 16.15.
"""

import pkgutil
import re
from pathlib import Path
from typing import Final

from kobako.settings import imports, parsing

_CORE = r"(?:(?:kinto\.core|kinto|cliquet|kobako)\.)?"

NAMES: Final = (
    ("database", rf"{_CORE}(?:storage|permission)\.(\w+)", r"\1"),
    ("database", r"kinto_redis(?:\.(?:storage|permission))?", "redis"),
    ("cache", rf"{_CORE}cache\.(\w+)", r"\1"),
    ("cache", r"kinto_redis(?:\.cache)?", "redis"),
    ("policy", rf"{_CORE}authentication\.BasicAuthAuthenticationPolicy", "basicauth"),
    (
        "policy",
        r"kinto\.plugins\.accounts(?:\.authentication)?\.Accounts(?:Authentication)?Policy",
        "account",
    ),
    ("policy", r"kinto\.plugins\.openid\.OpenIDConnectPolicy", "openid"),
    ("policy", r"kobako\.plugins\.(openid|oauth|fxa)", r"\1"),
    ("policy", r"(?:cliquet|kinto)_fxa(?:\.\w+)*", "fxa"),
    # Older documents misspell it.
    ("policy", r"pyramid_ipauth\.IPAuthent(?:ication|iction)Policy", "ipauth"),
    ("group finder", rf"{_CORE}authorization\.groupfinder", ""),
    ("authorization policy", rf"{_CORE}authorization\.AuthorizationPolicy", ""),
    ("plugin", r"(?:kinto|kobako)\.plugins\.(\w+)", r"\1"),
    ("plugin", r"kinto_attachment", "attachments"),
    ("plugin", r"(?:cliquet|kinto)_fxa", "fxa"),
    ("statsd backend", rf"{_CORE}(?:plugins\.)?statsd", "statsd"),
    ("listener", rf"(?:{_CORE}listeners\.)?redis|kinto_redis\.listeners", "kobako.listeners.redis"),
    ("listener", "webhook", "kobako.listeners.webhook"),
    ("renderer", r"(?:kinto\.core|cliquet|kobako)\.logs\.ClassicLogRenderer|", "classic"),
    ("renderer", r"(?:kinto\.core|cliquet|kobako)\.logs\.MozillaHekaRenderer|kobako\.logs\.HekaFormatter", "heka"),
    ("renderer", r"(?:\w+\.)*JsonLogFormatter|kobako\.logs\.JsonFormatter", "json"),
    ("renderer", r"logging\.Formatter|(?:\w+\.)*ColorFormatter|kobako\.logs\.TextFormatter", "classic"),
    ("id generator", rf"{_CORE}storage\.generators\.UUID4", "uuid4"),
    ("id generator", r"kinto\.views\.NameGenerator", "name"),
    ("id generator", r"kinto\.views\.RelaxedUUID", "relaxed_uuid"),
)
"""What a name is for, its form, and ours."""

METRICS: Final = ("prometheus", "statsd")
"""Names in `includes` that are no plugins of the toolkit's kind: metrics are part of the server."""

PLUGINS: Final = tuple(each.name for each in pkgutil.iter_modules([str(Path(__file__).parents[1] / "plugins")]))
"""The plugins that the package brings: what is in its folder."""

OFFERED: Final = {
    "database": ("sqlite", "postgresql", "redis", "memory"),
    "cache": ("sqlite", "postgresql", "redis", "memcached", "memory"),
    "policy": ("basicauth", "ipauth", "account", "openid", "oauth", "fxa"),
    "plugin": (*METRICS, *PLUGINS),
    "statsd backend": ("statsd",),
    "renderer": ("classic", "json", "heka"),
    "id generator": ("uuid4", "name", "relaxed_uuid"),
}


OPEN: Final = ("database", "cache", "renderer", "id generator")
"""What may be anybody's own, by a dotted name (docs/toolkit.md)."""

_OF_A_SERVER: Final = re.compile(r"(?:kinto|cliquet|kobako|kinto_redis)\..*")


def resolve(kind: str, name: str) -> str:
    """Return our name of an implementation, or that of somebody's own. Raises ValueError if there is none.

    >>> resolve("database", "cliquet.storage.memory"), resolve("policy", "basicauth")
    ('memory', 'basicauth')
    """
    name = _ours(kind, name)
    if kind in OPEN and is_own(name):
        try:
            imports.load(name)
        except ValueError as error:
            raise ValueError(f"it {error}") from error
        return name
    if name not in OFFERED[kind]:
        raise ValueError(f"no such {kind} is offered; " + _offer(OFFERED[kind]))
    return name


def is_foreign(include: str) -> bool:
    """Tell whether what `includes` names is no plugin of ours.

    >>> is_foreign("kinto.plugins.statsd"), is_foreign("mine.stats")
    (False, True)
    """
    return _ours("plugin", include) not in OFFERED["plugin"]


def is_own(name: str) -> bool:
    """Tell whether a name can only be that of somebody's own module, or of something in one.

    >>> is_own("mine.storage"), is_own("kinto.core.storage.couchdb"), is_own("redis")
    (True, False, False)
    """
    return "." in name.strip(".") and not _OF_A_SERVER.fullmatch(name)


def plugins(raw: str) -> tuple[str, ...]:
    """Return the names of plugins, ours and anybody's. Raises ValueError for one of Kinto's that is not offered.

    >>> plugins("kinto.plugins.statsd mine.stats")
    ('statsd', 'mine.stats')
    """
    return tuple(_plugin(name) for name in parsing.words(raw))


def _plugin(name: str) -> str:
    if _ours("plugin", name) == name:
        return name
    try:
        return resolve("plugin", name)
    except ValueError as error:
        raise ValueError(f"of '{name}', {error}") from None


def policy(name: str) -> str:
    """Return our name of a policy; any other dotted name is somebody's own. Raises ValueError for one that is neither.

    >>> policy("pyramid_ipauth.IPAuthentictionPolicy"), policy("mine.tokens.Policy")
    ('ipauth', 'mine.tokens.Policy')
    """
    ours = _ours("policy", name)
    if ours == "pyramid_persona":
        raise ValueError("the service that Persona was has closed, and no such policy is offered")
    return ours if ours == name and "." in name else resolve("policy", name)


def replacement(kind: str, name: str) -> str | None:
    """Return the dotted name of what is used in place of something of ours, None for ours.

    >>> replacement("group finder", "cliquet.authorization.groupfinder"), replacement("group finder", "mine.groups")
    (None, 'mine.groups')
    """
    return _ours(kind, name) or None


def listener(name: str) -> str:
    """Return the name of a listener's module, or of what makes the listener, which may be anybody's.

    >>> listener("mine.audit"), listener("kinto_redis.listeners")
    ('mine.audit', 'kobako.listeners.redis')
    """
    return _ours("listener", name)


def _ours(kind: str, name: str) -> str:
    """Return what an implementation is called here; a name that is not in the table is left as it is."""
    for known_kind, form, ours in NAMES:
        match = re.fullmatch(form, name)
        if known_kind == kind and match:
            return match.expand(ours)
    return name


def _offer(names: tuple[str, ...]) -> str:
    return f"there is {', '.join(names)}" if names else "there is none yet"
