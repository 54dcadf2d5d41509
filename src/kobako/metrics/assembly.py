"""Which metrics are on, and what is timed for them: used once, when an app is made.

Where none are on, everything is returned as it came.

Source: HTTP API, 15.5 and 16.12.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from kobako.cache.base import Cache
from kobako.databases.base import Database, FarDatabase
from kobako.http.site import Authenticator
from kobako.metrics.base import Metrics
from kobako.metrics.measured import MeasuredCache, MeasuredDatabase, MeasuredFarDatabase, timed
from kobako.model.listeners import Listener
from kobako.settings import Settings, SettingsError

SERVICES: Final = ("prometheus", "statsd")


def open_metrics(settings: Settings) -> Metrics | None:
    """Return where metrics go, None if they are not asked for. Raises SettingsError."""
    included = [each for each in settings.includes if each in SERVICES]
    if len(included) > 1:
        raise SettingsError(f"Setting 'includes' has {' and '.join(included)}: metrics go to one of them only.")
    # The URL alone was enough for Cliquet and the first versions of Kinto.
    service = included[0] if included else "statsd" if settings.statsd_url else None
    try:
        return None if service is None else _prometheus(settings) if service == "prometheus" else _statsd(settings)
    except ImportError as error:
        raise SettingsError(f"Metrics need a library that is missing: pip install 'kobako[{service}]'.") from error


def _prometheus(settings: Settings) -> Metrics:
    from kobako.metrics.prometheus import Prometheus, prefix_of

    named = settings.project_name if settings.prometheus_prefix is None else settings.prometheus_prefix
    return Prometheus(
        prefix_of(named),
        disabled=settings.prometheus_disabled_metrics,
        buckets=settings.prometheus_histogram_buckets,
        shows_created=settings.prometheus_created_metrics_enabled,
        open_labels=(*settings.metrics_matchdict_fields, "userid"),
    )


def _statsd(settings: Settings) -> Metrics:
    from kobako.metrics.statsd import StatsD

    if not settings.statsd_url:
        raise SettingsError("Setting 'includes' has statsd: 'statsd_url' has to say where to, as udp://host:8125.")
    try:
        return StatsD(settings.statsd_url, settings.project_name or settings.statsd_prefix)
    except OSError as error:
        raise SettingsError(f"Setting 'statsd_url' is '{settings.statsd_url}': {error.strerror}.") from error


def measured_backends(database: Database, cache: Cache, metrics: Metrics | None) -> tuple[Database, Cache]:
    """Return backends that are timed."""
    if metrics is None:
        return database, cache
    measured = MeasuredFarDatabase if isinstance(database, FarDatabase) else MeasuredDatabase
    return measured(database, metrics), MeasuredCache(cache, metrics)


def measured_authenticators(authenticators: Iterable[Authenticator], metrics: Metrics | None) -> list[Authenticator]:
    """Return authenticators that are timed, at each request."""
    if metrics is None:
        return list(authenticators)
    labels = {"method": "authenticate"}
    return [
        msgspec.structs.replace(
            each,
            authenticate=timed(each.authenticate, metrics, f"authentication.{each.name}.seconds", labels),
            lasts_s=0,
        )
        for each in authenticators
    ]


def measured_listeners(listeners: Iterable[Listener], metrics: Metrics | None) -> list[Listener]:
    """Return listeners, of which those that have a name are timed; with a dot it is said where they belong."""
    if metrics is None:
        return list(listeners)
    return [
        msgspec.structs.replace(each, run=timed(each.run, metrics, f"{_in_full(each.name)}.seconds"))
        if each.name
        else each
        for each in listeners
    ]


def _in_full(name: str) -> str:
    return name if "." in name else f"listeners.{name}"
