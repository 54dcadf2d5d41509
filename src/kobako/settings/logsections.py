"""The logging sections of a configuration: which loggers write what, from which level on, to which stream.

They are those of Python's `logging.config`, of which this takes what a server needs: streams, levels, and the choice
between text and JSON. Everything else is a sentence among the warnings, and no reason not to start.

Source: objects, section 26.4; HTTP API, 16.12.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kobako.settings import dotted
from kobako.settings.inifile import DEFAULT_PORT, read_sections

Options = Mapping[str, str]

_KINDS: Final = ("logger", "handler", "formatter")
_LEVELS: Final = logging.getLevelNamesMapping()
_SAMPLE: Final = logging.makeLogRecord({"process": 1, "thread": 1, "message": "", "asctime": ""}).__dict__


class LogHandler(msgspec.Struct, frozen=True):
    """Where entries go: ``stdout`` or ``stderr``, from a level on, rendered as ``classic``, ``json`` or ``heka``.

    The formats are those of `logging`, for text only; empty: our own.
    """

    stream: str = "stderr"
    level: int = logging.NOTSET
    renderer: str = "classic"
    line_format: str = ""
    datefmt: str = ""


class LogRule(msgspec.Struct, frozen=True):
    """What a logger (``""`` is the root) and those below it write: from which level on, and where to."""

    name: str
    level: int
    handlers: tuple[LogHandler, ...]
    propagates: bool = True


def read_logging(
    ini: Path, renderer: str | None = None, http_port: int = DEFAULT_PORT
) -> tuple[tuple[LogRule, ...], list[str]]:
    """Return the rules of a file, none if it has no such sections, and warnings.

    `renderer` is the setting `logging_renderer`, if it is set: that of handlers whose formatter makes no choice.
    """
    sections = read_sections(ini, lambda name: name.partition("_")[0].rstrip("s") in _KINDS, http_port)
    if "loggers" not in sections:
        return (), []
    reader = _Reader(sections, renderer)
    return reader.rules(), list(dict.fromkeys(reader.warnings))


class _Reader:
    """Reads sections that refer to each other, and notes what is strange in them."""

    def __init__(self, sections: Mapping[str, Options], renderer: str | None) -> None:
        self._sections = sections
        self._renderer = renderer
        self.warnings: list[str] = []

    def rules(self) -> tuple[LogRule, ...]:
        names = dict.fromkeys(("root", *_names(self._sections["loggers"].get("keys", ""))))
        return tuple(self._rule(name) for name in names)

    def _rule(self, name: str) -> LogRule:
        section = f"logger_{name}"
        options = self._section(section) or {"level": "INFO", "handlers": "console"}
        listed = _names(options.get("handlers", ""))
        handlers = tuple(each for each in map(self._handler, listed) if each)
        if listed and not handlers:
            # A server that says nothing at all would be worse than one that says it elsewhere.
            handlers = (LogHandler(renderer=self._renderer or "classic"),)
        return LogRule(
            "" if name == "root" else _ours(options.get("qualname", name)),
            self._level(section, options, "INFO" if name == "root" else "NOTSET"),
            handlers,
            options.get("propagate", "1").strip() != "0",
        )

    def _handler(self, name: str) -> LogHandler | None:
        section = f"handler_{name}"
        options = self._section(section)
        if options is None:
            return None
        kind = options.get("class", "")
        if kind not in ("StreamHandler", "logging.StreamHandler", "kinto.core.StreamHandlerWithRequestID"):
            self._warn(section, "class", kind, "no such handler is offered; there is StreamHandler")
            return None
        renderer, line_format, datefmt = self._formatter(options.get("formatter", ""))
        return LogHandler(
            self._stream(section, options), self._level(section, options, "NOTSET"), renderer, line_format, datefmt
        )

    def _stream(self, section: str, options: Options) -> str:
        args = options.get("args", "()") + options.get("kwargs", "")
        if found := re.search(r"\bsys\.(stdout|stderr)\b", args):
            return found[1]
        if re.search(r"\w", args):
            self._warn(section, "args", args, "must be (sys.stderr,) or (sys.stdout,)")
        return "stderr"

    def _formatter(self, name: str) -> tuple[str, str, str]:
        """Return renderer, format and format of dates. Files of Cliquet's time tell Heka's by its name."""
        section = f"formatter_{name}"
        options = (self._section(section) if name else None) or {}
        try:
            renderer = dotted.resolve("renderer", options.get("class", ""))
        except ValueError as error:
            self._warn(section, "class", options.get("class", ""), str(error))
            renderer = "classic"
        if renderer == "classic":
            renderer = self._renderer or ("heka" if name == "heka" else "classic")
        if renderer != "classic":
            return renderer, "", ""
        return renderer, self._line_format(section, options), options.get("datefmt", "")

    def _line_format(self, section: str, options: Options) -> str:
        line_format = options.get("format", "")
        try:
            _ = line_format and logging.Formatter(line_format) and line_format % _SAMPLE
        except (ValueError, TypeError, KeyError) as error:
            self._warn(section, "format", line_format, f"not a format of log entries ({error})")
            return ""
        return line_format

    def _level(self, section: str, options: Options, default: str) -> int:
        name = options.get("level", default).strip().upper() or default
        if name not in _LEVELS:
            self._warn(section, "level", name, "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL")
        return _LEVELS.get(name, _LEVELS[default])

    def _section(self, name: str) -> Options | None:
        if name not in self._sections:
            self.warnings.append(f"There is no section [{name}], which the logging sections name.")
        return self._sections.get(name)

    def _warn(self, section: str, option: str, value: str, rule: str) -> None:
        self.warnings.append(f"'{option}' in [{section}] is '{value}': {rule}.")


def _names(text: str) -> list[str]:
    return [each for each in re.split(r"[,\s]+", text) if each]


def _ours(logger: str) -> str:
    """Return the name of a logger here: Kinto's own is ours.

    >>> _ours("kinto"), _ours("cliquet.storage"), _ours("uvicorn")
    ('kobako', 'kobako.storage', 'uvicorn')
    """
    return re.sub(r"^(?:kinto\.core|kinto|cliquet)(?=\.|$)", "kobako", logger)
