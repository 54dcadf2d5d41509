"""Recording: from what happened in a unit of work to entries, written before its commit.

All that was done is looked at together, in its order, so that a batch costs a few operations and not some for each
object: the ACLs are read at once, the entries of a bucket written at once. The lists of entries are locked with what
a request names, after all that (`Recorder.lists`); those of buckets that it did not name are written in one order.

Source: objects, 11.2, 11.3, 11.5 and 11.6.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from kobako import Change, ObjectsChanged, Place, Target, Transaction, encode
from kobako.plugins.history.entries import history_of, ids_in, lineage, uris_of
from kobako.plugins.history.options import Options
from kobako.plugins.history.trimming import notes_of, trim

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Acls = Mapping[str, Mapping[str, Iterable[str]]]
"""ACLs by the URIs of their objects."""


class Done(msgspec.Struct, frozen=True):
    """One change, of which object, and by whom."""

    target: Target
    change: Change
    user: str | None

    @property
    def bucket(self) -> str:
        """The id of the bucket that it happened in."""
        return self.target.uri.split("/")[2]


class Recorder:
    """The listener. With `grants`, entries are shown to those who could read what they are about."""

    def __init__(self, options: Options, *, grants: bool) -> None:
        self._options = options
        self._grants = grants
        self._trims = options.auto_trim_max_count > 0

    def lists(self, target: Target) -> Iterator[Place]:
        """Yield what is written because of a change at a target; of a bucket without an id nobody knows yet."""
        segments = (target.uri if target.id else target.list_uri).split("/")
        if len(segments) > 2:
            place = history_of(segments[2])
            yield from (place, notes_of(place)) if self._trims else (place,)

    async def record(self, tx: Transaction, operations: Sequence[ObjectsChanged]) -> None:
        """Write the entries for what was done."""
        by_bucket = self._by_bucket(operations)
        if not by_bucket:
            return
        uris = {uri for all in by_bucket.values() for each in all for uri in lineage(each.target)}
        acls = await tx.permission.acls_of(uris)
        for bucket in sorted(by_bucket):
            await self._write(tx, bucket, by_bucket[bucket], acls)

    def _by_bucket(self, operations: Iterable[ObjectsChanged]) -> dict[str, list[Done]]:
        """Return what is to be recorded. Of a bucket that is deleted, what was done before has gone with it."""
        found: dict[str, list[Done]] = {}
        for done in _each(operations):
            if done.target.resource.name == "bucket" and done.change.new.deleted:
                found.pop(done.bucket, None)
            elif self._is_recorded(done):
                found.setdefault(done.bucket, []).append(done)
        return found

    def _is_recorded(self, done: Done) -> bool:
        excluded = self._options.exclude_resources
        if excluded and any(uri in excluded for uri in lineage(done.target)):
            return False
        return done.user not in self._options.exclude_user_ids

    async def _write(self, tx: Transaction, bucket: str, changes: Sequence[Done], acls: Acls) -> None:
        place = history_of(bucket)
        entries = await tx.storage.put_all(place, [(str(uuid.uuid4()), _entry(tx, each, acls)) for each in changes])
        if self._grants:
            readers = [{"read": _readers(each, acls)} for each in changes]
            await tx.permission.grant(dict(zip(uris_of(place, entries), readers, strict=True)))
        if self._trims:
            await trim(tx, place, [(each.target.resource.name, each.user) for each in changes], self._options)


def _each(operations: Iterable[ObjectsChanged]) -> Iterator[Done]:
    for operation in operations:
        for change in operation.changes:
            yield Done(operation.target.at(change.new.id), change, operation.user)


def _entry(tx: Transaction, done: Done, acls: Acls) -> str:
    """Return the text of an entry. The object in it is not decoded for that."""
    target, new = done.target, done.change.new
    acl: Mapping[str, Iterable[str]] = {} if new.deleted else acls.get(target.uri, {})
    entry: dict[str, Any] = {
        "date": _date(tx.now),
        "action": done.change.action,
        "user_id": done.user,
        "resource_name": target.resource.name,
        **ids_in(target),
        "uri": target.uri,
        "target": {
            "data": msgspec.Raw(new.json().encode()),
            "permissions": {name: sorted(principals) for name, principals in acl.items()},
        },
    }
    return encode(entry)


def _readers(done: Done, acls: Acls) -> set[str]:
    """Return who could read the object when it was left like this: a deleted one, whoever could read what it was in."""
    uris = set(lineage(done.target))
    if done.change.new.deleted:
        uris.remove(done.target.uri)
    return {each for uri in uris for name in ("read", "write") for each in acls.get(uri, {}).get(name, ())}


def _date(now: int) -> str:
    return (EPOCH + timedelta(milliseconds=now)).isoformat(timespec="microseconds")
