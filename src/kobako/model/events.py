"""What happened in a unit of work: recorded as it happens, told before the commit and after it.

An event is about a target, what a request pointed at: one object, or a list (a POST points at one). Objects are kept
as they are stored; whoever is told decodes what they want of them. ACLs are no part of events.

Source: HTTP API, 14; objects, 20.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from kobako.model.resource import Resource, Target
from kobako.protocol.jsontext import JsonObject
from kobako.protocol.projection import project
from kobako.storage.base import Place, Stored

Action = Literal["create", "update", "delete", "read", "flush"]


class Change(msgspec.Struct, frozen=True):
    """One object, before and after: `old` is None for a new one, `new` is the tombstone of a deleted one."""

    old: Stored | None
    new: Stored

    @property
    def action(self) -> Action:
        """What happened to the object."""
        if self.new.deleted:
            return "delete"
        return "update" if self.old else "create"


class Shown(msgspec.Struct, frozen=True):
    """One object as it was returned: only these fields of it, when some were asked for."""

    stored: Stored
    fields: Sequence[str] = ()

    def data(self) -> JsonObject:
        """Return what the client saw, decoded: a new dict at each call."""
        data = self.stored.data()
        return project(data, self.fields) if self.fields else data


class Event(msgspec.Struct, frozen=True):
    """The same thing done by one user to objects of one list, in one request or batch.

    What the first operation pointed at and how it left the list's `timestamp` stand for all of them.
    """

    target: Target
    action: Action
    user: str | None
    timestamp: int

    @property
    def place(self) -> Place:
        """The list."""
        return self.target.place

    @property
    def uri(self) -> str:
        """The path of the request, without the version prefix."""
        return self.target.uri if self.target.id else self.target.list_uri

    def payload(self) -> JsonObject:
        """Return what the API says of an event as JSON, without the objects (section 14.2).

        >>> from kobako.resources import BUCKET
        >>> Event(BUCKET.target("/buckets", "blog"), "create", "account:alice", 1480000000123).payload()
        ... # doctest: +NORMALIZE_WHITESPACE
        {'timestamp': 1480000000123, 'action': 'create', 'uri': '/buckets/blog', 'user_id': 'account:alice',
         'resource_name': 'bucket', 'bucket_id': 'blog'}
        """
        return {
            "timestamp": self.timestamp,
            "action": self.action,
            "uri": self.uri,
            "user_id": self.user,
            "resource_name": self.target.resource.name,
            **self.target.variables,
        }


class ObjectsChanged(Event, frozen=True):
    """Objects of one list that were created, updated or deleted."""

    changes: Sequence[Change]

    def impacted_objects(self) -> list[JsonObject]:
        """Return each object as `{"new": ...}`, with `"old"` where there was one, decoded (section 14.3)."""
        return [{"new": each.new.data()} | ({"old": each.old.data()} if each.old else {}) for each in self.changes]

    def joined(self, others: Iterable[Any]) -> "ObjectsChanged":
        """Return this event with the changes of others."""
        more = [change for each in others for change in each.changes]
        return msgspec.structs.replace(self, changes=[*self.changes, *more])


class ObjectsRead(Event, frozen=True):
    """Objects of one list that were returned to who asked for them: none for HEAD. Recorded if somebody listens."""

    objects: Sequence[Shown]

    def read_objects(self) -> list[JsonObject]:
        """Return the objects as the client saw them, decoded (section 14.3)."""
        return [each.data() for each in self.objects]

    def joined(self, others: Iterable[Any]) -> "ObjectsRead":
        """Return this event with the objects of others."""
        more = [shown for each in others for shown in each.objects]
        return msgspec.structs.replace(self, objects=[*self.objects, *more])


class ServerFlushed(Event, frozen=True):
    """Everything was removed: objects, permissions and cache. `timestamp` is above all that there were.

    It is about no object; told only after it has happened (objects, 20.1).
    """

    @classmethod
    def at(cls, uri: str, timestamp: int) -> "ServerFlushed":
        """Return the event for a flush that a request to this path has brought about."""
        return cls(Resource(name="", path=uri).target(uri), "flush", None, timestamp)


class EventLog:
    """The events of a unit of work, in their order. What a savepoint undoes is forgotten.

    They are told in rounds: what those who are told write themselves makes the next one. `told` are all of them.
    """

    def __init__(self) -> None:
        self._entries: list[ObjectsChanged | ObjectsRead] = []
        self.told: list[ObjectsChanged | ObjectsRead] = []

    def record(self, event: ObjectsChanged | ObjectsRead) -> None:
        """Add what one operation did."""
        self._entries.append(event)

    def mark(self) -> int:
        """Return where the log stands, for `rewind`."""
        return len(self._entries)

    def rewind(self, mark: int) -> None:
        """Forget what was recorded since the mark."""
        del self._entries[mark:]

    def waiting(self) -> list[ObjectsChanged | ObjectsRead]:
        """Return what the next round will be about: each operation by itself, in their order."""
        return [*self._entries]

    def take(self) -> list[ObjectsChanged | ObjectsRead]:
        """Return the events of the next round: what was recorded since the last one, merged."""
        events = merged(self._entries)
        self._entries.clear()
        self.told += events
        return events


def merged(entries: Iterable[ObjectsChanged | ObjectsRead]) -> list[ObjectsChanged | ObjectsRead]:
    """Return one event for each list, action and user, in the order of their first operations."""
    groups: dict[tuple[Place, Action, str | None], list[ObjectsChanged | ObjectsRead]] = {}
    for entry in entries:
        groups.setdefault((entry.place, entry.action, entry.user), []).append(entry)
    return [group[0].joined(group[1:]) if len(group) > 1 else group[0] for group in groups.values()]
