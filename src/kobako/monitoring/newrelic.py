"""New Relic: its agent, begun before an app is made, and the wrapper that makes a transaction of each request.

Source: HTTP API, section 16.12.
"""

from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import TYPE_CHECKING

from newrelic import agent  # type: ignore[import-untyped]

from kobako.settings import Settings, SettingsError

if TYPE_CHECKING:
    from kobako.monitoring import Application

PATIENCE_S = 2
"""How long a stop waits for what is still to be sent."""


def check(settings: Settings) -> None:
    """Raise SettingsError if there is no file that can be read."""
    path = settings.newrelic_config or ""
    try:
        ConfigParser(interpolation=None, strict=False).read_string(Path(path).read_text())
    except OSError as error:
        raise SettingsError(f"Setting 'newrelic_config' is '{path}': {error.strerror}.") from error
    except (ConfigParserError, UnicodeDecodeError) as error:
        raise SettingsError(f"Setting 'newrelic_config' is '{path}', which is no configuration: {error}.") from error


def begin(settings: Settings) -> None:
    """Start the agent of this process as its file says. Raises SettingsError for one that it cannot read."""
    try:
        agent.initialize(settings.newrelic_config, settings.newrelic_env)
    except Exception as error:
        raise SettingsError(f"Setting 'newrelic_config' is '{settings.newrelic_config}': {error}.") from error


def end() -> None:
    """Send what has not been sent yet, and stop the agent."""
    agent.shutdown_agent(PATIENCE_S)


def wrapped(app: "Application") -> "Application":
    """Return an app whose requests are transactions."""
    found: Application = agent.ASGIApplicationWrapper(app)
    return found
