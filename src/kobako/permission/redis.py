"""ACLs and memberships in Redis: one JSON text for each object and each user, and both turned round in sorted sets.

A unit of work has what it changed in dicts, over what is stored; the sorted sets follow from that, see `commands`.

Source: permission contract, objects 22; reliability, 4.6.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from typing import Any

import msgspec

from kobako.databases.redis_keys import SEPARATOR, Command, below, of
from kobako.databases.redis_session import CHUNK, Session, chunks
from kobako.permission.base import AUTHENTICATED, Acl, is_under
from kobako.protocol import jsontext

NOBODY: frozenset[str] = frozenset()

AclSets = dict[str, frozenset[str]]

_acl_decoder = msgspec.json.Decoder(AclSets)
_set_decoder = msgspec.json.Decoder(frozenset[str])


class RedisPermission:
    """The permissions of one unit of work."""

    __slots__ = ("_acls", "_groups", "_journal", "_keys", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._journal = session.journal
        self._keys = session.keys
        self._acls: dict[str, AclSets] = {}
        self._groups: dict[str, frozenset[str]] = {}

    async def groups(self, user: str) -> frozenset[str]:
        """Return the principals of a user."""
        found = await self._groups_of([user, AUTHENTICATED])
        return found[user] | found[AUTHENTICATED]

    async def join(self, principal: str, users: Collection[str]) -> None:
        """Give a principal to users."""
        for user, groups in (await self._groups_of(users)).items():
            self._give(user, groups, groups | {principal})

    async def leave(self, principal: str, users: Collection[str]) -> None:
        """Take a principal from users."""
        for user, groups in (await self._groups_of(users)).items():
            self._give(user, groups, groups - {principal})

    async def granted(self, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of these objects' ACLs that name one of the principals."""
        return set(_granted(frozenset(principals), await self._acls_of(uris)))

    async def shared(self, principals: Collection[str], parent: str, permissions: Collection[str]) -> Set[str]:
        """Return the ids of the objects directly below `parent` that are shared with a principal."""
        ranges = [below(self._keys.held, parent, f"{each}{SEPARATOR}") for each in principals]
        start = len(parent) + 1
        return {
            uri[start:]
            for uri, permission in await self._held(principals, ranges)
            if permission in permissions and uri.startswith(f"{parent}/") and "/" not in uri[start:]
        }

    async def held(self, principals: Collection[str]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) of all ACLs that name one of the principals."""
        return await self._held(principals, [of(self._keys.held, each) for each in principals])

    async def held_alone(self, principal: str, permission: str) -> Set[str]:
        """Return the URIs of the objects on which nobody else has a permission."""
        held = {uri for uri, name in await self.held([principal]) if name == permission}
        return {uri for uri, acl in (await self._acls_of(held)).items() if acl[permission] == {principal}}

    async def acl(self, uri: str) -> dict[str, list[str]]:
        """Return the ACL of an object."""
        return {permission: [*holders] for permission, holders in (await self._acls_of([uri]))[uri].items()}

    async def acls_of(self, uris: Collection[str]) -> Mapping[str, Acl]:
        """Return the ACLs of these objects."""
        return {uri: acl for uri, acl in (await self._acls_of(uris)).items() if acl}

    async def acls(self, after: str = "", limit: int = 1000) -> Mapping[str, Acl]:
        """Return ACLs by URI: as the database has them."""
        first = f"({after}" if after else "-"
        [uris] = await self._session.ask(("ZRANGE", self._keys.uris, first, "+", "BYLEX", "LIMIT", "0", str(limit)))
        return await self._acls_of(uris)

    async def members(self, after: str = "", limit: int = 1000) -> Mapping[str, Collection[str]]:
        """Return the users of each principal: as the database has them."""
        found: dict[str, list[str]] = {}
        # All names of `after` come before that.
        first = f"({after}\1" if after else "-"
        while len(found) <= limit:
            [names] = await self._session.ask(
                ("ZRANGE", self._keys.members, first, "+", "BYLEX", "LIMIT", "0", str(CHUNK))
            )
            for principal, user in (name.split(SEPARATOR) for name in names):
                found.setdefault(principal, []).append(user)
            if len(names) < CHUNK:
                break
            first = f"({names[-1]}"
        # Of the one after the last, some may be missing.
        return {principal: found[principal] for principal in list(found)[:limit]}

    async def replace(self, uri: str, acl: Acl) -> None:
        """Set the permissions named to exactly these principals."""
        old = (await self._acls_of([uri]))[uri]
        self._set_acl(uri, old, old | {permission: frozenset(holders) for permission, holders in acl.items()})

    async def grant(self, acls: Mapping[str, Acl]) -> None:
        """Give permissions on objects, besides those that are given there already."""
        for uri, old in (await self._acls_of(acls)).items():
            self._set_acl(uri, old, old | {each: old.get(each, NOBODY).union(all) for each, all in acls[uri].items()})

    async def forget(self, uris: Collection[str]) -> None:
        """Remove all that is known of these objects and of everything under them."""
        gone = frozenset(uris)
        objects, users = await self._concerned(gone)
        for uri, acl in (await self._acls_of(objects)).items():
            self._set_acl(uri, acl, {} if is_under(uri, gone) else _without(gone, acl))
        for user, groups in (await self._groups_of(users)).items():
            self._give(user, groups, frozenset(each for each in groups if not is_under(each, gone)))

    async def erase(self, principal: str) -> None:
        """Remove a principal wherever it is."""
        held = {uri for uri, _ in await self.held([principal])}
        for uri, acl in (await self._acls_of(held)).items():
            self._set_acl(uri, acl, {name: holders - {principal} for name, holders in acl.items()})
        [members] = await self._session.ask(of(self._keys.members, principal))
        users = {principal, *self._groups, *(name.split(SEPARATOR)[1] for name in members)}
        for user, groups in (await self._groups_of(users)).items():
            self._give(user, groups, NOBODY if user == principal else groups - {principal})

    def commands(self) -> Iterator[Command]:
        """Return what makes the changes of the unit those of the database."""
        keys = self._keys
        for uri, acl in self._acls.items():
            old = self._stored_acl(uri)
            yield from _set_or_remove(keys.acls, uri, {name: sorted(holders) for name, holders in acl.items()})
            yield from _turned(keys.uris, {uri} if old else set(), {uri} if acl else set())
            yield from _turned(keys.held, _held_names(uri, old), _held_names(uri, acl))
        for user, groups in self._groups.items():
            old_groups = self._stored_groups(user)
            yield from _set_or_remove(keys.groups, user, sorted(groups))
            yield from _turned(keys.members, _member_names(user, old_groups), _member_names(user, groups))

    # What is known.

    async def _acls_of(self, uris: Collection[str]) -> dict[str, AclSets]:
        """Return the ACLs of objects, as this unit has left them."""
        await self._session.ask(given=[("HGET", self._keys.acls, uri) for uri in uris if uri not in self._acls])
        return {uri: self._acls[uri] if uri in self._acls else self._stored_acl(uri) for uri in uris}

    def _stored_acl(self, uri: str) -> AclSets:
        text = self._session.facts["HGET", self._keys.acls, uri]
        return _acl_decoder.decode(text) if text else {}

    async def _groups_of(self, users: Collection[str]) -> dict[str, frozenset[str]]:
        """Return the principals that users were given, as this unit has left them."""
        await self._session.ask(given=[("HGET", self._keys.groups, user) for user in users if user not in self._groups])
        return {user: self._groups[user] if user in self._groups else self._stored_groups(user) for user in users}

    def _stored_groups(self, user: str) -> frozenset[str]:
        text = self._session.facts["HGET", self._keys.groups, user]
        return _set_decoder.decode(text) if text else NOBODY

    async def _held(self, principals: Collection[str], ranges: Collection[Command]) -> Set[tuple[str, str]]:
        """Return the (uri, permission) in these ranges of what is held, and all that this unit gave the principals."""
        await self._session.ask(given=[*ranges])
        names = [name.split(SEPARATOR) for each in ranges for name in self._session.facts[each]]
        stored = {(uri, permission) for _, uri, permission in names if uri not in self._acls}
        return stored.union(_granted(frozenset(principals), self._acls))

    async def _concerned(self, gone: Set[str]) -> tuple[set[str], set[str]]:
        """Return the objects and the users that are to forget these objects, themselves or as principals.

        What is looked through is no fact for the rest of the unit: ACLs change with their objects, so the states of
        lists speak for them, and whoever gives a right to a group that goes might have done so after it went.
        """
        keys = self._keys
        objects, users = {*gone, *self._acls}, {*self._groups}
        for some in chunks([*gone]):
            own = await self._session.ask(*(below(keys.uris, uri) for uri in some))
            held = await self._session.ask(*_by_principals(keys.held, some))
            members = await self._session.ask(*_by_principals(keys.members, some))
            objects.update(uri for found in own for uri in found)
            objects.update(name.split(SEPARATOR)[1] for found in held for name in found)
            users.update(name.split(SEPARATOR)[1] for found in members for name in found)
        return objects, users

    # Changes.

    def _set_acl(self, uri: str, old: AclSets, new: AclSets) -> None:
        kept = {permission: holders for permission, holders in new.items() if holders}
        if kept != old:
            self._journal.set(self._acls, uri, kept)

    def _give(self, user: str, old: frozenset[str], new: frozenset[str]) -> None:
        """Set all principals of a user."""
        if new != old:
            self._journal.set(self._groups, user, new)


def _granted(wanted: Set[str], acls: dict[str, AclSets]) -> Iterator[tuple[str, str]]:
    """Return the (uri, permission) that name one of the principals wanted."""
    for uri, acl in acls.items():
        yield from ((uri, permission) for permission, holders in acl.items() if not wanted.isdisjoint(holders))


def _without(gone: Set[str], acl: AclSets) -> AclSets:
    """Return an ACL that names nobody who is gone."""
    return {name: frozenset(each for each in holders if not is_under(each, gone)) for name, holders in acl.items()}


def _by_principals(key: str, uris: Iterable[str]) -> Iterator[Command]:
    """Return the commands for the names that have one of these, or what is under it, for their principal."""
    for uri in uris:
        yield of(key, uri)
        yield below(key, uri)


def _set_or_remove(key: str, field: str, value: Any) -> Iterator[Command]:
    yield ("HSET", key, field, jsontext.encode(value)) if value else ("HDEL", key, field)


def _held_names(uri: str, acl: AclSets) -> set[str]:
    return {SEPARATOR.join((each, uri, permission)) for permission, holders in acl.items() for each in holders}


def _member_names(user: str, groups: Iterable[str]) -> set[str]:
    return {f"{principal}{SEPARATOR}{user}" for principal in groups}


def _turned(key: str, old: set[str], new: set[str]) -> Iterator[Command]:
    """Return the commands that make the names in a sorted set new ones."""
    for some in chunks(sorted(new - old)):
        yield ("ZADD", key, *(part for each in some for part in ("0", each)))
    for some in chunks(sorted(old - new)):
        yield ("ZREM", key, *some)
