"""Which loggers write what to which stream: what the settings say of it, done.

Source: objects, sections 26.1 and 26.4.
"""

import logging
import os
import sys
from collections.abc import Sequence

from kobako.logs.jsonlines import HekaFormatter, JsonFormatter
from kobako.logs.lines import LineHandler, with_request_id
from kobako.logs.text import FORMAT, TextFormatter
from kobako.settings import SettingsError, dotted, imports
from kobako.settings.logsections import LogHandler, LogRule


def configure(
    level: int, renderer: str = "classic", project_name: str = "kobako", rules: Sequence[LogRule] = ()
) -> None:
    """Log as the rules say; without any, entries of this level and above go to standard error.

    A level other than INFO was asked for on the command line, and is that of all loggers.
    """
    rules = rules or [LogRule("", level, (LogHandler(renderer=renderer),))]
    _ask_for_little(rules)
    # The event loop's own chatter helps nobody, whatever the level.
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))
    made = {each: _handler(each, project_name) for rule in rules for each in rule.handlers}
    for rule in rules:
        logger = logging.getLogger(rule.name)
        logger.setLevel(rule.level if level == logging.INFO else level)
        logger.propagate = rule.propagates
        for old in logger.handlers[:]:
            logger.removeHandler(old)
            old.close()
        for each in rule.handlers:
            logger.addHandler(made[each])
        if not rule.name and not rule.handlers:
            # Or else `logging` would find a handler of its own, which escapes nothing.
            logger.addHandler(logging.NullHandler())


def flush() -> None:
    """Write all that waits to be: the process ends in a way of its own."""
    for logger in (logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)):
        for handler in logger.handlers:
            handler.flush()


def _ask_for_little(rules: Sequence[LogRule]) -> None:
    # What no renderer tells is not asked for: that is half of what an entry costs.
    formats = " ".join(handler.line_format for rule in rules for handler in rule.handlers)
    is_asked = any(f"%({each}" in formats for each in ("process", "thread", "relative"))
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = is_asked


def _handler(handler: LogHandler, project_name: str) -> logging.Handler:
    stream = sys.stdout if handler.stream == "stdout" else sys.stderr
    made = LineHandler(stream)
    made.setLevel(handler.level)
    made.addFilter(with_request_id)
    made.setFormatter(_formatter(handler, project_name, colours=stream.isatty() and not os.environ.get("NO_COLOR")))
    return made


def _formatter(handler: LogHandler, project_name: str, *, colours: bool) -> logging.Formatter:
    if handler.renderer == "json":
        return JsonFormatter(project_name)
    if handler.renderer == "heka":
        return HekaFormatter(project_name)
    if dotted.is_own(handler.renderer):
        return _own(handler.renderer)
    return TextFormatter(handler.line_format or FORMAT, handler.datefmt or None, colours=colours)


def _own(name: str) -> logging.Formatter:
    """Return the formatter that somebody's own class or function makes. Raises SettingsError."""
    try:
        made = imports.load(name)()
    except Exception as error:
        raise SettingsError(f"Renderer '{name}' failed: {type(error).__name__}: {error}.") from error
    if not isinstance(made, logging.Formatter):
        raise SettingsError(f"Renderer '{name}' made {made!r}, which is no logging.Formatter.")
    return made
