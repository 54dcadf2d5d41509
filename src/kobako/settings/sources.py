"""The two sources of settings, file and environment, and which of several spellings counts.

A setting may be written under several prefixes. In each source `kobako.` wins over `kinto.`, which wins over
`cliquet.`; a bare name in the file is the same as one under `kinto.`, a bare variable is weaker than the
others. The environment wins over the file. A prefix of the file's own (`settings_prefix`, `project_name`) is
weakest.

Source: HTTP API, sections 16.1 and 16.2.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping

import msgspec

from kobako.settings import parsing
from kobako.settings.inifile import SettingsError

PREFIXES = ("kobako", "kinto", "cliquet")


class Entry(msgspec.Struct, frozen=True):
    """A setting as it is written: `name` is without prefix, `label` with it; of two, the lesser rank wins."""

    name: str
    raw: str
    rank: int
    label: str
    is_ours: bool = False
    """Written in the file, under our own prefix: nobody else can have meant it."""


def from_file(options: Mapping[str, str]) -> dict[str, Entry]:
    """Return what the options say, by name. Raises SettingsError for two spellings of one rank that disagree.

    >>> from_file({"kinto.readonly": "true", "kobako.readonly": "false"})["readonly"].raw
    'false'
    """
    prefixes = (*PREFIXES, *_own_prefixes(options))
    read = _from_python if is_of_cliquet(options) else str
    found: dict[str, Entry] = {}
    for option, raw in ((name, read(text)) for name, text in options.items()):
        entry = _from_option(option, raw, prefixes)
        other = found.get(entry.name)
        if other and other.rank == entry.rank and other.raw != raw:
            raise SettingsError(f"Settings '{other.label}', '{option}' are in conflict.")
        if not other or entry.rank < other.rank:
            found[entry.name] = entry
    return found


def is_of_cliquet(options: Iterable[str]) -> bool:
    """Tell whether a file is of the time of Cliquet: its names say so. Some things were read otherwise then."""
    return any(option.startswith("cliquet.") for option in options)


def _from_python(raw: str) -> str:
    """Return a value that is written as a Python literal, as Cliquet took it, as JSON (16.3).

    >>> _from_python("None"), _from_python("'abc'"), _from_python("abc")
    ('null', '"abc"', 'abc')
    """
    if raw == "None":
        return "null"
    quoted = re.fullmatch(r"'([^'\\]*)'", raw)
    return json.dumps(quoted[1]) if quoted else raw


def _from_option(option: str, raw: str, prefixes: Iterable[str]) -> Entry:
    for rank, prefix in enumerate(prefixes):
        if option.startswith(f"{prefix}."):
            return Entry(option.removeprefix(f"{prefix}."), raw, rank, option, is_ours=rank == 0)
    return Entry(option, raw, PREFIXES.index("kinto"), option)


def _own_prefixes(options: Mapping[str, str]) -> list[str]:
    names = [f"{prefix}{name}" for name in ("settings_prefix", "project_name") for prefix in ("", "kinto.", "cliquet.")]
    return [options[name] for name in names if options.get(name)]


def from_environment(
    environ: Mapping[str, str], names: Iterable[str], is_member: Callable[[str, bool], bool] = lambda _, __: False
) -> dict[str, Entry]:
    """Return what the variables say, by name.

    `names` are the settings that exist once or stand in the file, `is_member` tells those of families by
    name, and whether the variable bears one of our prefixes. Variables that are neither are somebody else's:
    Kubernetes, for one, sets KOBAKO_PORT for a service of that name.

    >>> environ = {"READONLY": "true", "KINTO_READONLY": "no"}
    >>> from_environment(environ, ["readonly"])["readonly"].raw
    'no'
    """
    by_variable = {variable(name): name for name in names}
    found: dict[str, Entry] = {}
    for full_name, raw in environ.items():
        rank, rest = _without_prefix(full_name)
        name = by_variable.get(rest, rest.lower())
        known = rest in by_variable or is_member(name, rank < len(PREFIXES))
        if known and (name not in found or rank < found[name].rank):
            found[name] = Entry(name, raw, rank, full_name)
    return found


def listed(name: str, in_file: Mapping[str, Entry], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of a setting that says which others there are."""
    found = {**in_file, **from_environment(environ, [name])}
    return parsing.words(found[name].raw) if name in found else ()


def prefixed(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that bear one of our prefixes, each with its rest in lower case."""
    found = [(full_name, *_without_prefix(full_name)) for full_name in environ]
    return [(full_name, rest.lower()) for full_name, rank, rest in found if rank < len(PREFIXES)]


def variable(name: str) -> str:
    """Return what a setting is called in the environment, without prefix.

    >>> variable("multiauth.policies")
    'MULTIAUTH_POLICIES'
    """
    return name.upper().replace(".", "_").replace("-", "_")


def _without_prefix(full_name: str) -> tuple[int, str]:
    for rank, prefix in enumerate(PREFIXES):
        if full_name.startswith(f"{prefix.upper()}_"):
            return rank, full_name[len(prefix) + 1 :]
    return len(PREFIXES), full_name
