"""The stock server: the resources of the Kinto HTTP API, with what the settings name.

`create_app` is a factory for any ASGI server; `kobako start` serves the same app with its own (`serving.py`).
"""

import logging
import os
import sys

from kobako import stock
from kobako.app import App
from kobako.resources import RESOURCES
from kobako.settings import Settings


def create_app() -> App:
    """Return the server that the environment and the configuration it names describe. Raises SettingsError."""
    configure_logging(logging.INFO)
    return stock_app(stock.load(stock.find_ini(os.environ), os.environ))


def stock_app(settings: Settings) -> App:
    """Return the server that these settings describe."""
    return App(settings, RESOURCES)


def configure_logging(level: int) -> None:
    """Log lines of this level and above to standard error, as `INFO   message`. Source: objects, section 26.1."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)-5s  %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # The event loop's own chatter helps nobody, whatever the level.
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
