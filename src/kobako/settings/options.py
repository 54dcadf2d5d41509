"""The settings of a plugin: named `<plugin>.<field>`, typed by a Struct of its own.

Source: objects, 27.1.
"""

from collections.abc import Mapping
from typing import TypeGuard, TypeVar, get_type_hints

import msgspec

from kobako.settings import sources
from kobako.settings.fields import PARSERS, Settings
from kobako.settings.inifile import SettingsError
from kobako.settings.reading import shown

Options = TypeVar("Options", bound=msgspec.Struct)

Texts = dict[str, str]


def read_options(settings: Settings, plugin: str, kind: type[Options], separator: str = ".") -> Options:
    """Return the settings of a plugin: `limit` of `stats` is `stats.limit` in the file, KOBAKO_STATS_LIMIT outside.

    The Struct has a default for each field. A field that is a Struct itself has settings below its own name, and a
    field of texts by name has all that stand in the file below it. Raises SettingsError for a value that is none, and a
    name that is unknown: with another separator, nothing is known of which names are the plugin's.

    >>> class Limits(msgspec.Struct):
    ...     most: int = 10
    >>> read_options(Settings(plugin_options={"stats.most": "3"}), "stats", Limits)
    Limits(most=3)
    """
    prefix, hints = f"{plugin}{separator}", get_type_hints(kind)
    given = settings.plugin_options
    if separator == ".":
        _require_known(given, prefix, hints)
    found: dict[str, object] = {}
    for field, hint in hints.items():
        name = prefix + field
        if _is_struct(hint):
            found[field] = read_options(settings, name, hint)
        elif hint == Texts:
            found[field] = {each.removeprefix(f"{name}."): raw for each, raw in given.items() if _is_below(each, name)}
        elif (raw := given.get(sources.variable(name), given.get(name))) is not None:
            found[field] = _converted(name, raw, hint)
    return kind(**found)


def _require_known(given: Mapping[str, str], prefix: str, hints: Mapping[str, object]) -> None:
    tables = tuple(f"{prefix}{field}." for field, hint in hints.items() if _is_struct(hint) or hint == Texts)
    known = [prefix + field for field in hints]
    for name in given:
        if name.startswith(prefix) and name not in known and not name.startswith(tables):
            raise SettingsError(f"Unknown setting '{name}': there is {', '.join(known) or 'none of this plugin'}.")


def _is_struct(hint: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _is_below(name: str, table: str) -> bool:
    return name.startswith(f"{table}.")


def _converted(name: str, raw: str, hint: object) -> object:
    try:
        return msgspec.convert(PARSERS.get(hint, str)(raw), hint, strict=False)
    except ValueError as error:
        raise SettingsError(f"Setting '{name}' is '{shown(raw)}': {error}.") from None
