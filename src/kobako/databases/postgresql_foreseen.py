"""What a unit of work on PostgreSQL will be asked, asked at once: one journey to the database instead of many.

What a unit writes is not answered from what was found before. One that only reads, and is asked nothing else, needs no
transaction: a statement has a snapshot of its own. What was not foreseen would come from another one, so it is not
answered at all.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Any, Final

from kobako.databases.base import Clock, Foreseen, NotForeseen
from kobako.databases.postgresql_lists import Lists, State
from kobako.databases.postgresql_questions import MOST_ACES, of_one, of_several, of_user, page_of
from kobako.databases.postgresql_session import Session
from kobako.databases.postgresql_version import Question
from kobako.databases.shards import shard
from kobako.permission.base import Acl
from kobako.permission.postgresql import PostgreSQLPermission
from kobako.protocol import jsontext
from kobako.protocol.selection import EVERYTHING, Selection
from kobako.storage import sql
from kobako.storage.base import ListState, Place, Stored
from kobako.storage.postgresql import PostgreSQLStorage
from kobako.storage.postgresql_columns import is_exact

MOST_DECLARED: Final = 10_000
"""Lists of which a worker knows what they declare."""

Row = tuple[Any, ...]


Declared = dict[Place, Sequence[str]]
"""The fields that lists were last seen to declare."""


class Answers:
    """What the statement found: NotForeseen is raised for anything else, and for what was forgotten."""

    def __init__(
        self, asked: Foreseen, rows: Iterable[Any], *, has_page: bool = False, led_by: Sequence[str] = ()
    ) -> None:
        """`has_page`: a page was asked for, too; `led_by`: what its list was taken to declare, where that matters."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            found[row[0]].append(row[1:])
        self.state: State | None = None
        self.mark: str | None = None
        """What the row of the list has as long as nobody writes it; None if nobody told."""
        if listed := found["list"]:
            self.state, self.mark = _state(listed[0]), listed[0][-1]
        self.version: str | None = found["version"][0][-1] if found["version"] else None
        self.above: str | None = found["above"][0][-1] if found["above"] else None
        """The same of the rows above the list, of ACLs and groups."""
        self._asked = asked
        self._are_true = True
        self._groups = frozenset(principal for principal, *_ in found["group"])
        self._grants: defaultdict[str, list[Row]] = defaultdict(list)
        for uri, permission, principal, *_ in found["grant"]:
            self._grants[uri].append((permission, principal))
        # For who is granted nothing nobody has looked; and nobody knows where, if the list declares something else.
        is_as_taken = self.state is not None and (not led_by or led_by == tuple(self.state.indexes))
        self._page = _in_order(asked, found["page"]) if has_page and found["grant"] and is_as_taken else None
        self._uris = set(asked.uris)
        self._objects: dict[tuple[Place, str], Stored | None] = {(each.place, each.id): None for each in asked.objects}
        for parent, resource, id, version, text in found["object"]:
            self._objects[Place(resource, parent), id] = Stored(id, int(version), text)
        self._aces: dict[str, list[Row]] = {each.uri: [] for each in asked.objects}
        for uri, permission, principal, *_ in found["ace"]:
            self._aces[uri].append((permission, principal))

    def object(self, place: Place, id: str) -> Stored | None:
        """Return an object."""
        _require((place, id) in self._objects)
        return self._objects[place, id]

    def groups(self, user: str) -> frozenset[str]:
        """Return the principals of the user."""
        _require(self._are_true and user == self._asked.user)
        return self._groups

    def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) that name one of the principals."""
        _require(self._are_true and self._uris.issuperset(uris))
        _require((self._asked.principals | self._groups).issuperset(principals))
        return {(uri, name) for uri in uris for name, who in self._grants.get(uri, ()) if who in principals}

    def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of an object."""
        aces = self._aces.get(uri)
        _require(self._are_true and aces is not None and len(aces) <= MOST_ACES)
        acl: dict[str, list[str]] = {}
        for permission, principal in aces or ():
            acl.setdefault(permission, []).append(principal)
        return acl

    def page(self, place: Place, selection: Selection) -> Sequence[Stored]:
        """Return the objects selected."""
        _require(self._page is not None and place == self._asked.place and selection == self._asked.selection)
        return self._page or ()

    def forget_object(self, place: Place, id: str) -> None:
        """Forget an object that is written."""
        self._objects.pop((place, id), None)

    def forget_objects(self) -> None:
        """Forget all objects."""
        self._objects.clear()

    def forget_acls(self, uris: Iterable[str]) -> None:
        """Forget the ACLs of some objects."""
        for uri in uris:
            self._aces.pop(uri, None)
            self._uris.discard(uri)

    def forget_permissions(self) -> None:
        """Forget all about ACLs and groups."""
        self._are_true = False


def to_write(asked: Foreseen) -> Question:
    """Return the question about one object, or list, that is to be written; with the marks above."""
    shards = {shard(uri) for uri in asked.uris}
    if len(asked.objects) > 1 or len(shards) != 1:
        return of_several(asked)
    return of_one(asked, shards.pop(), None, has_list=True, has_above=True)


async def ask(session: Session, asked: Foreseen, declared: Declared, *, has_list: bool = False) -> Answers:
    """Run the statement. What its list declares is taken to be as it was last seen, and noted.

    `has_list`: how the list is, is asked whatever else is.
    """
    if not asked.uris and not asked.objects and asked.place is None:
        return Answers(asked, await session.run(*of_user(asked)))
    shards = {shard(uri) for uri in asked.uris}
    if asked.place is None or len(asked.objects) > 1 or len(shards) != 1:
        return Answers(asked, await session.run(*of_several(asked)))
    indexes = tuple(declared.get(asked.place, ()))
    page = page_of(asked, asked.place, indexes) if tells_page(asked, declared) else None
    led_by = indexes if asked.selection and sql.is_led_to(asked.selection, indexes) else ()
    rows = await session.run(*of_one(asked, shards.pop(), page, has_list=has_list))
    answers = Answers(asked, rows, has_page=page is not None, led_by=led_by)
    if answers.state and indexes != tuple(answers.state.indexes):
        if len(declared) > MOST_DECLARED:
            declared.clear()
        declared[asked.place] = answers.state.indexes
    return answers


def tells_page(asked: Foreseen, declared: Declared) -> bool:
    """Tell whether the page that is foreseen is found at once: then it is asked for with the rest."""
    place, selection = asked.place, asked.selection
    if place is None or selection is None or asked.objects or not is_exact(selection):
        return False
    return sql.is_found_at_once(selection, declared.get(place, ()))


class AnsweredStorage(PostgreSQLStorage):
    """The storage of a unit that has answers."""

    __slots__ = ("_answers",)

    def __init__(self, session: Session, lists: Lists, clock: Clock, answers: Answers) -> None:
        super().__init__(session, lists, clock)
        self._answers = answers

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return a live object."""
        try:
            return self._answers.object(place, id)
        except NotForeseen:
            return await super().get(place, id)

    async def list(self, place: Place, selection: Selection = EVERYTHING) -> Sequence[Stored]:
        """Return the objects selected, in their order."""
        try:
            return self._answers.page(place, selection)
        except NotForeseen:
            return await super().list(place, selection)

    async def put(self, place: Place, id: str, text: str, last_modified: int | None = None) -> Stored:
        """Create an object or replace all of it. Raises DuplicateTimestamp."""
        self._answers.forget_object(place, id)
        return await super().put(place, id, text, last_modified)

    async def put_all(self, place: Place, objects: Sequence[tuple[str, str]]) -> Sequence[Stored]:
        """Put objects, each with its own timestamp."""
        self._answers.forget_objects()
        return await super().put_all(place, objects)

    async def delete(self, place: Place, ids: Sequence[str], last_modified: int | None = None) -> Sequence[Stored]:
        """Delete objects and return their tombstones."""
        for id in ids:
            self._answers.forget_object(place, id)
        return await super().delete(place, ids, last_modified)

    async def close_under(self, uri: str, *, tombstones: bool) -> None:
        """Delete the objects of every list under an object, and close those lists."""
        self._answers.forget_objects()
        await super().close_under(uri, tombstones=tombstones)

    async def restore(self, state: ListState, objects: Sequence[Stored]) -> None:
        """Take a list over from another database."""
        self._answers.forget_objects()
        await super().restore(state, objects)


class AnsweredPermission(PostgreSQLPermission):
    """The permissions of a unit that has answers."""

    __slots__ = ("_answers",)

    def __init__(self, session: Session, answers: Answers) -> None:
        super().__init__(session)
        self._answers = answers

    async def groups(self, user: str) -> frozenset[str]:
        """Return the principals of a user."""
        try:
            return self._answers.groups(user)
        except NotForeseen:
            return await super().groups(user)

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of these objects' ACLs that name one of the principals."""
        try:
            return self._answers.granted(principals, uris)
        except NotForeseen:
            return await super().granted(principals, uris)

    async def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of an object."""
        try:
            return self._answers.acl(uri)
        except NotForeseen:
            return await super().acl(uri)

    async def join(self, principal: str, users: Collection[str]) -> None:
        """Give a principal to users."""
        self._answers.forget_permissions()
        await super().join(principal, users)

    async def leave(self, principal: str, users: Collection[str]) -> None:
        """Take a principal from users."""
        self._answers.forget_permissions()
        await super().leave(principal, users)

    async def replace(self, uri: str, acl: Acl) -> None:
        """Set the permissions named to exactly these principals."""
        self._answers.forget_acls([uri])
        await super().replace(uri, acl)

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        """Give permissions on objects, besides those that are given there already."""
        self._answers.forget_acls(acls)
        await super().grant(acls)

    async def forget(self, uris: Collection[str]) -> None:
        """Remove all that is known of these objects and of everything under them."""
        self._answers.forget_permissions()
        await super().forget(uris)

    async def erase(self, principal: str) -> None:
        """Remove a principal wherever it is."""
        self._answers.forget_permissions()
        await super().erase(principal)


def _in_order(asked: Foreseen, rows: Iterable[Row]) -> list[Stored]:
    """Return the objects of a page: of the parts of a statement nobody promises an order."""
    objects = [Stored(id, int(version), text, deleted == "true") for id, version, text, deleted, _ in rows]
    is_descending = asked.selection is not None and asked.selection.sort[0].descending
    objects.sort(key=_version, reverse=is_descending)
    return objects


def _version(stored: Stored) -> int:
    return stored.last_modified


def _state(row: Row) -> State:
    version, is_open, indexes, purged, _ = row
    return State(int(version), is_open == "1", jsontext.decode(indexes), int(purged))


def _require(is_known: bool) -> None:
    if not is_known:
        raise NotForeseen
