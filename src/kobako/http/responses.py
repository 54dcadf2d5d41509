"""Responses: objects and lists as JSON text, spliced from what is stored, and errors.

Source: HTTP API, sections 2, 7.2, 9.1, 10 and 13.5.
"""

import logging
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any, Final

from kobako.databases.base import BackendUnavailable
from kobako.http import log
from kobako.http.site import Call, Site
from kobako.model import objects
from kobako.model.access import ANONYMOUS
from kobako.permission.base import Acl
from kobako.protocol import etags, jsontext
from kobako.protocol.errors import ApiError, Conflict, ServerError, ServiceUnavailable
from kobako.protocol.messages import Request, Response
from kobako.storage.base import DuplicateTimestamp, Stored, jsons

LONGEST_KEPT_S: Final = 2**31 - 1
"""What caches understand at most (RFC 9111, section 1.2.2); a date so far ahead can still be written."""

_log = logging.getLogger("kobako.errors")


def json_response(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with a JSON text."""
    return Response(status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=text.encode())


def object_response(stored: Stored, acl: Acl | None, status: int = 200) -> Response:
    """Return an object with its ACL (None: none is shown, not even an empty one)."""
    permissions = "" if acl is None else f',"permissions":{jsontext.encode(acl)}'
    text = f'{{"data":{stored.json()}{permissions}}}'
    return json_response(text, status, etags.headers_for(stored.last_modified))


def data_response(data: Any, timestamp: int, acl: Acl | None = None) -> Response:
    """Return an object of which only some fields are shown."""
    value = {"data": data} if acl is None else {"data": data, "permissions": acl}
    return json_response(jsontext.encode(value), 200, etags.headers_for(timestamp))


def list_response(listed: Sequence[Stored], timestamp: int) -> Response:
    """Return the objects of a list; nothing is decoded for it."""
    text = '{"data":[' + jsons(listed) + "]}"
    return json_response(text, 200, etags.headers_for(timestamp))


def not_modified(timestamp: int) -> Response:
    """Return a 304: the client has this version already."""
    return Response(status=304, headers=etags.headers_for(timestamp))


async def cache_headers(call: Call) -> dict[str, str]:
    """Return how long a reader may keep an answer: nothing is kept of what a user may read (section 13.5)."""
    # Whoever has principals without being a user gets what is not for all, and so who is judged by the whole request.
    if call.caller == ANONYMOUS:
        resource = call.target.resource
        seconds = await _seconds_to_keep(call)
        if seconds or (seconds == 0 and resource.expires_with_parent):
            return expiring(seconds, call.tx.now / 1000)
    return {"Cache-Control": "no-cache, no-store"}


def expiring(seconds: int, now_s: float) -> dict[str, str]:
    """Return the headers of what may be kept so many seconds; for 0, of what must not be kept at all."""
    seconds = min(seconds, LONGEST_KEPT_S)
    expires = formatdate(now_s + seconds, usegmt=True)
    if seconds:
        return {"Cache-Control": f"max-age={seconds}", "Expires": expires}
    never = "max-age=0, must-revalidate, no-cache, no-store"
    return {"Cache-Control": never, "Expires": expires, "Pragma": "no-cache"}


async def _seconds_to_keep(call: Call) -> int | None:
    target, settings = call.target, call.site.settings
    if not target.resource.expires_with_parent:
        return settings.cache_expires_seconds(target.resource.name)
    ancestors = target.place.parent.split("/")[2::2]
    parent = target.parent()
    stored = await objects.find(call.tx, parent) if parent else None
    by_parent = stored.data().get("cache_expires") if stored else None
    by_settings = settings.cache_expires_seconds(target.resource.name, *ancestors)
    return max([each for each in (by_settings, by_parent) if each is not None], default=None)


def error_response(site: Site, request: Request, error: Exception) -> Response:
    """Return what a client is told of an exception. What is no ApiError is a defect: only the log learns of it."""
    shown = _translated(error)
    if shown.status >= 500:
        # A backend that does not answer concerns everybody.
        level = logging.CRITICAL if isinstance(shown, ServiceUnavailable) else logging.ERROR
        fields = log.of_error(request, shown.errno)
        _log.log(level, "%s", shown.message, exc_info=error, extra={"fields": fields})
    body = shown.body()
    headers = dict(shown.headers)
    if isinstance(shown, ServerError):
        body["info"] = site.settings.error_info_link
    if shown.status == 503 or isinstance(shown, Conflict):
        headers["Retry-After"] = str(site.settings.retry_after_seconds)
    challenges = [each.challenge for each in site.authenticators if each.challenge]
    if shown.status == 401 and challenges:
        headers["WWW-Authenticate"] = "\n".join(challenges)
    response = json_response(jsontext.encode(body), shown.status, headers)
    response.errno = shown.errno
    return response


def _translated(error: Exception) -> ApiError:
    """The one table from what backends meet to what clients are told."""
    match error:
        case ApiError():
            return error
        case BackendUnavailable():
            return ServiceUnavailable()
        case DuplicateTimestamp():
            return Conflict()
        case _:
            return ServerError()
