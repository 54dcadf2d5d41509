"""What a dotted name leads to: a module, or something in one.

Source: HTTP API, sections 14.5 and 16.14; objects, 27.1.
"""

import importlib
from typing import Any


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


def _prefixes(name: str) -> set[str]:
    """Return the names of the packages that a name goes through, and itself."""
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
