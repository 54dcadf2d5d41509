"""Settings of the server: typed, read once, from the environment, a file and defaults.

`read_settings` is the way in, `Settings` what comes out; `fields.py` is the table of all of them.
"""

from kobako.settings.fields import POOL, EventListener, Policy, Settings, all_by_name
from kobako.settings.inifile import DEFAULT_PORT, SettingsError, read_address
from kobako.settings.options import policy_options, read_option, read_options
from kobako.settings.reading import read_settings, shown, unknown
from kobako.settings.steps import Feature

__all__ = [
    "DEFAULT_PORT",
    "POOL",
    "EventListener",
    "Feature",
    "Policy",
    "Settings",
    "SettingsError",
    "all_by_name",
    "policy_options",
    "read_address",
    "read_option",
    "read_options",
    "read_settings",
    "shown",
    "unknown",
]
