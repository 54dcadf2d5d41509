"""Site: what App assembled for serving, frozen; Call: what an endpoint receives.

Source: style, "Data has a type"; design, "The walk of a request".
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from kobako.http.kept import Kept, Senders
from kobako.http.pieces import Traffic
from kobako.http.surprises import Surprises
from kobako.metrics.base import Metrics
from kobako.model.access import Caller
from kobako.model.listeners import Listeners
from kobako.model.resource import Resource, Target
from kobako.model.transaction import Backends, Transaction
from kobako.protocol.messages import Request, Response
from kobako.settings import Settings

if TYPE_CHECKING:
    from kobako.http.routing import Step
    from kobako.http.streaming import Streamed

Kind = Literal["list", "object", "batch", "utility", "view"]
Run = Callable[["Call"], Awaitable[Response]]
"""What answers a request: an endpoint, or a function of a view. Raises ApiError."""

RunStreamed = Callable[["Streamed"], Awaitable[Response]]
"""What serves a request whose body, or whose answer, is a stream: outside of any transaction."""

Check = Callable[[], Awaitable[bool | None]]
"""Whether something works, for the heartbeat."""

Writes = Callable[[Request, Mapping[str, str]], Iterable[Target]]
"""(request, ids in its URL) -> what a view may write."""
Offline = Callable[["Site", Request], Awaitable[Response]]


class Identity(msgspec.Struct, frozen=True):
    """Who a request is from: the user id, and principals of that user."""

    user: str
    principals: frozenset[str] = frozenset()


class Recognized(msgspec.Struct, frozen=True):
    """What authenticators say of a request: whose it is, if anybody's, and the principals it has whoever that is."""

    identity: Identity | None
    added: frozenset[str]


NOBODY: Final = Recognized(None, frozenset())


class Passing(msgspec.Struct, frozen=True):
    """What an authenticator says of one request alone: it may say something else of another with the same headers."""

    identity: Identity | None = None


Authenticate = Callable[[Request], Awaitable[Identity | Passing | None]]
Principals = Callable[[Request], Awaitable[frozenset[str]]]
AboutUser = Callable[["Call"], Awaitable[Mapping[str, Any]]]
"""(call) -> what the hello view says of its user, besides the id and principals."""
Arrive = Callable[["Site", "Step"], Awaitable["Step"]]
"""(site, a request whose route and sender are known, before its transaction) -> what is done in its place, or the same.

Raises ApiError to refuse. Called for each part of a batch likewise, and not for OPTIONS.
"""
GroupFinder = Callable[[Request, str], Awaitable[frozenset[str] | None]]
"""(request, prefixed user id) -> the principals of the user's groups, None for a user who is not to be recognized."""


class Authenticator(msgspec.Struct, frozen=True):
    """One way to tell who calls: its `name`, in small letters, is put before the user ids that it finds.

    `challenge` is what a 401 offers of it (WWW-Authenticate), a line for each header, empty for nothing.
    `principals` are added to every request that they are found for, whoever it is from. `lasts_s`: for how many seconds
    what it says holds for all requests with the same Authorization header, as long as nothing is committed; 0: it looks
    at other things, too; math.inf: whatever is committed.
    """

    name: str
    authenticate: Authenticate
    challenge: str = ""
    principals: Principals | None = None
    lasts_s: float = 0


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One URL template with its methods. `exposes` are the headers that a browser may read.

    `offline` answers instead of the methods' functions where no backend is needed. `describes` are the OpenAPI
    operations, by method in lower case, of what is no list or object: those describe themselves. `streams` are served
    in place of the methods of the same names, but for parts of a batch. `is_of_sender`: what it tells follows from the
    settings and from who asks, with their groups.
    """

    name: str
    template: str
    kind: Kind
    methods: Mapping[str, Run]
    exposes: Mapping[str, str]
    resource: Resource | None = None
    offline: "Offline | None" = None
    describes: Mapping[str, Mapping[str, Any]] = {}
    writes: Writes | None = None
    streams: Mapping[str, RunStreamed] = {}
    is_of_sender: bool = False

    @property
    def allowed(self) -> str:
        """The value of an Allow header."""
        return ", ".join([*self.methods, "OPTIONS"])


class EndOfService(msgspec.Struct, frozen=True):
    """When the service ends, in milliseconds, and the value of `Alert` before and after."""

    at_ms: int
    before: str
    after: str


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that serving needs; nothing is looked up elsewhere."""

    settings: Settings
    backends: Backends
    routes: Any
    authenticators: Sequence[Authenticator] = ()
    find_groups: GroupFinder | None = None
    listeners: Listeners
    capabilities: Mapping[str, Mapping[str, Any]] = {}
    heartbeats: Mapping[str, Check] = {}
    version_file: Any = None
    end: EndOfService | None = None
    metrics: Metrics | None = None
    about_user: Sequence[AboutUser] = ()
    arrivals: Sequence[Arrive] = ()
    traffic: Traffic = msgspec.field(default_factory=Traffic)
    repeats: bool = False
    """Whether requests may be answered as the same ones before (`http/repeats.py`)."""
    kept: Kept = msgspec.field(default_factory=Kept)
    surprises: Surprises = msgspec.field(default_factory=Surprises)
    senders: Senders[Recognized] = msgspec.field(default_factory=Senders)


class Call(msgspec.Struct, frozen=True):
    """One request on its way: what is asked, of what, by whom, in which transaction, on which site."""

    request: Request
    target: Target
    caller: Caller
    tx: Transaction
    site: Site
