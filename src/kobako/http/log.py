"""The request log: one entry for each request that was answered, and one for each part of a batch.

An entry is a record of `logging` without a message; what it tells is in its `fields`, a dict that renderers
(`kobako.logs`) turn into text. No headers but those named here, no bodies, and nothing that opens a door is told,
whatever the level.

Source: HTTP API, section 15.1; reliability, O14.
"""

import logging
import random
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from types import FunctionType
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from kobako.http.site import Site
from kobako.protocol import current, params
from kobako.protocol.messages import Request, Response
from kobako.settings import Feature

REQUESTS: Final = logging.getLogger("request.summary")
PARTS: Final = logging.getLogger("subrequest.summary")

SECRET: Final = frozenset({"password", "secret", "token", "access_token", "id_token", "refresh_token", "api_key"})
"""Parameters of a query string whose values are nobody's business."""

OF_A_LOGIN: Final = frozenset({"code", "state"})
"""So are these where they come together: they end a login at another server (RFC 6749, 4.1.2)."""

MAX_LENGTH: Final = 1000
"""Characters of a header that are told."""


class Summary:
    """What an entry tells that neither request nor response know; noted on the way."""

    __slots__ = ("began", "is_logged", "parts", "rid", "user")

    def __init__(self, request: Request, *, is_logged: bool) -> None:
        self.is_logged = is_logged
        self.began = time.perf_counter()
        self.rid = _given_id(request) or _new_id()
        self.user: str | None = None
        self.parts: int | None = None


def begin(site: Site, request: Request) -> Summary | None:
    """Return the summary of a request that begins; None where nobody reads it, which costs next to nothing.

    Whatever else is logged while the request is served has the same id.
    """
    is_logged = _is_logged(site)
    summary = Summary(request, is_logged=is_logged) if is_logged or site.metrics else None
    current.request_id.set(summary.rid if summary else _given_id(request))
    return summary


def end(summary: Summary, request: Request, response: Response) -> None:
    """Log a request that was answered."""
    if not summary.is_logged:
        return
    fields = _fields(summary, request)
    fields["errno"] = response.errno
    fields["code"] = response.status
    fields["t"] = int((time.perf_counter() - summary.began) * 1000)
    fields["time"] = _local(time.time())
    _log(REQUESTS, "", fields)


def part(summary: Summary, request: Request) -> None:
    """Log a part of a batch that was served."""
    if summary.is_logged:
        _log(PARTS, "subrequest.summary", _fields(summary, request))


def of_error(request: Request, errno: int) -> dict[str, Any]:
    """Return the fields of an entry about a request that the server failed to serve."""
    fields: dict[str, Any] = {"method": request.method, "path": request.path, "errno": errno}
    if request.query:
        fields["querystring"] = parameters(request.query)
    return fields


def parameters(query: str) -> dict[str, str]:
    """Return the parameters of a query string as they were sent; of several with one name the last.

    >>> parameters("_sort=a&token=sesame")
    {'_sort': 'a', 'token': '***'}
    """
    return dict(_parameters_lately(query) if len(query) <= params.SHORT else _parameters(query))


def _parameters(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    secret = SECRET | OF_A_LOGIN if len(OF_A_LOGIN.intersection([name for name, _ in pairs])) > 1 else SECRET
    return {name: "***" if name.lower() in secret else value for name, value in pairs}


_parameters_lately: Final = lru_cache(1024)(_parameters)


def _local(time_s: float) -> str:
    """Return a time as ISO 8601 has it, where the server is: of those in one second only the end differs."""
    seconds, fraction = divmod(time_s, 1)
    return f"{_second(seconds)}.{int(fraction * 1000):03}"


@lru_cache(2)
def _second(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))


def _is_logged(site: Site) -> bool:
    return REQUESTS.isEnabledFor(logging.INFO) and Feature.LOGGING in site.settings.features


def _given_id(request: Request) -> str:
    return request.headers.get("x-request-id", "")[:MAX_LENGTH]


def _new_id() -> str:
    """Return a random UUID (version 4). It tells requests apart and keeps no secret: chance need not be strong."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _fields(summary: Summary, request: Request) -> dict[str, Any]:
    headers = request.headers
    fields: dict[str, Any] = {"method": request.method, "path": request.path, "rid": summary.rid}
    if (agent := headers.get("user-agent")) is not None:
        fields["agent"] = agent[:MAX_LENGTH]
    if (lang := headers.get("accept-language")) is not None:
        fields["lang"] = lang[:MAX_LENGTH]
    if request.query:
        fields["querystring"] = parameters(request.query)
    if summary.user is not None:
        fields["authn_type"], _, fields["uid"] = summary.user.partition(":")
    if summary.parts is not None:
        fields["batch_size"] = summary.parts
    return fields


def _log(logger: logging.Logger, message: str, fields: dict[str, Any]) -> None:
    if teller := _teller(logger):
        teller.tell(message, fields)
        return
    # Not `logger.info`: to look for the line that called it costs more than all the rest.
    if logging.logThreads:
        record = logging.LogRecord(logger.name, logging.INFO, __file__, 0, message, (), None)
        record.fields = fields
    else:
        record = _Entry(logger.name, message, fields)
    logger.handle(record)


class Teller(Protocol):
    """A handler that makes no more of an entry at level INFO than its message and fields: it needs no record for it."""

    tells: bool

    def tell(self, message: str, fields: Mapping[str, Any]) -> None:
        """Do what it would do with the record."""
        ...

    def told(self, message: str, fields: Mapping[str, Any]) -> str:
        """Return the line that it would write."""
        ...

    def tell_line(self, line: str) -> None:
        """Write such a line."""
        ...


class Alike:
    """The entries of requests that are alike: what differs is their ids, when they came, and how long they took."""

    __slots__ = ("_fields", "_pieces", "_teller")

    def __init__(self, request: Request, response: Response, user: str | None) -> None:
        summary = Summary(request, is_logged=True)
        summary.user = user
        self._fields = _fields(summary, request)
        self._fields |= {"rid": _MARKS["rid"], "errno": response.errno, "code": response.status, **_MARKS}
        self._teller: Teller | None = None
        self._pieces: list[str] = []

    def log(self, site: Site, began: float) -> None:
        """Log one of them, which was answered by now; `began` as `time.perf_counter` has it."""
        if not _is_logged(site):
            return
        rid = _new_id()
        taken_ms, at = int((time.perf_counter() - began) * 1000), _local(time.time())
        teller = _teller(REQUESTS)
        if teller is not self._teller:
            self._teller = teller
            # In the order of the line. What somebody sent has none of the marks: nobody knows them.
            self._pieces = _MARKED.split(teller.told("", self._fields)) if teller else []
        if teller and len(self._pieces) == len(_MARKS) + 1:
            to_took, to_rid, to_time, rest = self._pieces
            teller.tell_line(f"{to_took}{taken_ms}{to_rid}{rid}{to_time}{at}{rest}")
        else:
            _log(REQUESTS, "", {**self._fields, "rid": rid, "t": taken_ms, "time": at})


_MARKS: Final = {name: f"{name}-{random.SystemRandom().getrandbits(128):032x}" for name in ("rid", "t", "time")}
_MARKED: Final = re.compile("|".join(_MARKS.values()))


def _is_of_logging(function: object) -> bool:
    # A wrapper may look like what it wraps, but its type.
    return type(function) is FunctionType and function.__code__.co_filename == logging.getLevelName.__code__.co_filename


_OF_LOGGING: Final = tuple(
    each if _is_of_logging(each) else None for each in (logging.Logger.handle, logging.Logger.callHandlers)
)
"""How records come to handlers: monitoring that puts itself in between (Sentry, New Relic) wants to see them."""


def _teller(logger: logging.Logger) -> Teller | None:
    """Return the handler of a logger, if it has this one and no other, and that is a teller."""
    if logger.filters or (logging.Logger.handle, logging.Logger.callHandlers) != _OF_LOGGING:
        return None
    found: Any = None
    each: logging.Logger | None = logger
    while each:
        if each.handlers:
            if found or len(each.handlers) > 1:
                return None
            [found] = each.handlers
        each = each.parent if each.propagate else None
    return found if getattr(found, "tells", False) else None


class _Entry(logging.LogRecord):
    """A record at level INFO, made in a fraction of the time, where no format asks for what is not the same for all."""

    def __init__(self, name: str, message: str, fields: dict[str, Any]) -> None:
        now_s = time.time()
        vars(self).update(_ALIKE, name=name, msg=message, fields=fields, created=now_s, msecs=now_s % 1 * 1000)


_ALIKE: Final = vars(logging.LogRecord("", logging.INFO, __file__, 0, "", (), None))
