"""ACLs and memberships in PostgreSQL: one row for each permission a principal has on an object, or membership.

Rows of several objects are written in one order, so that units do not wait for each other in a circle.

Source: permission contract, objects 22.
"""

from collections.abc import Collection, Mapping, Sequence, Set

from kobako.databases.parents import parent_of
from kobako.databases.postgresql_session import Session, Statement, Write
from kobako.databases.shards import shard
from kobako.permission.base import AUTHENTICATED, Acl, by_uri

GROUPS = "SELECT principal FROM members WHERE member = ANY($1::text[])"

JOIN = """
    INSERT INTO members (bucket, principal, member) SELECT $1, $2, u FROM unnest($3::text[]) AS u ORDER BY u
    ON CONFLICT DO NOTHING"""

LEAVE = "DELETE FROM members WHERE bucket = $1 AND principal = $2 AND member = ANY($3::text[])"

GRANTED = """
    SELECT DISTINCT uri, permission FROM unnest($1::text[], $2::text[]) AS u (bucket, uri)
    JOIN aces USING (bucket, uri) WHERE principal = ANY($3::text[])"""

HELD = "SELECT DISTINCT uri, permission FROM aces WHERE principal = ANY($1::text[])"

HELD_ALONE = """
    SELECT uri FROM aces AS a WHERE principal = $1 AND permission = $2 AND NOT EXISTS (
        SELECT 1 FROM aces AS b
        WHERE b.bucket = a.bucket AND b.uri = a.uri AND b.permission = $2 AND b.principal != $1)"""

# What is under a URI is between it with '/' and it with '0', the next character. `+ 2`: from 1, past the slash.
# Buckets are each in their own shard, so that is not asked for.
SHARED = """
    SELECT DISTINCT substr(uri, length($2) + 2) AS id FROM aces
    WHERE principal = ANY($1::text[]) AND uri > $2 || '/' AND uri < $2 || '0'
        AND permission = ANY($3::text[]) AND strpos(substr(uri, length($2) + 2), '/') = 0"""

ACL = "SELECT permission, principal FROM aces WHERE bucket = $1 AND uri = $2"

ACLS_OF = """
    SELECT uri, permission, principal FROM unnest($1::text[], $2::text[]) AS u (bucket, uri)
    JOIN aces USING (bucket, uri)"""

GRANT = """
    INSERT INTO aces (bucket, uri, permission, principal)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS g (bucket, uri, permission, principal)
    ORDER BY bucket, uri, principal, permission ON CONFLICT DO NOTHING"""

_REPLACE = """
    wanted AS (SELECT w.* FROM unnest($4::text[], $5::text[]) AS w (permission, principal){and_list}),
    gone AS (
        DELETE FROM aces WHERE bucket = $1 AND uri = $2 AND permission = ANY($3::text[]){if_list}
            AND (permission, principal) NOT IN (SELECT permission, principal FROM wanted))"""

_REPLACED = """
    INSERT INTO aces (bucket, uri, permission, principal)
    SELECT $1, $2, permission, principal FROM wanted ORDER BY principal, permission ON CONFLICT DO NOTHING"""

# One principal, as a new object has: without arrays, for which PostgreSQL plans anew each time.
_REPLACE_BY_ONE = """
    wanted AS (SELECT $3::text AS permission, $4::text AS principal{from_list}),
    gone AS (
        DELETE FROM aces WHERE bucket = $1 AND uri = $2 AND permission = $3 AND principal <> $4{if_list})"""

REPLACE = Statement(_REPLACE.format(and_list="", if_list=""), _REPLACED)
REPLACE_BY_ONE = Statement(_REPLACE_BY_ONE.format(from_list="", if_list=""), _REPLACED)

_REPLACE_ALL = """
    named AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS n (bucket, uri, permission)),
    wanted AS (
        SELECT w.* FROM unnest($4::text[], $5::text[], $6::text[], $7::text[])
            AS w (bucket, uri, permission, principal){and_list}),
    gone AS (
        DELETE FROM aces AS a USING named AS n
        WHERE a.bucket = n.bucket AND a.uri = n.uri AND a.permission = n.permission{if_list}
            AND (a.uri, a.permission, a.principal) NOT IN (SELECT uri, permission, principal FROM wanted))"""

_REPLACED_ALL = """
    INSERT INTO aces (bucket, uri, permission, principal)
    SELECT * FROM wanted ORDER BY bucket, uri, principal, permission ON CONFLICT DO NOTHING"""

REPLACE_ALL = Statement(_REPLACE_ALL.format(and_list="", if_list=""), _REPLACED_ALL)

_IF_LIST = " AND EXISTS (SELECT FROM list)"

REPLACE_IF_SAME = {
    REPLACE: Statement(_REPLACE.format(and_list=", list", if_list=_IF_LIST), _REPLACED),
    REPLACE_BY_ONE: Statement(_REPLACE_BY_ONE.format(from_list=" FROM list", if_list=_IF_LIST), _REPLACED),
    REPLACE_ALL: Statement(_REPLACE_ALL.format(and_list=", list", if_list=_IF_LIST), _REPLACED_ALL),
}
"""The same, done if the part of the statement that writes the list does something."""

FORGET = """
    WITH f AS (SELECT * FROM unnest($1::text[], $2::text[]) AS f (bucket, uri)),
    left_by_members AS (
        DELETE FROM members AS m USING f WHERE m.bucket = f.bucket AND m.principal = f.uri RETURNING 1),
    taken AS (DELETE FROM aces AS a USING f WHERE a.principal = f.uri RETURNING 1),
    own AS (DELETE FROM aces AS a USING f WHERE a.bucket = f.bucket AND a.uri = f.uri)
    SELECT 1 FROM left_by_members UNION ALL SELECT 1 FROM taken LIMIT 1"""

# Under most objects there is nothing. With what comes first in an index, that takes no time, whatever the planner
# thinks of the number of rows; what is between two values that it does not know, it takes for very many.
HAVE_SOME_UNDER = """
    SELECT f.bucket, f.uri FROM unnest($1::text[], $2::text[]) AS f (bucket, uri),
        LATERAL (SELECT f.uri || '/' AS first, f.uri || '0' AS last) AS u
    WHERE (SELECT t.uri FROM aces AS t WHERE t.bucket = f.bucket AND t.uri > first ORDER BY t.uri LIMIT 1) < last
        OR (SELECT t.principal FROM aces AS t WHERE t.principal > first ORDER BY t.principal LIMIT 1) < last
        OR (SELECT t.principal FROM members AS t WHERE t.bucket = f.bucket AND t.principal > first
            ORDER BY t.principal LIMIT 1) < last"""

FORGET_UNDER = """
    WITH left_by_members AS (
        DELETE FROM members WHERE bucket = $1 AND principal > $2 || '/' AND principal < $2 || '0'),
    taken AS (DELETE FROM aces WHERE principal > $2 || '/' AND principal < $2 || '0')
    DELETE FROM aces WHERE bucket = $1 AND uri > $2 || '/' AND uri < $2 || '0'"""


ACLS = """
    SELECT uri, permission, principal FROM aces WHERE uri IN (
        SELECT DISTINCT uri FROM aces WHERE uri > $1 ORDER BY uri LIMIT $2) ORDER BY uri"""

MEMBERS = """
    SELECT principal, member FROM members WHERE principal IN (
        SELECT DISTINCT principal FROM members WHERE principal > $1 ORDER BY principal LIMIT $2) ORDER BY principal"""


def to_replace(acls: Sequence[tuple[str, Acl]]) -> list[Write]:
    """Return what sets permissions to exactly these principals: of one that is set several times the last counts."""
    latest: dict[str, dict[str, Collection[str]]] = {}
    for uri, acl in acls:
        latest.setdefault(uri, {}).update(acl)
    named = [(shard(uri), uri, permission) for uri, acl in latest.items() for permission in acl]
    wanted = [(*each, principal) for each in named for principal in latest[each[1]][each[2]]]
    if not named:
        return []
    if len(latest) == 1:
        [(uri, acl)] = latest.items()
        if len(acl) == len(wanted) == 1:
            return [(REPLACE_BY_ONE, wanted[0])]
        names, given = [each[2] for each in wanted], [each[3] for each in wanted]
        return [(REPLACE, (shard(uri), uri, list(acl), names, given))]
    columns = [list(each) for each in zip(*wanted, strict=True)] or [[], [], [], []]
    return [(REPLACE_ALL, (*(list(each) for each in zip(*named, strict=True)), *columns))]


class PostgreSQLPermission:
    """The permissions of one unit of work."""

    __slots__ = ("_run", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._run = session.run

    async def groups(self, user: str) -> frozenset[str]:
        """Return the principals of a user."""
        return frozenset(principal for (principal,) in await self._run(GROUPS, [user, AUTHENTICATED]))

    async def join(self, principal: str, users: Collection[str]) -> None:
        """Give a principal to users."""
        if users:
            self._session.concerns.are_all = True
            await self._run(JOIN, shard(principal), principal, list(users))

    async def leave(self, principal: str, users: Collection[str]) -> None:
        """Take a principal from users."""
        if users:
            self._session.concerns.are_all = True
            await self._run(LEAVE, shard(principal), principal, list(users))

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of these objects' ACLs that name one of the principals."""
        rows = await self._run(GRANTED, [shard(uri) for uri in uris], list(uris), list(principals))
        return {(uri, permission) for uri, permission in rows}

    async def shared(self, principals: Collection[str], parent: str, permissions: Collection[str]) -> Set[str]:
        """Return the ids of the objects directly below `parent` that are shared with a principal."""
        rows = await self._run(SHARED, list(principals), parent, list(permissions))
        return {id for (id,) in rows}

    async def held(self, principals: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of all ACLs that name one of the principals."""
        return {(uri, permission) for uri, permission in await self._run(HELD, list(principals))}

    async def held_alone(self, principal: str, permission: str) -> Set[str]:
        """Return the URIs of the objects on which nobody else has a permission."""
        return {uri for (uri,) in await self._run(HELD_ALONE, principal, permission)}

    async def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of an object."""
        acl: dict[str, list[str]] = {}
        for permission, principal in await self._run(ACL, shard(uri), uri):
            acl.setdefault(permission, []).append(principal)
        return acl

    async def acls_of(self, uris: Collection[str]) -> Mapping[str, Acl]:
        """Return the ACLs of these objects."""
        return by_uri(await self._run(ACLS_OF, [shard(uri) for uri in uris], list(uris)))

    async def acls(self, after: str = "", limit: int = 1000) -> Mapping[str, Acl]:
        """Return ACLs by URI."""
        return by_uri(await self._run(ACLS, after, limit))

    async def members(self, after: str = "", limit: int = 1000) -> Mapping[str, Collection[str]]:
        """Return the users of each principal."""
        found: dict[str, list[str]] = {}
        for principal, user in await self._run(MEMBERS, after, limit):
            found.setdefault(principal, []).append(user)
        return found

    async def replace(self, uri: str, acl: Acl) -> None:
        """Set the permissions named to exactly these principals."""
        self._session.concerns.acls.add(parent_of(uri))
        # As it is now: it is the caller's, who may change it.
        write = uri, {permission: tuple(principals) for permission, principals in acl.items()}
        if self._session.pending is not None:
            self._session.pending.add(to_replace, write)
            return
        for statement, values in to_replace([write]):
            await self._run(statement.sql, *values)

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        """Give permissions on objects, besides those that are given there already."""
        rows = [
            (shard(uri), uri, permission, principal)
            for uri, acl in acls.items()
            for permission, principals in acl.items()
            for principal in principals
        ]
        self._session.concerns.acls.update(map(parent_of, acls))
        if rows:
            await self._run(GRANT, *map(list, zip(*rows, strict=True)))

    async def forget(self, uris: Collection[str]) -> None:
        """Remove all that is known of these objects and of everything under them."""
        concerns = self._session.concerns
        concerns.acls.update(map(parent_of, uris))
        which = [shard(uri) for uri in uris], list(uris)
        if await self._run(FORGET, *which):
            concerns.are_all = True
        for bucket, uri in await self._run(HAVE_SOME_UNDER, *which):
            concerns.are_all = True
            await self._run(FORGET_UNDER, bucket, uri)

    async def erase(self, principal: str) -> None:
        """Remove a principal wherever it is."""
        self._session.concerns.are_all = True
        await self._run("DELETE FROM aces WHERE principal = $1", principal)
        await self._run("DELETE FROM members WHERE principal = $1 OR member = $1", principal)
