"""The options of a listener's own, as texts in the settings: `event_listeners.<name>.<option>`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kobako.settings import EventListener, SettingsError, shown

SECRETS: Final = frozenset({"secret"})
"""Options whose values are not shown."""


def read(described: EventListener, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options that are set. Raises SettingsError for one that is unknown, or not as it has to be."""
    return {name: _value(described, name, raw, known) for name, raw in described.options.items()}


def refused(described: EventListener, option: str, problem: str) -> SettingsError:
    """Return the error for an option: the problem ends a sentence, "Setting ... is ...: must be ..."."""
    raw = described.options.get(option, "")
    value = "***" if option in SECRETS and raw else shown(raw)
    return SettingsError(f"Setting 'event_listeners.{described.name}.{option}' is '{value}': {problem}.")


def _value(described: EventListener, option: str, raw: str, known: Mapping[str, Callable[[str], Any]]) -> Any:
    if option not in known:
        own = f"'event_listeners.{described.name}.{option}'"
        raise SettingsError(f"Unknown setting {own}: '{described.use}' has the options {', '.join(known)}.")
    try:
        return known[option](raw)
    except ValueError as error:
        raise refused(described, option, str(error)) from None
