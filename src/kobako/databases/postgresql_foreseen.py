"""What a unit of work on PostgreSQL will be asked, asked at once: one journey to the database instead of four.

A unit that only reads, and is asked nothing else, needs no transaction: a statement has a snapshot of its own. What was
not foreseen would come from another one, so it is not answered at all.
"""

from collections import defaultdict
from collections.abc import Collection, Set
from typing import Any, Final

from kobako.databases.base import Clock, Foreseen, NotForeseen
from kobako.databases.postgresql_lists import THIS, Lists, State
from kobako.databases.postgresql_session import Session
from kobako.databases.shards import shard
from kobako.permission.base import AUTHENTICATED
from kobako.permission.postgresql import PostgreSQLPermission
from kobako.protocol import jsontext
from kobako.storage.base import Place, Stored
from kobako.storage.postgresql import PostgreSQLStorage

MOST_ACES: Final = 50
"""A longer ACL is not read before somebody wants to see it."""

# $1 to $4: bucket, parent, resource and id; $5: the names that groups have as members; $6: principals; $7 and $8: the
# buckets and URIs of the ACLs.
STATEMENT: Final = f"""
    SELECT 'group', principal, NULL, NULL, NULL FROM members WHERE member = ANY($5::text[])
    UNION ALL
    SELECT 'grant', uri, permission, principal, NULL
    FROM unnest($7::text[], $8::text[]) AS u (bucket, uri) JOIN aces USING (bucket, uri)
    WHERE principal = ANY($6::text[])
        OR principal IN (SELECT m.principal FROM members AS m WHERE member = ANY($5::text[]))
    UNION ALL
    SELECT 'list', last_modified::text, open::int::text, array_to_json(indexes)::text, purged_before::text
    FROM lists WHERE {THIS}
    UNION ALL
    SELECT 'object', id, last_modified::text, data, NULL FROM objects WHERE {THIS} AND id = $4 AND NOT deleted
    UNION ALL
    (SELECT 'ace', permission, principal, NULL, NULL FROM aces
    WHERE $4::text IS NOT NULL AND bucket = ($7::text[])[1] AND uri = ($8::text[])[1] LIMIT {MOST_ACES + 1})"""


class Answers:
    """What the statement found. It is true until the unit writes; for any other question NotForeseen is raised."""

    def __init__(self, session: Session, asked: Foreseen) -> None:
        self._session = session
        self._asked = asked
        self._found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)

    async def ask(self) -> None:
        """Run the statement."""
        asked, place = self._asked, self._asked.place
        names = [asked.user, AUTHENTICATED] if asked.user else []
        key = (shard(place.parent), place.parent, place.resource, asked.id)
        shards = [shard(uri) for uri in asked.uris]
        self._session.has_written = False
        for kind, *values in await self._session.run(
            STATEMENT, *key, names, list(asked.principals), shards, list(asked.uris)
        ):
            self._found[kind].append(tuple(values))

    @property
    def state(self) -> State | None:
        """What the row of the list says."""
        for version, is_open, indexes, purged in self._found["list"]:
            return State(int(version), is_open == "1", jsontext.decode(indexes), int(purged))
        return None

    def object(self, place: Place, id: str) -> Stored | None:
        """Return the object."""
        self._require(place == self._asked.place and id == self._asked.id)
        return next((Stored(id, int(version), text) for id, version, text, _ in self._found["object"]), None)

    def groups(self, user: str) -> frozenset[str]:
        """Return the principals of the user."""
        self._require(user == self._asked.user)
        return frozenset(principal for principal, *_ in self._found["group"])

    def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) that name one of the principals."""
        known = self._asked.principals.union(principal for principal, *_ in self._found["group"])
        self._require(known.issuperset(principals) and set(uris) <= set(self._asked.uris))
        return {(uri, name) for uri, name, who, _ in self._found["grant"] if who in principals and uri in uris}

    def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of the object."""
        aces = self._found["ace"]
        self._require(self._asked.id is not None and uri == self._asked.uris[0] and len(aces) <= MOST_ACES)
        acl: dict[str, list[str]] = {}
        for permission, principal, *_ in aces:
            acl.setdefault(permission, []).append(principal)
        return acl

    def _require(self, is_foreseen: bool) -> None:
        if not is_foreseen or self._session.has_written:
            raise NotForeseen


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
