"""A unit of work on PostgreSQL that asks once: one statement for all that most requests to read ask for.

A statement is a transaction of its own, so it has one snapshot; it costs one journey to the database instead of six.
What was not foreseen belongs to another snapshot, so it is not answered at all.
"""

from collections import defaultdict
from collections.abc import Collection, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, cast

from kobako.databases.base import Clock, Foreseen, NotForeseen
from kobako.databases.postgresql_lists import THIS
from kobako.databases.postgresql_pool import Pool
from kobako.databases.postgresql_session import Rows
from kobako.databases.postgresql_units import PostgreSQLUnit
from kobako.databases.shards import shard
from kobako.permission.base import AUTHENTICATED
from kobako.permission.postgresql import PostgreSQLPermission
from kobako.storage.base import Place, Stored
from kobako.storage.postgresql import PostgreSQLStorage

MOST_ACES: Final = 50
"""A longer ACL is not read before somebody wants to see it."""

# $1 to $4: bucket, parent, resource and id; $5: the names that groups have as members; $6: principals; $7 and $8: the
# buckets and URIs of the ACLs.
STATEMENT: Final = f"""
    SELECT 'group', principal, NULL, NULL FROM members WHERE member = ANY($5::text[])
    UNION ALL
    SELECT 'grant', uri, permission, principal
    FROM unnest($7::text[], $8::text[]) AS u (bucket, uri) JOIN aces USING (bucket, uri)
    WHERE principal = ANY($6::text[])
        OR principal IN (SELECT m.principal FROM members AS m WHERE member = ANY($5::text[]))
    UNION ALL
    SELECT 'list', last_modified::text, NULL, NULL FROM lists WHERE {THIS} AND open
    UNION ALL
    SELECT 'object', id, last_modified::text, data FROM objects WHERE {THIS} AND id = $4 AND NOT deleted
    UNION ALL
    (SELECT 'ace', permission, principal, NULL FROM aces
    WHERE $4::text IS NOT NULL AND bucket = ($7::text[])[1] AND uri = ($8::text[])[1] LIMIT {MOST_ACES + 1})"""


class _Answers:
    """What the statement found; any other question is refused."""

    def __init__(self, asked: Foreseen, rows: Rows) -> None:
        self._asked = asked
        self._found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for kind, *values in rows:
            self._found[kind].append(tuple(values))

    def __getattr__(self, name: str) -> Any:
        raise NotForeseen


class ForeseenStorage(_Answers):
    """The storage of such a unit."""

    async def get(self, place: Place, id: str) -> Stored | None:
        """Return the object."""
        _require(place == self._asked.place and id == self._asked.id)
        return next((Stored(id, int(version), text) for id, version, text in self._found["object"]), None)

    async def timestamp(self, place: Place) -> int | None:
        """Return the timestamp of the list."""
        _require(place == self._asked.place)
        return next((int(version) for version, _, _ in self._found["list"]), None)


class ForeseenPermission(_Answers):
    """The permissions of such a unit."""

    async def groups(self, user: str) -> frozenset[str]:
        """Return the principals of the user."""
        _require(user == self._asked.user)
        return frozenset(principal for principal, _, _ in self._found["group"])

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) that name one of the principals."""
        known = self._asked.principals.union(principal for principal, _, _ in self._found["group"])
        _require(known.issuperset(principals) and set(uris) <= set(self._asked.uris))
        return {(uri, name) for uri, name, who in self._found["grant"] if who in principals and uri in uris}

    async def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of the object."""
        aces = self._found["ace"]
        _require(self._asked.id is not None and uri == self._asked.uris[0] and len(aces) <= MOST_ACES)
        acl: dict[str, list[str]] = {}
        for permission, principal, _ in aces:
            acl.setdefault(permission, []).append(principal)
        return acl


class ForeseenUnit(PostgreSQLUnit):
    """A unit of work that is over, for the database, when it begins."""

    __slots__ = ("_asked",)
    is_snapshot = True

    def __init__(self, pool: Pool, clock: Clock, asked: Foreseen) -> None:
        super().__init__(pool, clock, "")
        self._asked = asked

    async def __aenter__(self) -> "ForeseenUnit":
        await self._enter()
        self._release()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def _start(self) -> None:
        asked, place = self._asked, self._asked.place
        names = [asked.user, AUTHENTICATED] if asked.user else []
        rows = await self.session.run(
            STATEMENT,
            *(shard(place.parent), place.parent, place.resource, asked.id),
            *(names, list(asked.principals)),
            *([shard(uri) for uri in asked.uris], list(asked.uris)),
        )
        self.storage = cast("PostgreSQLStorage", ForeseenStorage(asked, rows))
        self.permission = cast("PostgreSQLPermission", ForeseenPermission(asked, rows))

    async def _undo(self) -> None:
        self._release()

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Nothing was written, so there is nothing to undo."""
        return nullcontext()


def _require(is_foreseen: bool) -> None:
    if not is_foreseen:
        raise NotForeseen
