"""POST of a file: received and hashed into the store first, and only then written into the record.

Whatever goes wrong on the way, no record points to a file that is not there: the file comes before the record, and old
files go after the commit. What is left of a process that died is swept (`sweeping.py`).

Source: objects, 17.2 and 17.3; reliability, A1 to A8.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec

from kobako import (
    NAME,
    ApiError,
    BackendUnavailable,
    BadRequest,
    Call,
    InvalidJson,
    JsonObject,
    RequestTooLarge,
    Response,
    Settings,
    Stored,
    Streamed,
    TryAgain,
    UnknownObject,
    decode,
    encode,
    invalid,
    json_response,
    merge,
    objects,
    require,
)
from kobako.plugins.attachments import links, multipart, names
from kobako.plugins.attachments.links import FIELD, KINTO, Link, Slot, slot_of
from kobako.plugins.attachments.multipart import Part, Parts
from kobako.plugins.attachments.options import Options, Rulebook, Rules, extensions, mimetypes
from kobako.plugins.attachments.stores import Files

TEXTS = ("data", "permissions")


class InvalidPart(ApiError):
    """A part of the form is missing, or is no JSON."""

    status, errno, error = 400, 109, "Invalid posted data"


class Saved(msgspec.Struct, frozen=True):
    """A file that was received: where it is, and what the record says of it."""

    path: str
    about: JsonObject


class Form(msgspec.Struct):
    """What the parts of an upload said."""

    file: Saved | None = None
    texts: dict[str, Any] = {}


class _Measured:
    """A file as it passes: its size, and its hash. Raises InvalidParameters for one that is too large."""

    def __init__(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        self._chunks, self._limit = chunks, limit
        self._hash = hashlib.sha256()
        self.size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            if 0 < self._limit < self.size:
                what = f"File size ({self.size} bytes) exceeds the limit ({self._limit} bytes)."
                raise invalid("body", None, what)
            # A thread needs no interpreter to hash: other requests are served meanwhile.
            await asyncio.to_thread(self._hash.update, chunk)
            yield chunk

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()


class Uploads:
    """The endpoint that takes files."""

    def __init__(self, settings: Settings, options: Options, files: Files) -> None:
        self._files = files
        self._prefix, self._folder = options.prefix, options.folder
        self._rules = Rulebook(options)
        self._extensions, self._types = extensions(options.extensions), mimetypes(options.mimetypes)
        self._grace_s = options.grace_seconds
        self._longest_text = settings.max_body_size_bytes

    async def post(self, streamed: Streamed) -> Response:
        """Attach a file to a record, which is created if it is not there."""
        slot = slot_of(streamed.target.variables)
        await streamed.read(partial(_admit, slot))
        form = await self._received(streamed, slot)
        assert form.file is not None
        try:
            return await streamed.write(partial(self._write, slot, form.file, form.texts), slot.target())
        except BackendUnavailable as error:
            # A commit that was cut off may be kept: nobody knows whether the record has the file, but the sweep will.
            if isinstance(error, TryAgain):
                await self._files.delete([form.file.path])
            raise
        except Exception:
            await self._files.delete([form.file.path])
            raise

    async def _received(self, streamed: Streamed, slot: Slot) -> Form:
        """Return what the body says, its file stored. Nothing is left of one that is refused."""
        form = Form(texts={})
        parts = Parts(streamed.chunks(), multipart.boundary(streamed.request))
        try:
            # What takes longer would be swept as an orphan.
            async with asyncio.timeout(self._grace_s):
                async for part in parts:
                    await self._take(part, parts, slot, form)
            if form.file is None:
                raise InvalidPart("Attachment missing.")
        except Exception as error:
            if form.file:
                await self._files.delete([form.file.path])
            if isinstance(error, TimeoutError):
                raise BadRequest(f"The upload takes longer than {self._grace_s} seconds.") from error
            raise
        return form

    async def _take(self, part: Part, parts: Parts, slot: Slot, form: Form) -> None:
        if part.name in form.texts or (part.name == KINTO and form.file):
            raise invalid("body", None, f"'{part.name}' is given twice")
        if part.name == KINTO:
            form.file = await self._save(part, parts, slot)
        elif part.name not in TEXTS:
            raise invalid("body", None, f"'{part.name[:100]}' not in {TEXTS}")
        elif part.filename is not None:
            raise invalid("body", None, f"'{part.name}' field should be passed as form data, not files")
        else:
            form.texts[part.name] = await self._json(part, parts)

    async def _json(self, part: Part, parts: Parts) -> Any:
        text = b""
        async for chunk in parts.data():
            text += chunk
            if len(text) > self._longest_text:
                raise RequestTooLarge(f"'{part.name}' is larger than the limit of {self._longest_text} bytes.")
        try:
            return decode(text)
        except InvalidJson as error:
            raise InvalidPart(f"body: {part.name} is not valid JSON ({error})") from error

    async def _save(self, part: Part, parts: Parts, slot: Slot) -> Saved:
        filename = names.last_part(part.filename or "")
        if not filename:
            raise invalid("body", None, "Filename is required.")
        if self._extensions is not None and names.extension(filename)[1:] not in self._extensions:
            raise invalid("body", None, "File extension is not allowed.")
        rules = self._rules.of(slot.bucket, slot.collection)
        kind = names.type_of(filename, self._types)
        file = _Measured(parts.data(), rules.max_size_bytes)
        path = await self._path(slot, rules, filename)
        try:
            await self._files.save(
                path, aiter(file), kind=kind or names.UNKNOWN, disposition=names.disposition(filename)
            )
        except Exception:
            if not names.is_unique(rules):
                await self._files.delete([path])
            raise
        about = {
            "filename": filename,
            "location": self._prefix + path,
            "hash": file.hash,
            "mimetype": kind or part.content_type or names.UNKNOWN,
            "size": file.size,
        }
        return Saved(path, about)

    async def _path(self, slot: Slot, rules: Rules, filename: str) -> str:
        """Return where a file is going to be: where none is, and none other is going to be."""
        folder = self._folder.format(bucket_id=slot.bucket, collection_id=slot.collection).strip("/")
        folder = f"{folder}/" if folder else ""
        candidates = names.candidates(rules, filename)
        if names.is_unique(rules):
            return folder + next(candidates)
        return await self._files.claim(folder, candidates)

    async def _write(self, slot: Slot, file: Saved, texts: JsonObject, call: Call) -> Response:
        """Write the record, and the link; the file that it had before goes after the commit."""
        old = await _admit(slot, call)
        target = slot.target(call.tx.resources["record"])
        given = texts.get("data")
        data = with_file(slot.name, old, {} if given is None else given, file.about)
        new = await merge(call, target, old, data, texts.get("permissions"))
        await self.detach(call, slot)
        link = Link(
            location=file.about["location"],
            bucket_uri=slot.bucket_uri,
            collection_uri=slot.collection_uri,
            record_uri=slot.record_uri,
            name=slot.name,
            path=file.path,
            attachment=file.about,
        )
        await links.put(call.tx, slot, link)
        url = f"{call.request.origin}{call.site.routes.prefix}{slot.record_uri}"
        headers = {"Location": url, "ETag": f'"{new.last_modified}"'}
        return json_response(encode(file.about), 200 if old else 201, headers)

    async def delete(self, call: Call) -> Response:
        """Remove a file from a record."""
        slot = slot_of(call.target.variables)
        target = slot.target(call.tx.resources["record"])
        old = await objects.find_to_write(call.tx, target)
        # An unknown record is a 404 to those who could read it, and nothing to the others.
        await require(call, "write" if old else "read", target)
        if old is None or (slot.name != KINTO and await links.current(call.tx, slot) is None):
            raise unknown(slot, old)
        await self.detach(call, slot)
        await merge(call, target, old, with_file(slot.name, old, {}, None))
        return Response(status=204)

    async def detach(self, call: Call, slot: Slot) -> None:
        """Remove the link of a record's file, if it has one, and the file itself after the commit."""
        link = await links.current(call.tx, slot)
        if link is None:
            return
        keep = self._rules.of(slot.bucket, slot.collection).keep_old_files
        if gone := await links.drop(call.tx, slot.place, {slot.id: link}, keep=keep):
            call.tx.when_committed.append(partial(self._files.delete, gone))


async def _admit(slot: Slot, call: Call) -> Stored | None:
    """Return the record, None if it is to be created. Raises what its PUT does for a caller who may not."""
    target = slot.target(call.tx.resources["record"])
    old = await objects.find_to_write(call.tx, target)
    await require(call, "write" if old else "create", target)
    if not target.resource.ids.accepts(slot.record):
        raise invalid("path", None, "Invalid object id")
    if not NAME.accepts(slot.name):
        raise invalid("path", None, f"Invalid attachment name {slot.name[:100]}")
    return old


def with_file(name: str, old: Stored | None, data: Any, about: JsonObject | None) -> Any:
    """Return the attributes of a record with what it says of a file, None of none any more."""
    if not isinstance(data, dict):
        return data
    if name == KINTO:
        return {**data, KINTO: about}
    before = old.data().get(FIELD) if old else None
    if before is not None and not isinstance(before, dict):
        raise invalid("body", FIELD, f"{FIELD} of the record is no object with names")
    others = {each: value for each, value in (before or {}).items() if each != name}
    return {**data, FIELD: {**others, name: about} if about else others}


def unknown(slot: Slot, record: object) -> ApiError:
    """Return the error for a record, or a file of it, that is not there."""
    return UnknownObject(slot.name, "attachment") if record else UnknownObject(slot.record, "record")
