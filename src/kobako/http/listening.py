"""Listeners that the settings name, made when the app is.

`event_listeners.<name>.use` is the dotted name of a factory, or of a module with a factory called `listener`. It is
called with the listener's own options, texts as they stand in the settings, and returns what is run; or a `Listener`,
where that is to be run after the commit.

Source: HTTP API, 14.5; objects, 27.3.
"""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import msgspec

from kobako.model.listeners import Listener
from kobako.settings import EventListener, imports

Factory = Callable[[Mapping[str, str]], Any]


def named(described: EventListener) -> Listener:
    """Return the listener that the settings describe. Raises SettingsError for a name that leads to none."""
    setting = "event_listeners" if described.use == described.name else f"event_listeners.{described.name}.use"
    made = _factory(setting, described.use)(described.options)
    listener = made if isinstance(made, Listener) else Listener(made)
    if not callable(listener.run):
        raise imports.refused(setting, described.use, f"returned {listener.run!r}, which is no listener")
    return msgspec.structs.replace(
        listener, actions=described.actions, resources=described.resources, name=described.name
    )


def _factory(setting: str, name: str) -> Factory:
    try:
        found = imports.load(name)
    except ValueError as error:
        raise imports.refused(setting, name, str(error)) from error
    if isinstance(found, ModuleType):
        found = getattr(found, "listener", None)
        if not callable(found):
            raise imports.refused(setting, name, "is a module without a function 'listener'")
    if not callable(found):
        raise imports.refused(setting, name, "cannot be called")
    return found  # type: ignore[no-any-return]
