"""Settings from a file, the environment and the defaults: found, checked, typed.

Every mistake is a SettingsError that names the setting, its value and the rule. What is strange but harmless
is a sentence in `Settings.warnings`; the command line logs them.

Source: HTTP API, section 16; objects, 24 and 26.4.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from kobako.settings import configfile, dotted, names, parsing, sources, steps
from kobako.settings.fields import BASICAUTH, POOL, EventListener, Policy, Settings
from kobako.settings.inifile import DEFAULT_PORT, SettingsError, read_section
from kobako.settings.logsections import read_logging
from kobako.settings.sources import Entry

Entries = dict[str, Entry]


def read_settings(
    ini: Path | None,
    environ: Mapping[str, str],
    *,
    http_port: int = DEFAULT_PORT,
    resources: Collection[str] = names.STOCK_RESOURCES,
) -> Settings:
    """Return the settings of a file and an environment. Raises SettingsError.

    Without a file, basicauth is on; a file names its policies, and one that names none has none. (Files of Cliquet's
    time, told by their prefix, have basicauth by default, as they had then.)
    """
    options = _options(ini, http_port)
    in_file = sources.from_file(options)
    # A plugin of somebody's may bring kinds of objects that only App knows.
    brings = any(map(dotted.is_foreign, sources.listed("includes", in_file, environ)))

    def is_member(name: str, is_prefixed: bool) -> bool:
        return names.member(name) is not None and (names.exists(name, resources) or (brings and is_prefixed))

    in_environment = sources.from_environment(
        environ, [*names.FIXED, *in_file, *_of_listeners(in_file, environ)], is_member
    )
    entries = in_file | in_environment
    undecided = [each for each in entries.values() if brings and names.is_undecided(each.name, resources)]
    is_modern = ini is not None and not sources.is_of_cliquet(options)
    values = _fixed(entries) | _families(entries)
    values |= _backends(entries, values) | {"policies": _policies(entries, () if is_modern else (BASICAUTH,))}
    values |= {"event_listeners": tuple(_listeners(entries))}
    values |= {"plugin_options": _of_plugins(in_file, environ, values.get("includes", ()))}
    settings = Settings(**values)
    log_rules, strange = read_logging(ini, values.get("logging_renderer"), http_port) if ini else ((), [])
    warnings = [
        *strange,
        *unknown([each for each in in_file.values() if not _is_of_plugin(each.name, settings.includes)], resources),
        *_misspelt(environ, resources, {each.label for each in undecided}),
        *_without_effect(entries),
        *_about_steps(entries),
        *_ignored_pools(entries, settings),
    ]
    eos_text = parsing.text(entries["eos"].raw) if "eos" in entries else None
    config = configfile.describe(ini) if ini else None
    given = {name: entry.raw for name, entry in entries.items()}
    return replace(
        settings,
        warnings=tuple(warnings),
        eos_text=eos_text,
        config=config,
        log_rules=log_rules,
        given=given,
        undecided=tuple(undecided),
    )


def _options(ini: Path | None, http_port: int) -> dict[str, str]:
    if ini is None:
        return {}
    options = read_section(ini, "app:main", http_port)
    if options is None:
        raise SettingsError(f"{ini} has no section [app:main].")
    return options


def _convert(entry: Entry, parse: parsing.Parser) -> Any:
    try:
        return parse(entry.raw)
    except ValueError as error:
        raise SettingsError(f"Setting '{entry.label}' is '{shown(entry.raw)}': {error}.") from None


def shown(raw: str) -> str:
    """Return a value as it may be told, without the password of a URL.

    >>> shown("postgresql://user:pass@host/db")
    'postgresql://***@host/db'
    """
    return re.sub(r"//[^/\s]*@", "//***@", raw)


def _fixed(entries: Entries) -> dict[str, Any]:
    """Return the settings of the table that are set (``null`` is not, where a value is needed)."""
    return {
        row.attribute: _convert(entries[name], row.parse)
        for name, row in names.FIXED.items()
        if name in entries
        and name not in names.NAMING
        and (row.may_be_none or parsing.native(entries[name].raw) is not None)
    }


def _families(entries: Entries) -> dict[str, Any]:
    defaults = Settings()
    values: dict[str, dict[str, Any]] = {}
    # Of the two names of a method's switch the older comes first, and the newer overwrites it.
    for name in sorted(entries, key=lambda name: not name.startswith(("collection_", "record_"))):
        if (found := names.member(name)) and name not in names.FIXED:
            family, match = found
            members = values.setdefault(family.attribute, dict(getattr(defaults, family.attribute)))
            value = _convert(entries[name], family.parse)
            if value is not None:
                members[family.key(match)] = value
    return values


URL_FORMS: Final = {
    "sqlite": (r"sqlite:///[^?#]+", "must be sqlite:///relative/path or sqlite:////absolute/path"),
    "postgresql": (r"postgres(?:ql)?(?:\+\w+)?://.+", "must be postgresql://user:password@host:port/database"),
    "redis": (r"(?:redis|rediss|unix)://.+", "must be redis://:password@host:port/number"),
}
"""What the URL of a backend looks like, and how that is said to who has it wrong."""


def _backends(entries: Entries, values: Mapping[str, Any]) -> dict[str, str]:
    """Return backends and URLs. A backend in memory has no URL, nor one that is disabled, whose name is empty.

    Where nothing is said, permissions live with the objects, and the cache is of the same kind: in memory, where the
    storage is somebody's own.
    """
    found: dict[str, str] = {}
    for part, what in (("storage", "database"), ("permission", "database"), ("cache", "cache")):
        name = f"{part}_backend"
        kind = found.get("storage_backend", Settings().storage_backend)
        kind = "memory" if part == "cache" and dotted.is_own(kind) else kind
        if name in entries and parsing.native(entries[name].raw) is not None:
            kind = _convert(entries[name], partial(_backend, what))
        found[name] = kind
        found[f"{part}_url"] = _url(part, kind, values.get(f"{part}_url"), found)
    if found["storage_backend"] and not found["permission_backend"]:
        raise SettingsError("Setting 'permission_backend' is '': objects are not kept without permissions.")
    return found


def _backend(what: str, raw: str) -> str:
    return "" if parsing.is_empty(raw) else dotted.resolve(what, parsing.text(raw) or "")


def _url(part: str, kind: str, given: str | None, found: Mapping[str, str]) -> str:
    """Return where a backend is: as given, as the storage is if that is of the same kind, or by default."""
    if kind not in URL_FORMS and not dotted.is_own(kind):
        return ""
    default = getattr(Settings(), f"{part}_url")
    is_shared = kind == found["storage_backend"] and not (kind == "sqlite" and part == "cache")
    url = given or (found.get("storage_url") if is_shared else None) or (default if kind == "sqlite" else "")
    form, rule = URL_FORMS.get(kind, (r".*", ""))
    if not re.fullmatch(form, url):
        raise SettingsError(f"Setting '{part}_url' is '{shown(url)}': {rule}.")
    return url


def _policies(entries: Entries, default: tuple[Policy, ...]) -> tuple[Policy, ...]:
    if "multiauth.policies" not in entries:
        return default
    listed = entries["multiauth.policies"]
    return tuple(_policy(name, entries, listed) for name in parsing.words(listed.raw))


def _policy(name: str, entries: Entries, listed: Entry) -> Policy:
    start = f"multiauth.policy.{name}."
    options = {key.removeprefix(start): entry.raw for key, entry in entries.items() if key.startswith(start)}
    use = entries.get(f"{start}use", Entry(name, name, 0, listed.label))
    options.pop("use", None)
    return Policy(name, _convert(use, lambda raw: dotted.policy(parsing.text(raw) or name)), options)


def _of_listeners(in_file: Entries, environ: Mapping[str, str]) -> list[str]:
    """Return the names of the settings about each listener, whose own names file or environment list."""
    found = sources.listed("event_listeners", in_file, environ)
    return [f"event_listeners.{name}.{about}" for name in found for about in ("use", "actions", "resources")]


def _listeners(entries: Entries) -> Iterator[EventListener]:
    if "event_listeners" in entries:
        listed = entries["event_listeners"]
        for name in parsing.words(listed.raw):
            yield _listener(name, entries, listed)


def _listener(name: str, entries: Entries, listed: Entry) -> EventListener:
    """Return what is said about a listener; one of which nothing is said is named by its module (objects, 27.3)."""
    start = f"event_listeners.{name}."
    about = {key.removeprefix(start): entry for key, entry in entries.items() if key.startswith(start)}
    use = about.pop("use", Entry(name, name, 0, listed.label))
    actions = about.pop("actions", Entry("actions", "", 0, ""))
    resources = about.pop("resources", Entry("resources", "", 0, ""))
    return EventListener(
        name,
        _convert(use, lambda raw: parsing.text(raw) or name),
        _convert(actions, parsing.actions),
        _convert(resources, parsing.words),
        {key: entry.raw for key, entry in about.items()},
    )


def _of_plugins(in_file: Entries, environ: Mapping[str, str], includes: Sequence[str]) -> dict[str, str]:
    """Return what is said of plugins: by name in the file, by variable in the environment."""
    own = [*names.PLUGIN_PREFIXES, *names.OF_PLUGINS]
    begins = tuple([sources.variable(each).lower() for each in own] + [f"{_begins(each)}_" for each in includes])
    variables = {
        sources.variable(name): environ[full_name]
        for full_name, name in sources.prefixed(environ)
        if name.startswith(begins)
    }
    return variables | {name: each.raw for name, each in in_file.items() if _is_of_plugin(name, includes)}


def _is_of_plugin(name: str, includes: Sequence[str]) -> bool:
    """Tell whether a setting is a plugin's, or about a kind of object that one may bring: App knows those."""
    first, dot, _ = name.partition(".")
    if name in names.OF_PLUGINS or name.startswith(names.PLUGIN_PREFIXES):
        return True
    if dot and any(first == _begins(each) for each in includes):
        return True
    return any(map(dotted.is_foreign, includes)) and name not in names.KNOWN and names.member(name) is not None


def _begins(include: str) -> str:
    """Return what the settings of a plugin begin with: the last part of its name, in small letters."""
    return include.rpartition(".")[2].lower()


def unknown(entries: Iterable[Entry], resources: Collection[str]) -> list[str]:
    """Return a warning for each unknown setting. Raises SettingsError for one under our own prefix."""
    warnings = []
    for entry in entries:
        if not names.exists(entry.name, resources):
            close = names.nearest(entry.name, resources)
            sentence = f"Unknown setting '{entry.label}'" + (f": did you mean '{close}'?" if close else ".")
            if entry.is_ours:
                raise SettingsError(sentence)
            warnings.append(sentence)
    return warnings


def _misspelt(environ: Mapping[str, str], resources: Collection[str], undecided: Set[str]) -> list[str]:
    """Return a warning for each variable that is nearly a setting; others with our prefix may be anybody's."""
    return [
        f"Unknown variable '{variable}': did you mean '{close}'?"
        for variable, name in sources.prefixed(environ)
        if variable not in undecided
        and not names.exists(name, resources)
        and sources.variable(name) not in {sources.variable(known) for known in names.KNOWN}
        and (close := names.nearest(name, resources, cutoff=0.85))
    ]


def _without_effect(entries: Entries) -> list[str]:
    transactions = entries.get("transaction_per_request")
    if transactions and not parsing.boolean(transactions.raw):
        return [f"Setting '{transactions.label}' is off, and has no effect: each request is one transaction."]
    return []


def _ignored_pools(entries: Entries, settings: Settings) -> Iterator[str]:
    """Yield a warning for each setting of a pool that is shared, and was made for who came first (objects, 24)."""
    sharing = [("storage", "permission"), ("storage", "cache"), ("permission", "cache")]
    for first, later in sharing:
        url = getattr(settings, f"{first}_url")
        if not url or url != getattr(settings, f"{later}_url"):
            continue
        for about in POOL:
            name, counts = f"{later}_{about}", getattr(settings, f"{first}_{about}")
            if name in entries and getattr(settings, name) != counts:
                yield (
                    f"Setting '{entries[name].label}' has no effect: {first} and {later} share their connections, for "
                    f"which '{first}_{about}' counts ({counts})."
                )


def _about_steps(entries: Entries) -> list[str]:
    """Return what to say of the steps of the start that are listed. Raises SettingsError."""
    listed = entries.get("initialization_sequence", Entry("", "", 0, ""))
    sequence = parsing.words(listed.raw)
    found = [
        f"Setting '{listed.label}' has '{step}', which is no step that is known: it is not done."
        for step in steps.unknown(sequence)
    ]
    if left_out := [each for each in steps.Feature if each not in steps.features(sequence)]:
        found.append(f"Setting '{listed.label}' leaves out {', '.join(left_out)}: what they bring is off.")
    return found
