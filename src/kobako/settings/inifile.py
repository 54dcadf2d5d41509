"""Configuration files of Kinto's kind: sections of options, with `%(name)s` for the value of another option.

`%(here)s` is the folder of the file, `%(http_port)s` the port asked for on the command line; other names are
options of the same section or of `[DEFAULT]`. Only the sections asked for are interpolated, and never the formats
of log entries, which are full of `%` that mean something else.

Source: objects, section 26.4.
"""

import configparser
import re
from collections.abc import Callable, Mapping
from pathlib import Path

DEFAULT_PORT = 8888

_REFERENCE = re.compile(r"%(?:\((?P<name>[^)]+)\)s|(?P<percent>%)|)")
_MAX_DEPTH = 10
_RAW = frozenset({"format", "datefmt"})
"""Options of formatters whose `%` mean something else."""


class SettingsError(Exception):
    """A setting cannot be used: the message names it, its value and the rule."""


def read_section(ini: Path, section: str, http_port: int = DEFAULT_PORT) -> dict[str, str] | None:
    """Return the options of a section, interpolated; None if there is no such section.

    Raises SettingsError for a file that cannot be read.
    """
    return read_sections(ini, lambda name: name == section, http_port).get(section)


def read_sections(ini: Path, wanted: Callable[[str], bool], http_port: int = DEFAULT_PORT) -> dict[str, dict[str, str]]:
    """Return the options of all sections with wanted names, as `read_section` does."""
    parser = _parse(ini)
    scope = {"here": str(ini.resolve().parent), "__file__": str(ini.resolve()), "http_port": str(http_port)}
    if parser.has_section("DEFAULT"):
        scope |= dict(parser["DEFAULT"])
    return {name: _options(ini, name, dict(parser[name]), scope) for name in parser.sections() if wanted(name)}


def _options(ini: Path, section: str, options: dict[str, str], scope: Mapping[str, str]) -> dict[str, str]:
    raw = _RAW if section.startswith("formatter_") else frozenset()
    scope = {**scope, **options}
    try:
        return {key: value if key in raw else _interpolated(value, scope) for key, value in options.items()}
    except ValueError as error:
        raise SettingsError(f"[{section}] of {ini}: {error}.") from None


def read_address(ini: Path | None, http_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Return the host and port of `[server:main]`, or else 127.0.0.1 and `http_port`."""
    options = (read_section(ini, "server:main", http_port) if ini else None) or {}
    host, port = options.get("host", "127.0.0.1"), options.get("port", str(http_port))
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise SettingsError(f"'port' in [server:main] of {ini} is '{port}': must be a number from 0 to 65535.")
    return host, int(port)


def _parse(ini: Path) -> configparser.RawConfigParser:
    # No section gives defaults to others here: what [DEFAULT] holds is for references, and no setting by itself.
    parser = configparser.RawConfigParser(strict=False, default_section="\n")
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(ini.read_text(encoding="utf-8-sig"), str(ini))
    except FileNotFoundError:
        raise SettingsError(f"{ini} does not exist.") from None
    except (OSError, ValueError, configparser.Error) as error:
        raise SettingsError(f"{ini} cannot be read: {' '.join(str(error).split())}") from None
    return parser


def _interpolated(raw: str, scope: Mapping[str, str], depth: int = 0) -> str:
    if depth > _MAX_DEPTH:
        raise ValueError("an option refers to itself")

    def value_of(match: re.Match[str]) -> str:
        if match["percent"]:
            return "%"
        if not match["name"]:
            raise ValueError("a '%' must be doubled, or be part of '%(name)s'")
        if match["name"] not in scope:
            raise ValueError(f"'%({match['name']})s' refers to nothing")
        return _interpolated(scope[match["name"]], scope, depth + 1)

    return _REFERENCE.sub(value_of, raw)
