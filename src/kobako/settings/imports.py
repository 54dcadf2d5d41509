"""What a dotted name leads to: a module, or something in one.

Source: HTTP API, sections 14.5 and 16.14; objects, 27.1.
"""

import importlib
from collections.abc import Callable
from typing import Any

from kobako.settings.inifile import SettingsError


class NothingThere(ValueError):
    """No module has this name, nor anything in one."""


def load(name: str) -> Any:
    """Return the module of this name, or what the module before the last dot has under the name after it.

    Raises NothingThere; ValueError for what is there and cannot be imported. Both end a sentence, "which ...".
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        module, _, attribute = name.rpartition(".")
        if not isinstance(error, ModuleNotFoundError) or error.name not in _prefixes(name):
            # Found, and broken: which is another story than a name that does not exist.
            raise ValueError(f"cannot be imported: {error}") from error
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise NothingThere("does not exist") from error


def load_callable(setting: str, name: str) -> Callable[..., Any]:
    """Return what a setting names, which can be called. Raises SettingsError."""
    try:
        found = load(name)
    except ValueError as error:
        raise refused(setting, name, str(error)) from error
    if not callable(found):
        raise refused(setting, name, "cannot be called")
    return found  # type: ignore[no-any-return]


def refused(setting: str, name: str, problem: str) -> SettingsError:
    """Return the error for a setting whose name leads to nothing of use."""
    return SettingsError(f"Setting '{setting}' is '{name}', which {problem}.")


def _prefixes(name: str) -> set[str]:
    """Return the names of the packages that a name goes through, and itself."""
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
