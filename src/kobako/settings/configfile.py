"""What is told of the configuration file that settings were read from: which one, and which state of it.

Source: HTTP API, section 6.1.
"""

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec

from kobako.settings.inifile import SettingsError


class ConfigFile(msgspec.Struct, frozen=True):
    """The path as it was named, the SHA-256 of the content in hexadecimal, the local time of the last change."""

    path: str
    hash: str
    modified: str


def describe(ini: Path) -> ConfigFile:
    """Return what is told of a file. Raises SettingsError for one that cannot be read."""
    try:
        modified = datetime.fromtimestamp(ini.stat().st_mtime).isoformat()
        return ConfigFile(str(ini), hashlib.sha256(ini.read_bytes()).hexdigest(), modified)
    except OSError as error:
        raise SettingsError(f"{ini} cannot be read: {error.strerror}") from None
