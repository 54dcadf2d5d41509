"""The settings of a plugin, `<plugin>.<field>`, and those of a policy, typed by a Struct of its own.

Source: objects, 27.1; HTTP API, 16.7.
"""

from collections.abc import Mapping
from typing import TypeVar, get_type_hints

import msgspec

from kobako.settings import sources
from kobako.settings.fields import PARSERS, Policy, Settings
from kobako.settings.inifile import SettingsError
from kobako.settings.reading import shown

Options = TypeVar("Options", bound=msgspec.Struct)


def read_options(settings: Settings, plugin: str, kind: type[Options], separator: str = ".") -> Options:
    """Return the settings of a plugin: `limit` of `stats` is `stats.limit` in the file, KOBAKO_STATS_LIMIT outside.

    A field that is renamed, `msgspec.field(name="log.limit")`, is `stats.log.limit`. Raises SettingsError for a value
    that is none, one that is missing and has no default, and a name that is unknown: with another separator, nothing is
    known of which names are the plugin's.

    >>> class Limits(msgspec.Struct):
    ...     most: int = 10
    >>> read_options(Settings(plugin_options={"stats.most": "3"}), "stats", Limits)
    Limits(most=3)
    """
    given, start = settings.plugin_options, f"{plugin}{separator}"
    if separator == ".":
        _require_known(start, given, kind)
    found = {name: given.get(sources.variable(start + name), given.get(start + name)) for name in _names(kind)}
    return _typed(start, found, kind)


def policy_options(policy: Policy, kind: type[Options]) -> Options:
    """Return the settings of a policy, `multiauth.policy.<name>.<field>`. Raises SettingsError as `read_options` does.

    >>> class Limits(msgspec.Struct):
    ...     most: int
    >>> policy_options(Policy("robots", "mine.robots", {"most": "3"}), Limits)
    Limits(most=3)
    """
    start = f"multiauth.policy.{policy.name}."
    _require_known(start, [start + name for name in policy.options], kind)
    return _typed(start, {name: policy.options.get(name) for name in _names(kind)}, kind)


def _names(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return kind.__struct_encode_fields__


def _require_known(start: str, given: Mapping[str, str] | list[str], kind: type[msgspec.Struct]) -> None:
    known = [start + name for name in _names(kind)]
    for name in given:
        if name.startswith(start) and name not in known:
            raise SettingsError(f"Unknown setting '{name}': there is {', '.join(known) or 'none of this plugin'}.")


def _typed(start: str, given: Mapping[str, str | None], kind: type[Options]) -> Options:
    plain, exact = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(kind):
        name, raw = start + field.encode_name, given[field.encode_name]
        if raw is not None:
            found[field.name] = _converted(name, raw, plain[field.name], exact[field.name])
        elif field.required:
            raise SettingsError(f"Setting '{name}' is missing.")
    return kind(**found)


def _converted(name: str, raw: str, plain: object, exact: object) -> object:
    try:
        return msgspec.convert(PARSERS.get(plain, str)(raw), exact, strict=False)
    except ValueError as error:
        raise SettingsError(f"Setting '{name}' is '{shown(raw)}': {error}.") from None
