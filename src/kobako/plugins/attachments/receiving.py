"""The body of an upload: its parts, one after the other, the file among them into the store, measured and hashed.

Nobody waits for it: it is in no transaction. Of what is refused, or breaks off, nothing is left.

Source: objects, 17.2, 17.3 and 17.6; reliability, A1 to A6.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from kobako import ApiError, BadRequest, InvalidJson, JsonObject, RequestTooLarge, Settings, Streamed, decode, invalid
from kobako.plugins.attachments import multipart, names
from kobako.plugins.attachments.links import KINTO, Slot
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
    """What the parts of an upload said: each has a file."""

    file: Saved | None = None
    texts: dict[str, Any] = msgspec.field(default_factory=dict)


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


class Receiver:
    """What receives uploads, by the rules of where they are for."""

    def __init__(self, settings: Settings, options: Options, files: Files) -> None:
        self._files = files
        self._prefix, self._folder = options.prefix, options.folder
        self._rules = Rulebook(options)
        self._extensions, self._types = extensions(options.extensions), mimetypes(options.mimetypes)
        self._grace_s = options.grace_seconds
        self._longest_text = settings.max_body_size_bytes

    async def form(self, streamed: Streamed, slot: Slot) -> Form:
        """Return what the body says, its file stored. Nothing is left of one that is refused."""
        form = Form()
        parts = Parts(streamed.chunks(), multipart.boundary(streamed.request))
        try:
            # What takes longer would be swept as an orphan.
            async with asyncio.timeout(self._grace_s):
                async for part in parts:
                    await self._take(part, parts, slot, form)
            if form.file is None:
                raise InvalidPart("Attachment missing.")
            return form
        except Exception as error:
            if form.file:
                await self._files.delete([form.file.path])
            if isinstance(error, TimeoutError):
                raise BadRequest(f"The upload takes longer than {self._grace_s} seconds.") from error
            raise

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
        text = bytearray()
        async for chunk in parts.data():
            text += chunk
            if len(text) > self._longest_text:
                raise RequestTooLarge(f"'{part.name}' is larger than the limit of {self._longest_text} bytes.")
        try:
            return decode(bytes(text))
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
