"""Plugin: what a plugin hands over, and where those come from that the settings name.

A plugin is a value. Whoever writes one offers a function `plugin(settings) -> Plugin`; `includes` names its module, or
the function itself by any name, or an entry point of the group `kobako.plugins`. Nothing is registered on import.

Source: objects, 27.1 to 27.5.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kobako.http.site import AboutUser, Arrive, Authenticator, Check, Run, RunStreamed, Writes
from kobako.model.listeners import Listener
from kobako.model.resource import Resource
from kobako.model.transaction import Backends
from kobako.protocol.ids import NAME
from kobako.protocol.messages import Request, Response
from kobako.settings import Policy, Settings, SettingsError, dotted, imports

if TYPE_CHECKING:
    from kobako.app import App

GROUP: Final = "kobako.plugins"
"""The entry points under which installed packages offer their plugins."""

Task = Callable[["App"], Awaitable[None]]
Lifespan = Callable[["App"], AbstractAsyncContextManager[None]]
Offline = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
"""(request, names in its URL) -> the answer of a view that needs no database."""
Migration = Callable[["App"], Awaitable[None]]
Upkeep = Callable[["App"], Awaitable[list[str]]]
"""app -> what was done, in words."""

MakePolicy = Callable[[Policy, Backends], Authenticator]
"""(what the settings say of it, database and cache) -> a policy of `multiauth.policies`. Raises SettingsError."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A URL of one's own, and what answers it, by method: alone, and as a part of a batch.

    `path` may have `{names}`, which `call.target.variables` has the values of. What a view writes has to be locked
    before anything is read: `writes` tells it from the request and the variables, as targets. `describes` are the
    OpenAPI operations, by method in small letters, as far as they are not told by the first sentence of the function.

    The methods in `streams` read their bodies, or send their answers, piece by piece: they are called with a
    `Streamed`, outside of any transaction, and are no parts of a batch. The server sets their bodies no limit.
    `offline` answers GET in place of `methods`, before any transaction and without asking who calls: it may wait for
    others.
    """

    name: str
    path: str
    methods: Mapping[str, Run] = {}
    streams: Mapping[str, RunStreamed] = {}
    offline: Offline | None = None
    writes: Writes | None = None
    describes: Mapping[str, Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"view {self.name!r} has the path {self.path!r}, which has to begin with a slash")
        if self.offline and self.methods:
            raise ValueError(f"view {self.name!r} has methods, and answers without them")


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin adds to an app: all of it optional, but for the name.

    `capabilities` are shown in the hello view (`description`, `url`, and whatever clients need), `heartbeats` in the
    heartbeat. `lifespans` are entered before the first request, and left after the last; one that raises SettingsError
    stops the start. `tasks` run beside the requests, in each process. `migrations` are run by `migrate`, each once, in
    their order, under their names; one that was cut off is run again from its beginning. `upkeep` follows them, at each
    `migrate`: what has to be as the settings say. `policies` are ways to tell who calls, by the names that
    `multiauth.policy.<name>.use` has for them. `about_user` adds to what the hello view says of whom it knows. `arrive`
    sees each request before its transaction, and may have another one done in its place. `arrives_alike`: of those that
    read it does the same with all that are sent alike by the same sender, so it need not see the same one again.
    """

    name: str
    resources: Sequence[Resource] = ()
    views: Sequence[View] = ()
    listeners: Sequence[Listener] = ()
    authenticators: Sequence[Authenticator] = ()
    capabilities: Mapping[str, Mapping[str, Any]] = {}
    heartbeats: Mapping[str, Check] = {}
    lifespans: Sequence[Lifespan] = ()
    tasks: Sequence[Task] = ()
    migrations: Mapping[str, Migration] = {}
    upkeep: Sequence[Upkeep] = ()
    policies: Mapping[str, MakePolicy] = {}
    about_user: AboutUser | None = None
    arrive: Arrive | None = None
    arrives_alike: bool = False

    def __post_init__(self) -> None:
        for name in self.migrations:
            if not NAME.accepts(name):
                raise ValueError(f"migration {name!r} of plugin {self.name!r}: letters, digits, - and _ make a name")


def included(settings: Settings) -> list[Plugin]:
    """Return the plugins that the settings name, made with them, in their order. Raises SettingsError."""
    return [_made(name, settings) for name in settings.plugins if name not in dotted.METRICS]


def _made(name: str, settings: Settings) -> Plugin:
    factory = _factory(name)
    try:
        made = factory(settings)
    except SettingsError:
        raise
    except Exception as error:
        raise _refused(name, f"failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, Plugin):
        raise _refused(name, f"returned {made!r}, which is no Plugin")
    return made


def _factory(name: str) -> Callable[[Settings], Any]:
    try:
        found = imports.load(f"kobako.plugins.{name}") if name in dotted.PLUGINS else _installed(name)
        found = found or imports.load(name)
    except ValueError as error:
        raise _refused(name, str(error)) from error
    if isinstance(found, ModuleType):
        found = getattr(found, "plugin", None)
        if found is None:
            raise _refused(name, "is a module without a function 'plugin'")
    if not callable(found):
        raise _refused(name, "cannot be called")
    return found  # type: ignore[no-any-return]


def _installed(name: str) -> Any:
    """Return what an entry point of this name leads to, None if there is none. Raises ValueError for a broken one."""
    for each in entry_points(group=GROUP, name=name):
        try:
            return each.load()
        except Exception as error:
            raise ValueError(f"cannot be imported: {error}") from error
    return None


def _refused(name: str, problem: str) -> SettingsError:
    return SettingsError(f"Setting 'includes' has '{name}', which {problem}.")
