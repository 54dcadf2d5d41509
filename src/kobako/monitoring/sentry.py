"""Sentry: what the log says of failures, sent to whoever mends them. Not what clients sent.

Events are entries of the log, from a level on; entries below, from another level on, come along as what went before.
Neither headers nor bodies are told, nor the variables of the functions that failed, in which both would be.

Source: HTTP API, section 16.12.
"""

from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.utils import BadDsn

from kobako.settings import Settings, SettingsError

if TYPE_CHECKING:
    from kobako.monitoring import Application, Receive, Scope, Send

PATIENCE_S = 2
"""How long a start, or a stop, waits for what is still to be sent."""


def begin(settings: Settings) -> None:
    """Send the events of this process from now on. Raises SettingsError."""
    try:
        sentry_sdk.init(
            dsn=settings.sentry_dsn,
            environment=settings.sentry_env,
            release=settings.project_version,
            integrations=[LoggingIntegration(settings.sentry_breadcrumbs_min_level, settings.sentry_events_min_level)],
            auto_enabling_integrations=False,
            send_default_pii=False,
            max_request_body_size="never",
            include_local_variables=False,
            before_breadcrumb=_without_fields,
        )
    except BadDsn as error:
        raise SettingsError(f"Setting 'sentry_dsn' is no address of a Sentry project: {error}.") from error


def _without_fields(breadcrumb: dict[str, Any], hint: object) -> dict[str, Any]:
    # An entry about a part of a batch has them: who called, and with what.
    breadcrumb.pop("data", None)
    return breadcrumb


def announce(settings: Settings) -> None:
    """Send the message that a server starts, and stop again: the processes that serve begin their own."""
    begin(settings)
    sentry_sdk.capture_message(f"Running {settings.project_name} {settings.project_version}.", "info")
    sentry_sdk.get_client().close(PATIENCE_S)


def end() -> None:
    """Send what has not been sent yet."""
    sentry_sdk.flush(PATIENCE_S)


def isolated(app: "Application") -> "Application":
    """Return an app in which what went before an event is what the same request did."""

    async def serve(scope: "Scope", receive: "Receive", send: "Send") -> None:
        with sentry_sdk.isolation_scope() as isolation:
            isolation.clear_breadcrumbs()
            await app(scope, receive, send)

    return serve
