"""POST of a file: received into the store first, and only then written into the record; and its DELETE.

Whatever goes wrong on the way, no record points to a file that is not there: the file comes before the record, and old
files go after the commit. What is left of a process that died is swept (`sweeping.py`).

Source: objects, 17.2 and 17.4; reliability, A5, A8 and A10.
"""

from functools import partial
from typing import Any

from kobako import (
    NAME,
    ApiError,
    BackendUnavailable,
    Call,
    JsonObject,
    Response,
    Settings,
    Stored,
    Streamed,
    TryAgain,
    UnknownObject,
    encode,
    invalid,
    json_response,
    merge,
    objects,
    require,
)
from kobako.plugins.attachments import links
from kobako.plugins.attachments.links import FIELD, KINTO, Link, Slot, slot_of
from kobako.plugins.attachments.options import Options, Rulebook
from kobako.plugins.attachments.receiving import Receiver, Saved
from kobako.plugins.attachments.stores import Files


class Uploads:
    """The endpoint that takes files."""

    def __init__(self, settings: Settings, options: Options, files: Files) -> None:
        self._files = files
        self._receiver = Receiver(settings, options, files)
        self._rules = Rulebook(options)

    async def post(self, streamed: Streamed) -> Response:
        """Attach a file to a record, which is created if it is not there."""
        slot = slot_of(streamed.target.variables)
        await streamed.read(partial(_admit, slot))
        form = await self._receiver.form(streamed, slot)
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

    async def _write(self, slot: Slot, file: Saved, texts: JsonObject, call: Call) -> Response:
        """Write the record, and the link; the file that it had before goes after the commit."""
        old = await _admit(slot, call)
        target = slot.target(call.tx.resources["record"])
        given = texts.get("data")
        data = _with_file(slot.name, old, {} if given is None else given, file.about)
        new = await merge(call, target, old, data, texts.get("permissions"))
        await self._detach(call, slot)
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
        await self._detach(call, slot)
        await merge(call, target, old, _with_file(slot.name, old, {}, None))
        return Response(status=204)

    async def _detach(self, call: Call, slot: Slot) -> None:
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


def _with_file(name: str, old: Stored | None, data: Any, about: JsonObject | None) -> Any:
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
