"""The settings of a plugin, `<plugin>.<field>`, and those of a policy, typed by a Struct of its own.

Source: objects, 27.1; HTTP API, 16.7.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeGuard, TypeVar, cast, get_type_hints

import msgspec

from kobako.settings import sources
from kobako.settings.fields import PARSERS, Policy, Settings
from kobako.settings.inifile import SettingsError
from kobako.settings.reading import shown

Options = TypeVar("Options", bound=msgspec.Struct)
Option = TypeVar("Option")

TEXTS: Final = dict[str, str]


def read_options(settings: Settings, plugin: str, kind: type[Options], separator: str = ".") -> Options:
    """Return the settings of a plugin: `limit` of `stats` is `stats.limit` in the file, KOBAKO_STATS_LIMIT outside.

    A field that is renamed, `msgspec.field(name="log.limit")`, is `stats.log.limit`; one that is a Struct itself has
    settings below its own name, and one of texts by name has all that stand in the file below it. Raises SettingsError
    for a value that is none, one that is missing and has no default, and a name that is unknown: with another
    separator, nothing is known of which names are the plugin's.

    >>> class Limits(msgspec.Struct):
    ...     most: int = 10
    >>> read_options(Settings(plugin_options={"stats.most": "3"}), "stats", Limits)
    Limits(most=3)
    """
    start = f"{plugin}{separator}"
    if separator == ".":
        _require_known(start, settings.plugin_options, kind)
    return _read(start, settings.plugin_options, kind)


def policy_options(policy: Policy, kind: type[Options]) -> Options:
    """Return the settings of a policy, `multiauth.policy.<name>.<field>`. Raises SettingsError as `read_options` does.

    >>> class Limits(msgspec.Struct):
    ...     most: int
    >>> policy_options(Policy("robots", "mine.robots", {"most": "3"}), Limits)
    Limits(most=3)
    """
    start = f"multiauth.policy.{policy.name}."
    given = {start + name: raw for name, raw in policy.options.items()}
    _require_known(start, given, kind)
    return _read(start, given, kind)


def read_option(settings: Settings, name: str, hint: type[Option]) -> Option | None:
    """Return one setting of a plugin, where its name depends on what it is for; None if it is not given.

    Raises SettingsError for a value that is none.

    >>> read_option(Settings(plugin_options={"stats.most_in_blog": "3"}), "stats.most_in_blog", int)
    3
    """
    raw = _raw(settings.plugin_options, name)
    return None if raw is None else cast(Option, _converted(name, raw, hint, hint))


def _require_known(start: str, given: Iterable[str], kind: type[msgspec.Struct]) -> None:
    hints = get_type_hints(kind)
    fields = {start + each.encode_name: hints[each.name] for each in msgspec.structs.fields(kind)}
    tables = tuple(f"{name}." for name, hint in fields.items() if _is_struct(hint) or hint == TEXTS)
    for name in given:
        if name.startswith(start) and name not in fields and not name.startswith(tables):
            raise SettingsError(f"Unknown setting '{name}': there is {', '.join(fields) or 'none of this plugin'}.")


def _read(start: str, given: Mapping[str, str], kind: type[Options]) -> Options:
    plain, exact = get_type_hints(kind), get_type_hints(kind, include_extras=True)
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        name, hint = start + field.encode_name, plain[field.name]
        if _is_struct(hint):
            _require_known(f"{name}.", given, hint)
            found[field.name] = _read(f"{name}.", given, hint)
        elif hint == TEXTS:
            found[field.name] = {
                each.removeprefix(f"{name}."): raw for each, raw in given.items() if each.startswith(f"{name}.")
            }
        elif (raw := _raw(given, name)) is not None:
            found[field.name] = _converted(name, raw, hint, exact[field.name])
        elif field.required:
            raise SettingsError(f"Setting '{name}' is missing.")
    return kind(**found)


def _raw(given: Mapping[str, str], name: str) -> str | None:
    return given.get(sources.variable(name), given.get(name))


def _is_struct(hint: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _converted(name: str, raw: str, plain: object, exact: object) -> object:
    try:
        return msgspec.convert(PARSERS.get(plain, str)(raw), exact, strict=False)
    except ValueError as error:
        raise SettingsError(f"Setting '{name}' is '{shown(raw)}': {error}.") from None
