"""The steps of the start: parts of the server that `initialization_sequence` may leave out, or add.

Files for Kinto and Cliquet list the functions that set up their server, by dotted names. Here each is a `Feature`: of a
list without it, the settings that the function would have read are as if not given (WITHOUT), and what has no
setting asks `settings.features`. Any other name that can be imported is a step of one's own.

Source: HTTP API, section 16.14.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from kobako.settings import imports
from kobako.settings.inifile import SettingsError

if TYPE_CHECKING:
    from kobako.settings.fields import Settings

OwnStep = Callable[["Settings"], object]


class Feature(StrEnum):
    """A part of the server, by the name of the step that brings it."""

    READONLY = "restrict_http_methods_if_readonly"
    CSP_HEADERS = "setup_csp_headers"
    LOGGING = "setup_logging"
    STORAGE = "setup_storage"
    PERMISSION = "setup_permission"
    CACHE = "setup_cache"
    REQUESTS_SCHEME = "setup_requests_scheme"
    VERSION_REDIRECTION = "setup_version_redirection"
    TRAILING_SLASH_REDIRECTION = "setup_trailing_slash_redirection"
    DEPRECATION = "setup_deprecation"
    AUTHENTICATION = "setup_authentication"
    BACKOFF = "setup_backoff"
    SENTRY = "setup_sentry"
    LISTENERS = "setup_listeners"
    METRICS = "setup_metrics"
    TRANSACTION_HOOK = "setup_transaction_hook"


WITHOUT: Final[Mapping[Feature, Mapping[str, Any]]] = {
    Feature.STORAGE: {"storage_backend": "", "storage_url": ""},
    Feature.PERMISSION: {"permission_backend": "", "permission_url": ""},
    Feature.CACHE: {"cache_backend": "", "cache_url": ""},
    Feature.REQUESTS_SCHEME: {"http_scheme": None, "http_host": None},
    Feature.VERSION_REDIRECTION: {"version_prefix_redirect_enabled": False},
    Feature.TRAILING_SLASH_REDIRECTION: {"trailing_slash_redirect_enabled": False},
    Feature.DEPRECATION: {"eos": None},
    Feature.AUTHENTICATION: {"policies": ()},
    Feature.BACKOFF: {"backoff": None},
    Feature.SENTRY: {"sentry_dsn": None},
    Feature.LISTENERS: {"event_listeners": ()},
}
"""What the settings are where a feature is left out."""

SYNONYMS: Final = {"setup_statsd": Feature.METRICS.value}

INTERNAL: Final = frozenset({"setup_request_bound_data", "setup_json_serializer", "setup_vary_headers"})
"""Steps that clients see nothing of (no answer has `Vary`): there is nothing to leave out."""

_OF_A_SERVER = re.compile(r"(?:kinto\.core|cliquet|kobako)\.(?:initialization|events)\.(\w+)")


def features(sequence: Sequence[str]) -> frozenset[Feature]:
    """Return what a list of steps brings; an empty one leaves nothing out.

    >>> sorted(features(["kinto.core.initialization.setup_cache"]))
    [<Feature.CACHE: 'setup_cache'>, <Feature.TRAILING_SLASH_REDIRECTION: 'setup_trailing_slash_redirection'>]
    """
    if not sequence:
        return frozenset(Feature)
    named = {step for name in sequence if (step := _known(name))}
    if not any(name.startswith("cliquet.") for name in sequence):
        # Only Cliquet had a step for it.
        named.add(Feature.TRAILING_SLASH_REDIRECTION.value)
    return frozenset(each for each in Feature if each.value in named)


def own(sequence: Sequence[str]) -> dict[str, OwnStep]:
    """Return the steps that are no server's, by name; without those that lead nowhere. Raises SettingsError."""
    found = {}
    for name in sequence:
        if _OF_A_SERVER.fullmatch(name):
            continue
        try:
            step = imports.load(name)
            if not callable(step):
                raise ValueError("cannot be called")
        except imports.NothingThere:
            continue
        except ValueError as error:
            raise _refused(name, f"which {error}") from error
        found[name] = step
    return found


def unknown(sequence: Sequence[str]) -> list[str]:
    """Return the names of steps that nobody knows. Raises SettingsError."""
    found = own(sequence)
    return [name for name in sequence if name not in found and _known(name) is None]


def run(settings: "Settings") -> None:
    """Call the steps of one's own, in their order. Raises SettingsError for one that fails."""
    for name, step in own(settings.initialization_sequence).items():
        try:
            step(settings)
        except Exception as error:
            raise _refused(name, f"which failed: {error}") from error


def _known(name: str) -> str | None:
    """Return the step that a dotted name means, None for one that no server has."""
    match = _OF_A_SERVER.fullmatch(name)
    step = SYNONYMS.get(match[1], match[1]) if match else None
    return step if step in INTERNAL or step in {*Feature} else None


def _refused(name: str, problem: str) -> SettingsError:
    return SettingsError(f"Setting 'initialization_sequence' has '{name}', {problem}.")
