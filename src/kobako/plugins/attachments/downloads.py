"""GET of a file, for those who may read its record, or have a URL that was signed for them.

Files are sent as what their names say, whatever their senders said, and never to be shown as a page of this server.

Source: reliability, A2 and A7; RFC 9110, sections 13 and 14.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, urlencode

from kobako import (
    Call,
    Forbidden,
    Request,
    Response,
    Settings,
    Streamed,
    encode,
    invalid,
    json_response,
    objects,
    require,
)
from kobako.plugins.attachments import links, names, ranges
from kobako.plugins.attachments.links import Link, slot_of
from kobako.plugins.attachments.options import Options, mimetypes
from kobako.plugins.attachments.stores import Files
from kobako.plugins.attachments.uploads import unknown

NO_PAGE: Final = "default-src 'none'; sandbox"


class Downloads:
    """The endpoints that give files, and URLs of files."""

    def __init__(self, settings: Settings, options: Options, files: Files) -> None:
        self._files = files
        self._types = mimetypes(options.mimetypes)
        self._longest_s = options.signed_url_seconds
        secret = settings.userid_hmac_secret
        self._key = hashlib.sha256(f"attachments\n{secret}".encode()).digest() if secret else b""

    @property
    def signs(self) -> bool:
        """Whether there are signed URLs: a store's, or our own where there is a secret."""
        return self._files.signs or bool(self._key)

    async def get(self, streamed: Streamed) -> Response:
        """Send a file, or a range of it: 200, 206, 304, 416."""
        request = streamed.request
        link = await streamed.read(self._find)
        etag = f'"{link.attachment["hash"]}"'
        headers = self._headers(link, etag)
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status=304, headers=headers)
        size: int = link.attachment["size"]
        asked = request.headers.get("range", "") if request.headers.get("if-range", etag) == etag else ""
        part = ranges.read(asked, size)
        start, end = part or (0, size)
        if part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        if request.method == "HEAD":
            headers["Content-Length"] = str(end - start)
            return Response(status=206 if part else 200, headers=headers)
        if not await self._files.exists(link.path):
            raise unknown(slot_of(streamed.target.variables), record=link)
        return Response(
            status=206 if part else 200,
            headers=headers,
            stream=self._files.read(link.path, start, end),
            length=end - start,
        )

    async def url(self, call: Call) -> Response:
        """Return a URL at which anybody may read a file for a while."""
        slot = slot_of(call.target.variables)
        link = await self._find(call)
        seconds = self._seconds(call.request)
        expires = call.tx.now // 1000 + seconds
        if self._files.signs:
            url = await self._files.sign(link.path, seconds)
        else:
            signature = {"expires": expires, "signature": self._signature(link, expires)}
            path = f"{call.site.routes.prefix}{slot.record_uri}/attachments/{slot.name}"
            url = f"{call.request.origin}{path}?{urlencode(signature)}"
        return json_response(encode({"data": {"url": url, "expires": expires * 1000}}))

    async def _find(self, call: Call) -> Link:
        """Return the file that is asked for. Raises Forbidden, MissingToken, UnknownObject."""
        slot = slot_of(call.target.variables)
        target = slot.target(call.tx.resources["record"])
        given = {name: values[0] for name, values in parse_qs(call.request.query).items()}
        link = await links.current(call.tx, slot)
        if "signature" in given:
            self._check(link, given, call.tx.now)
        else:
            await require(call, "read", target)
        record = await objects.find(call.tx, target)
        if record is None or link is None:
            raise unknown(slot, record)
        return link

    def _check(self, link: Link | None, given: Mapping[str, str], now_ms: int) -> None:
        """Raise Forbidden for a signature that is not ours, of another file, or too old."""
        text = given.get("expires", "")[:20]
        expires = int(text) if text.isdecimal() else 0
        right = link and self._key and self._signature(link, expires)
        if not right or not hmac.compare_digest(right.encode(), given["signature"].encode()) or expires * 1000 < now_ms:
            raise Forbidden("The signature of the URL is not of this file, or has expired.")

    def _signature(self, link: Link, expires: int) -> str:
        return hmac.new(self._key, f"{link.path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _seconds(self, request: Request) -> int:
        text = parse_qs(request.query).get("seconds", [str(self._longest_s)])[0]
        if not text.isdecimal() or not 0 < int(text[:20]) <= self._longest_s:
            raise invalid("querystring", "seconds", f"seconds is from 1 to {self._longest_s}")
        return int(text)

    def _headers(self, link: Link, etag: str) -> dict[str, str]:
        filename: str = link.attachment["filename"]
        return {
            "Content-Type": names.type_of(filename, self._types) or names.UNKNOWN,
            "Content-Disposition": names.disposition(filename),
            "Content-Security-Policy": NO_PAGE,
            "Cache-Control": "private, no-cache",
            "Accept-Ranges": "bytes",
            "ETag": etag,
        }


def _matches(header: str, etag: str) -> bool:
    return header == "*" or etag in [each.strip().removeprefix("W/") for each in header.split(",")]
