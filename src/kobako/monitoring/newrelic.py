"""New Relic: its agent, begun before an app is made, and the wrapper that makes a transaction of each request.

Source: HTTP API, section 16.12.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from newrelic import agent  # type: ignore[import-untyped]

from kobako.settings import Settings, SettingsError

if TYPE_CHECKING:
    from kobako.monitoring import Application

PATIENCE_S = 2
"""How long a stop waits for what is still to be sent."""


def check(settings: Settings) -> None:
    """Raise SettingsError if there is no file to read."""
    if not Path(settings.newrelic_config or "").is_file():
        raise SettingsError(f"Setting 'newrelic_config' is '{settings.newrelic_config}': there is no such file.")


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
