"""Listeners that the settings name, made when the app is.

`event_listeners.<name>.use` is the dotted name of a factory, or of a module with a factory called `listener`. It is
called with the listener's own options, texts as they stand in the settings, and returns what is run; or a `Listener`,
where that is to be run after the commit. A module that needs more has a function `listening` instead: called with all
that the settings say, it returns a `Listening`.

Source: HTTP API, 14.5; objects, 27.3.
"""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import msgspec

from kobako.model.listeners import Listener, Listening
from kobako.settings import EventListener, dotted, imports

Factory = Callable[[Mapping[str, str]], Any]


def named(described: EventListener) -> Listening:
    """Return what the settings describe. Raises SettingsError for a name that leads to no listener."""
    setting = "event_listeners" if described.use == described.name else f"event_listeners.{described.name}.use"
    found = _found(setting, described.use)
    if isinstance(found, ModuleType) and hasattr(found, "listening"):
        made: Listening = found.listening(described)
    else:
        made = Listening([_listener(setting, described, _factory(setting, described.use, found))])
    told = {"actions": described.actions, "resources": described.resources, "name": described.name}
    return Listening([msgspec.structs.replace(each, **told) for each in made.listeners], made.tasks)


def _listener(setting: str, described: EventListener, factory: Factory) -> Listener:
    made = factory(described.options)
    listener = made if isinstance(made, Listener) else Listener(made)
    if not callable(listener.run):
        raise imports.refused(setting, described.use, f"returned {listener.run!r}, which is no listener")
    return listener


def _found(setting: str, name: str) -> Any:
    try:
        return imports.load(dotted.listener(name))
    except ValueError as error:
        raise imports.refused(setting, name, str(error)) from error


def _factory(setting: str, name: str, found: Any) -> Factory:
    if isinstance(found, ModuleType):
        found = getattr(found, "listener", None)
        if not callable(found):
            raise imports.refused(setting, name, "is a module without a function 'listener'")
    if not callable(found):
        raise imports.refused(setting, name, "cannot be called")
    return found  # type: ignore[no-any-return]
