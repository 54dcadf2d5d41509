"""The stock server: the resources of the Kinto HTTP API, with what the settings name.

`create_app` is a factory for any ASGI server; `kobako start` serves the same app with its own (`serving.py`).
"""

import logging
import os

from kobako import logs, monitoring, resources, stock
from kobako.app import App
from kobako.monitoring import Application
from kobako.resources import indexes, schemas
from kobako.settings import Settings


def create_app() -> Application:
    """Return the server that the environment and the configuration it names describe. Raises SettingsError."""
    logs.configure(logging.INFO)
    settings = stock.load(stock.find_ini(os.environ), os.environ)
    configure_logging(logging.INFO, settings)
    monitoring.check(settings)
    monitoring.announce(settings)
    return served_app(settings)


def served_app(settings: Settings) -> Application:
    """Return the server that these settings describe, with what watches it in this process."""
    monitoring.begin(settings)
    return monitoring.install_middlewares(stock_app(settings), settings)


def stock_app(settings: Settings) -> App:
    """Return the server that these settings describe."""
    judges = settings.experimental_collection_schema_validation
    capabilities = {"schema": schemas.CAPABILITY} if judges else {}
    return App(settings, resources.chosen(settings), plugins=[indexes.plugin(settings)], capabilities=capabilities)


def configure_logging(level: int, settings: Settings) -> None:
    """Log entries of this level and above, rendered as the settings say."""
    logs.configure(level, settings.logging_renderer, settings.project_name, settings.log_rules)
