"""The contract of permission backends, in tests (objects 22)."""

from collections.abc import Collection, Set
from typing import Any

import pytest

from kobako.databases.base import Database
from kobako.permission.base import AUTHENTICATED, EVERYONE, Acl
from kobako.testing.fixtures import RECORDS, WithClock
from kobako.testing.transfers import PermissionTransferContract

ALICE, BOB, CAROL = "basicauth:alice", "basicauth:bob", "account:carol"
BUCKET = "/buckets/b"
COLLECTION = "/buckets/b/collections/c"
GROUP = "/buckets/b/groups/g"
RECORD = "/buckets/b/collections/c/records/r1"

SEGMENTS = ["a)", "a%", "%", "a_b", "_", "*", "a*", "a\\", "a'b", 'a"b', "a[b]"]


async def change(database: Database, method: str, *arguments: Any) -> None:
    """Call one method of the backend in a unit of work that writes."""
    async with database.begin([RECORDS]) as unit:
        await getattr(unit.permission, method)(*arguments)


async def acl(database: Database, uri: str) -> dict[str, list[str]]:
    """Return an ACL, its principals sorted."""
    async with database.begin() as unit:
        return {name: sorted(principals) for name, principals in (await unit.permission.acl(uri)).items()}


async def groups(database: Database, user: str) -> frozenset[str]:
    async with database.begin() as unit:
        return await unit.permission.groups(user)


async def granted(database: Database, principals: Collection[str], uris: Collection[str]) -> Set[tuple[str, str]]:
    async with database.begin() as unit:
        return await unit.permission.granted(principals, uris)


async def held(database: Database, *principals: str) -> Set[tuple[str, str]]:
    async with database.begin() as unit:
        return await unit.permission.held(principals)


async def shared(database: Database, principals: Collection[str], parent: str, *names: str) -> Set[str]:
    async with database.begin() as unit:
        return await unit.permission.shared(principals, parent, names)


async def replace(database: Database, uri: str, acl: Acl) -> None:
    await change(database, "replace", uri, acl)


async def forget(database: Database, *uris: str) -> None:
    await change(database, "forget", uris)


class MembershipContract(WithClock):
    """Principals that users are given."""

    async def test_an_unknown_user_has_no_groups(self, database: Database) -> None:
        assert await groups(database, ALICE) == frozenset()

    async def test_users_have_the_principals_they_were_given(self, database: Database) -> None:
        await change(database, "join", GROUP, [ALICE, BOB])
        await change(database, "join", "/buckets/b/groups/h", [ALICE])

        assert await groups(database, ALICE) == {GROUP, "/buckets/b/groups/h"}
        assert await groups(database, BOB) == {GROUP}
        assert await groups(database, CAROL) == frozenset()

    async def test_joining_twice_is_joining_once(self, database: Database) -> None:
        await change(database, "join", GROUP, [ALICE, ALICE])
        await change(database, "join", GROUP, [ALICE])
        await change(database, "leave", GROUP, [ALICE])

        assert await groups(database, ALICE) == frozenset()

    async def test_leaving_takes_the_principal_from_these_users_only(self, database: Database) -> None:
        await change(database, "join", GROUP, [ALICE, BOB])

        await change(database, "leave", GROUP, [ALICE, CAROL])

        assert await groups(database, ALICE) == frozenset()
        assert await groups(database, BOB) == {GROUP}

    async def test_joining_and_leaving_with_nobody_does_nothing(self, database: Database) -> None:
        await change(database, "join", GROUP, [ALICE])

        await change(database, "join", GROUP, [])
        await change(database, "leave", GROUP, [])

        assert await groups(database, ALICE) == {GROUP}

    async def test_what_every_authenticated_user_was_given_is_everyones(self, database: Database) -> None:
        await change(database, "join", GROUP, [AUTHENTICATED])
        await change(database, "join", "/buckets/b/groups/h", [ALICE])

        assert await groups(database, ALICE) == {GROUP, "/buckets/b/groups/h"}
        assert await groups(database, BOB) == {GROUP}

    async def test_p14_taking_a_principal_leaves_its_longer_namesake(self, database: Database) -> None:
        """P14."""
        for name in ("a", "ab", "a_", "a%", "A"):
            await change(database, "join", f"/buckets/b/groups/{name}", [ALICE])

        await change(database, "leave", "/buckets/b/groups/a", [ALICE])
        await forget(database, "/buckets/b/groups/a_", "/buckets/b/groups/a%")

        assert await groups(database, ALICE) == {"/buckets/b/groups/ab", "/buckets/b/groups/A"}


class AclContract(WithClock):
    """Who has which permission on which object."""

    async def test_an_unknown_object_has_no_acl(self, database: Database) -> None:
        assert await acl(database, BUCKET) == {}

    async def test_an_acl_is_read_as_it_was_set(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE], "collection:create": [BOB, EVERYONE]})

        assert await acl(database, BUCKET) == {"write": [ALICE], "collection:create": sorted([BOB, EVERYONE])}

    async def test_only_the_permissions_named_are_replaced(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE, BOB], "read": [CAROL]})

        await replace(database, BUCKET, {"write": [BOB, CAROL]})

        assert await acl(database, BUCKET) == {"write": sorted([BOB, CAROL]), "read": [CAROL]}

    async def test_one_principal_replaces_several(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE, BOB], "read": [CAROL]})
        await replace(database, COLLECTION, {"write": [ALICE]})

        await replace(database, BUCKET, {"write": [BOB]})
        await replace(database, BUCKET, {"read": [ALICE]})

        assert await acl(database, BUCKET) == {"write": [BOB], "read": [ALICE]}
        assert await acl(database, COLLECTION) == {"write": [ALICE]}

    async def test_no_principals_remove_a_permission(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE], "read": [CAROL]})

        await replace(database, BUCKET, {"read": [], "group:create": []})

        assert await acl(database, BUCKET) == {"write": [ALICE]}

    async def test_an_empty_acl_replaces_nothing(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})

        await replace(database, BUCKET, {})

        assert await acl(database, BUCKET) == {"write": [ALICE]}

    async def test_the_acls_of_several_objects_are_read_at_once(self, database: Database) -> None:
        await replace(database, RECORD, {"read": [ALICE, BOB], "write": [CAROL]})
        await replace(database, COLLECTION, {"write": [ALICE]})

        async with database.begin() as unit:
            found = await unit.permission.acls_of([RECORD, f"{RECORD}0", COLLECTION])
            assert await unit.permission.acls_of([]) == {}

        assert {uri: {name: sorted(holders) for name, holders in each.items()} for uri, each in found.items()} == {
            RECORD: {"read": sorted([ALICE, BOB]), "write": [CAROL]},
            COLLECTION: {"write": [ALICE]},
        }

    async def test_what_is_granted_is_added(self, database: Database) -> None:
        await replace(database, RECORD, {"read": [ALICE], "write": [CAROL]})

        await change(database, "grant", {RECORD: {"read": [ALICE, BOB]}, COLLECTION: {"write": [BOB, BOB], "read": []}})
        await change(database, "grant", {})

        assert await acl(database, RECORD) == {"read": sorted([ALICE, BOB]), "write": [CAROL]}
        assert await acl(database, COLLECTION) == {"write": [BOB]}
        assert await held(database, BOB) == {(RECORD, "read"), (COLLECTION, "write")}

    async def test_much_is_granted_at_once(self, database: Database) -> None:
        uris = [f"{COLLECTION}/records/r{n}" for n in range(2000)]

        await change(database, "grant", {uri: {"read": [ALICE]} for uri in uris})

        assert len(await shared(database, [ALICE], f"{COLLECTION}/records", "read")) == 2000

    async def test_a_principal_named_twice_is_there_once(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE, ALICE]})

        assert await acl(database, BUCKET) == {"write": [ALICE]}

    async def test_changing_an_acl_that_was_read_changes_nothing_stored(self, database: Database) -> None:
        given = {"write": [ALICE]}
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(BUCKET, given)
            given["write"].append(BOB)
            (await unit.permission.acl(BUCKET))["write"].append(CAROL)
            (await unit.permission.acl(BUCKET))["read"] = [CAROL]

        assert await acl(database, BUCKET) == {"write": [ALICE]}

    async def test_granted_names_the_permissions_of_any_of_the_principals(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE], "read": [BOB, EVERYONE]})
        await replace(database, COLLECTION, {"record:create": [BOB]})
        await replace(database, RECORD, {"write": [BOB]})

        assert await granted(database, [BOB, EVERYONE], [BUCKET, COLLECTION]) == {
            (BUCKET, "read"),
            (COLLECTION, "record:create"),
        }
        assert await granted(database, [CAROL], [BUCKET, COLLECTION, RECORD]) == set()

    async def test_nobody_is_granted_anything_and_nothing_is_granted(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})

        assert await granted(database, [], [BUCKET]) == set()
        assert await granted(database, [ALICE], []) == set()
        assert await granted(database, [ALICE], ["/buckets/unknown"]) == set()

    async def test_nothing_is_inherited(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})

        assert await granted(database, [ALICE], [COLLECTION, "/buckets", "/buckets/b/"]) == set()

    async def test_principals_and_objects_are_compared_as_they_are(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})

        assert await granted(database, [ALICE.upper(), "basicauth:%", "*", ""], [BUCKET]) == set()
        assert await granted(database, [ALICE], ["/buckets/B", "/buckets/%", "/buckets/_", "/buckets/*"]) == set()

    async def test_thousands_of_principals_and_objects_can_be_asked_for(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})
        principals = [*(f"/buckets/b/groups/g{n}" for n in range(2000)), ALICE]
        uris = [*(f"{COLLECTION}/records/r{n}" for n in range(2000)), BUCKET]

        assert await granted(database, principals, uris) == {(BUCKET, "write")}


class SharedContract(WithClock):
    """Which objects of a list a caller may see."""

    async def test_shared_objects_are_those_directly_below(self, database: Database) -> None:
        await replace(database, COLLECTION, {"read": [ALICE]})
        await replace(database, "/buckets/b/collections/d", {"write": [ALICE]})
        await replace(database, "/buckets/b/collections/e", {"read": [BOB]})
        await replace(database, "/buckets/b/collections/f/records/r", {"read": [ALICE]})
        await replace(database, "/buckets/b/groups/g", {"read": [ALICE]})
        await replace(database, "/buckets/bb/collections/h", {"read": [ALICE]})
        await replace(database, "/buckets/b/collections2", {"read": [ALICE]})
        await replace(database, "/buckets/b/collections2/i", {"read": [ALICE]})

        assert await shared(database, [ALICE], "/buckets/b/collections", "read", "write") == {"c", "d"}
        assert await shared(database, [ALICE], "/buckets/b/collections", "read") == {"c"}
        assert await shared(database, [ALICE], "/buckets", "read", "write") == set()

    async def test_any_of_the_principals_will_do(self, database: Database) -> None:
        await replace(database, RECORD, {"read": [GROUP]})
        await replace(database, f"{COLLECTION}/records/r2", {"write": [EVERYONE, ALICE]})

        assert await shared(database, [ALICE, GROUP], f"{COLLECTION}/records", "read", "write") == {
            "r1",
            "r2",
        }

    async def test_nothing_is_shared_with_nobody_or_for_no_permission(self, database: Database) -> None:
        await replace(database, COLLECTION, {"read": [ALICE]})

        assert await shared(database, [], "/buckets/b/collections", "read") == set()
        assert await shared(database, [ALICE], "/buckets/b/collections") == set()

    @pytest.mark.parametrize("segment", SEGMENTS)
    async def test_p15_parents_are_compared_as_they_are(self, database: Database, segment: str) -> None:
        """P15."""
        for name in (segment, "axb", "a", "ab", "other"):
            await replace(database, f"/buckets/{name}/collections/{name}", {"read": [ALICE]})

        found = await shared(database, [ALICE], f"/buckets/{segment}/collections", "read")

        assert found == {segment}


class HeldContract(WithClock):
    """What principals have anywhere."""

    async def test_what_principals_hold_is_found_on_every_object(self, database: Database) -> None:
        await replace(database, BUCKET, {"read": [ALICE, BOB], "write": [BOB]})
        await replace(database, RECORD, {"write": [ALICE, GROUP]})
        await replace(database, GROUP, {"read": [CAROL]})

        assert await held(database, ALICE) == {(BUCKET, "read"), (RECORD, "write")}
        assert await held(database, BOB, GROUP) == {(BUCKET, "read"), (BUCKET, "write"), (RECORD, "write")}
        assert await held(database, EVERYONE) == set()
        assert await held(database) == set()

    async def test_what_a_principal_holds_alone_is_found(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE], "read": [ALICE, BOB]})
        await replace(database, COLLECTION, {"write": [ALICE, BOB]})
        await replace(database, RECORD, {"read": [ALICE]})
        await replace(database, GROUP, {"write": [BOB], "read": [ALICE]})

        async with database.begin() as unit:
            found = [await unit.permission.held_alone(each, "write") for each in (ALICE, BOB, CAROL)]

        assert found == [{BUCKET}, {GROUP}, set()]

    async def test_what_is_forgotten_is_held_no_more(self, database: Database) -> None:
        await replace(database, BUCKET, {"read": [ALICE]})
        await replace(database, RECORD, {"write": [ALICE]})

        await forget(database, COLLECTION)

        assert await held(database, ALICE) == {(BUCKET, "read")}


class ForgettingContract(WithClock):
    """What goes with an object."""

    async def test_the_acl_of_an_object_and_of_all_under_it_goes(self, database: Database) -> None:
        for uri in (BUCKET, COLLECTION, GROUP, RECORD):
            await replace(database, uri, {"write": [ALICE]})

        await forget(database, COLLECTION)

        assert await granted(database, [ALICE], [BUCKET, COLLECTION, GROUP, RECORD]) == {
            (BUCKET, "write"),
            (GROUP, "write"),
        }
        assert await acl(database, RECORD) == {}
        assert await shared(database, [ALICE], f"{COLLECTION}/records", "write") == set()

    async def test_forgetting_what_is_not_known_does_nothing(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})

        await forget(database, "/buckets/x", "/buckets")
        await forget(database)

        assert await acl(database, "/buckets/x") == {}

    async def test_p13_an_object_created_again_has_no_right_of_the_former_one(self, database: Database) -> None:
        """P13."""
        await replace(database, COLLECTION, {"write": [ALICE], "read": [BOB]})
        await forget(database, COLLECTION)

        await replace(database, COLLECTION, {"write": [CAROL]})

        assert await acl(database, COLLECTION) == {"write": [CAROL]}

    async def test_p13_a_group_that_goes_is_taken_from_its_members_and_from_acls(self, database: Database) -> None:
        """P13."""
        await change(database, "join", GROUP, [ALICE, AUTHENTICATED])
        await replace(database, "/buckets/other", {"read": [GROUP, BOB], "write": [GROUP]})

        await forget(database, GROUP)

        assert await groups(database, ALICE) == frozenset()
        assert await acl(database, "/buckets/other") == {"read": [BOB]}
        assert await granted(database, [GROUP], ["/buckets/other"]) == set()

    async def test_p13_the_groups_of_a_bucket_go_with_it(self, database: Database) -> None:
        """P13."""
        await change(database, "join", GROUP, [ALICE])
        await change(database, "join", "/buckets/other/groups/g", [ALICE])
        await replace(database, "/buckets/other", {"read": [GROUP, "/buckets/other/groups/g"]})

        await forget(database, BUCKET)

        assert await groups(database, ALICE) == {"/buckets/other/groups/g"}
        assert await acl(database, "/buckets/other") == {"read": ["/buckets/other/groups/g"]}

    async def test_users_keep_their_rights_elsewhere(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})
        await replace(database, COLLECTION, {"write": [ALICE]})

        await forget(database, COLLECTION)

        assert await acl(database, BUCKET) == {"write": [ALICE]}

    async def test_many_objects_are_forgotten_at_once(self, database: Database) -> None:
        uris = [f"{COLLECTION}/records/r{n}" for n in range(2000)]
        async with database.begin([RECORDS]) as unit:
            for uri in uris:
                await unit.permission.replace(uri, {"write": [ALICE]})

        await forget(database, *uris[1:])

        assert await shared(database, [ALICE], f"{COLLECTION}/records", "write") == {"r0"}

    @pytest.mark.parametrize("segment", [*SEGMENTS, "foo", "FOO"])
    async def test_c10_only_whole_segments_are_forgotten(self, database: Database, segment: str) -> None:
        """C10, P15."""
        kept = [name for name in ("foobar", "foo0", "foo-", "fooo", "axb", "ab", "a", "Foo") if name != segment]
        for name in (segment, *kept):
            await replace(database, f"/buckets/{name}", {"write": [ALICE]})
            await replace(database, f"/buckets/{name}/collections/c", {"write": [ALICE]})
            await change(database, "join", f"/buckets/{name}/groups/g", [BOB])

        await forget(database, f"/buckets/{segment}")

        assert await shared(database, [ALICE], "/buckets", "write") == set(kept)
        assert await groups(database, BOB) == {f"/buckets/{name}/groups/g" for name in kept}
        for name in kept:
            assert await acl(database, f"/buckets/{name}/collections/c") == {"write": [ALICE]}


class ErasureContract(WithClock):
    """Principals that go from everywhere."""

    async def test_a_principal_goes_from_every_acl(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE, BOB], "read": [ALICE]})
        await replace(database, "/elsewhere", {"read": [ALICE]})

        await change(database, "erase", ALICE)

        assert await held(database, ALICE) == set()
        assert await acl(database, BUCKET) == {"write": [BOB]}
        assert await acl(database, "/elsewhere") == {}

    async def test_a_principal_goes_as_user_and_as_group(self, database: Database) -> None:
        await change(database, "join", GROUP, [ALICE, BOB])
        await change(database, "join", ALICE, [BOB, CAROL])

        await change(database, "erase", ALICE)

        assert [await groups(database, each) for each in (ALICE, BOB, CAROL)] == [frozenset(), {GROUP}, frozenset()]

    async def test_what_was_given_in_the_same_unit_goes_as_well(self, database: Database) -> None:
        async with database.begin([RECORDS]) as unit:
            await unit.permission.replace(BUCKET, {"write": [ALICE, BOB]})
            await unit.permission.join(ALICE, [BOB])
            assert await unit.permission.held_alone(ALICE, "write") == set()
            await unit.permission.erase(ALICE)
            assert await unit.permission.held_alone(BOB, "write") == {BUCKET}

        assert await acl(database, BUCKET) == {"write": [BOB]}
        assert await groups(database, BOB) == frozenset()

    async def test_names_that_begin_alike_stay(self, database: Database) -> None:
        for each in (f"{ALICE}s", f"{ALICE}/x", ALICE[:-1], ALICE.upper()):
            await replace(database, BUCKET, {"write": [each, ALICE]})
            await change(database, "join", GROUP, [each])

            await change(database, "erase", ALICE)

            assert await acl(database, BUCKET) == {"write": [each]}
            assert await groups(database, each) == {GROUP}

    async def test_erasing_who_is_not_known_does_nothing(self, database: Database) -> None:
        await replace(database, BUCKET, {"write": [ALICE]})

        await change(database, "erase", BOB)

        assert await acl(database, BUCKET) == {"write": [ALICE]}


class PermissionContract(
    ErasureContract,
    MembershipContract,
    AclContract,
    SharedContract,
    HeldContract,
    ForgettingContract,
    PermissionTransferContract,
):
    """What every permission backend does. A backend joins by giving the `database` fixture."""
