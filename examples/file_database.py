"""A database of one's own: all that is stored is one value, kept in a JSON file. For few objects, and one process.

    kobako.storage_backend = file_database.open_database
    kobako.storage_url = /var/lib/kobako.json

A unit of work changes a copy of the value; at its commit the copy is written to the file, and takes the place of what
was there. So others see all that a unit did, or nothing, and who reads sees one state all along. Units that write take
turns, whatever lists they write.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Collection, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import msgspec

from kobako import (
    AUTHENTICATED,
    PURGED_AT_ONCE,
    TOMBSTONE,
    Acl,
    BackendUnavailable,
    Clock,
    DuplicateTimestamp,
    ListState,
    Place,
    Selection,
    Settings,
    Stored,
    Total,
    UnfitDatabase,
    select,
    versions,
)

NOBODY: frozenset[str] = frozenset()
EVERYTHING = Selection()


class List(msgspec.Struct, frozen=True):
    """A list: where it stands, and its objects and tombstones."""

    state: ListState
    objects: dict[str, Stored] = {}


class Content(msgspec.Struct):
    """All that is stored: lists by name, ACLs by URI, and the principals that users were given."""

    epoch: int
    lists: dict[str, List] = {}
    acls: dict[str, dict[str, frozenset[str]]] = {}
    groups: dict[str, frozenset[str]] = {}

    def copy(self) -> "Content":
        """Return what may be changed without changing this: what is in the dicts is replaced, never changed."""
        lists = {name: List(each.state, dict(each.objects)) for name, each in self.lists.items()}
        return Content(self.epoch, lists, dict(self.acls), dict(self.groups))


class Unit:
    """One unit of work."""

    def __init__(self, content: Content, clock: Clock) -> None:
        self.content = content
        self.storage = FileStorage(self, clock)
        self.permission = FilePermission(self)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        before = self.content.copy()
        try:
            yield
        except BaseException:
            self.content = before
            raise


class FileStorage:
    """The objects."""

    def __init__(self, unit: Unit, clock: Clock) -> None:
        self._unit = unit
        self._clock = clock

    async def epoch(self) -> int:
        return self._unit.content.epoch

    async def timestamp(self, place: Place) -> int | None:
        found = self._list(place).state
        return found.timestamp if found.is_open else None

    async def open(self, place: Place) -> int:
        found = self._list(place)
        if not found.state.is_open:
            opened = versions.following(found.state.timestamp, self._clock())
            self._set(found, timestamp=opened, is_open=True)
            return opened
        return found.state.timestamp

    async def get(self, place: Place, id: str) -> Stored | None:
        found = self._list(place).objects.get(id)
        return None if found is None or found.deleted else found

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        return select(self._list(place).objects.values(), selection)

    async def count(self, place: Place, selection: Selection = EVERYTHING) -> int:
        return len(await self.list(place, msgspec.structs.replace(selection, sort=(), after=None, limit=None)))

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        current = await self.open(place)
        found = self._list(place)
        assigned = versions.assign(current, self._clock(), last_modified, known=id in found.objects)
        taken = {each.last_modified: each.id for each in found.objects.values()} if last_modified else {}
        if taken.get(assigned.of_object, id) != id:
            raise DuplicateTimestamp(f"{assigned.of_object} is the timestamp of another object of {place}")
        found.objects[id] = Stored(id, assigned.of_object, text)
        self._set(found, timestamp=assigned.of_list)
        return found.objects[id]

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        return [await self.put(place, id, text) for id, text in objects]

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        tombstones = []
        for id in ids:
            if await self.get(place, id):
                found = self._list(place)
                assigned = versions.assign(found.state.timestamp, self._clock(), last_modified)
                found.objects[id] = Stored(id, assigned.of_object, TOMBSTONE, deleted=True)
                self._set(found, timestamp=assigned.of_list)
                tombstones.append(found.objects[id])
        return tombstones

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        for found in [*self._unit.content.lists.values()]:
            place = found.state.place
            if not _is_under(place.parent, [uri]):
                continue
            if tombstones:
                await self.delete(place, [*found.objects])
                self._set(self._list(place), is_open=False)
            else:
                # Whoever polls from a timestamp given out so far has missed deletions, and can be told.
                purged = versions.following(found.state.timestamp, self._clock())
                self._set(List(found.state), timestamp=purged, is_open=False, purged_before=purged)

    async def purge(self, place: Place, before: int, keep: int = 0) -> int:
        found = self._list(place)
        newest_first = sorted((each for each in found.objects.values() if each.deleted), key=_by_version, reverse=True)
        old = [each for each in newest_first[keep:] if each.last_modified < before][-PURGED_AT_ONCE:]
        for each in old:
            del found.objects[each.id]
        if old:
            self._set(found, purged_before=max(found.state.purged_before, old[0].last_modified))
        return len(old)

    async def purged_before(self, place: Place) -> int:
        return self._list(place).state.purged_before

    async def index(self, place: Place, fields: Sequence[str]) -> None:
        """There are no indexes: everything is looked at."""

    async def totals(self) -> Mapping[str, Total]:
        found: dict[str, Total] = {}
        for each in self._unit.content.lists.values():
            kind, gone = each.state.place.resource, sum(stored.deleted for stored in each.objects.values())
            known = found.get(kind, Total(0, 0))
            found[kind] = Total(known.objects + len(each.objects) - gone, known.tombstones + gone)
        return {kind: each for kind, each in found.items() if each != Total(0, 0)}

    async def states(self, after: Place | None = None, limit: int = 1000) -> Sequence[ListState]:
        found = sorted((each.state for each in self._unit.content.lists.values()), key=_by_parent)
        return [each for each in found if after is None or _by_parent(each) > (after.parent, after.resource)][:limit]

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        found = self._list(state.place)
        found.objects.update({each.id: each for each in objects})
        self._unit.content.lists[_name(state.place)] = List(state, found.objects)

    async def set_epoch(self, epoch: int) -> None:
        self._unit.content.epoch = epoch

    def _list(self, place: Place) -> List:
        """Return a list; one that was never opened stands at the epoch."""
        content = self._unit.content
        return content.lists.get(_name(place)) or List(ListState(place, content.epoch, False))

    def _set(self, changed: List, **state: int) -> None:
        new = msgspec.structs.replace(changed.state, **state)
        self._unit.content.lists[_name(new.place)] = List(new, changed.objects)


class FilePermission:
    """The ACLs and memberships."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def groups(self, user: str) -> frozenset[str]:
        groups = self._unit.content.groups
        return groups.get(user, NOBODY) | groups.get(AUTHENTICATED, NOBODY)

    async def join(self, principal: str, users: Collection[str]) -> None:
        groups = self._unit.content.groups
        groups.update({user: groups.get(user, NOBODY) | {principal} for user in users})

    async def leave(self, principal: str, users: Collection[str]) -> None:
        groups = self._unit.content.groups
        groups.update({user: groups.get(user, NOBODY) - {principal} for user in users})

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        acls = self._unit.content.acls
        found = ((uri, permission, holders) for uri in uris for permission, holders in acls.get(uri, {}).items())
        return {(uri, permission) for uri, permission, holders in found if not holders.isdisjoint(principals)}

    async def shared(self, principals: Collection[str], parent: str, permissions: Collection[str]) -> Set[str]:
        below = [uri for uri in self._unit.content.acls if uri.rpartition("/")[0] == parent]
        granted = await self.granted(principals, below)
        return {uri.rpartition("/")[2] for uri, permission in granted if permission in permissions}

    async def held(self, principals: Collection[str]) -> Set[tuple[str, str]]:
        return await self.granted(principals, self._unit.content.acls)

    async def held_alone(self, principal: str, permission: str) -> Set[str]:
        return {uri for uri, acl in self._unit.content.acls.items() if acl.get(permission, NOBODY) == {principal}}

    async def acl(self, uri: str) -> dict[str, list[str]]:
        return {permission: [*holders] for permission, holders in self._unit.content.acls.get(uri, {}).items()}

    async def acls_of(self, uris: Collection[str]) -> Mapping[str, Acl]:
        return {uri: self._unit.content.acls[uri] for uri in uris if uri in self._unit.content.acls}

    async def acls(self, after: str = "", limit: int = 1000) -> Mapping[str, Acl]:
        acls = self._unit.content.acls
        return {uri: acls[uri] for uri in sorted(each for each in acls if each > after)[:limit]}

    async def members(self, after: str = "", limit: int = 1000) -> Mapping[str, Collection[str]]:
        found: dict[str, list[str]] = {}
        for user, principals in self._unit.content.groups.items():
            for each in principals:
                found.setdefault(each, []).append(user)
        return {each: found[each] for each in sorted(each for each in found if each > after)[:limit]}

    async def replace(self, uri: str, acl: Acl) -> None:
        self._set(uri, {**self._unit.content.acls.get(uri, {}), **{name: frozenset(acl[name]) for name in acl}})

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        for uri, acl in acls.items():
            old = self._unit.content.acls.get(uri, {})
            self._set(uri, {**old, **{name: old.get(name, NOBODY).union(holders) for name, holders in acl.items()}})

    async def forget(self, uris: Collection[str]) -> None:
        content = self._unit.content
        for uri, acl in [*content.acls.items()]:
            kept = {name: _without(holders, uris) for name, holders in acl.items()}
            self._set(uri, {} if _is_under(uri, uris) else kept)
        content.groups = {user: _without(principals, uris) for user, principals in content.groups.items()}

    async def erase(self, principal: str) -> None:
        content = self._unit.content
        for uri, acl in [*content.acls.items()]:
            self._set(uri, {name: holders - {principal} for name, holders in acl.items()})
        content.groups = {user: each - {principal} for user, each in content.groups.items() if user != principal}

    def _set(self, uri: str, acl: dict[str, frozenset[str]]) -> None:
        """Set the ACL of an object: what nobody has is not kept, nor an ACL in which nobody is."""
        acls = self._unit.content.acls
        acls[uri] = {name: holders for name, holders in acl.items() if holders}
        if not acls[uri]:
            del acls[uri]


class FileDatabase:
    """Objects and permissions in a file, which one process has open at a time."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._content: Content | None = None
        self._lock: IO[bytes] | None = None
        self._turn = asyncio.Lock()

    async def migrate(self) -> list[str]:
        if self._path.exists():
            return []
        self._write(Content(self._clock()))
        return [f"made {self._path}"]

    async def open(self) -> None:
        if not self._path.exists():
            raise UnfitDatabase(f"{self._path} is not there yet: run kobako migrate")
        self._lock = self._path.with_suffix(".lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnfitDatabase(f"{self._path} is in use by another process") from error
        self._content = msgspec.json.decode(self._path.read_bytes(), type=Content)

    async def close(self) -> None:
        async with self._turn:
            self._content = None
        if self._lock:
            self._lock.close()

    @asynccontextmanager
    async def begin(self, lists: Collection[Place] = (), emptied: Collection[str] = ()) -> AsyncIterator[Unit]:
        if not lists and not emptied:
            yield Unit(self._opened(), self._clock)
            return
        async with self._turn:
            unit = Unit(self._opened().copy(), self._clock)
            yield unit
            self._write(unit.content)
            self._content = unit.content

    async def flush(self) -> None:
        async with self._turn:
            content = self._opened()
            latest = max([content.epoch, *(each.state.timestamp for each in content.lists.values())])
            self._content = Content(versions.following(latest, self._clock()))
            self._write(self._content)

    async def check(self) -> bool:
        return self._content is not None and self._path.exists()

    def _opened(self) -> Content:
        if self._content is None:
            raise BackendUnavailable(f"{self._path} is not open")
        return self._content

    def _write(self, content: Content) -> None:
        """Write everything, under another name first: after a loss of power there is one state or the other."""
        draft = self._path.with_suffix(".draft")
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(content))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path)
        except OSError as error:
            raise BackendUnavailable(f"{self._path}: {error.strerror}") from error


def open_database(url: str, settings: Settings, clock: Clock) -> FileDatabase:
    """Return the database that the settings name."""
    return FileDatabase(Path(url), clock)


def _name(place: Place) -> str:
    return f"{place.resource} {place.parent}"


def _by_parent(state: ListState) -> tuple[str, str]:
    return state.place.parent, state.place.resource


def _by_version(stored: Stored) -> int:
    return stored.last_modified


def _is_under(uri: str, ancestors: Collection[str]) -> bool:
    return any(uri == each or uri.startswith(f"{each}/") for each in ancestors)


def _without(principals: frozenset[str], forgotten: Collection[str]) -> frozenset[str]:
    return frozenset(each for each in principals if not _is_under(each, forgotten))
