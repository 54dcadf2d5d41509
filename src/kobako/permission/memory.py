"""ACLs and memberships in memory: two dicts, and what is asked of them.

Principals are kept in frozensets, replaced as a whole, so that the journal can undo; see `databases.memory`.
"""

from collections.abc import Collection, Mapping, Set

from kobako.databases.journal import Journal
from kobako.permission.base import AUTHENTICATED, Acl, is_under

NOBODY: frozenset[str] = frozenset()


class MemoryPermission:
    """All ACLs and memberships of a database. Whoever calls has the lock of the database."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._acls: dict[str, dict[str, frozenset[str]]] = {}
        self._groups: dict[str, frozenset[str]] = {}

    def clear(self) -> None:
        """Remove everything."""
        self._acls.clear()
        self._groups.clear()

    async def groups(self, user: str) -> frozenset[str]:
        return self._groups.get(user, NOBODY) | self._groups.get(AUTHENTICATED, NOBODY)

    async def join(self, principal: str, users: Collection[str]) -> None:
        for user in users:
            self._give(user, self._groups.get(user, NOBODY) | {principal})

    async def leave(self, principal: str, users: Collection[str]) -> None:
        for user in users:
            self._give(user, self._groups.get(user, NOBODY) - {principal})

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        wanted = frozenset(principals)
        return {
            (uri, permission)
            for uri in uris
            for permission, holders in self._acls.get(uri, {}).items()
            if not wanted.isdisjoint(holders)
        }

    async def shared(self, principals: Collection[str], parent: str, permissions: Collection[str]) -> Set[str]:
        wanted, beginning = frozenset(principals), f"{parent}/"
        return {
            uri[len(beginning) :]
            for uri, acl in self._acls.items()
            if uri.startswith(beginning)
            and "/" not in uri[len(beginning) :]
            and any(not wanted.isdisjoint(acl.get(each, NOBODY)) for each in permissions)
        }

    async def held(self, principals: Collection[str]) -> Set[tuple[str, str]]:
        return await self.granted(principals, self._acls)

    async def held_alone(self, principal: str, permission: str) -> Set[str]:
        return {uri for uri, acl in self._acls.items() if acl.get(permission, NOBODY) == {principal}}

    async def acl(self, uri: str) -> dict[str, list[str]]:
        return {permission: [*holders] for permission, holders in self._acls.get(uri, {}).items()}

    async def acls_of(self, uris: Collection[str]) -> Mapping[str, Acl]:
        return {uri: self._acls[uri] for uri in uris if uri in self._acls}

    async def acls(self, after: str = "", limit: int = 1000) -> Mapping[str, Acl]:
        return {uri: self._acls[uri] for uri in sorted(each for each in self._acls if each > after)[:limit]}

    async def members(self, after: str = "", limit: int = 1000) -> Mapping[str, Collection[str]]:
        found: dict[str, list[str]] = {}
        for user, principals in self._groups.items():
            for each in principals:
                found.setdefault(each, []).append(user)
        return {each: found[each] for each in sorted(each for each in found if each > after)[:limit]}

    async def replace(self, uri: str, acl: Acl) -> None:
        new = self._acls.get(uri, {}) | {permission: frozenset(holders) for permission, holders in acl.items()}
        self._set_acl(uri, new)

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        for uri, acl in acls.items():
            old = self._acls.get(uri, {})
            self._set_acl(uri, old | {each: old.get(each, NOBODY).union(holders) for each, holders in acl.items()})

    async def forget(self, uris: Collection[str]) -> None:
        gone = frozenset(uris)
        for uri, acl in [*self._acls.items()]:
            if is_under(uri, gone):
                self._journal.remove(self._acls, uri)
            elif former := {each for holders in acl.values() for each in holders if is_under(each, gone)}:
                self._set_acl(uri, {permission: holders - former for permission, holders in acl.items()})
        for user, principals in [*self._groups.items()]:
            self._give(user, frozenset(each for each in principals if not is_under(each, gone)))

    async def erase(self, principal: str) -> None:
        for uri, _ in await self.held([principal]):
            self._set_acl(uri, {name: holders - {principal} for name, holders in self._acls.get(uri, {}).items()})
        for user, principals in [*self._groups.items()]:
            self._give(user, NOBODY if user == principal else principals - {principal})

    def _set_acl(self, uri: str, acl: dict[str, frozenset[str]]) -> None:
        kept = {permission: holders for permission, holders in acl.items() if holders}
        if kept:
            self._journal.set(self._acls, uri, kept)
        else:
            self._journal.remove(self._acls, uri)

    def _give(self, user: str, principals: frozenset[str]) -> None:
        """Set all principals of a user."""
        if principals == self._groups.get(user, NOBODY):
            return
        if principals:
            self._journal.set(self._groups, user, principals)
        else:
            self._journal.remove(self._groups, user)
