"""What the model says of the files of records: who may read the record reads them, who may write it writes them.

`attachment` is the name of the one file that Kinto has. The answer to the deletion of one does not tell the version of
the record, which is learnt from the history.

Source: objects, 17.1 to 17.4 and 17.6; docs/attachments.md.
"""

import hashlib
from typing import Any

from tests.oracle.model import Expected, holds, is_homeless, refused
from tests.oracle.world import World, parent, user_of

File = tuple[str, dict[str, Any]]
"""Its content, and what its record says of it."""

Files = dict[str, dict[str, File]]
"""The files of each record, by their names."""

ONLY = "attachment"
READS = ("GET", "HEAD")
METHODS = {"attachment": ("POST", "DELETE"), "attachments": (*READS, "POST", "DELETE"), "url": READS}


def predict(world: World, files: Files, request: dict[str, Any], who: set[str]) -> Expected:
    """Tell what a request about a file must be answered."""
    segments, method = request["path"].split("/"), request["method"]
    record, kind, name = "/".join(segments[:7]), segments[7], [*segments, ONLY][8]
    if method not in METHODS["url" if segments[9:] else kind]:
        return Expected(405)
    if method in READS:
        answer = _read(world, files, who, record, name)
        return answer._replace(body=None) if segments[9:] else answer
    if is_homeless(world, parent(record)):
        return Expected(404)
    return (_post if method == "POST" else _delete)(world, files, request, who, record, name)


def _read(world: World, files: Files, who: set[str], record: str, name: str) -> Expected:
    if not holds(world, who, record, "read"):
        return refused(who)
    if name not in files.get(record, {}):
        return Expected(404)
    content, about = files[record][name]
    return Expected(200, content, readable=about)


def _post(world: World, files: Files, request: dict[str, Any], who: set[str], record: str, name: str) -> Expected:
    exists = record in world.objects
    if not holds(world, who, record if exists else parent(record), "write" if exists else "create"):
        return refused(who)
    [(_, filename, mimetype, content)] = [each for each in request["form"] if each[0] == ONLY]
    hash = hashlib.sha256(content).hexdigest()
    about = {"filename": filename, "mimetype": mimetype, "size": len(content), "hash": hash}

    def commit(answer: Any) -> None:
        _, headers, told = answer
        _change(world, who, record, name, told, int(headers["ETag"].strip('"')), **request["texts"])
        files.setdefault(record, {})[name] = content.decode(), told

    return Expected(200 if exists else 201, about, commit=commit)


def _delete(world: World, files: Files, request: dict[str, Any], who: set[str], record: str, name: str) -> Expected:
    if not holds(world, who, record, "write" if record in world.objects else "missing"):
        return refused(who)
    if record not in world.objects or (name != ONLY and name not in files.get(record, {})):
        return Expected(404)

    def commit(answer: Any) -> None:
        _change(world, who, record, name, None, world.UNKNOWN)
        files.get(record, {}).pop(name, None)

    return Expected(204, commit=commit)


def _change(
    world: World,
    who: set[str],
    record: str,
    name: str,
    about: dict[str, Any] | None,
    version: int,
    data: dict[str, Any] | None = None,
    permissions: dict[str, list[str]] | None = None,
) -> None:
    """Write what a record says of a file (None: nothing any more), and what was sent with it."""
    old = world.objects.get(record, {"data": {}, "acl": {}})
    new = {**old["data"], **(data or {})}
    if name == ONLY:
        new[ONLY] = about
    else:
        others = {each: value for each, value in (new.get("attachments") or {}).items() if each != name}
        new["attachments"] = {**others, name: about} if about else others
    acl = {**old["acl"], **{each: set(principals) for each, principals in (permissions or {}).items()}}
    if world.explicit:
        acl["write"] = acl.get("write", set()) | {user_of(who)}
    world.put(record, new, acl, version)
