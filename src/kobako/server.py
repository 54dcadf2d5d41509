"""The stock server: the resources of the Kinto HTTP API, with what the settings name.

`create_app` is a factory for any ASGI server; `kobako start` serves the same app with its own (`serving.py`).
"""

import logging
import os

from kobako import logs, resources, stock
from kobako.app import App
from kobako.resources import schemas
from kobako.settings import Settings


def create_app() -> App:
    """Return the server that the environment and the configuration it names describe. Raises SettingsError."""
    logs.configure(logging.INFO)
    settings = stock.load(stock.find_ini(os.environ), os.environ)
    configure_logging(logging.INFO, settings)
    return stock_app(settings)


def stock_app(settings: Settings) -> App:
    """Return the server that these settings describe."""
    judges = settings.experimental_collection_schema_validation
    capabilities = {"schema": schemas.CAPABILITY} if judges else {}
    return App(settings, resources.chosen(settings), capabilities=capabilities)


def configure_logging(level: int, settings: Settings) -> None:
    """Log entries of this level and above, rendered as the settings say."""
    logs.configure(level, settings.logging_renderer, settings.project_name, settings.log_rules)
