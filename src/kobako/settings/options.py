"""The settings of a plugin: named `<plugin>.<field>`, typed by a Struct of its own.

Source: objects, 27.1.
"""

from typing import TypeVar, cast, get_type_hints

import msgspec

from kobako.settings import sources
from kobako.settings.fields import PARSERS, Settings
from kobako.settings.inifile import SettingsError
from kobako.settings.reading import shown

Options = TypeVar("Options", bound=msgspec.Struct)
Option = TypeVar("Option")


def read_options(settings: Settings, plugin: str, kind: type[Options], separator: str = ".") -> Options:
    """Return the settings of a plugin: `limit` of `stats` is `stats.limit` in the file, KOBAKO_STATS_LIMIT outside.

    The Struct has a default for each field. Raises SettingsError for a value that is none, and a name that is unknown:
    with another separator, nothing is known of which names are the plugin's.

    >>> class Limits(msgspec.Struct):
    ...     most: int = 10
    >>> read_options(Settings(plugin_options={"stats.most": "3"}), "stats", Limits)
    Limits(most=3)
    """
    given, known = settings.plugin_options, {f"{plugin}{separator}{field}": field for field in kind.__struct_fields__}
    for name in given:
        if separator == "." and name.startswith(f"{plugin}.") and name not in known:
            raise SettingsError(f"Unknown setting '{name}': there is {', '.join(known) or 'none of this plugin'}.")
    hints = get_type_hints(kind)
    found = {}
    for name, field in known.items():
        raw = _raw(settings, name)
        if raw is not None:
            found[field] = _converted(name, raw, hints[field])
    return kind(**found)


def read_option(settings: Settings, name: str, hint: type[Option]) -> Option | None:
    """Return one setting of a plugin, where its name depends on what it is for; None if it is not given.

    Raises SettingsError for a value that is none.

    >>> read_option(Settings(plugin_options={"stats.most_in_blog": "3"}), "stats.most_in_blog", int)
    3
    """
    raw = _raw(settings, name)
    return None if raw is None else cast(Option, _converted(name, raw, hint))


def _raw(settings: Settings, name: str) -> str | None:
    given = settings.plugin_options
    return given.get(sources.variable(name), given.get(name))


def _converted(name: str, raw: str, hint: object) -> object:
    try:
        return msgspec.convert(PARSERS.get(hint, str)(raw), hint, strict=False)
    except ValueError as error:
        raise SettingsError(f"Setting '{name}' is '{shown(raw)}': {error}.") from None
