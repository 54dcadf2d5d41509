"""The settings: names, types, defaults, and what each one does. Everything else reads them from this table.

A field's name is the setting's, or `key` where that has a dot. `doc` is the sentence that stands in the
generated configuration and in the documentation. `parse` is by the field's type (PARSERS), or given where a
rule is narrower.

Families are settings that exist once a resource: `<type>_<permission>_principals`, and so on. They are asked
through methods, `settings.principals("bucket", "create")`.

Source: HTTP API, section 16; objects, 2.6 and 24.
"""

# ruff: noqa: RUF009 - `setting` and `family` return dataclass fields, which the rule cannot know.

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, get_args, get_type_hints

import msgspec

from kobako.protocol.addresses import Range
from kobako.settings import dotted, parsing, steps
from kobako.settings.configfile import ConfigFile
from kobako.settings.logsections import LogRule
from kobako.settings.sources import Entry
from kobako.settings.steps import Feature

PARSERS: Final[dict[Any, parsing.Parser]] = {
    str: parsing.text,
    str | None: parsing.text_or_none,
    bool: parsing.boolean,
    int: parsing.integer,
    int | None: parsing.integer_or_none,
    float: parsing.number,
    tuple[str, ...]: parsing.words,
    tuple[float, ...]: parsing.numbers,
    datetime | None: parsing.moment,
}

Families = Mapping[str, Any]


class Policy(msgspec.Struct, frozen=True):
    """One way to tell who calls: `name` prefixes its user ids, `kind` says how (``basicauth``, a dotted name)."""

    name: str
    kind: str
    options: dict[str, str] = {}


class EventListener(msgspec.Struct, frozen=True):
    """Who is told of events: `use` is a dotted name, called with the options; no resources named means all."""

    name: str
    use: str
    actions: tuple[str, ...] = ("create", "update", "delete")
    resources: tuple[str, ...] = ()
    options: dict[str, str] = {}


BASICAUTH: Final = Policy("basicauth", "basicauth")

POOL: Final = ("pool_size", "max_overflow", "pool_timeout", "max_backlog", "pool_recycle")
"""What is said of the connections of each backend; backends with one URL share those of the first (16.6)."""

_OF_PERMISSION: Final = "The same of the permissions; where they are in the storage's database, its setting counts."
_OF_CACHE: Final = "The same of the cache; where it is in the storage's database, its setting counts."

HAVE_GENERATORS: Final = frozenset({"bucket", "collection", "group", "record", "account"})
"""Types that `id_generator` says nothing of: files for Kinto may repeat its default, and have buckets with names."""


def renderer(raw: str) -> str:
    """Return the name of a renderer of log entries: ours, or one of another server."""
    return dotted.resolve("renderer", parsing.text(raw) or "")


def statsd_backend(raw: str) -> str:
    """Return the name of an implementation of StatsD: ours, or one of another server."""
    return dotted.resolve("statsd backend", parsing.text(raw) or "")


def group_finder(raw: str) -> str | None:
    """Return the name of a group finder that is not ours."""
    return dotted.replacement("group finder", parsing.text(raw) or "")


def authorization_policy(raw: str) -> str | None:
    """Return the name of an authorization policy that is not ours."""
    return dotted.replacement("authorization policy", parsing.text(raw) or "")


def setting(default: Any, doc: str, *, key: str = "", parse: parsing.Parser | None = None) -> Any:
    """Declare a setting; a callable default is called for each Settings."""
    metadata = {"doc": doc, "key": key, "parse": parse}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def family(doc: str, **default: Any) -> Any:
    """Declare a family: what its members say, by the part of their name that varies."""
    return field(default_factory=lambda: default, metadata={"doc": doc})


def own_version() -> str:
    """Return the version of the installed package."""
    return version("kobako")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the server is told, checked and typed. `Settings()` is the default of everything."""

    # Project and protocol
    project_name: str = setting("kobako", "Name of the service, in the hello view and in the names of metrics.")
    project_version: str = setting(own_version, "Version shown in the hello view; set it to hide the real one.")
    project_docs: str = setting("https://kinto.readthedocs.io/", "Where the API of the service is documented.")
    http_api_version: str = setting(
        "1.23",
        "Version of the HTTP API; its major number is the prefix of all paths.",
        parse=parsing.api_version,
    )
    error_info_link: str = setting(
        "https://github.com/Kinto/kinto/issues/", "Where clients are sent for help after an error 500."
    )
    version_json_path: str = setting("version.json", "File that `/__version__` answers with.")
    version_prefix_redirect_enabled: bool = setting(True, "Redirect paths without version prefix to those with it.")
    version_prefix_redirect_ttl_seconds: int = setting(-1, "How long clients may keep that redirection; -1: no word.")
    trailing_slash_redirect_enabled: bool = setting(True, "Redirect paths with a slash too many at their end.")
    trailing_slash_redirect_ttl_seconds: int = setting(3600, "How long clients may keep that redirection.")
    http_scheme: str | None = setting(None, "Scheme of the URLs in answers (https behind a proxy that decrypts).")
    http_host: str | None = setting(None, "Host, or host:port, of the URLs in answers, behind a proxy.")

    # Features
    readonly: bool = setting(False, "Refuse every request that writes.")
    batch_max_requests: int | None = setting(25, "Most requests in a batch; empty: no limit.", parse=parsing.limit)
    paginate_by: int | None = setting(None, "Objects in a page; empty: no limit.", parse=parsing.limit)
    pagination_token_validity_seconds: int = setting(
        600, "How long the token of a paginated deletion stays good.", parse=parsing.positive
    )
    explicit_permissions: bool = setting(True, "Give whoever writes an object the write permission on it, explicitly.")
    experimental_collection_schema_validation: bool = setting(
        False, "Check records by the JSON schema of their collection, and by those of their bucket."
    )
    experimental_permissions_endpoint: bool = setting(False, "Serve `/permissions`: which objects one has rights on.")
    heartbeat_timeout_seconds: float = setting(10.0, "How long each check of `/__heartbeat__` may take.")
    transaction_per_request: bool = setting(
        True, "Undo everything a request did when it fails; that is always so, and `false` only a warning."
    )
    max_body_size_bytes: int = setting(8 * 2**20, "Largest body of a request.", parse=parsing.positive)
    kept_answers_bytes: int = setting(
        32 * 2**20,
        "Most memory of each worker for answers that are given again until something is committed that concerns them, "
        "on SQLite and PostgreSQL; 0: none are.",
        parse=parsing.count,
    )
    initialization_sequence: tuple[str, ...] = setting(
        (),
        "Steps of the start, as files for Kinto and Cliquet list them: what is not listed is off; empty: all. "
        "A function of one's own may be among them, by its dotted name.",
    )

    includes: tuple[str, ...] = setting(
        (),
        "Plugins: dotted names of one's own, or of installed packages (`docs/toolkit.md`); prometheus or statsd, which "
        "take metrics (`docs/monitoring.md`).",
        parse=dotted.plugins,
    )
    flush_endpoint_enabled: bool = setting(False, "The same as flush in `includes`, as Kinto 1.x called it.")

    # Backends
    storage_backend: str = setting(
        "sqlite",
        "Where objects are kept: sqlite, postgresql, redis, memory, or one's own (`docs/toolkit.md`); empty: nowhere.",
    )
    storage_url: str = setting("sqlite:///kobako.db", "Database of the objects.")
    storage_max_fetch_size: int = setting(10000, "Most objects that one request reads.", parse=parsing.positive)
    purge_deleted_after: int | None = setting(
        None,
        "How long tombstones of deleted objects are kept, as 90d or 12h, in seconds if without unit; empty: for ever "
        "(`docs/purging.md`).",
        parse=parsing.duration_or_none,
    )
    permission_backend: str = setting("sqlite", "Where permissions are kept; the storage's if not set.")
    permission_url: str = setting("sqlite:///kobako.db", "Database of the permissions; the storage's if not set.")
    cache_backend: str = setting(
        "sqlite",
        "Where the cache is kept, also memcached; of the storage's kind if not set; empty: in the process, with no "
        "heartbeat.",
    )
    cache_url: str = setting("sqlite:///kobako-cache.db", "Database of the cache.")
    cache_hosts: tuple[str, ...] = setting((), "Servers of a memcached cache, as host:port.")
    cache_prefix: str = setting("", "Put before each key of the cache, so that several servers may share one.")
    cache_max_size_bytes: int = setting(524288, "Size of a memory cache, then the oldest entries go.")

    # Connections to database servers
    storage_pool_size: int = setting(25, "Connections of the storage that are kept open.", parse=parsing.positive)
    storage_max_overflow: int = setting(
        5, "Connections more while those are all in use, closed afterwards.", parse=parsing.count
    )
    storage_pool_timeout: int = setting(
        30, "Seconds that a request waits for a connection before it is a 503.", parse=parsing.positive
    )
    storage_max_backlog: int = setting(
        -1, "Requests that may wait for one; any more are a 503 at once; -1: no limit.", parse=parsing.bound
    )
    storage_pool_recycle: int = setting(
        -1, "Seconds after which a connection is replaced by a new one; -1: never.", parse=parsing.bound
    )
    permission_pool_size: int = setting(25, _OF_PERMISSION, parse=parsing.positive)
    permission_max_overflow: int = setting(5, _OF_PERMISSION, parse=parsing.count)
    permission_pool_timeout: int = setting(30, _OF_PERMISSION, parse=parsing.positive)
    permission_max_backlog: int = setting(-1, _OF_PERMISSION, parse=parsing.bound)
    permission_pool_recycle: int = setting(-1, _OF_PERMISSION, parse=parsing.bound)
    cache_pool_size: int = setting(25, _OF_CACHE, parse=parsing.positive)
    cache_max_overflow: int = setting(5, _OF_CACHE, parse=parsing.count)
    cache_pool_timeout: int = setting(30, _OF_CACHE, parse=parsing.positive)
    cache_max_backlog: int = setting(-1, _OF_CACHE, parse=parsing.bound)
    cache_pool_recycle: int = setting(-1, _OF_CACHE, parse=parsing.bound)

    # Events
    event_listeners: tuple[EventListener, ...] = setting(
        (), "Names of listeners: `event_listeners.<name>.use`, `.actions`, `.resources` say what each one is."
    )

    # Authentication and permissions
    userid_hmac_secret: str = setting("", "Key of the user ids of basicauth; another key makes everybody a stranger.")
    policies: tuple[Policy, ...] = setting(
        (BASICAUTH,),
        "Ways to tell who calls, in order of trial: basicauth, ipauth, or what `multiauth.policy.<name>.use` names "
        "(`docs/policies.md`).",
        key="multiauth.policies",
    )
    groupfinder: str | None = setting(
        None,
        "Function that finds the groups of a user, by its dotted name, in place of the groups that are stored.",
        key="multiauth.groupfinder",
        parse=group_finder,
    )
    authorization_policy: str | None = setting(
        None,
        "Class that decides who may do what, by its dotted name, in place of the permissions that are stored.",
        key="multiauth.authorization_policy",
        parse=authorization_policy,
    )
    trusted_proxies: tuple[Range, ...] = setting(
        (),
        "Addresses of proxies in front, also as 10.0.0.0/8 or 10.0.0.*: their `X-Forwarded-For` tells who calls.",
        parse=parsing.ranges,
    )
    principals_by_permission: Families = family(
        "`<type>_<read|write|create>_principals`: who may do that to every object of a type.",
        bucket_create=frozenset({"system.Authenticated"}),
        permissions_read=frozenset({"system.Everyone"}),
    )

    # Clients
    cors_origins: tuple[str, ...] = setting(("*",), "Web origins that may call, with wildcards.")
    cors_max_age_seconds: int | None = setting(3600, "How long browsers may keep a preflight answer; empty: no word.")
    always_cors: bool = setting(
        False, "Send CORS headers also to requests without an origin.", key="cornice.always_cors"
    )
    cache_expires: Families = family(
        "`<type>_cache_expires_seconds`: how long anonymous clients may keep what they read of a type.",
        root=86400,
    )
    backoff: int | None = setting(None, "Seconds that clients are asked to wait between requests.")
    backoff_percentage: float | None = setting(
        None, "Share of the answers that ask for it; empty: all.", parse=parsing.percentage
    )
    retry_after_seconds: int = setting(3, "Seconds to wait, told with an answer 503 or 409.")
    eos: datetime | None = setting(None, "Date of the end of the service, announced before and enforced after.")
    eos_message: str | None = setting(None, "Message of that announcement.")
    eos_url: str | None = setting(None, "Where to read about it; project_docs if not set.")

    # Log
    logging_renderer: str = setting(
        "classic",
        "How log entries are written: classic (text), json (mozlog, one object a line), heka (as Cliquet had it), or "
        "by a formatter of one's own.",
        parse=renderer,
    )

    # Monitoring
    metrics_matchdict_fields: tuple[str, ...] = setting(
        ("bucket_id", "collection_id", "group_id", "record_id"), "Ids of the URL that are labels of metrics."
    )
    prometheus_prefix: str | None = setting(
        None,
        "Beginning of the names of metrics for Prometheus; project_name if not set, none if empty.",
        parse=parsing.text,
    )
    prometheus_disabled_metrics: tuple[str, ...] = setting((), "Names of metrics that Prometheus is not told.")
    prometheus_histogram_buckets: tuple[float, ...] = setting(
        (0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 6.0, math.inf), "Bounds of the buckets of durations, in seconds."
    )
    prometheus_created_metrics_enabled: bool = setting(True, "Tell Prometheus also when each metric began.")
    statsd_backend: str = setting("statsd", "Implementation of StatsD; there is one.", parse=statsd_backend)
    statsd_url: str | None = setting(
        None, "Where metrics are sent: udp://host:port. Enough to switch StatsD on.", parse=parsing.udp_address
    )
    statsd_prefix: str = setting("kinto.core", "Beginning of the names of metrics where project_name is empty.")
    newrelic_config: str | None = setting(None, "File of New Relic's agent; empty: it is off.")
    newrelic_env: str = setting("dev", "Section of that file: `[newrelic:dev]`.")
    sentry_dsn: str | None = setting(None, "Where Sentry takes errors; empty: none are sent.")
    sentry_env: str | None = setting(None, "Name of the environment that Sentry shows.")
    sentry_breadcrumbs_min_level: int = setting(10, "Level of log entries that go along with an error (10: DEBUG).")
    sentry_events_min_level: int = setting(30, "Level of log entries that are sent to Sentry (30: WARNING).")
    profiler_enabled: bool = setting(False, "Write a profile of each request, and serve one at a time.")
    profiler_dir: str | None = setting(None, "Folder of the profiles; empty: the system's for temporary files.")

    # Resources
    id_generators: Families = family(
        "`<type>_id_generator`, `id_generator` (other types): uuid4, name, relaxed_uuid or one's own."
    )
    indexes: Families = family(
        "`record_indexes`, `<bucket>.record_indexes`, `<bucket>.<collection>.record_indexes`: fields of records that "
        "have an index, where their collection declares none; `kobako migrate` makes them (`docs/queries.md`)."
    )
    disabled_methods: Families = family(
        "`plural_<type>_<method>_enabled`, `object_<type>_<method>_enabled`: false removes a method."
    )

    warnings: tuple[str, ...] = field(default=(), compare=False)
    eos_text: str | None = field(default=None, compare=False)
    """`eos` as it was written."""
    config: ConfigFile | None = field(default=None, compare=False)
    """The file the settings were read from."""
    log_rules: tuple[LogRule, ...] = field(default=(), compare=False)
    """What its logging sections say; empty: there are none."""

    given: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """All that file and environment say, as texts, by name without prefix: for what was written for Pyramid."""
    plugin_options: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What is said of plugins that are included, as it is written: see `read_options`."""
    undecided: tuple[Entry, ...] = field(default=(), compare=False)
    """What is said of kinds of objects that are not of the stock server: App knows whether a plugin brings them."""

    features: frozenset[Feature] = field(init=False, compare=False)
    """What the steps of the start bring; of what they leave out, the settings are as if not given."""

    def __post_init__(self) -> None:
        features = steps.features(self.initialization_sequence)
        object.__setattr__(self, "features", features)
        for feature, changes in steps.WITHOUT.items():
            for name, value in changes.items() if feature not in features else ():
                object.__setattr__(self, name, value)

    @property
    def plugins(self) -> tuple[str, ...]:
        """The names of plugins: those of `includes`, and those that other settings switch on."""
        also = {"flush": self.flush_endpoint_enabled, "user_data": bool(self.principals("user-data", "delete"))}
        return tuple(dict.fromkeys([*self.includes, *(name for name, is_on in also.items() if is_on)]))

    def principals(self, resource: str, permission: str) -> frozenset[str]:
        """Return who has this permission on every object of a resource, by the settings.

        >>> Settings().principals("bucket", "create"), Settings().principals("record", "read")
        (frozenset({'system.Authenticated'}), frozenset())
        """
        found: frozenset[str] = self.principals_by_permission.get(f"{resource}_{permission}", frozenset())
        return found

    def cache_expires_seconds(self, resource: str, bucket: str = "", collection: str = "") -> int | None:
        """Return how long anonymous clients may keep an answer; None: not at all.

        The first name that is set counts: for records there are those of one bucket or collection (13.5).
        """
        names = (
            f"{bucket}.{collection}.{resource}",
            f"{bucket}.{resource}",
            resource,
            f"{bucket}_{collection}_{resource}",
            f"{bucket}_{resource}",
        )
        return next((self.cache_expires[name] for name in names if name in self.cache_expires), None)

    def record_indexes(self, bucket: str, collection: str) -> tuple[str, ...]:
        """Return the fields of the records of a collection that have an index: what is said of it alone counts first.

        >>> Settings(indexes={"blog.record": ("slug",)}).record_indexes("blog", "articles")
        ('slug',)
        """
        names = (
            f"{bucket}.{collection}.record",
            f"{bucket}_{collection}_record",
            f"{bucket}.record",
            f"{bucket}_record",
            "record",
        )
        return next((self.indexes[name] for name in names if name in self.indexes), ())

    def id_generator(self, resource: str) -> str | None:
        """Return ``uuid4``, ``name`` or ``relaxed_uuid``; None: the resource's own.

        That of all types is for those that have none of their own by default (16.5).
        """
        of_all = None if resource in HAVE_GENERATORS else self.id_generators.get("")
        found: str | None = self.id_generators.get(resource, of_all)
        return found

    def is_enabled(self, endpoint: str, resource: str, method: str) -> bool:
        """Tell whether a resource's ``plural`` or ``object`` endpoint takes a method (of any case)."""
        return not self.disabled_methods.get(f"{endpoint}_{resource}_{method.lower()}", False)


class Row(msgspec.Struct, frozen=True):
    """One setting of the table: `name` in files, `attribute` in Settings, `doc` the sentence about it."""

    name: str
    attribute: str
    parse: parsing.Parser
    default: Any
    may_be_none: bool
    doc: str


def rows() -> list[Row]:
    """Return the settings that have one fixed name, in the order of the table."""
    types, defaults = get_type_hints(Settings), Settings()
    return [
        Row(
            each.metadata["key"] or each.name,
            each.name,
            each.metadata["parse"] or PARSERS.get(types[each.name], parsing.words),
            getattr(defaults, each.name),
            type(None) in get_args(types[each.name]),
            each.metadata["doc"],
        )
        for each in fields(Settings)
        if "key" in each.metadata
    ]


def all_by_name(settings: Settings) -> dict[str, Any]:
    """Return all settings by their names in files, without prefix: those of the table typed, any other as texts."""
    typed = {row.name: getattr(settings, row.attribute) for row in rows()}
    return {**settings.given, **typed, "multiauth.policies": " ".join(each.name for each in settings.policies)}


def family_docs() -> list[str]:
    """Return the sentences about the families."""
    return [each.metadata["doc"] for each in fields(Settings) if each.metadata and "key" not in each.metadata]
