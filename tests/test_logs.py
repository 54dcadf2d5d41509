"""How log entries are rendered, and what the logging sections of a configuration choose.

Source: HTTP API, 15.2 to 15.4 and 16.12; objects, 26.3 and 26.4; reliability, O14.
"""

import asyncio
import io
import json
import logging
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SETTINGS
from tests.server.process import running

from kobako import logs
from kobako.app import App
from kobako.cli import _greet
from kobako.http import log as request_log
from kobako.logs import HekaFormatter, JsonFormatter, TextFormatter, flush
from kobako.logs.lines import WRITTEN_AFTER_S, LineHandler, with_request_id
from kobako.resources import RESOURCES
from kobako.server import configure_logging
from kobako.settings import Settings, read_settings
from kobako.settings.template import render
from kobako.testing.client import Client

SUMMARY: dict[str, Any] = {
    "method": "GET",
    "path": "/v1/a",
    "querystring": {"b": "1", "c": ""},
    "code": 200,
    "t": 3,
    "uid": None,
    "time": "2020-01-01T00:00:00.000",
}


def entry(level: int = logging.INFO, message: str = "", name: str = "request.summary", **fields: Any) -> Any:
    record = logging.LogRecord(name, level, "", 0, message, (), None)
    record.fields = fields
    return record


def failure(level: int) -> logging.LogRecord:
    try:
        raise ValueError("bad\r\nluck")
    except ValueError:
        return logging.LogRecord("kobako.errors", level, "", 0, "failed", (), sys.exc_info())


# Heka (15.3)


def heka(record: logging.LogRecord, formatter: Callable[[str], logging.Formatter] = HekaFormatter) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(formatter("shop").format(record))
    return found


def test_heka_has_the_envelope_of_json_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "shop-1")
    record = entry(**SUMMARY)
    record.created = 1700000000.1239

    found, other = heka(record), heka(record, JsonFormatter)

    assert found.pop("Timestamp") == 1700000000123000000
    assert found.pop("Hostname") == "shop-1"
    del found["Fields"], other["Fields"], other["Timestamp"], other["Hostname"]
    assert found == other
    assert (found["Type"], found["Logger"], found["EnvVersion"]) == ("request.summary", "shop", "2.0")


def test_heka_has_the_system_s_name_where_no_variable_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOSTNAME", raising=False)

    assert heka(entry())["Hostname"] == socket.gethostname()


@pytest.mark.parametrize(
    ("level", "for_heka", "for_mozlog"),
    [
        (logging.CRITICAL, 0, 2),
        (logging.ERROR, 2, 3),
        (logging.WARNING, 4, 4),
        (logging.INFO, 6, 6),
        (logging.DEBUG, 7, 7),
        (5, 7, 7),
    ],
)
def test_severities_are_those_of_each_renderer(level: int, for_heka: int, for_mozlog: int) -> None:
    record = entry(level)

    assert heka(record)["Severity"] == for_heka
    assert heka(record, JsonFormatter)["Severity"] == for_mozlog


def test_heka_has_all_fields_of_a_request_nulls_included() -> None:
    assert heka(entry(**SUMMARY))["Fields"] == {
        "agent": None,
        "path": "/v1/a",
        "method": "GET",
        "querystring": '{"b": "1", "c": ""}',
        "lang": None,
        "uid": None,
        "authn_type": None,
        "errno": None,
        "time": "2020-01-01T00:00:00.000",
        "code": 200,
        "t": 3,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"b": [1]}}, '{"a": {"b": [1]}}'),
        ({}, "{}"),
        ([1, "a"], '[1, "a"]'),
        ([["a"]], '[["a"]]'),
        (["a", "b"], ["a", "b"]),
        ([], []),
        ("a", "a"),
        (1, 1),
        (True, True),
        (None, None),
    ],
)
def test_heka_s_fields_are_flat(value: Any, expected: Any) -> None:
    assert heka(entry(name="other", x=value))["Fields"] == {"x": expected}


def test_heka_s_type_is_the_event() -> None:
    assert heka(entry(message="subrequest.summary", name="x"))["Type"] == "subrequest.summary"
    assert heka(entry(message="", name="request.summary"))["Type"] == "request.summary"


# All of them


@pytest.mark.parametrize("formatter", [JsonFormatter("a"), HekaFormatter("a")], ids=["JSON", "Heka"])
@pytest.mark.parametrize(
    "record",
    [
        entry(message="a\r\nb\u2028\x85c", agent="x\r\n{}", list=["\n"], deep={"a\n": "\r"}),
        entry(name="a\nb", agent="\udcff \u00e9"),
        failure(logging.ERROR),
    ],
)
def test_an_entry_is_one_json_object_on_one_line(formatter: logging.Formatter, record: logging.LogRecord) -> None:
    line = formatter.format(record)

    assert isinstance(json.loads(line), dict)
    assert len(line.splitlines()) == 1
    assert line.isascii()


@pytest.mark.parametrize("formatter", [JsonFormatter("a"), HekaFormatter("a")], ids=["JSON", "Heka"])
def test_json_has_the_exception_in_its_fields(formatter: logging.Formatter) -> None:
    fields = json.loads(formatter.format(failure(logging.ERROR)))["Fields"]

    assert fields["error"] == "ValueError('bad\\r\\nluck')"
    assert fields["traceback"].startswith("Traceback")


# Text and colours (15.4)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (entry(**SUMMARY, z="a b"), '"GET   /v1/a?b=1&c=" 200 (3 ms) time=2020-01-01T00:00:00.000 uid=None z="a b"'),
        (entry(message="hello", path="/v1/a", method="DELETE", k=1), '"DELETE /v1/a" ? (? ms) hello k=1'),
        (entry(path="/v1/a", code=200), '"?     /v1/a" 200 (? ms)'),
        (entry(message="not here", userid="a", perm="write"), "not here perm=write userid=a"),
        (entry(message="a\r\nb\x1b[2J", agent="c\r\nd"), 'a\\r\\nb\\x1b[2J agent="c\\r\\nd"'),
    ],
)
def test_text_is_the_request_the_message_and_the_fields(record: logging.LogRecord, expected: str) -> None:
    assert TextFormatter().format(record) == f"INFO   {expected}"
    assert re.sub(r"\x1b\[\d+m", "", TextFormatter(colours=True).format(record)) == f"INFO   {expected}"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (entry(path="/", method="GET", code=201, t=1), '\x1b[1m"GET   /"\x1b[0m \x1b[32m201\x1b[0m (1 ms)'),
        (entry(path="/", method="GET", code=304, t=1), '\x1b[1m"GET   /"\x1b[0m \x1b[36m304\x1b[0m (1 ms)'),
        (entry(path="/", method="GET", code=404, t=1), '\x1b[1m"GET   /"\x1b[0m \x1b[33m404\x1b[0m (1 ms)'),
        (entry(path="/", method="GET", code=503, t=1), '\x1b[1m"GET   /"\x1b[0m \x1b[31m503\x1b[0m (1 ms)'),
        (entry(logging.INFO, "a", k="v"), "a \x1b[2mk=\x1b[0mv"),
        (entry(logging.WARNING, "a"), "\x1b[33ma\x1b[0m"),
        (entry(logging.CRITICAL, "a"), "\x1b[31ma\x1b[0m"),
    ],
)
def test_colours_tell_success_from_failure(record: logging.LogRecord, expected: str) -> None:
    assert TextFormatter("%(message)s", colours=True).format(record) == expected


def test_text_has_the_format_it_is_given() -> None:
    record = entry(logging.WARNING, "hello", name="a", k="v")
    record.created = 0

    assert TextFormatter("%(asctime)s [%(name)s] %(message)s", "%Y").format(record) == "1970 [a] hello k=v"


# The logging sections (26.4)

NAMES = ("", "kobako", "request.summary", "quiet", "asyncio")

SECTIONS = """
[loggers]
keys = root, kinto
[handlers]
keys = console
[formatters]
keys = generic, json
[logger_root]
level = INFO
handlers = console
[logger_kinto]
level = DEBUG
handlers = console
qualname = kinto
propagate = 0
[handler_console]
class = StreamHandler
args = (sys.stdout,)
level = NOTSET
formatter = json
[formatter_generic]
format = %(asctime)s,%(msecs)03d %(levelname)-5.5s [%(name)s] %(message)s
[formatter_json]
class = kinto.core.JsonLogFormatter
"""


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The loggers are as they were after each test."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(each, each.level, each.handlers[:], each.propagate) for each in loggers]
    flags = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = flags


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    """Return the settings of a file with these sections, with replacements of its text."""

    def read(sections: str, *replaced: tuple[str, str], app: str = "", **environ: str) -> Settings:
        for old, new in replaced:
            assert old in sections
            sections = sections.replace(old, new)
        (tmp_path / "kinto.ini").write_text(f"[app:main]\n{app}\n{sections}")
        return read_settings(tmp_path / "kinto.ini", environ)

    return read


Read = Callable[..., Settings]
Capture = pytest.CaptureFixture[str]


def test_the_sections_choose_stream_levels_and_renderer(read: Read, capsys: Capture) -> None:
    settings = read(SECTIONS)
    configure_logging(logging.INFO, settings)

    logging.getLogger("kobako.x").debug("one")
    logging.getLogger("request.summary").info("two")
    logging.getLogger("request.summary").debug("not this")

    output = capsys.readouterr()
    assert settings.warnings == ()
    assert output.err == ""
    assert [json.loads(line)["Fields"] for line in output.out.splitlines()] == [
        {"msg": "one"},
        {"msg": "two"},
    ]


@pytest.mark.parametrize("given", ["abc", None])
async def test_every_entry_of_a_request_has_its_id(
    read: Read, capsys: Capture, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    async def crash(*_: Any, **__: Any) -> None:
        logging.getLogger("a.library").warning("about to crash")
        raise RuntimeError("boom")

    configure_logging(logging.INFO, read(SECTIONS))
    headers = {"X-Request-Id": given} if given else {}
    async with Client(App(SETTINGS, RESOURCES)) as client:
        await client.get("/buckets/b", headers=headers)
        flush()
        refusal = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        monkeypatch.setattr("kobako.model.access.rights", crash)
        await client.get("/buckets/b", headers=headers)
        flush()
        failure = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [each["Type"] for each in refusal] == ["kobako.authorization", "request.summary"]
    assert [each["Type"] for each in failure] == ["a.library", "kobako.errors", "request.summary"]
    for entries in (refusal, failure):
        [rid] = {each["Fields"]["rid"] for each in entries}
        assert rid == given if given else len(rid) == 36


async def test_a_failure_has_the_id_that_was_sent_where_no_requests_are_told(
    read: Read, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kobako.model.access.rights", None)
    configure_logging(logging.ERROR, read(SECTIONS))
    async with Client(App(SETTINGS, RESOURCES)) as client:
        await client.get("/buckets/b", headers={"X-Request-Id": "abc"})

    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["Fields"]["rid"] == "abc"


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        ([("sys.stdout", "sys.stderr")], ["err"]),
        ([("args = (sys.stdout,)", "kwargs = {'stream': sys.stdout}")], ["out"]),
        ([("args = (sys.stdout,)\n", "")], ["err"]),
        ([("level = NOTSET", "level = CRITICAL")], []),
        ([("level = INFO", "level = ERROR")], []),
        ([("level = INFO", "level = warn")], ["out"]),
        ([("handlers = console\n[logger_kinto]", "handlers =\n[logger_kinto]")], []),
    ],
)
def test_an_entry_goes_where_the_sections_say(
    read: Read, capsys: Capture, replaced: list[tuple[str, str]], expected: list[str]
) -> None:
    settings = read(SECTIONS, *replaced)
    configure_logging(logging.INFO, settings)

    logging.getLogger("quiet").warning("hello")

    assert settings.warnings == ()
    output = capsys.readouterr()._asdict()
    assert [name for name, text in output.items() if "hello" in text] == expected


@pytest.mark.parametrize(
    ("formatter", "app", "environ", "expected"),
    [
        pytest.param("class = kinto.core.JsonLogFormatter", "", {}, "json", id="Kinto's"),
        pytest.param("class = kobako.logs.JsonFormatter", "", {}, "json", id="ours"),
        pytest.param("class = kobako.JsonLogFormatter", "", {}, "json", id="ours as it was called"),
        pytest.param("class = some.services.JsonLogFormatter", "", {}, "json", id="that of another package"),
        pytest.param("class = logging_color_formatter.ColorFormatter", "", {}, "classic", id="Kinto's in colour"),
        pytest.param("class = logging.Formatter", "", {}, "classic", id="Python's"),
        pytest.param("", "", {}, "classic", id="none"),
        pytest.param("", "logging_renderer = json", {}, "json", id="the setting, where no class has it"),
        pytest.param("", "", {"KOBAKO_LOGGING_RENDERER": "heka"}, "heka", id="the variable"),
        pytest.param("class = kinto.core.JsonLogFormatter", "logging_renderer = classic", {}, "json", id="both"),
    ],
)
def test_the_formatter_chooses_text_or_json(
    read: Read, formatter: str, app: str, environ: dict[str, str], expected: str
) -> None:
    settings = read(SECTIONS, ("class = kinto.core.JsonLogFormatter", formatter), app=app, **environ)

    assert {each.renderer for rule in settings.log_rules for each in rule.handlers} == {expected}
    assert settings.warnings == ()


CLIQUET = """
[loggers]
keys = root, cliquet
[handlers]
keys = console, sentry
[formatters]
keys = generic, heka
[logger_root]
level = INFO
handlers = console, sentry
[logger_cliquet]
level = DEBUG
handlers =
qualname = cliquet
[handler_console]
class = StreamHandler
args = (sys.stdout,)
formatter = heka
[handler_sentry]
class = raven.handlers.logging.SentryHandler
args = ('http://key:s3cret@sentry.example/1',)
level = WARNING
formatter = generic
[formatter_generic]
format = %(asctime)s %(message)s
[formatter_heka]
format = %(message)s
"""


@pytest.mark.parametrize(
    ("app", "renderer"),
    [
        ("", "heka"),
        ("cliquet.logging_renderer = cliquet.logs.MozillaHekaRenderer", "heka"),
        ("cliquet.logging_renderer = cliquet.logs.ClassicLogRenderer", "classic"),
    ],
)
def test_an_older_file_logs_for_heka_and_its_sentry_is_a_warning(read: Read, app: str, renderer: str) -> None:
    settings = read(CLIQUET, app=app)

    root, own = settings.log_rules
    assert [(each.stream, each.renderer) for each in root.handlers] == [("stdout", renderer)]
    assert (own.name, own.level, own.handlers, own.propagates) == ("kobako", logging.DEBUG, (), True)
    assert settings.warnings == (
        "'class' in [handler_sentry] is 'raven.handlers.logging.SentryHandler': "
        "no such handler is offered; there is StreamHandler.",
    )


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "class = StreamHandler",
            "class = logging.FileHandler",
            "'class' in [handler_console] is 'logging.FileHandler'",
        ),
        ("class = kinto.core.JsonLogFormatter", "class = my.Own", "'class' in [formatter_json] is 'my.Own'"),
        ("(sys.stdout,)", "(open('x'),)", "'args' in [handler_console] is '(open('x'),)'"),
        ("level = NOTSET", "level = LOUD", "'level' in [handler_console] is 'LOUD'"),
        ("level = INFO", "level = 3", "'level' in [logger_root] is '3'"),
        ("formatter = json", "formatter = xml", "There is no section [formatter_xml]"),
        ("[handler_console]", "[handler_konsole]", "There is no section [handler_console]"),
        ("[logger_root]", "[logger_roof]", "There is no section [logger_root]"),
        ("class = kinto.core.JsonLogFormatter", "format = %(nonsense)s", "'format' in [formatter_json]"),
        ("class = kinto.core.JsonLogFormatter", "format = {message}", "'format' in [formatter_json]"),
    ],
)
def test_what_is_unknown_is_a_warning_and_the_server_logs(
    read: Read, capsys: Capture, old: str, new: str, warning: str
) -> None:
    settings = read(SECTIONS, (old, new))
    configure_logging(logging.INFO, settings)

    logging.getLogger("request.summary").info("hello")

    assert [each for each in settings.warnings if each.startswith(warning)]
    assert len(settings.warnings) == 1
    assert "hello" in "".join(capsys.readouterr())


def test_formats_of_text_are_those_of_the_file(read: Read, capsys: Capture) -> None:
    configure_logging(
        logging.INFO, read(SECTIONS, ("formatter = json", "formatter = generic"), ("[%(name)s]", "[%(process)d]"))
    )

    logging.getLogger("quiet").warning("hello")

    assert re.fullmatch(r"\d{4}-\d\d-\d\d .*,\d{3} WARNI \[\d+\] hello\n", capsys.readouterr().out)


@pytest.mark.parametrize(("level", "told"), [(logging.DEBUG, ["debug", "error"]), (logging.CRITICAL, [])])
def test_the_level_of_the_command_line_wins(read: Read, capsys: Capture, level: int, told: list[str]) -> None:
    configure_logging(level, read(SECTIONS))

    logging.getLogger("quiet").debug("debug")
    logging.getLogger("quiet").error("error")

    assert [json.loads(line)["Fields"]["msg"] for line in capsys.readouterr().out.splitlines()] == told


def test_a_file_without_sections_logs_as_the_generated_one(read: Read, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "kobako.ini").write_text(render("memory", "memory", "127.0.0.1"))
    outputs = []
    for settings in (read(""), read_settings(tmp_path / "kobako.ini", {})):
        configure_logging(logging.INFO, settings)
        for name in ("kobako.errors", "request.summary", "quiet"):
            logging.getLogger(name).info("hello")
            logging.getLogger(name).error("bad")
        outputs.append(capsys.readouterr().err)

    assert outputs[0] == outputs[1] == "INFO   hello\nERROR  bad\n" * 3


def test_the_generated_file_names_what_exists(read: Read) -> None:
    text = render("memory", "memory", "127.0.0.1")
    classes = re.findall(r"^class = (kobako\..*)$", text, re.MULTILINE)

    assert [getattr(logs, name.removeprefix("kobako.logs.")) for name in classes] == [TextFormatter, JsonFormatter]
    sections = text[text.index("[loggers]") :]
    settings = read(sections, ("formatter = color", "formatter = json"))
    assert {each.renderer for rule in settings.log_rules for each in rule.handlers} == {"json"}
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("stream", "no_color", "is_coloured"),
    [(Terminal(), "", True), (io.StringIO(), "", False), (Terminal(), "1", False)],
    ids=["terminal", "file", "NO_COLOR"],
)
def test_colours_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, no_color: str, is_coloured: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("NO_COLOR", no_color)
    logs.configure(logging.INFO)

    logging.getLogger("quiet").error("bad")

    assert ("\x1b[" in stream.getvalue()) == is_coloured
    assert "bad" in stream.getvalue()


@pytest.mark.parametrize(("replaced", "expected"), [([], "err"), ([("sys.stdout", "sys.stderr")], "out")])
def test_the_greeting_is_not_among_the_entries(
    read: Read, capsys: Capture, replaced: list[tuple[str, str]], expected: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _greet(read(SECTIONS, *replaced), None, listener)

    output = capsys.readouterr()._asdict()
    assert [name for name, text in output.items() if "Serving http://" in text] == [expected]


# For real


@pytest.mark.server
def test_a_server_logs_json_on_standard_output_as_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "kinto.ini").write_text(
        "[server:main]\nport = %(http_port)s\n[app:main]\nkinto.project_name = shop\n"
        f"kinto.storage_backend = kinto.core.storage.memory\n{SECTIONS}"
    )
    with running(tmp_path, environ={"KINTO_INI": "kinto.ini"}) as server:
        connection = server.connect()
        connection.request("GET", "/v1/buckets?_limit=1", headers={"User-Agent": "a b"})
        connection.getresponse().read()
        server.stop()
        lines = [line for line in server.output.splitlines() if line.startswith("{")]

    entries = [json.loads(line) for line in lines]
    assert {each["Logger"] for each in entries} == {"shop"}
    assert [each for each in entries if "Running shop" in each["Fields"].get("msg", "")]
    [request] = [each["Fields"] for each in entries if each["Fields"].get("path") == "/v1/buckets"]
    assert (request["agent"], request["querystring"], request["code"]) == ("a b", {"_limit": "1"}, 401)
    assert not [line for line in server.output.splitlines() if line.startswith(("INFO", "WARNING", "ERROR"))]


# When lines are written


class Counted(io.StringIO):
    """A stream that counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def stream() -> Counted:
    return Counted()


@pytest.fixture
def logger(stream: Counted) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.lines")
    handler = LineHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(handler)


async def test_lines_of_an_event_loop_are_written_together_soon(logger: logging.Logger, stream: Counted) -> None:
    for n in range(3):
        logger.info("line %d", n)
    assert stream.writes == 0

    await asyncio.sleep(2 * WRITTEN_AFTER_S)

    assert (stream.getvalue(), stream.writes) == ("line 0\nline 1\nline 2\n", 1)
    logger.info("and again")
    await asyncio.sleep(2 * WRITTEN_AFTER_S)
    assert stream.writes == 2


async def test_a_warning_is_written_at_once_with_what_waits(logger: logging.Logger, stream: Counted) -> None:
    logger.info("before")
    logger.warning("now")

    assert stream.getvalue() == "before\nnow\n"


def test_without_an_event_loop_lines_are_written_at_once(logger: logging.Logger, stream: Counted) -> None:
    logger.info("now")

    assert stream.getvalue() == "now\n"


async def test_what_waits_is_written_when_a_process_ends(logger: logging.Logger, stream: Counted) -> None:
    logger.info("late")

    flush()

    assert stream.getvalue() == "late\n"


async def test_a_line_that_waits_tells_what_was_so_and_leaves_the_entry_to_others() -> None:
    stream, things = io.StringIO(), ["one"]
    handler = LineHandler(stream)
    record = logging.LogRecord("kobako", logging.INFO, "", 0, "There is %s", (things,), None)
    handler.handle(record)
    things.append("two")
    handler.flush()

    assert stream.getvalue() == "There is ['one']\n"
    assert (record.msg, record.args) == ("There is %s", (things,))


async def test_a_format_that_asks_for_the_thread_is_told_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an entry is made without looking for it."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging, "logThreads", True)
    await asyncio.to_thread(request_log._log, logging.getLogger("request.summary"), "", {})
    assert caplog.records[-1].threadName != "MainThread"


# Entries of requests need no record where nobody else wants one


SOLE = logging.Logger("sole")
"""Not one of those that pytest knows, which adds handlers of its own."""


@pytest.fixture
def sole(monkeypatch: pytest.MonkeyPatch) -> Iterator[LineHandler]:
    """The only handler of entries of requests, and of their parts."""
    handler = LineHandler(io.StringIO())
    handler.setFormatter(TextFormatter())
    handler.addFilter(with_request_id)
    for logger in (request_log.REQUESTS, request_log.PARTS):
        for name, value in (("handlers", []), ("filters", []), ("propagate", True), ("parent", SOLE)):
            monkeypatch.setattr(logger, name, value)
        logger.setLevel(logging.INFO)
    monkeypatch.setattr(SOLE, "handlers", [handler])
    yield handler
    handler.flush()


def written_of(handler: LineHandler) -> str:
    handler.flush()
    assert isinstance(handler.stream, io.StringIO)
    found = handler.stream.getvalue()
    handler.stream.seek(0)
    handler.stream.truncate()
    return found


@pytest.mark.parametrize("message", ["", "subrequest.summary", "line\r\nbreak"])
def test_an_entry_without_a_record_has_the_same_line(sole: LineHandler, message: str) -> None:
    fields = {**SUMMARY, "rid": "1", "agent": 'a "browser"', "path": "/v1/\n"}
    assert sole.tells
    sole.tell(message, fields)
    told = written_of(sole)
    sole.handle(entry(message=message, **fields))
    assert told == written_of(sole) != ""


async def test_a_request_is_told_without_a_record(sole: LineHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Client(App(SETTINGS, RESOURCES)) as client:
        written_of(sole)
        for of_records in ("LogRecord", "makeLogRecord"):
            monkeypatch.setattr(logging, of_records, None)
        monkeypatch.setattr(request_log, "_Entry", None)
        await client.batch({"path": "/", "method": "GET"})
    lines = written_of(sole).splitlines()
    assert [" subrequest.summary " in each for each in lines] == [True, False]
    assert all(each.startswith("INFO ") and "rid=" in each for each in lines)


@pytest.mark.parametrize(
    "change",
    [
        lambda handler: handler.setLevel(logging.WARNING),
        lambda handler: handler.addFilter(lambda record: False),
        lambda handler: handler.setFormatter(logging.Formatter()),
        lambda handler: handler.setFormatter(TextFormatter("%(asctime)s %(message)s")),
        lambda handler: handler.setFormatter(JsonFormatter("shop")),
        lambda handler: SOLE.addHandler(logging.NullHandler()),
        lambda handler: request_log.REQUESTS.addHandler(logging.NullHandler()),
        lambda handler: request_log.REQUESTS.addFilter(lambda record: False),
        lambda handler: setattr(request_log.REQUESTS, "propagate", False),
    ],
)
def test_where_somebody_may_want_a_record_there_is_one(
    sole: LineHandler, change: Callable[[LineHandler], None]
) -> None:
    assert request_log._teller(request_log.REQUESTS) is sole
    change(sole)
    assert request_log._teller(request_log.REQUESTS) is None


def test_an_entry_that_cannot_be_written_troubles_nobody(sole: LineHandler, capsys: pytest.CaptureFixture[str]) -> None:
    sole.stream.close()
    sole.tell("", SUMMARY)
    assert "I/O operation on closed file" in capsys.readouterr().err
    sole.stream = io.StringIO()


@pytest.mark.parametrize("name", ["handle", "callHandlers"])
def test_who_gets_between_loggers_and_handlers_sees_records(
    sole: LineHandler, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request_log._teller(request_log.REQUESTS) is sole
    monkeypatch.setattr(logging.Logger, name, lambda logger, record: None)
    assert request_log._teller(request_log.REQUESTS) is None
