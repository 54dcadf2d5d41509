"""What a unit of work on PostgreSQL will be asked, asked at once: one journey to the database instead of many.

What a unit writes is not answered from what was found before. One that only reads, and is asked nothing else, needs no
transaction: a statement has a snapshot of its own. What was not foreseen would come from another one, so it is not
answered at all.
"""

from collections import defaultdict
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, Final

from kobako.databases.base import Clock, Foreseen, NotForeseen
from kobako.databases.postgresql_lists import Lists, State
from kobako.databases.postgresql_session import Rows, Session
from kobako.databases.shards import shard
from kobako.permission.base import AUTHENTICATED, Acl
from kobako.permission.postgresql import PostgreSQLPermission
from kobako.protocol import jsontext
from kobako.protocol.selection import EVERYTHING, Selection
from kobako.storage import sql
from kobako.storage.base import ListState, Place, Stored
from kobako.storage.postgresql import PostgreSQLStorage
from kobako.storage.postgresql_columns import PLANNED, is_exact

NOWHERE: Final = Place("", "")

MOST_DECLARED: Final = 10_000
"""Lists of which a worker knows what they declare."""

OF_A_LIST: Final = 5
"""Parameters of the statement for a list: a bucket, principals, and the list."""

MOST_ACES: Final = 50
"""A longer ACL is not read before somebody wants to see it."""

# $1: the names that groups have as members; $2: principals; $3, $4: buckets and URIs of ACLs; $5 to $7: a list; $8 to
# $11: buckets, parents, kinds and ids of objects; $12, $13: buckets and URIs of their ACLs, which differ for a bucket.
_STATEMENT: Final = f"""
    SELECT 'group', principal, NULL, NULL, NULL, NULL FROM members WHERE member = ANY($1::text[])
    UNION ALL
    SELECT 'grant', uri, permission, principal, NULL, NULL
    FROM unnest($3::text[], $4::text[]) AS u (bucket, uri) JOIN aces USING (bucket, uri)
    WHERE principal = ANY($2::text[] || ARRAY(SELECT m.principal FROM members AS m WHERE member = ANY($1::text[])))
    UNION ALL
    SELECT 'list', last_modified::text, open::int::text, array_to_json(indexes)::text, purged_before::text, NULL
    FROM lists WHERE bucket = $5 AND parent = $6 AND resource = $7
    UNION ALL
    SELECT 'object', parent, resource, id, last_modified::text, data
    FROM unnest($8::text[], $9::text[], $10::text[], $11::text[]) AS s (bucket, parent, resource, id)
    JOIN objects USING (bucket, parent, resource, id) WHERE NOT deleted
    UNION ALL
    SELECT 'ace', s.uri, permission, principal, NULL, NULL
    FROM unnest($12::text[], $13::text[]) AS s (bucket, uri), LATERAL (
        SELECT permission, principal FROM aces AS a WHERE a.bucket = s.bucket AND a.uri = s.uri
        LIMIT {MOST_ACES + 1}) AS first"""

# The same for one list, or one object of it, whose ACLs are all in one bucket: without what it takes to join arrays it
# costs half. $1: that bucket; $2: principals; $3 to $5: the list.
_GROUPS: Final = "SELECT 'group', principal, NULL, NULL, NULL, NULL FROM members WHERE member IN ({user})"

_GRANTS: Final = """
    SELECT 'grant', uri, permission, principal, NULL, NULL FROM aces
    WHERE bucket = $1 AND uri IN ({uris}) AND principal = ANY({principals})"""

_OF_GROUPS: Final = "$2::text[] || ARRAY(SELECT m.principal FROM members AS m WHERE member IN ({user}))"

_LIST: Final = """
    SELECT 'list', last_modified::text, open::int::text, array_to_json(indexes)::text, purged_before::text, NULL
    FROM lists WHERE bucket = $3 AND parent = $4 AND resource = $5"""

_OBJECT: Final = f"""
    SELECT 'object', parent, resource, id, last_modified::text, data FROM objects
    WHERE bucket = $3 AND parent = $4 AND resource = $5 AND id = $6 AND NOT deleted
    UNION ALL
    SELECT * FROM (
        SELECT 'ace', uri, permission, principal, NULL, NULL FROM aces WHERE bucket = $1 AND uri = $7
        LIMIT {MOST_ACES + 1}) AS first"""

# A page for who is granted nothing would be read in vain; it is told so without one.
_PAGE: Final = """
    SELECT 'page', p.id, p.last_modified::text, p.data, p.deleted::text, NULL FROM ({page}) AS p
    WHERE EXISTS (SELECT FROM granted)"""

# What a snapshot says is what has been committed: another one that says the same has all the same in it. Not so on
# a standby, which leaves out who is at work; nor after a failure, when numbers of transactions that were lost may be
# given again: but then connections are new.
VERSION: Final = "pg_current_snapshot()::text WHERE NOT pg_is_in_recovery()"
_AND_VERSION: Final = f" UNION ALL SELECT 'version', NULL, NULL, NULL, NULL, {VERSION}"

Row = tuple[Any, ...]


Declared = dict[Place, Sequence[str]]
"""The fields that lists were last seen to declare."""


@lru_cache(64)
def statement_of_one(
    uris: int,
    *,
    is_object: bool,
    has_user: bool,
    has_page: bool = False,
    has_list: bool = False,
    with_version: bool = False,
) -> str:
    """Return the statement for a list, or an object, and so many ACLs: each has a parameter of its own.

    With a page of the list: {page} stands for its statement.

    Of an array PostgreSQL thinks that it is long, so it would plan anew each time, which takes five times as long as to
    run the plan. How the list is, is asked where there is no object, or it is to be written (`has_list`): who reads an
    object has no use for it.
    """
    first = 8 if is_object else 6
    user = f"${first}, ${first + 1}"
    first += 2 * has_user
    names = ", ".join(f"${number}" for number in range(first, first + uris))
    grants = _GRANTS.format(uris=names, principals=_OF_GROUPS.format(user=user) if has_user else "$2::text[]")
    groups = [_GROUPS.format(user=user)] if has_user else []
    if not has_page:
        about = [_OBJECT] if is_object else []
        parts = [*groups, grants, *about, *([_LIST] if has_list or not is_object else [])]
        return " UNION ALL ".join(parts) + (_AND_VERSION if with_version else "")
    parts = [*groups, "SELECT * FROM granted", _LIST, _PAGE]
    both = f"WITH granted (kind, a, b, c, d, e) AS MATERIALIZED ({grants}) {' UNION ALL '.join(parts)}"
    return both + (_AND_VERSION if with_version else "")


class Answers:
    """What the statement found: NotForeseen is raised for anything else, and for what was forgotten."""

    def __init__(
        self, asked: Foreseen, rows: Iterable[Any], *, has_page: bool = False, led_by: Sequence[str] = ()
    ) -> None:
        """`has_page`: a page was asked for, too; `led_by`: what its list was taken to declare, where that matters."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for kind, *values in rows:
            found[kind].append(tuple(values))
        self.state = next((_state(row) for row in found["list"]), None)
        self.version: str | None = next((text for *_, text in found["version"]), None)
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


async def ask(session: Session, asked: Foreseen, declared: Declared, *, has_list: bool = False) -> Answers:
    """Run the statement. What its list declares is taken to be as it was last seen, and noted.

    `has_list`: how the list is, is asked whatever else is.
    """
    shards = {shard(uri) for uri in asked.uris}
    if asked.place is None or len(asked.objects) > 1 or len(shards) != 1:
        return Answers(asked, await _ask_of_several(session, asked))
    indexes = tuple(declared.get(asked.place, ()))
    page = _page(asked, asked.place, indexes) if tells_page(asked, declared) else None
    led_by = indexes if asked.selection and sql.is_led_to(asked.selection, indexes) else ()
    rows = await _ask_of_one(session, asked, shards.pop(), page, has_list=has_list)
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


def _page(asked: Foreseen, place: Place, indexes: Sequence[str]) -> sql.Statement:
    before = OF_A_LIST + (2 if asked.user else 0) + len(asked.uris)
    return sql.page(PLANNED, place.parent, place.resource, asked.selection or EVERYTHING, indexes, before)


def _ask_of_one(
    session: Session, asked: Foreseen, shard_of_acls: str, page: sql.Statement | None, *, has_list: bool
) -> Awaitable[Rows]:
    place, sought = asked.place or NOWHERE, asked.objects[:1]
    statement = statement_of_one(
        len(asked.uris),
        is_object=bool(sought),
        has_user=asked.user is not None,
        has_page=page is not None,
        has_list=has_list,
        with_version=asked.with_version,
    )
    return session.run(
        statement.replace("{page}", page[0]) if page else statement,
        *(shard_of_acls, list(asked.principals)),
        *(shard(place.parent), place.parent, place.resource),
        *[part for each in sought for part in (each.id, each.uri)],
        *((asked.user, AUTHENTICATED) if asked.user else ()),
        *asked.uris,
        *(page[1] if page else ()),
    )


def _ask_of_several(session: Session, asked: Foreseen) -> Awaitable[Rows]:
    place = asked.place or NOWHERE
    places = [each.place for each in asked.objects]
    return session.run(
        _STATEMENT + (_AND_VERSION if asked.with_version else ""),
        [asked.user, AUTHENTICATED] if asked.user else [],
        list(asked.principals),
        *([shard(uri) for uri in asked.uris], list(asked.uris)),
        *(shard(place.parent), place.parent, place.resource),
        *([shard(each.parent) for each in places], [each.parent for each in places]),
        *([each.resource for each in places], [each.id for each in asked.objects]),
        *([shard(each.uri) for each in asked.objects], [each.uri for each in asked.objects]),
    )


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
