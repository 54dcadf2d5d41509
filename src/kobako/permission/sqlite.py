"""ACLs and memberships in SQLite: one row for each permission a principal has on an object, one for each membership.

Source: permission contract, objects 22.
"""

from collections.abc import Collection, Mapping, Set
from typing import Any

from kobako.databases.parents import parent_of
from kobako.databases.sqlite_changes import EVERYWHERE
from kobako.databases.sqlite_session import Rows, Session
from kobako.permission.base import AUTHENTICATED, Acl, by_uri
from kobako.protocol import jsontext

MANY = 500
"""From so many rows on a write leaves the event loop."""

MOST_KEPT = 2000
"""Answers that a connection keeps."""

LONGEST_KEPT = 1000
"""Characters of a URI that they are about: anybody may ask for one that fills a whole request."""

FEW = 10
"""Rows of an ACL that is read whole: of a longer one, what it says of those who ask is looked for."""

FEW_OBJECTS = 5
"""So many are looked for one by one: an object, and what it is in."""

GROUPS = "SELECT principal FROM members WHERE user IN (?, ?)"

ACES = f"SELECT permission, principal FROM aces WHERE uri = ? LIMIT {FEW + 1}"

# One look into the index for each pair of a principal and an object, however long the ACLs are.
GRANTED = """
    SELECT DISTINCT uri, permission FROM json_each(?) AS p CROSS JOIN json_each(?) AS u CROSS JOIN aces
    WHERE principal = p.value AND uri = u.value"""

HELD = "SELECT DISTINCT uri, permission FROM aces WHERE principal IN (SELECT value FROM json_each(?))"

HELD_ALONE = """
    SELECT uri FROM aces AS a WHERE principal = ?1 AND permission = ?2
        AND NOT EXISTS (SELECT 1 FROM aces AS b WHERE b.uri = a.uri AND b.permission = ?2 AND b.principal != ?1)"""

# What is under a URI is between it with '/' and it with '0', the next character. `+ 2`: from 1, past the slash.
SHARED = """
    SELECT DISTINCT substr(uri, length(?2) + 2) AS id FROM aces
    WHERE principal IN (SELECT value FROM json_each(?1)) AND uri > ?2 || '/' AND uri < ?2 || '0'
        AND permission IN (SELECT value FROM json_each(?3)) AND instr(substr(uri, length(?2) + 2), '/') = 0"""

GRANT = "INSERT OR IGNORE INTO aces VALUES (?, ?, ?)"

FORGET_ACES = """
    DELETE FROM aces WHERE uri = ?1 OR (uri > ?1 || '/' AND uri < ?1 || '0')
        OR principal = ?1 OR (principal > ?1 || '/' AND principal < ?1 || '0')"""

FORGET_MEMBERS = """
    DELETE FROM members WHERE principal = ?1 OR (principal > ?1 || '/' AND principal < ?1 || '0')"""


ACLS_OF = """
    SELECT uri, permission, principal FROM json_each(?) AS u CROSS JOIN aces WHERE uri = u.value"""

ACLS = """
    SELECT uri, permission, principal FROM aces WHERE uri IN (
        SELECT DISTINCT uri FROM aces WHERE uri > ?1 ORDER BY uri LIMIT ?2) ORDER BY uri"""

MEMBERS = """
    SELECT principal, user FROM members WHERE principal IN (
        SELECT DISTINCT principal FROM members WHERE principal > ?1 ORDER BY principal LIMIT ?2) ORDER BY principal"""


class Kept(dict[Any, Any]):
    """What a connection has answered, true until anything is committed by others: by whomever, in any process.

    SQLite tells that by a number, for the snapshot that the unit reads: so nothing is told that is not so any more.
    What is written on the connection itself does not count there: who writes has it forgotten, and who undoes, too.
    """

    version: object = 0

    def at(self, version: object) -> "Kept":
        """Return what is true in a unit."""
        if version != self.version or len(self) > MOST_KEPT:
            self.clear()
            self.version = version
        return self


class SQLitePermission:
    """The permissions of one unit of work: it knows what was `kept` of earlier ones on the connection."""

    __slots__ = ("_kept", "_known", "_run", "_session")

    def __init__(self, session: Session, kept: Kept) -> None:
        self._session = session
        self._run = session.run
        self._kept = kept
        # Of one that writes, alone until its end, what is kept was looked at when it began.
        self._known = kept if session.writes else None

    async def groups(self, user: str) -> frozenset[str]:
        """Return the principals of a user."""
        known = self._answers()
        # URIs are the other names there.
        name = ("groups", user)
        if name not in known:
            known[name] = frozenset([principal for (principal,) in self._run(GROUPS, (user, AUTHENTICATED))])
        return known[name]  # type: ignore[no-any-return]

    def _answers(self) -> Kept:
        """Return the answers that are true in this unit."""
        if self._known is None:
            self._known = self._kept.at(self._run("PRAGMA data_version")[0][0])
        return self._known

    async def join(self, principal: str, users: Collection[str]) -> None:
        """Give a principal to users."""
        self.look_again()
        await self._write("INSERT OR IGNORE INTO members (principal, user) VALUES (?, ?)", principal, users)

    async def leave(self, principal: str, users: Collection[str]) -> None:
        """Take a principal from users."""
        self.look_again()
        await self._write("DELETE FROM members WHERE principal = ? AND user = ?", principal, users)

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of these objects' ACLs that name one of the principals."""
        if len(uris) > FEW_OBJECTS:
            return frozenset(self._run(GRANTED, (_array(principals), _array(uris))))
        acls = {uri: self._short_acl(uri) for uri in uris}
        found = {
            (uri, permission)
            for uri, aces in acls.items()
            for permission, principal in aces or ()
            if principal in principals
        }
        if long := [uri for uri, aces in acls.items() if aces is None]:
            found.update(self._run(GRANTED, (_array(principals), _array(long))))
        return found

    def _short_acl(self, uri: str) -> Rows | None:
        """Return the (permission, principal) of an ACL, None where there are many: asked once, until it may change."""
        known = self._answers()
        if uri in known:
            return known[uri]  # type: ignore[no-any-return]
        rows = self._run(ACES, (uri,))
        found = rows if len(rows) <= FEW else None
        if len(uri) <= LONGEST_KEPT:
            known[uri] = found
        return found

    def look_again(self, uris: Collection[str] | None = None) -> None:
        """Take nothing for known of the ACLs of these objects; None: nothing at all, of groups neither."""
        if uris is None:
            self._kept.clear()
            self._session.note(EVERYWHERE)
        for uri in uris or ():
            self._kept.pop(uri, None)
            self._session.note(parent_of(uri))

    async def shared(self, principals: Collection[str], parent: str, permissions: Collection[str]) -> Set[str]:
        """Return the ids of the objects directly below `parent` that are shared with a principal."""
        rows = self._run(SHARED, (_array(principals), parent, _array(permissions)))
        return {id for (id,) in rows}

    async def held(self, principals: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of all ACLs that name one of the principals."""
        return set(await self._session.read_aside(HELD, (_array(principals),)))

    async def held_alone(self, principal: str, permission: str) -> Set[str]:
        """Return the URIs of the objects on which nobody else has a permission."""
        return {uri for (uri,) in await self._session.read_aside(HELD_ALONE, (principal, permission))}

    async def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of an object."""
        aces = self._short_acl(uri)
        if aces is None:
            aces = self._run("SELECT permission, principal FROM aces WHERE uri = ?", (uri,))
        acl: dict[str, list[str]] = {}
        for permission, principal in aces:
            acl.setdefault(permission, []).append(principal)
        return acl

    async def acls_of(self, uris: Collection[str]) -> Mapping[str, Acl]:
        """Return the ACLs of these objects."""
        return by_uri(self._run(ACLS_OF, (_array(uris),)))

    async def acls(self, after: str = "", limit: int = 1000) -> Mapping[str, Acl]:
        """Return ACLs by URI."""
        return by_uri(self._run(ACLS, (after, limit)))

    async def members(self, after: str = "", limit: int = 1000) -> Mapping[str, Collection[str]]:
        """Return the users of each principal."""
        found: dict[str, list[str]] = {}
        for principal, user in self._run(MEMBERS, (after, limit)):
            found.setdefault(principal, []).append(user)
        return found

    async def replace(self, uri: str, acl: Acl) -> None:
        """Set the permissions named to exactly these principals."""
        self.look_again([uri])
        for permission, principals in acl.items():
            self._run("DELETE FROM aces WHERE uri = ? AND permission = ?", (uri, permission))
            rows = [(principal, uri, permission) for principal in principals]
            await self._write_all([GRANT], rows)

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        """Give permissions on objects, besides those that are given there already."""
        self.look_again(acls)
        rows = [
            (principal, uri, permission)
            for uri, acl in acls.items()
            for permission, principals in acl.items()
            for principal in principals
        ]
        await self._write_all([GRANT], rows)

    async def forget(self, uris: Collection[str]) -> None:
        """Remove all that is known of these objects and of everything under them."""
        self.look_again()
        await self._write_all([FORGET_ACES, FORGET_MEMBERS], [(uri,) for uri in uris])

    async def erase(self, principal: str) -> None:
        """Remove a principal wherever it is."""
        self.look_again()
        await self._session.aside(self._run, "DELETE FROM aces WHERE principal = ?", (principal,))
        await self._session.aside(self._run, "DELETE FROM members WHERE principal = ?1 OR user = ?1", (principal,))

    async def _write(self, statement: str, principal: str, users: Collection[str]) -> None:
        await self._write_all([statement], [(principal, user) for user in users])

    async def _write_all(self, statements: list[str], rows: list[tuple[Any, ...]]) -> None:
        if len(rows) < MANY:
            self._write_rows(statements, rows)
        else:
            await self._session.aside(self._write_rows, statements, rows)

    def _write_rows(self, statements: list[str], rows: list[tuple[Any, ...]]) -> None:
        for statement in statements:
            self._session.run_many(statement, rows)


def _array(values: Collection[str]) -> str:
    return jsontext.encode(list(values))
