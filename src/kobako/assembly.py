"""Assembly: what App has been given becomes the Site that serves. Done once, when an app is made.

Source: HTTP API, sections 4.1, 6 and 14; objects, 27 and 28.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kobako.cache.base import Cache
from kobako.configured import once, served, settings_grants
from kobako.databases.base import Clock, Database
from kobako.http import end_of_service, listening, permissions, repeats
from kobako.http.authentication import last_s
from kobako.http.kept import Kept, Senders
from kobako.http.routing import Routes
from kobako.http.site import Authenticator, Check, Recognized, Site
from kobako.metrics.assembly import measured_authenticators, measured_backends, measured_listeners
from kobako.metrics.base import Metrics, Scraped
from kobako.model import purging
from kobako.model.listeners import Listeners
from kobako.model.resource import Resource, Resources
from kobako.model.transaction import Backends
from kobako.plugin import Plugin, Task
from kobako.policies import named
from kobako.policies.basic import CAPABILITY as BASICAUTH
from kobako.protocol import jsontext
from kobako.routes import lists_permissions, routes
from kobako.settings import Feature, Settings

if TYPE_CHECKING:
    from kobako.app import App

VERSION_FILES: Final = (Path(__file__).with_name("version.json"), Path(__file__).parent / "config" / "version.json")
"""Where the package may bring the version file, if the settings' is not there (section 6.4)."""


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """What a site is assembled from. What the app itself was given is the first of the plugins."""

    settings: Settings
    plugins: Sequence[Plugin]
    authenticators: Sequence[Authenticator]
    database: Database
    cache: Cache
    metrics: Metrics | None
    clock: Clock


def of_settings(settings: Settings) -> Plugin:
    """Return the listeners that the settings name, with the tasks they need, and upkeep. Raises SettingsError."""
    found = [listening.named(each) for each in settings.event_listeners]
    return Plugin(
        name="settings",
        listeners=[listener for each in found for listener in each.listeners],
        tasks=[*(task for each in found for task in each.tasks), *_upkeep(settings)],
    )


def _upkeep(settings: Settings) -> list[Task]:
    """Return the tasks that look after what is stored, as the settings say."""
    after_s = settings.purge_deleted_after

    async def purge(app: "App") -> None:
        assert after_s is not None
        await purging.keep_purging(app.site.backends, after_s)

    return [purge] if after_s and not settings.readonly and settings.storage_backend else []


def assemble(kit: Kit) -> Site:
    """Return what serves. Raises SettingsError."""
    settings, plugins, metrics = kit.settings, kit.plugins, kit.metrics
    resources = served(chain.from_iterable(each.resources for each in plugins), settings)
    views = [view for each in plugins for view in each.views]
    backends = _backends(kit, resources)
    authenticators = measured_authenticators(_authenticators(kit, backends), metrics)
    find_groups = named.group_finder(settings)
    senders = Senders[Recognized](last_s(authenticators, find_groups))
    return Site(
        settings=settings,
        backends=backends,
        routes=Routes("/v" + settings.http_api_version.partition(".")[0], routes(settings, resources, views, metrics)),
        authenticators=authenticators,
        find_groups=find_groups,
        listeners=_listeners(kit),
        capabilities=once("capability", [_capabilities(settings, metrics), *(each.capabilities for each in plugins)]),
        heartbeats=once("heartbeat", [_heartbeats(kit), *(each.heartbeats for each in plugins)]),
        version_file=_version_file(settings),
        end=end_of_service.planned(settings),
        metrics=metrics,
        about_user=[each.about_user for each in plugins if each.about_user],
        arrivals=[each.arrive for each in plugins if each.arrive],
        repeats=_repeats(kit, backends, senders),
        kept=Kept(settings.kept_answers_bytes),
        senders=senders,
    )


def _repeats(kit: Kit, backends: Backends, senders: Senders[Recognized]) -> bool:
    """Tell whether requests may be answered as the same ones before. Metrics tell of each in detail."""
    are_alike = all(each.arrives_alike for each in kit.plugins if each.arrive)
    are_known = senders.last_s > 0 if backends.are_near else senders.are_constant and backends.are_far
    return are_known and not kit.metrics and repeats.is_enough(kit.settings, are_alike=are_alike)


def _backends(kit: Kit, resources: Sequence[Resource]) -> Backends:
    settings = kit.settings
    database, cache = measured_backends(kit.database, kit.cache, kit.metrics)
    granted, authorize = settings_grants(settings, resources), named.authorize(settings)
    return Backends(database, cache, Resources(resources), granted, kit.clock, authorize)


def _authenticators(kit: Kit, backends: Backends) -> Iterable[Authenticator]:
    """Yield what the app was given, the policies of the settings, what plugins bring: they are asked in this order."""
    policies = once("policy", [each.policies for each in kit.plugins])
    yield from kit.authenticators
    for each in kit.settings.policies:
        make = policies.get(each.kind)
        yield make(each, backends) if make else named.authenticator(each, kit.settings)
    for plugin in kit.plugins:
        yield from plugin.authenticators


def _listeners(kit: Kit) -> Listeners:
    hooks = Feature.TRANSACTION_HOOK in kit.settings.features
    found = [each for plugin in kit.plugins for each in plugin.listeners if not each.after_commit or hooks]
    return Listeners(measured_listeners(found, kit.metrics))


def _heartbeats(kit: Kit) -> dict[str, Check]:
    """Return the checks of the backends that are not disabled."""
    objects = kit.database.check
    checks: dict[str, Check] = {"storage": objects, "permission": objects, "cache": kit.cache.check}
    return {name: check for name, check in checks.items() if getattr(kit.settings, f"{name}_backend")}


def _capabilities(settings: Settings, metrics: Metrics | None) -> Mapping[str, Mapping[str, Any]]:
    """Return what the hello view says that this server can do, beyond every server (objects, 28)."""
    found: dict[str, Mapping[str, Any]] = {}
    if any(each.kind == "basicauth" for each in settings.policies):
        found["basicauth"] = BASICAUTH
    if lists_permissions(settings):
        found["permissions_endpoint"] = permissions.CAPABILITY
    if isinstance(metrics, Scraped):
        found["prometheus"] = metrics.capability
    return found


def _version_file(settings: Settings) -> Any:
    """Return what the version file says, None if there is none that is JSON."""
    file = next((each for each in (Path(settings.version_json_path), *VERSION_FILES) if each.is_file()), None)
    try:
        return jsontext.decode(file.read_bytes()) if file else None
    except (OSError, jsontext.InvalidJson):
        return None
